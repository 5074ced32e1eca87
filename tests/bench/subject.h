/* A daemon that is measured from outside: in a directory of its own, with its log on a pipe. What
 * fails ends the program. */
#ifndef BENCH_SUBJECT_H
#define BENCH_SUBJECT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

struct subject {
	char directory[64], program[512], self[512];
	pid_t pid;
	int log_fd;
};

void die(const char *what); /* with errno */
double ms_since(uint64_t begin);
void pause_ms(long ms);
double percentile(double *values, size_t count, double p); /* sorts them */

void subject_init(struct subject *subject);
void subject_done(const struct subject *subject);
FILE *subject_open_config(const struct subject *subject);
void subject_launch(struct subject *subject);
void subject_await_log(const struct subject *subject, const char *text);

/* A log that nobody reads would end in lost lines: somebody always reads it in real life. */
pid_t subject_start_log_reader(const struct subject *subject);

/* SIGTERM to exit, ms. Whatever is in the log is read. */
double subject_stop(struct subject *subject);

/* A connection to the control socket. */
int subject_connect(const struct subject *subject);

#endif
