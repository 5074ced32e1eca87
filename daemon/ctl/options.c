/*
 * Options may stand before and behind the verb. What a verb does not take is an error, so that a
 * word that does nothing is never passed over in silence.
 */
#include "daemon/ctl/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include <quiesce/clock.h>

#include "daemon/config.h"
#include "daemon/ctl/verbs.h"

#define WAIT_DEFAULT (60 * QS_SEC)

enum { OPTION_SOCKET = 256, OPTION_JSON, OPTION_WAIT, OPTION_LIVE, OPTION_FILE, OPTION_VERSION };

static const struct option long_options[] = {
	{ "socket", required_argument, NULL, OPTION_SOCKET },
	{ "json", no_argument, NULL, OPTION_JSON },
	{ "wait", optional_argument, NULL, OPTION_WAIT },
	{ "live", no_argument, NULL, OPTION_LIVE },
	{ "file", required_argument, NULL, OPTION_FILE },
	{ "verbose", no_argument, NULL, 'v' },
	{ "follow", no_argument, NULL, 'f' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, OPTION_VERSION },
	{ 0 },
};

/* "--wait=SPAN", or "--wait SPAN" when the next word is one, or "--wait" alone. */
static int take_wait(struct options *options, int argc, char **argv)
{
	options->wait = true;
	options->wait_span = WAIT_DEFAULT;
	if (!optarg) {
		if (optind < argc && span_parse(argv[optind], &options->wait_span) >= 0)
			optind++;
		return 0;
	}
	if (span_parse(optarg, &options->wait_span) >= 0)
		return 0;
	ctl_complain("--wait: '%s' is no time span, such as 30s or 1min", optarg);
	return -EINVAL;
}

static int take_option(struct options *options, int option, int argc, char **argv)
{
	switch (option) {
	case OPTION_SOCKET:
		options->socket = optarg;
		return 0;
	case OPTION_JSON:
		options->json = true;
		return 0;
	case OPTION_WAIT:
		return take_wait(options, argc, argv);
	case OPTION_LIVE:
		options->live = true;
		return 0;
	case OPTION_FILE:
		options->file = optarg;
		return 0;
	case 'v':
		options->verbose = true;
		return 0;
	case 'f':
		options->follow = true;
		return 0;
	case 'h':
		options->help = true;
		return 0;
	case OPTION_VERSION:
		options->version = true;
		return 0;
	}
	return -EINVAL; /* getopt has told what is wrong */
}

static int check_options(const struct options *options)
{
	const struct verb *verb = options->verb;
	const struct {
		bool given;
		unsigned option;
		const char *name;
	} rules[] = {
		{ options->wait, VERB_WAIT, "--wait" },
		{ options->live, VERB_LIVE, "--live" },
		{ options->verbose, VERB_VERBOSE, "--verbose" },
		{ options->follow, VERB_FOLLOW, "--follow" },
		{ options->file != NULL, VERB_FILE, "--file" },
	};

	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		if (rules[i].given && !(verb->options & rules[i].option)) {
			ctl_complain("%s does not take %s", verb->name, rules[i].name);
			return -EINVAL;
		}
	return 0;
}

static int check_arguments(const struct options *options)
{
	const struct verb *verb = options->verb;

	if (options->argument_count < verb->least) {
		ctl_complain("%s needs the name of a worker", verb->name);
		return -EINVAL;
	}
	if (options->argument_count > verb->most) {
		ctl_complain(
		        "%s: one word too many: '%s'", verb->name, options->arguments[verb->most]);
		return -EINVAL;
	}
	for (size_t i = 0; i < options->argument_count; i++)
		if (!options->arguments[i][0]) {
			ctl_complain("%s: the name of a worker is never empty", verb->name);
			return -EINVAL;
		}
	return 0;
}

int options_parse(int argc, char **argv, struct options *ret_options)
{
	struct options options = { 0 };
	int option, r;

	while ((option = getopt_long(argc, argv, "vfh", long_options, NULL)) != -1) {
		r = take_option(&options, option, argc, argv);
		if (r < 0)
			return r;
	}
	if (optind < argc) {
		options.verb = verb_find(argv[optind]);
		if (!options.verb) {
			ctl_complain("'%s' is no verb; quiescectl --help lists them", argv[optind]);
			return -EINVAL;
		}
		options.arguments = argv + optind + 1;
		options.argument_count = (size_t)(argc - optind - 1);
	}
	*ret_options = options;
	if (options.help || options.version)
		return 0;
	if (!options.verb) {
		ctl_complain("what to do? quiescectl --help lists the verbs");
		return -EINVAL;
	}
	r = check_options(&options);
	return r < 0 ? r : check_arguments(&options);
}
