/*
 * What went wrong for those who began this project, case by case, and cannot happen here: in a
 * batch, behind a failing server, with a task that does not cooperate, with one handler for each
 * conversation, and with streams. On the virtual clock.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <quiesce/clock.h>
#include <quiesce/event.h>
#include <quiesce/fiber.h>
#include <quiesce/inspect.h>
#include <quiesce/mailbox.h>
#include <quiesce/runtime.h>
#include <quiesce/semaphore.h>

#include "lib/alloc.h"
#include "lib/macro.h"

#define MANY 1000U

static qs_runtime *runtime;
static char told[4096];

static void note_log(enum qs_log_level level, const char *text, void *arg)
{
	(void)level;
	(void)arg;
	strncat(told, text, sizeof(told) - strlen(told) - 2);
	strcat(told, "\n");
}

static void begin(void)
{
	const struct qs_runtime_options options = { .virtual_clock = true,
		.hooks = { .log = note_log } };

	told[0] = '\0';
	ck_assert_int_eq(qs_runtime_new_with(&options, &runtime), 0);
}

static void end(void)
{
	qs_runtime_free(runtime);
}

static int count_up(unsigned *count)
{
	++*count;
	return 0;
}

static void note_clean_up(void *count)
{
	(void)count_up(count);
}

static void spawn(qs_group *group, const char *name, qs_task_fn fn, void *arg, qs_task **ret_task)
{
	const struct qs_task_options options = { .name = name };

	ck_assert_int_eq(qs_spawn_fiber(group, &options, fn, arg, ret_task), 0);
}

static void run(qs_task_fn fn, void *arg, int status)
{
	spawn(qs_root(runtime), "main", fn, arg, NULL);
	ck_assert_int_eq(qs_run(runtime), status);
	ck_assert_uint_eq(qs_live(runtime), 0);
}

static uint64_t ended_well(void)
{
	return qs_ended(runtime, QS_VERDICT_FINISHED) + qs_ended(runtime, QS_VERDICT_STOPPED);
}

/* --- the batch: "Task was destroyed but it is pending" --- */

static int wait_for_ever(qs_task *self, void *cleaned)
{
	ck_assert_int_eq(qs_defer(self, note_clean_up, cleaned), 0);
	return qs_sleep(self, QS_FOREVER);
}

static int let_go_of_group(qs_task *self, void *cleaned)
{
	qs_group *group;

	ck_assert_int_eq(qs_group_new(qs_task_group(self), NULL, &group), 0);
	spawn(group, "pending", wait_for_ever, cleaned, NULL);
	ck_assert_int_eq(qs_yield(self), 0);
	qs_group_free(group);
	/* It is asked to end, and lives until it has. */
	ck_assert_uint_eq(qs_live(runtime), 2);
	ck_assert_uint_eq(*(unsigned *)cleaned, 0);
	return 0;
}

START_TEST(a_task_is_not_destroyed_while_it_is_pending)
{
	unsigned cleaned = 0;

	run(let_go_of_group, &cleaned, 0);
	ck_assert_uint_eq(cleaned, 1);
	ck_assert_uint_eq(ended_well(), 2);
}
END_TEST

START_TEST(not_even_by_the_end_of_its_runtime)
{
	unsigned cleaned = 0;

	for (unsigned i = 0; i < MANY; i++)
		spawn(qs_root(runtime), "pending", wait_for_ever, &cleaned, NULL);
	ck_assert_int_eq(qs_shutdown(runtime, "before anybody has run"), 0);
	ck_assert_int_eq(qs_run(runtime), 0);
	ck_assert_uint_eq(qs_ended(runtime, QS_VERDICT_STOPPED), MANY);
	ck_assert_uint_eq(cleaned, MANY);
}
END_TEST

static struct batch {
	qs_semaphore *semaphore;
	unsigned running, most, done;
} batch;

static int generate(qs_task *self, void *fails)
{
	int r = qs_semaphore_acquire(self, batch.semaphore, QS_FOREVER);

	if (r < 0)
		return r;
	batch.running++;
	batch.most = MAX(batch.most, batch.running);
	r = qs_sleep(self, qs_in(self, QS_SEC));
	batch.running--;
	batch.done++;
	qs_semaphore_release(batch.semaphore);
	return fails ? -EIO : r;
}

static int gather(qs_task *self, void *arg _unused_)
{
	struct qs_failure failure;
	qs_group *group;

	ck_assert_int_eq(qs_semaphore_new(4, &batch.semaphore), 0);
	ck_assert_int_eq(qs_group_new(qs_task_group(self), NULL, &group), 0);
	for (unsigned i = 0; i < 100; i++)
		spawn(group, i == 42 ? "the bad one" : "image", generate, i == 42 ? &batch : NULL,
		        NULL);
	/* All are awaited, and the error comes to who awaits them: once. */
	ck_assert_int_eq(qs_group_join(self, group, QS_FOREVER, &failure), 1);
	ck_assert_uint_eq(batch.done, 100);
	ck_assert_str_eq(failure.name, "the bad one");
	ck_assert_int_eq(failure.result.outcome.value, -EIO);
	ck_assert_int_eq(qs_group_next_failure(group, &failure), 0);
	qs_group_free(group);
	qs_semaphore_free(batch.semaphore);
	return 0;
}

START_TEST(a_batch_is_awaited_as_a_whole_and_at_most_so_many_run)
{
	batch = (struct batch){ 0 };
	run(gather, NULL, 0);
	ck_assert_uint_eq(batch.most, 4);
	ck_assert_str_eq(told, "");
}
END_TEST

static int hang(qs_task *self, void *event)
{
	return qs_event_wait(self, event, QS_FOREVER);
}

static int call_with_timeout(qs_task *self, void *event)
{
	const struct qs_group_options options = { .deadline = qs_in(self, 30 * QS_SEC) };
	struct qs_result result;
	uint64_t began = qs_in(self, 0);
	qs_group *group;
	qs_task *task;

	ck_assert_int_eq(qs_group_new(qs_task_group(self), &options, &group), 0);
	spawn(group, "call", hang, event, &task);
	ck_assert_int_eq(qs_task_join(self, task, QS_FOREVER, &result), 0);
	ck_assert_int_eq(result.outcome.value, -ETIMEDOUT);
	ck_assert_uint_eq(qs_in(self, 0) - began, 30 * QS_SEC);
	qs_group_free(group);
	return 0;
}

START_TEST(whatever_hangs_ends_at_the_deadline_around_it)
{
	qs_event *event;

	ck_assert_int_eq(qs_event_new(&event), 0);
	run(call_with_timeout, event, 0);
	qs_event_free(event);
}
END_TEST

/* --- behind a failing server: a stop of ten minutes --- */

static int retry(qs_task *self, void *attempts)
{
	uint64_t pause = QS_SEC;
	int r = 0;

	for (; r == 0; pause *= 2) {
		(void)count_up(attempts);
		r = qs_sleep(self, qs_in(self, pause));
	}
	return r;
}

static int stop_after_an_hour(qs_task *self, void *stopped_at)
{
	ck_assert_int_eq(qs_sleep(self, qs_in(self, QS_HOUR)), 0);
	*(uint64_t *)stopped_at = qs_in(self, 0);
	return qs_shutdown(runtime, "Ctrl+C");
}

START_TEST(a_stop_wakes_every_back_off_at_once)
{
	uint64_t stopped_at = 0;
	unsigned attempts = 0;

	for (unsigned i = 0; i < MANY; i++)
		spawn(qs_root(runtime), "retries", retry, &attempts, NULL);
	run(stop_after_an_hour, &stopped_at, 0);
	ck_assert_uint_eq(qs_now(runtime), stopped_at);
	ck_assert_uint_eq(attempts, 12 * MANY);
	ck_assert_uint_eq(qs_ended(runtime, QS_VERDICT_STOPPED), MANY);
}
END_TEST

static struct connection {
	bool open;
	unsigned farewells;
} connection;

static int use_connection(qs_task *self, void *arg _unused_)
{
	int r = qs_sleep(self, QS_FOREVER);

	ck_assert(connection.open);
	connection.farewells++;
	return r;
}

static void close_connection(void *arg _unused_)
{
	connection.open = false;
}

static int own_connection(qs_task *self, void *arg _unused_)
{
	qs_group *group;

	connection = (struct connection){ .open = true };
	ck_assert_int_eq(qs_defer(self, close_connection, NULL), 0);
	ck_assert_int_eq(qs_group_new(qs_task_group(self), NULL, &group), 0);
	for (int i = 0; i < 10; i++)
		spawn(group, "user", use_connection, NULL, NULL);
	ck_assert_int_eq(qs_yield(self), 0);
	ck_assert_int_eq(qs_shutdown(runtime, "Ctrl+C"), 0);
	return qs_sleep(self, QS_FOREVER);
}

START_TEST(tasks_end_before_the_connection_that_they_use)
{
	run(own_connection, NULL, 0);
	ck_assert_uint_eq(connection.farewells, 10);
	ck_assert(!connection.open);
}
END_TEST

/* --- the task that does not cooperate --- */

static int cooperate_never(qs_task *self, void *cleaned)
{
	uint64_t outer = qs_shield_begin(self, QS_FOREVER);

	ck_assert_int_eq(qs_defer(self, note_clean_up, cleaned), 0);
	(void)qs_sleep(self, QS_FOREVER);
	qs_shield_end(self, outer);
	ck_abort_msg("it was let go on");
}

static int end_for_certain(qs_task *self, void *cleaned)
{
	struct qs_result result;
	qs_task *task;

	spawn(qs_task_group(self), "stubborn", cooperate_never, cleaned, &task);
	ck_assert_int_eq(qs_yield(self), 0);
	qs_task_ask(task, QS_CAUSE_API, QS_FOREVER);
	ck_assert_int_eq(qs_task_join(self, task, qs_in(self, QS_SEC), NULL), -ETIMEDOUT);
	qs_task_cancel(task, QS_CAUSE_API);
	ck_assert_int_eq(qs_task_join(self, task, qs_in(self, QS_SEC), NULL), -ETIMEDOUT);
	qs_task_kill(task, QS_CAUSE_API);
	/* Not "probably": this comes back when it has ended. */
	ck_assert_int_eq(qs_task_join(self, task, QS_FOREVER, &result), 0);
	ck_assert_int_eq(result.verdict, QS_VERDICT_KILLED);
	ck_assert_uint_eq(*(unsigned *)cleaned, 1);
	return 0;
}

START_TEST(after_ask_deadline_and_force_it_has_really_ended)
{
	unsigned cleaned = 0;

	run(end_for_certain, &cleaned, 0);
}
END_TEST

/* --- one handler for each conversation --- */

static int handle(qs_task *self, void *arg)
{
	qs_mailbox *mailbox = arg;
	unsigned count = 0;
	void *message;
	int r;

	/* When the other side has said its last word, its mailbox has no sender any more. */
	while ((r = qs_mailbox_receive(self, mailbox, QS_FOREVER, &message)) == 0)
		count++;
	qs_mailbox_close(mailbox);
	return r == -EPIPE && count == 3 ? 0 : -EPROTO;
}

static void talk(qs_task *self, qs_group *group)
{
	const struct qs_mailbox_options options = { .capacity = 1 };
	qs_mailbox *mailbox;
	int word;

	ck_assert_int_eq(qs_mailbox_new(group, &options, &mailbox), 0);
	spawn(group, "conversation", handle, mailbox, NULL);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(qs_mailbox_send(self, mailbox, &word, QS_FOREVER), 0);
	qs_mailbox_remove_sender(mailbox);
}

static int converse(qs_task *self, void *arg _unused_)
{
	qs_group *group;
	int64_t first = 0;

	ck_assert_int_eq(qs_group_new(qs_task_group(self), NULL, &group), 0);
	for (unsigned i = 0; i < MANY; i++) {
		talk(self, group);
		ck_assert_int_eq(qs_group_join(self, group, QS_FOREVER, NULL), 0);
		if (i == 0)
			first = qs_seam->live;
		ck_assert_int_eq(qs_seam->live, first);
	}
	ck_assert_uint_eq(qs_group_live(group), 0);
	qs_group_free(group);
	return 0;
}

START_TEST(an_ended_conversation_ends_its_handler_and_leaves_nothing)
{
	struct qs_seam seam = { 0 };

	qs_seam = &seam;
	run(converse, NULL, 0);
	qs_seam = NULL;
	ck_assert_uint_eq(qs_ended(runtime, QS_VERDICT_FINISHED), MANY + 1);
}
END_TEST

/* --- streams: tasks that nobody held, errors that nobody saw --- */

static int fail_later(qs_task *self, void *arg _unused_)
{
	ck_assert_int_eq(qs_sleep(self, qs_in(self, QS_MIN)), 0);
	return -EIO;
}

START_TEST(a_task_that_nobody_holds_runs_to_its_end_and_its_error_is_told)
{
	spawn(qs_root(runtime), "the stream", fail_later, NULL, NULL);
	ck_assert_int_eq(qs_run(runtime), 0);
	ck_assert_uint_eq(qs_ended(runtime, QS_VERDICT_FAILED), 1);
	ck_assert_ptr_nonnull(strstr(told, "the stream"));
}
END_TEST

static int stream(qs_task *self, void *mailbox)
{
	int r, word;

	do
		r = qs_mailbox_send(self, mailbox, &word, QS_FOREVER);
	while (r == 0);
	qs_mailbox_remove_sender(mailbox);
	return r == -EPIPE ? 0 : r;
}

static int leave_half_way(qs_task *self, void *arg _unused_)
{
	qs_mailbox *mailbox;
	struct qs_result result;
	qs_task *producer;
	void *word;

	ck_assert_int_eq(qs_mailbox_new(qs_task_group(self), NULL, &mailbox), 0);
	spawn(qs_task_group(self), "producer", stream, mailbox, &producer);
	for (int i = 0; i < 10; i++)
		ck_assert_int_eq(qs_mailbox_receive(self, mailbox, QS_FOREVER, &word), 0);
	qs_mailbox_close(mailbox);
	ck_assert_int_eq(qs_task_join(self, producer, qs_in(self, QS_SEC), &result), 0);
	ck_assert_int_eq(result.verdict, QS_VERDICT_FINISHED);
	return 0;
}

START_TEST(a_reader_that_leaves_ends_its_stream)
{
	run(leave_half_way, NULL, 0);
}
END_TEST

static int look_at_stream(qs_task *self, void *arg _unused_)
{
	struct qs_task_info info;
	uint64_t cursor = 0;
	bool seen = false;

	ck_assert_int_eq(qs_sleep(self, qs_in(self, QS_SEC)), 0);
	while (qs_next_task(runtime, &cursor, &info) > 0)
		seen |= strcmp(info.name, "the stream") == 0 && info.waiting_on != NULL;
	ck_assert(seen);
	return 0;
}

START_TEST(a_long_task_is_seen_to_be_alive)
{
	spawn(qs_root(runtime), "the stream", fail_later, NULL, NULL);
	run(look_at_stream, NULL, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cases");
	TCase *tcase = tcase_create("cases");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, begin, end);
	tcase_add_test(tcase, a_task_is_not_destroyed_while_it_is_pending);
	tcase_add_test(tcase, not_even_by_the_end_of_its_runtime);
	tcase_add_test(tcase, a_batch_is_awaited_as_a_whole_and_at_most_so_many_run);
	tcase_add_test(tcase, whatever_hangs_ends_at_the_deadline_around_it);
	tcase_add_test(tcase, a_stop_wakes_every_back_off_at_once);
	tcase_add_test(tcase, tasks_end_before_the_connection_that_they_use);
	tcase_add_test(tcase, after_ask_deadline_and_force_it_has_really_ended);
	tcase_add_test(tcase, an_ended_conversation_ends_its_handler_and_leaves_nothing);
	tcase_add_test(tcase, a_task_that_nobody_holds_runs_to_its_end_and_its_error_is_told);
	tcase_add_test(tcase, a_reader_that_leaves_ends_its_stream);
	tcase_add_test(tcase, a_long_task_is_seen_to_be_alive);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
