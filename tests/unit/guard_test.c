/* The guard, with real threads and signals: who is told, and what happens when nobody listens. */
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/guard.h"

#define LAST_WORDS_STATUS 42

static struct qs_clock loop_clock;
static struct qs_loop *loop;
static qs_stop *stop;
static struct qs_guard *guard;
static struct qs_stop_reason reasons[8];
static unsigned requests, signals;
static int last_signal;
static int news[2]; /* the guard's thread writes a letter for each call */

static void note_stop(const struct qs_stop_reason *reason, void *arg)
{
	(void)arg;
	reasons[requests++ % 8] = *reason;
	qs_loop_leave(loop);
}

static void note_signal(int signo, void *arg)
{
	(void)arg;
	signals++;
	last_signal = signo;
	qs_loop_leave(loop);
}

static void tell(char letter)
{
	ssize_t n = write(news[1], &letter, 1);

	(void)n;
}

static void note_alive(void *arg)
{
	(void)arg;
	tell('a');
}

static void note_stall(uint64_t holder, uint64_t span, void *arg)
{
	(void)arg;
	tell(holder == 7 && span >= QS_SEC ? 's' : '?');
}

static int last_words(void *arg)
{
	(void)arg;
	tell('l');
	return LAST_WORDS_STATUS;
}

static void start(struct shutdown_plan plan, uint64_t watchdog)
{
	const struct qs_guard_options options = {
		.plan = plan,
		.watchdog = watchdog,
		.stop_requested = note_stop,
		.signalled = note_signal,
		.alive = note_alive,
		.stalled = note_stall,
		.last_words = last_words,
	};
	struct qs_guard_options complete = options;

	ck_assert_int_eq(qs_guard_block_signals(), 0);
	ck_assert_int_eq(pipe(news), 0);
	qs_clock_init(&loop_clock);
	ck_assert_int_eq(qs_loop_new(&loop_clock, &loop), 0);
	ck_assert_int_eq(qs_stop_new(NULL, &stop), 0);
	complete.loop = loop;
	complete.stop = stop;
	ck_assert_int_eq(qs_guard_start(&complete, &guard), 0);
}

static void finish(void)
{
	qs_guard_stop(guard);
	qs_stop_free(stop);
	qs_loop_free(loop);
	close(news[0]);
	close(news[1]);
}

static const struct shutdown_plan long_plan = { 0, QS_HOUR, QS_HOUR, QS_HOUR };

START_TEST(sigterm_sets_the_stop_event_and_tells_the_loop_why)
{
	start(long_plan, 0);
	kill(getpid(), SIGTERM);
	qs_loop_run(loop);
	ck_assert_uint_eq(requests, 1);
	ck_assert(qs_stop_is_set(stop));
	ck_assert_ptr_nonnull(strstr(reasons[0].detail, "SIGTERM"));
	ck_assert_int_eq(reasons[0].cause, QS_CAUSE_SHUTDOWN);
	ck_assert_uint_eq(reasons[0].deadline, reasons[0].at + QS_HOUR);
	finish();
}
END_TEST

START_TEST(a_signal_before_the_guard_was_there_is_not_lost)
{
	ck_assert_int_eq(qs_guard_block_signals(), 0);
	kill(getpid(), SIGINT);
	start(long_plan, 0);
	qs_loop_run(loop);
	ck_assert_uint_eq(requests, 1);
	ck_assert_ptr_nonnull(strstr(reasons[0].detail, "SIGINT"));
	finish();
}
END_TEST

START_TEST(other_signals_are_told_to_the_loop_by_number)
{
	static const int each[] = { SIGHUP, SIGUSR1, SIGUSR2 };

	start(long_plan, 0);
	for (size_t i = 0; i < ARRAY_SIZE(each); i++) {
		kill(getpid(), each[i]);
		qs_loop_run(loop);
		ck_assert_uint_eq(signals, i + 1);
		ck_assert_int_eq(last_signal, each[i]);
	}
	ck_assert(!qs_stop_is_set(stop));
	finish();
}
END_TEST

/* The guard has read it once it is pending no more. */
static void send_and_see_it_read(int signo)
{
	sigset_t pending;

	ck_assert_int_eq(kill(getpid(), signo), 0);
	do {
		sched_yield();
		ck_assert_int_eq(sigpending(&pending), 0);
	} while (sigismember(&pending, signo));
}

START_TEST(a_storm_of_other_signals_leaves_room_for_a_stop)
{
	start(long_plan, 0);
	for (int i = 0; i < 40; i++)
		send_and_see_it_read(i % 2 ? SIGUSR1 : SIGUSR2);
	send_and_see_it_read(SIGTERM);
	/* What is read is not in the inbox yet: the loop may leave for the others first. */
	while (requests == 0)
		qs_loop_run(loop);
	ck_assert_uint_eq(requests, 1);
	/* Of each the latest, in their order. */
	ck_assert_uint_eq(signals, 2);
	ck_assert_int_eq(last_signal, SIGUSR1);
	finish();
}
END_TEST

START_TEST(requests_from_other_threads_are_all_heard_and_the_first_reason_stays)
{
	struct qs_stop_reason reason = { .cause = QS_CAUSE_API, .detail = "first" }, kept;

	start(long_plan, 0);
	qs_guard_request_stop(guard, &reason);
	strcpy(reason.detail, "second");
	qs_guard_request_stop(guard, &reason);
	while (requests < 2)
		qs_loop_turn(loop, true);
	ck_assert_int_eq(qs_stop_get_reason(stop, &kept), 0);
	ck_assert_str_eq(kept.detail, "first");
	ck_assert_str_eq(reasons[1].detail, "second");
	finish();
}
END_TEST

START_TEST(the_watchdog_is_told_on_only_by_way_of_the_loop)
{
	char letter;

	start(long_plan, 20 * QS_MSEC);
	for (unsigned beats = 0; beats < 3;) {
		qs_loop_turn(loop, true);
		if (read(news[0], &letter, 1) == 1 && letter == 'a')
			beats++;
	}
	finish();
}
END_TEST

static void spin(struct qs_timer *timer)
{
	(void)timer;
	qs_loop_hold(loop, 7);
	for (volatile unsigned i = 0;; i = i + 1)
		;
}

/* In a child: a loop that gets stuck for ever. Its letters come through the pipe. */
static pid_t spawn_stuck(struct shutdown_plan plan, uint64_t watchdog, bool ask)
{
	struct qs_timer timer;
	int parent_news[2];

	ck_assert_int_eq(pipe(parent_news), 0);
	pid_t pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid > 0) {
		close(parent_news[1]);
		news[0] = parent_news[0];
		return pid;
	}
	start(plan, watchdog);
	dup2(parent_news[1], news[1]);
	close(parent_news[1]);
	if (qs_timer_init(loop, &timer, spin) < 0)
		_exit(1);
	qs_timer_arm(&timer, qs_time_now());
	if (ask)
		kill(getpid(), SIGTERM);
	qs_loop_run(loop);
	_exit(2);
}

START_TEST(a_stuck_loop_is_left_at_the_hard_deadline_with_last_words)
{
	const struct shutdown_plan plan = { 0, 200 * QS_MSEC, 50 * QS_MSEC, 50 * QS_MSEC };
	uint64_t began = qs_time_now();
	int status;
	char letter = 0;

	pid_t pid = spawn_stuck(plan, 0, true);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), LAST_WORDS_STATUS);
	ck_assert_uint_ge(qs_time_now() - began, 300 * QS_MSEC);
	ck_assert_int_eq(read(news[0], &letter, 1), 1);
	ck_assert_int_eq(letter, 'l');
}
END_TEST

START_TEST(a_stuck_loop_gets_no_watchdog_ping_and_is_told_of_once)
{
	int status;
	char letter = 0;

	pid_t pid = spawn_stuck(long_plan, 10 * QS_MSEC, false);
	/* Pings may have gone out before it got stuck; the stall comes a second after the last one.
	 */
	do
		ck_assert_int_eq(read(news[0], &letter, 1), 1);
	while (letter == 'a');
	ck_assert_int_eq(letter, 's');
	/* Had a ping gone out after that, it would stand in the pipe before the end of it. */
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(read(news[0], &letter, 1), 0);
}
END_TEST

START_TEST(the_fourth_request_ends_a_stuck_loop_at_once)
{
	const struct qs_stop_reason reason = { .cause = QS_CAUSE_API, .detail = "test" };
	struct qs_timer timer;
	int status;

	pid_t pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		start(long_plan, 0);
		for (int i = 0; i < 4; i++)
			qs_guard_request_stop(guard, &reason);
		if (qs_timer_init(loop, &timer, spin) < 0)
			_exit(1);
		spin(&timer);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(WEXITSTATUS(status), LAST_WORDS_STATUS);
}
END_TEST

START_TEST(farewell_ends_a_way_out_that_never_ends)
{
	int status;

	pid_t pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		start(long_plan, 0);
		qs_guard_farewell(guard, 50 * QS_MSEC, 150);
		for (;;)
			pause();
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(WEXITSTATUS(status), 150);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("guard");
	TCase *tcase = tcase_create("guard");
	SRunner *runner;
	int failed;

	tcase_add_test(tcase, sigterm_sets_the_stop_event_and_tells_the_loop_why);
	tcase_add_test(tcase, a_signal_before_the_guard_was_there_is_not_lost);
	tcase_add_test(tcase, other_signals_are_told_to_the_loop_by_number);
	tcase_add_test(tcase, a_storm_of_other_signals_leaves_room_for_a_stop);
	tcase_add_test(tcase, requests_from_other_threads_are_all_heard_and_the_first_reason_stays);
	tcase_add_test(tcase, the_watchdog_is_told_on_only_by_way_of_the_loop);
	tcase_add_test(tcase, a_stuck_loop_is_left_at_the_hard_deadline_with_last_words);
	tcase_add_test(tcase, a_stuck_loop_gets_no_watchdog_ping_and_is_told_of_once);
	tcase_add_test(tcase, the_fourth_request_ends_a_stuck_loop_at_once);
	tcase_add_test(tcase, farewell_ends_a_way_out_that_never_ends);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
