/* quiescectl: talks to a quiesced over its control socket. */
#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/ctl/client.h"
#include "daemon/ctl/options.h"
#include "daemon/ctl/table.h"
#include "daemon/ctl/verbs.h"
#include "lib/macro.h"

void ctl_complain(const char *format, ...)
{
	_cleanup_(freep) char *text = NULL;
	struct style style;
	va_list arguments;
	char *rest, *line;
	int r;

	va_start(arguments, format);
	r = vasprintf(&text, format, arguments);
	va_end(arguments);
	if (r < 0)
		text = NULL;
	style_init(&style, STDERR_FILENO);
	(void)fflush(stdout); /* in the order of what happened */
	rest = text;
	while ((line = strsep(&rest, "\n"))) {
		if (!*line)
			continue;
		fputs("quiescectl: ", stderr);
		style_put(&style, stderr, TONE_PLAIN, line);
		fputc('\n', stderr);
	}
}

enum ctl_status ctl_out_of_memory(void)
{
	ctl_complain("out of memory");
	return CTL_FAILURE;
}

enum ctl_status ctl_print_table(const struct ctl *ctl, const struct table *table, bool headings)
{
	int r = table_print(table, &ctl->style, stdout, headings);

	return r < 0 ? ctl_out_of_memory() : CTL_OK;
}

/* A reader that has gone away, as head(1) does, is no failure; a full disk is. */
static enum ctl_status finish_output(enum ctl_status status)
{
	errno = 0;
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	if (errno == EPIPE || errno == 0)
		return status;
	fprintf(stderr, "quiescectl: cannot write: %s\n", strerror(errno));
	return CTL_FAILURE;
}

static enum ctl_status run(struct ctl *ctl)
{
	enum ctl_status status = client_open(ctl);

	if (status == CTL_OK)
		status = ctl->options.verb->run(ctl);
	client_close(ctl);
	return status;
}

int main(int argc, char **argv)
{
	struct ctl ctl = { 0 };
	enum ctl_status status = CTL_OK;

	(void)setlocale(LC_ALL, "");
	(void)setvbuf(stderr, NULL, _IOLBF, BUFSIZ);
	(void)signal(SIGPIPE, SIG_IGN);
	if (options_parse(argc, argv, &ctl.options) < 0)
		return CTL_USAGE;
	style_init(&ctl.style, STDOUT_FILENO);
	if (ctl.options.help && ctl.options.verb)
		verb_print_help(ctl.options.verb, stdout);
	else if (ctl.options.help)
		verbs_print_help(stdout);
	else if (ctl.options.version)
		puts("quiescectl " QUIESCE_VERSION);
	else
		status = run(&ctl);
	return (int)finish_output(status);
}
