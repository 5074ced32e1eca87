/*
 * Options may stand before and behind the verb. What a verb does not take is an error, so that a
 * word that does nothing is never passed over in silence.
 */
#include "daemon/ctl/options.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <quiesce/clock.h>

#include "daemon/config.h"
#include "daemon/ctl/verbs.h"

#define WAIT_DEFAULT (60 * QS_SEC)
#define JOBS_MOST    1000

enum {
	OPTION_SOCKET = 256,
	OPTION_BATCH,
	OPTION_DETACH,
	OPTION_FILE,
	OPTION_FORCE,
	OPTION_JOBS,
	OPTION_JSON,
	OPTION_LIVE,
	OPTION_OUT,
	OPTION_VERSION,
	OPTION_WAIT,
};

static const struct option long_options[] = {
	{ "socket", required_argument, NULL, OPTION_SOCKET },
	{ "json", no_argument, NULL, OPTION_JSON },
	{ "wait", optional_argument, NULL, OPTION_WAIT },
	{ "live", no_argument, NULL, OPTION_LIVE },
	{ "file", required_argument, NULL, OPTION_FILE },
	{ "detach", no_argument, NULL, OPTION_DETACH },
	{ "batch", required_argument, NULL, OPTION_BATCH },
	{ "out", required_argument, NULL, OPTION_OUT },
	{ "jobs", required_argument, NULL, OPTION_JOBS },
	{ "force", no_argument, NULL, OPTION_FORCE },
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

static int take_jobs(struct options *options)
{
	char *end;
	unsigned long jobs = strtoul(optarg, &end, 10);

	if (isdigit((unsigned char)*optarg) && !*end && jobs > 0 && jobs <= JOBS_MOST) {
		options->jobs = (unsigned)jobs;
		return 0;
	}
	ctl_complain("--jobs: '%s' is no number from 1 to %d", optarg, JOBS_MOST);
	return -EINVAL;
}

/* Options of one verb. */
static int take_own_option(struct options *options, int option)
{
	switch (option) {
	case OPTION_BATCH:
		options->batch = optarg;
		return 0;
	case OPTION_DETACH:
		options->detach = true;
		return 0;
	case OPTION_FILE:
		options->file = optarg;
		return 0;
	case OPTION_FORCE:
		options->force = true;
		return 0;
	case OPTION_JOBS:
		return take_jobs(options);
	case OPTION_LIVE:
		options->live = true;
		return 0;
	case OPTION_OUT:
		options->out = optarg;
		return 0;
	case 'v':
		options->verbose = true;
		return 0;
	case 'f':
		options->follow = true;
		return 0;
	}
	return -EINVAL; /* getopt has told what is wrong */
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
	case 'h':
		options->help = true;
		return 0;
	case OPTION_VERSION:
		options->version = true;
		return 0;
	}
	return take_own_option(options, option);
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
		{ options->detach, VERB_DETACH, "--detach" },
		{ options->batch != NULL, VERB_BATCH, "--batch" },
		{ options->out != NULL, VERB_BATCH, "--out" },
		{ options->jobs > 0, VERB_BATCH, "--jobs" },
		{ options->force, VERB_BATCH, "--force" },
	};

	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		if (rules[i].given && !(verb->options & rules[i].option)) {
			ctl_complain("%s does not take %s", verb->name, rules[i].name);
			return -EINVAL;
		}
	return 0;
}

static const char *subject_of(const struct verb *verb)
{
	return verb->subject ? verb->subject : "the name of a worker";
}

/* Whether that argument names what the verb is about. */
static bool is_subject(const struct verb *verb, size_t i)
{
	return i < verb->least || verb->most == UINT_MAX || verb->least == 0;
}

static int check_arguments(const struct options *options)
{
	const struct verb *verb = options->verb;

	if (options->argument_count < verb->least) {
		ctl_complain("%s needs %s", verb->name, subject_of(verb));
		return -EINVAL;
	}
	if (options->argument_count > verb->most) {
		ctl_complain(
		        "%s: one word too many: '%s'", verb->name, options->arguments[verb->most]);
		return -EINVAL;
	}
	for (size_t i = 0; i < options->argument_count; i++)
		if (!options->arguments[i][0] && is_subject(verb, i)) {
			ctl_complain("%s: %s is never empty", verb->name, subject_of(verb));
			return -EINVAL;
		}
	return 0;
}

static int check_batch(const struct options *options)
{
	const char *wrong = NULL;

	if (!options->batch && (options->out || options->jobs > 0 || options->force))
		wrong = "--out, --jobs and --force go with --batch";
	else if (options->batch && !options->out)
		wrong = "--batch needs --out=DIR, where the answers go";
	else if (options->batch && (options->detach || options->argument_count > 1))
		wrong = "the payloads of a batch are in its file, and its calls are waited for";
	if (!wrong)
		return 0;
	ctl_complain("%s: %s", options->verb->name, wrong);
	return -EINVAL;
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
	if (r >= 0)
		r = check_arguments(&options);
	return r < 0 ? r : check_batch(&options);
}
