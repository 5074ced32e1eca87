/* The table of verbs, and the help that is printed from it. */
#include "daemon/ctl/verbs.h"

#include <limits.h>
#include <string.h>

#include "lib/macro.h"

static const struct verb verbs[] = {
	{ "status", "", "Show the daemon and each of its workers", .run = run_status },
	{ "list", "", "List the workers: name, state, pid", .run = run_list },
	{ "show", "NAME", "Show all that is known of a worker", 1, 1, .run = run_show },
	{ "logs", "[NAME]", "Show the latest lines that workers have written", 0, 1, VERB_FOLLOW,
	        .run = run_logs },
	{ "events", "", "Show what happens, as it happens", .run = run_events },
	{ "start", "NAME", "Start workers", 1, UINT_MAX, VERB_WAIT, "starting",
	        .run = run_worker_change },
	{ "stop", "NAME", "Stop workers; they stay stopped until they are started", 1, UINT_MAX,
	        VERB_WAIT, "stopping", .run = run_worker_change },
	{ "restart", "NAME", "Stop workers and start them anew", 1, UINT_MAX, VERB_WAIT,
	        "restarting", .run = run_worker_change },
	{ "call", "NAME [PAYLOAD]", "Call a worker and print its answer", 1, 2,
	        VERB_DETACH | VERB_BATCH, "calling", .run = run_call },
	{ "calls", "", "List the calls: those that wait, run, or are over", .run = run_calls },
	{ "answer", "ID", "Print the answer to a call", 1, 1, VERB_WAIT, "waiting for call",
	        .run = run_answer, .subject = "the id of a call" },
	{ "cancel", "ID", "Cancel calls", 1, UINT_MAX, 0, "cancelling call", .run = run_cancel,
	        .subject = "the id of a call" },
	{ "drain", "", "Start nothing new; what runs goes on", .run = run_daemon_change },
	{ "resume", "", "End a drain", .run = run_daemon_change },
	{ "reload", "", "Read the configuration anew and follow it", 0, 0, VERB_WAIT, "reloading",
	        .run = run_daemon_change },
	{ "shutdown", "", "Stop all workers, then the daemon; again: one phase on", 0, 0, VERB_WAIT,
	        "shutting down", .run = run_shutdown },
	{ "last-shutdown", "", "Show the report of the shutdown before this run", 0, 0, VERB_FILE,
	        .run = run_last_shutdown },
	{ "health", "", "Say whether the daemon is ready: exit status 0 or 1", 0, 0,
	        VERB_LIVE | VERB_VERBOSE, .run = run_health },
};

static const struct {
	unsigned option;
	const char *name, *help;
} verb_options[] = {
	{ VERB_WAIT, "--wait[=SPAN]", "Come back when it is done, or after SPAN (60s)" },
	{ VERB_LIVE, "--live", "Liveness instead of readiness" },
	{ VERB_VERBOSE, "--verbose", "Each check by its name" },
	{ VERB_FOLLOW, "--follow", "Go on with what is written from now on" },
	{ VERB_FILE, "--file=PATH", "Read the report there, without asking the daemon" },
	{ VERB_DETACH, "--detach", "Print the id of the call and leave it to itself" },
	{ VERB_BATCH, "--batch=FILE", "Call once for each line of a file; again: go on with it" },
	{ VERB_BATCH, "--out=DIR", "Where the answers to a batch go" },
	{ VERB_BATCH, "--jobs=N", "So many calls of a batch at once (16)" },
	{ VERB_BATCH, "--force", "Go on although the file has changed" },
};

const struct verb *verb_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

/* "start NAME…"; in a locale without UTF-8 the ellipsis is three dots. */
static void make_usage(const struct style *style, const struct verb *verb, char *text, size_t size)
{
	bool more = verb->most == UINT_MAX;

	snprintf(text, size, "%s%s%s%s", verb->name, *verb->arguments ? " " : "", verb->arguments,
	        more ? style_choose(style, "…", "...") : "");
}

static void print_row(const struct style *style, FILE *out, const char *name, const char *help)
{
	unsigned columns = style_measure(style, name);

	fprintf(out, "  %s%*s  %s\n", name, 19 - (int)MIN(columns, 19u), "", help);
}

static void print_options(const struct style *style, FILE *out, unsigned options)
{
	for (size_t i = 0; i < ARRAY_SIZE(verb_options); i++)
		if (verb_options[i].option & options)
			print_row(style, out, verb_options[i].name, verb_options[i].help);
}

void verbs_print_help(FILE *out)
{
	struct style style;
	char usage[64];

	style_init(&style, fileno(out));
	fputs("quiescectl [OPTION] VERB: talk to quiesced, the daemon that always ends well\n\n"
	      "Verbs:\n",
	        out);
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		make_usage(&style, &verbs[i], usage, sizeof(usage));
		print_row(&style, out, usage, verbs[i].help);
	}
	fputs("\nOptions:\n", out);
	print_row(&style, out, "--socket=PATH", "The control socket, else $QUIESCED_SOCKET");
	print_row(&style, out, "--json", "Print what the daemon says, unchanged");
	print_options(&style, out, ~0u);
	print_row(&style, out, "--help", "Also behind a verb");
	print_row(&style, out, "--version", "Print the version");
	fputs("\nExit status: 0 done; 1 failure, or not healthy; 2 usage; 3 not found; 4 refused;\n"
	      "7 the daemon is not running; 8 the wait timed out\n",
	        out);
}

void verb_print_help(const struct verb *verb, FILE *out)
{
	struct style style;
	char usage[64];

	style_init(&style, fileno(out));
	make_usage(&style, verb, usage, sizeof(usage));
	fprintf(out, "quiescectl %s%s\n\n  %s\n", usage, verb->options ? " [OPTION]" : "",
	        verb->help);
	if (verb->run == run_call)
		fputs("\n  PAYLOAD is JSON as it is, @FILE, or - for standard input\n", out);
	if (verb->options)
		fputs("\nOptions:\n", out);
	print_options(&style, out, verb->options);
}
