/* quiesced-host: loads one module and runs it. See quiesced-host(8). */
#include <dlfcn.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <quiesce/clock.h>
#include <quiesce/module.h>

#include "daemon/host/host.h"

static const char usage[] =
        "Usage: quiesced-host NAME MODULE\n"
        "Runs a module of quiesced, which calls this by itself; by hand it is for trying one out.\n"
        "\n"
        "  --version  print the version, and exit\n"
        "  --help     print this, and exit\n"
        "\n"
        "$QUIESCE_MODULE_CONFIG is handed to the module, {} without. With\n"
        "$QUIESCE_MEASURE_STACKS it tells how deep the stack of each fiber goes. SIGTERM ends it.\n"
        "Exit\n"
        "status: 0 all ended by itself, 150 something was cancelled or killed, 151 something was\n"
        "abandoned, 160 the module cannot be loaded, 161 it refused to start. See\n"
        "quiesced-host(8), quiesced.yaml(5).\n";

typedef int module_main(qs_runtime *runtime, const char *config);

/* Large, and of a thread that may outlive main's frame. */
static struct attendant attendant = { .stop_fd = -1, .signal_fd = -1, .quit_fd = -1 };

static void log_line(enum qs_log_level level, const char *text, void *arg)
{
	(void)arg;
	if (level <= QS_LOG_WARNING)
		dprintf(STDERR_FILENO, "%s\n", text);
}

/* The daemon's own rungs are the last word; ours come a little earlier, so that all is told. */
static void plan_end(struct qs_shutdown_plan *plan)
{
	const char *text = getenv("QUIESCE_HOST_GRACE_USEC");
	char *end;

	if (!text)
		return;
	errno = 0;
	unsigned long long grace = strtoull(text, &end, 10);
	if (*end || errno || grace > UINT64_MAX / QS_USEC)
		return;
	/* How long there is time comes with the request. */
	plan->deadline = QS_FOREVER;
	plan->cancel_grace = grace * QS_USEC / 2 + 1;
	plan->kill_grace = grace * QS_USEC / 4 + 1;
}

static module_main *load(const char *path, char text[static HOST_FAILED])
{
	void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);

	if (!module) {
		snprintf(text, HOST_FAILED, "cannot load the module: %s", dlerror());
		return NULL;
	}
	const unsigned *abi = dlsym(module, "quiesce_module_abi");
	void *entry = dlsym(module, "quiesce_module_main");
	module_main *main_of_module;
	memcpy(&main_of_module, &entry, sizeof(main_of_module));
	if (!abi)
		snprintf(text, HOST_FAILED, "%s is no module: it has no quiesce_module_abi", path);
	else if (*abi != QS_MODULE_ABI)
		snprintf(text, HOST_FAILED,
		        "%s is built for another quiesced: its ABI is %u, ours is %u", path, *abi,
		        QS_MODULE_ABI);
	else if (!entry)
		snprintf(text, HOST_FAILED, "%s is no module: it has no quiesce_module_main", path);
	else
		return main_of_module;
	return NULL;
}

/* Returns the exit status; with `text` if it did not run. */
static int run_module(qs_runtime *runtime, const char *path, char text[static HOST_FAILED])
{
	static char *config; /* the module's until the process ends */
	const char *given = getenv("QUIESCE_MODULE_CONFIG");
	module_main *main_of_module = load(path, text);

	if (!main_of_module)
		return HOST_EXIT_UNLOADED;
	config = strdup(given ? given : "{}");
	if (!config) {
		snprintf(text, HOST_FAILED, "out of memory");
		return HOST_EXIT_FAILURE;
	}
	/* It may hold secrets, which are none of its children's business. */
	unsetenv("QUIESCE_MODULE_CONFIG");
	int r = main_of_module(runtime, config);
	if (r < 0) {
		snprintf(text, HOST_FAILED, "the module does not start: %s", strerror(-r));
		return HOST_EXIT_REFUSED;
	}
	return qs_run(runtime);
}

static int attended(qs_runtime *runtime, const char *path)
{
	char text[HOST_FAILED] = "";
	int r = attendant_start(&attendant, runtime);

	if (r < 0) {
		fprintf(stderr, "quiesced-host: %s\n", strerror(-r));
		return HOST_EXIT_FAILURE;
	}
	int status = run_module(runtime, path, text);
	attendant_stop(&attendant);
	if (*text) {
		fprintf(stderr, "quiesced-host: %s\n", text);
		teller_tell_failure(&attendant.teller, text);
	}
	return status;
}

static int host(const char *path)
{
	struct qs_runtime_options options = { .hooks = { .log = log_line }, .keep_signals = true };
	qs_runtime *runtime;
	sigset_t signals;

	attendant_signals(&signals);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	plan_end(&options.plan);
	options.measure_stacks = getenv("QUIESCE_MEASURE_STACKS") != NULL;
	int r = qs_runtime_new_with(&options, &runtime);
	if (r < 0) {
		fprintf(stderr, "quiesced-host: %s\n", strerror(-r));
		return HOST_EXIT_FAILURE;
	}
	int status = attended(runtime, path);
	if (status == 151) {
		/* Threads of the module still run: nothing can be taken from under their feet. */
		fflush(NULL);
		_exit(status);
	}
	qs_runtime_free(runtime);
	return status < 0 ? HOST_EXIT_FAILURE : status;
}

int main(int argc, char **argv)
{
	static const struct option long_options[] = { { "version", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' }, { 0 } };

	for (int option; (option = getopt_long(argc, argv, "+", long_options, NULL)) != -1;) {
		if (option == 'v')
			return puts("quiesced-host " QUIESCE_VERSION), 0;
		if (option == 'h')
			return fputs(usage, stdout), 0;
		return fputs("Try 'quiesced-host --help'.\n", stderr), HOST_EXIT_USAGE;
	}
	if (argc - optind != 2) {
		fputs("quiesced-host: takes a name and the path of a module\n", stderr);
		return HOST_EXIT_USAGE;
	}
	return host(argv[optind + 1]);
}
