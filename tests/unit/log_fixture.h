/* A log that writes into a pipe, and what comes out of it. */
#ifndef QUIESCE_LOG_FIXTURE_H
#define QUIESCE_LOG_FIXTURE_H

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <quiesce/clock.h>

#include "daemon/log.h"

#define PATIENCE (30 * QS_SEC)

static int ends[2]; /* of the pipe that is the log */

static inline void open_log(int fd, const char *journal_path)
{
	const struct log_options options = { .journal = journal_path != NULL,
		.fd = fd,
		.level = LOG_LEVEL_INFO,
		.max_line = 4096,
		.journal_path = journal_path };
	ck_assert_int_eq(log_init(&options), 0);
}

static inline void begin(void)
{
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	open_log(ends[1], NULL);
}

/* Ends the log and returns all that it wrote and that fits into the pipe. */
static const char *written(void)
{
	static char text[1 << 17];
	log_done(qs_time_add(qs_time_now(), PATIENCE));
	close(ends[1]);
	size_t used = 0;
	for (ssize_t got; (got = read(ends[0], text + used, sizeof(text) - 1 - used)) > 0;)
		used += (size_t)got;
	text[used] = '\0';
	return text;
}

/* The line without its time, which has to be one. */
static const char *after_time(const char *line)
{
	unsigned part[7];
	int length = 0;
	ck_assert_int_eq(sscanf(line, "%4u-%2u-%2uT%2u:%2u:%2u.%3uZ %n", &part[0], &part[1],
	                         &part[2], &part[3], &part[4], &part[5], &part[6], &length),
	        7);
	ck_assert_int_eq(length, 25);
	return line + length;
}

static inline uint64_t count_lines(const char *text, const char *what)
{
	uint64_t count = 0;
	for (const char *at = text; (at = strstr(at, what)); at++)
		count++;
	return count;
}

#endif
