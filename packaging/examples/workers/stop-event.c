/*
 * Polls the shared stop event between two pieces of work. QUIESCE_STOP_FD is a pipe: it brings one
 * line once the event is set, and then its end. Whoever links libquiesce reads the line with
 * qs_stop_parse(); here is all that it takes without.
 */
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static bool stopping(int fd, int milliseconds)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };

	return poll(&pollfd, 1, milliseconds) > 0;
}

int main(void)
{
	const char *text = getenv("QUIESCE_STOP_FD");
	char line[256] = "", reason[32];
	uint64_t deadline;

	if (!text) {
		fputs("QUIESCE_STOP_FD is not set: quiesced does that\n", stderr);
		return 2;
	}
	int fd = atoi(text);
	setlinebuf(stdout);
	signal(SIGTERM, SIG_IGN); /* comes as well; this worker goes by the event */
	while (!stopping(fd, 1000))
		puts("doing a piece of work");
	if (read(fd, line, sizeof(line) - 1) > 0 &&
	        sscanf(line, "stop reason=%31s deadline_usec=%" SCNu64, reason, &deadline) == 2)
		printf("the stop event is set, reason: %s, deadline: %" PRIu64 " us\n", reason,
		        deadline);
	else
		puts("the daemon is gone");
	return 0;
}
