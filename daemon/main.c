/* The command line of quiesced. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "daemon/config.h"
#include "daemon/daemon.h"

static const char usage[] =
        "Usage: quiesced [OPTION]...\n"
        "Runs the workers of its configuration and ends them well.\n"
        "\n"
        "  --config FILE          read FILE alone, instead of /etc/quiesced/quiesced.yaml\n"
        "                         and /etc/quiesced/conf.d/*.yaml\n"
        "  --control-socket PATH  listen there ($QUIESCED_SOCKET)\n"
        "  --state-dir DIR        keep the last report there ($STATE_DIRECTORY)\n"
        "  --check-config         say what is wrong with the configuration, and exit\n"
        "  --reference            print every key of the configuration, and exit\n"
        "  --version              print the version, and exit\n"
        "  --help                 print this, and exit\n"
        "\n"
        "SIGTERM, SIGINT stop (again: one phase on); SIGHUP reloads; SIGUSR1 drains;\n"
        "SIGUSR2 resumes. Exit status: 0 all ended by itself, 1 failure, 2 usage,\n"
        "4 no permission, 6 bad configuration, 150 something was cancelled or killed,\n"
        "151 something was abandoned. See quiesced(8), quiesced.yaml(5), quiescectl(1).\n";

enum { OPT_CONFIG = 1000, OPT_SOCKET, OPT_STATE, OPT_CHECK, OPT_REFERENCE, OPT_VERSION, OPT_HELP };

static const struct option long_options[] = {
	{ "config", required_argument, NULL, OPT_CONFIG },
	{ "control-socket", required_argument, NULL, OPT_SOCKET },
	{ "state-dir", required_argument, NULL, OPT_STATE },
	{ "check-config", no_argument, NULL, OPT_CHECK },
	{ "reference", no_argument, NULL, OPT_REFERENCE },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ "help", no_argument, NULL, OPT_HELP },
	{ 0 },
};

static int check_config(const struct daemon_options *options)
{
	struct config_errors errors = { 0 };
	struct config *config = NULL;

	int r = daemon_read_config(options, &config, &errors);
	if (errors.text)
		fputs(errors.text, stderr);
	if (errors.warnings)
		fputs(errors.warnings, stderr);
	if (r == 0)
		printf("configuration is good: %zu worker%s\n", config->worker_count,
		        config->worker_count == 1 ? "" : "s");
	config_errors_done(&errors);
	config_free(config);
	return r == 0          ? EXIT_ENDED_WELL
	       : r == -EBADMSG ? EXIT_BAD_CONFIGURATION
	                       : EXIT_RUNTIME_FAILURE;
}

static int usage_error(void)
{
	fputs("Try 'quiesced --help'.\n", stderr);
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	struct daemon_options options = { 0 };
	bool check = false;

	for (int option; (option = getopt_long(argc, argv, "", long_options, NULL)) != -1;) {
		if (option == OPT_CONFIG)
			options.config_file = optarg;
		else if (option == OPT_SOCKET)
			options.control_socket = optarg;
		else if (option == OPT_STATE)
			options.state_directory = optarg;
		else if (option == OPT_CHECK)
			check = true;
		else if (option == OPT_REFERENCE)
			return config_print_reference(stdout), EXIT_ENDED_WELL;
		else if (option == OPT_VERSION)
			return puts("quiesced " QUIESCE_VERSION), EXIT_ENDED_WELL;
		else if (option == OPT_HELP)
			return fputs(usage, stdout), EXIT_ENDED_WELL;
		else
			return usage_error();
	}
	if (optind < argc) {
		fprintf(stderr, "quiesced: unexpected argument '%s'\n", argv[optind]);
		return usage_error();
	}
	return check ? check_config(&options) : daemon_run(&options);
}
