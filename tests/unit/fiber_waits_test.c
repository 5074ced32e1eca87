/*
 * Every wait against everything that can end it: what it waits for, its deadline, an ask, a cancel,
 * force, the deadline of a group further out, its task's own deadline; and in a shield.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <quiesce/event.h>
#include <quiesce/mailbox.h>
#include <quiesce/process.h>
#include <quiesce/semaphore.h>

#include "tests/unit/fiber_world.h"

/* What a wait is done in; each kind uses what it needs. */
struct scene {
	qs_group *outer, *inner, *other;
	int fds[2];
	qs_stop *stop;
	qs_event *event, *gate;
	qs_semaphore *semaphore;
	qs_mailbox *mailbox;
	qs_task *tasks[2];
	unsigned dropped;
};

static struct scene scene;

struct kind {
	const char *name;
	bool idle;
	bool real; /* it needs the kernel's time */
	void (*set_up)(void);
	int (*wait)(qs_task *self, uint64_t deadline);
	void (*satisfy)(void);
	void (*tear_down)(void);
};

/* --- sleep --- */

static void nothing(void)
{
}

static int wait_sleep(qs_task *self, uint64_t deadline)
{
	return qs_sleep(self, deadline == QS_FOREVER ? world_now() + QS_HOUR : deadline);
}

/* --- descriptors --- */

static void set_up_pipe(void)
{
	ck_assert_int_eq(pipe2(scene.fds, O_CLOEXEC | O_NONBLOCK), 0);
}

static void tear_down_pipe(void)
{
	close(scene.fds[0]);
	close(scene.fds[1]);
}

static void write_byte(void)
{
	ck_assert_int_eq(write(scene.fds[1], "x", 1), 1);
}

static int wait_readable(qs_task *self, uint64_t deadline)
{
	int r = qs_wait_fd(self, scene.fds[0], QS_FD_READABLE, deadline);

	return r == (int)QS_FD_READABLE ? 0 : r;
}

static int wait_reply(qs_task *self, uint64_t deadline)
{
	int r = qs_wait_fd(self, scene.fds[0], QS_FD_READABLE | QS_FD_IN_FLIGHT, deadline);

	return r == (int)QS_FD_READABLE ? 0 : r;
}

static void set_up_full_pipe(void)
{
	char page[4096] = { 0 };

	set_up_pipe();
	while (write(scene.fds[1], page, sizeof(page)) > 0)
		;
}

static void drain_pipe(void)
{
	char page[4096];

	while (read(scene.fds[0], page, sizeof(page)) > 0)
		;
}

static int wait_writable(qs_task *self, uint64_t deadline)
{
	int r = qs_wait_fd(self, scene.fds[1], QS_FD_WRITABLE, deadline);

	return r == (int)QS_FD_WRITABLE ? 0 : r;
}

/* --- stop events, events, semaphores --- */

static void set_up_stop(void)
{
	ck_assert_int_eq(qs_stop_new(NULL, &scene.stop), 0);
}

static void tear_down_stop(void)
{
	qs_stop_free(scene.stop);
}

static int wait_stop(qs_task *self, uint64_t deadline)
{
	return qs_wait_stop(self, scene.stop, deadline);
}

static void set_stop(void)
{
	const struct qs_stop_reason reason = { .cause = QS_CAUSE_API };

	ck_assert_int_eq(qs_stop_set(scene.stop, &reason), 1);
}

static void set_up_event(void)
{
	ck_assert_int_eq(qs_event_new(&scene.event), 0);
}

static void tear_down_event(void)
{
	qs_event_free(scene.event);
}

static int wait_event(qs_task *self, uint64_t deadline)
{
	return qs_event_wait(self, scene.event, deadline);
}

static void set_event(void)
{
	qs_event_set(scene.event);
}

static void set_up_semaphore(void)
{
	ck_assert_int_eq(qs_semaphore_new(0, &scene.semaphore), 0);
}

static void tear_down_semaphore(void)
{
	qs_semaphore_free(scene.semaphore);
}

static int wait_semaphore(qs_task *self, uint64_t deadline)
{
	return qs_semaphore_acquire(self, scene.semaphore, deadline);
}

static void release(void)
{
	qs_semaphore_release(scene.semaphore);
}

/* --- mailboxes --- */

static char first_message[] = "first", message_sent[] = "message", second_message[] = "second";

static void count_dropped(void *message, void *arg)
{
	(void)message;
	++*(unsigned *)arg;
}

static void set_up_mailbox(void)
{
	const struct qs_mailbox_options options = { .drop = count_dropped, .arg = &scene.dropped };

	ck_assert_int_eq(qs_mailbox_new(&world.root, &options, &scene.mailbox), 0);
}

static void set_up_full_mailbox(void)
{
	set_up_mailbox();
	ck_assert_int_eq(qs_mailbox_post(scene.mailbox, first_message), 0);
}

static void tear_down_mailbox(void)
{
	qs_mailbox_close(scene.mailbox);
	qs_mailbox_remove_sender(scene.mailbox);
}

static int wait_receive(qs_task *self, uint64_t deadline)
{
	void *message = NULL;
	int r = qs_mailbox_receive(self, scene.mailbox, deadline, &message);

	if (r == 0)
		ck_assert_ptr_eq(message, message_sent);
	return r;
}

static void post(void)
{
	ck_assert_int_eq(qs_mailbox_post(scene.mailbox, message_sent), 0);
}

static int wait_send(qs_task *self, uint64_t deadline)
{
	return qs_mailbox_send(self, scene.mailbox, second_message, deadline);
}

static int receive_one(qs_task *self, void *arg)
{
	void *message;

	(void)arg;
	return qs_mailbox_receive(self, scene.mailbox, QS_FOREVER, &message);
}

static void take_first(void)
{
	world_send_off(scene.other, receive_one, NULL);
	world_settle();
}

/* --- joins --- */

static int wait_at_gate(qs_task *self, void *arg)
{
	(void)arg;
	return qs_event_wait(self, scene.gate, QS_FOREVER);
}

static void set_up_children(void)
{
	ck_assert_int_eq(qs_event_new(&scene.gate), 0);
	for (int i = 0; i < 2; i++)
		scene.tasks[i] = world_spawn(scene.other, wait_at_gate, NULL);
}

static void open_gate(void)
{
	qs_event_set(scene.gate);
}

static void tear_down_children(void)
{
	open_gate();
	world_settle();
	for (int i = 0; i < 2; i++)
		if (scene.tasks[i])
			(void)world_result(scene.tasks[i]);
	qs_event_free(scene.gate);
}

static int wait_task(qs_task *self, uint64_t deadline)
{
	struct qs_result result;
	int r = qs_task_join(self, scene.tasks[0], deadline, &result);

	if (r == 0) {
		ck_assert_int_eq(result.verdict, QS_VERDICT_FINISHED);
		scene.tasks[0] = NULL;
	}
	return r;
}

static int wait_all(qs_task *self, uint64_t deadline)
{
	return qs_join_all(self, scene.tasks, 2, deadline, NULL);
}

static int wait_first(qs_task *self, uint64_t deadline)
{
	int r = qs_join_first(self, scene.tasks, 2, deadline, NULL);

	return r == 1 ? 0 : r;
}

static int wait_group(qs_task *self, uint64_t deadline)
{
	return qs_group_join(self, scene.other, deadline, NULL);
}

/* --- a child process --- */

static void set_up_process(void)
{
	static char shell[] = "sh", option[] = "-c", script[] = "while :; do sleep 60; done";
	char *argv[] = { shell, option, script, NULL };
	const struct qs_program program = { .argv = argv, .stop_signal = SIGKILL };

	ck_assert_int_eq(qs_spawn_process(scene.other, NULL, &program, &scene.tasks[0]), 0);
}

static void stop_process(void)
{
	qs_task_ask(scene.tasks[0], QS_CAUSE_API, QS_FOREVER);
}

static int wait_process(qs_task *self, uint64_t deadline)
{
	struct qs_result result;
	int r = qs_task_join(self, scene.tasks[0], deadline, &result);

	if (r == 0) {
		ck_assert_int_eq(result.outcome.type, QS_OUTCOME_SIGNAL);
		ck_assert_int_eq(result.outcome.value, SIGKILL);
		scene.tasks[0] = NULL;
	}
	return r;
}

static void tear_down_process(void)
{
	struct qs_result result;

	if (!scene.tasks[0])
		return;
	stop_process();
	while (qs_task_result(scene.tasks[0], &result) == -EINPROGRESS)
		(void)qs_loop_turn(world.loop, true);
}

static const struct kind kinds[] = {
	{ "sleep", true, false, nothing, wait_sleep, NULL, nothing },
	{ "readable", true, false, set_up_pipe, wait_readable, write_byte, tear_down_pipe },
	{ "reply", false, false, set_up_pipe, wait_reply, write_byte, tear_down_pipe },
	{ "writable", false, false, set_up_full_pipe, wait_writable, drain_pipe, tear_down_pipe },
	{ "stop event", true, false, set_up_stop, wait_stop, set_stop, tear_down_stop },
	{ "event", true, false, set_up_event, wait_event, set_event, tear_down_event },
	{ "semaphore", true, false, set_up_semaphore, wait_semaphore, release,
	        tear_down_semaphore },
	{ "receive", true, false, set_up_mailbox, wait_receive, post, tear_down_mailbox },
	{ "send", false, false, set_up_full_mailbox, wait_send, take_first, tear_down_mailbox },
	{ "join", false, false, set_up_children, wait_task, open_gate, tear_down_children },
	{ "join all", false, false, set_up_children, wait_all, open_gate, tear_down_children },
	{ "join first", false, false, set_up_children, wait_first, open_gate, tear_down_children },
	{ "join group", false, false, set_up_children, wait_group, open_gate, tear_down_children },
	{ "process", false, true, set_up_process, wait_process, stop_process, tear_down_process },
};

/* --- the one who waits --- */

struct waiter {
	const struct kind *kind;
	uint64_t deadline;
	bool shielded, twice;
	int first, second; /* results */
	bool returned;
	uint64_t returned_at;
	unsigned deferred;
};

static struct waiter waiter;

static void note_deferred(void *arg)
{
	++*(unsigned *)arg;
}

static int run_waiter(qs_task *self, void *arg)
{
	uint64_t outer = 0;

	(void)arg;
	ck_assert_int_eq(qs_defer(self, note_deferred, &waiter.deferred), 0);
	if (waiter.shielded)
		outer = qs_shield_begin(self, QS_FOREVER);
	waiter.first = waiter.kind->wait(self, waiter.deadline);
	if (waiter.shielded)
		qs_shield_end(self, outer);
	waiter.returned_at = world_now();
	if (waiter.twice)
		waiter.second = waiter.kind->wait(self, QS_FOREVER);
	waiter.returned = true;
	return waiter.first;
}

static qs_task *waiting;

static void begin_with(int number, const struct qs_task_options *options)
{
	waiter.kind = &kinds[number];
	waiter.first = waiter.second = 1;
	if (waiter.deadline == 0)
		waiter.deadline = QS_FOREVER;
	world_open(!waiter.kind->real, 0);
	ck_assert_int_eq(qs_group_new(&world.root, NULL, &scene.outer), 0);
	ck_assert_int_eq(qs_group_new(scene.outer, NULL, &scene.inner), 0);
	ck_assert_int_eq(qs_group_new(&world.root, NULL, &scene.other), 0);
	waiter.kind->set_up();
	ck_assert_int_eq(qs_spawn_fiber(scene.inner, options, run_waiter, NULL, &waiting), 0);
	world_settle();
	ck_assert_msg(!waiter.returned, "%s does not wait", waiter.kind->name);
}

static void begin(int number)
{
	begin_with(number, NULL);
}

/* Until it has returned or was ended, however long that takes. */
static void let_it_end(void)
{
	while (scene.inner->live > 0)
		(void)qs_loop_turn(world.loop, true);
}

static void finish(enum qs_verdict verdict)
{
	ck_assert_msg(waiter.deferred == 1, "%s: the clean-up ran %u times", waiter.kind->name,
	        waiter.deferred);
	ck_assert_int_eq(world_result(waiting).verdict, verdict);
	waiter.kind->tear_down();
	qs_group_free(scene.inner);
	qs_group_free(scene.outer);
	qs_group_free(scene.other);
	world_close();
}

#define ck_result(expected)                                                                  \
	ck_assert_msg(waiter.first == (expected), "%s: %d instead of %d", waiter.kind->name, \
	        waiter.first, (expected))

START_TEST(it_returns_when_what_it_waits_for_comes)
{
	begin(_i);
	if (waiter.kind->satisfy)
		waiter.kind->satisfy();
	let_it_end();
	ck_result(0);
	finish(QS_VERDICT_FINISHED);
}
END_TEST

START_TEST(its_deadline_ends_it_in_time)
{
	uint64_t began;

	/* The real clock is not at 0, and a moment of it has to pass. */
	waiter.deadline = kinds[_i].real ? qs_time_now() + 300 * QS_MSEC : 3 * QS_SEC;
	began = waiter.deadline;
	begin(_i);
	let_it_end();
	/* To sleep is to wait for just that. */
	ck_result(kinds[_i].satisfy ? -ETIMEDOUT : 0);
	ck_assert_uint_ge(waiter.returned_at, began);
	if (!kinds[_i].real)
		ck_assert_uint_eq(waiter.returned_at, began);
	finish(kinds[_i].satisfy ? QS_VERDICT_FAILED : QS_VERDICT_FINISHED);
}
END_TEST

START_TEST(an_ask_ends_it_if_it_is_idle_and_only_then)
{
	uint64_t asked_at;

	begin(_i);
	asked_at = world_now();
	qs_task_ask(waiting, QS_CAUSE_API, QS_FOREVER);
	world_settle();
	ck_assert_msg(waiter.returned == waiter.kind->idle, "%s: returned %d", waiter.kind->name,
	        waiter.returned);
	if (waiter.kind->idle) {
		ck_result(-ESHUTDOWN);
		ck_assert(waiter.kind->real || waiter.returned_at == asked_at);
	} else {
		waiter.kind->satisfy();
		let_it_end();
		ck_result(0);
	}
	finish(QS_VERDICT_STOPPED);
}
END_TEST

START_TEST(asked_before_it_ends_at_once_if_it_is_idle)
{
	waiter.twice = true;
	begin(_i);
	qs_task_ask(waiting, QS_CAUSE_API, QS_FOREVER);
	world_settle();
	if (waiter.kind->idle) {
		ck_assert(waiter.returned);
		ck_assert_int_eq(waiter.second, -ESHUTDOWN);
	} else {
		qs_task_cancel(waiting, QS_CAUSE_API);
		let_it_end();
	}
	finish(waiter.kind->idle ? QS_VERDICT_STOPPED : QS_VERDICT_CANCELLED);
}
END_TEST

START_TEST(a_cancel_ends_it_now_and_later)
{
	waiter.twice = true;
	begin(_i);
	qs_task_cancel(waiting, QS_CAUSE_API);
	world_settle();
	ck_assert(waiter.returned);
	ck_result(-ECANCELED);
	ck_assert_int_eq(waiter.second, -ECANCELED);
	finish(QS_VERDICT_CANCELLED);
}
END_TEST

START_TEST(a_cancel_after_the_ask_ends_it)
{
	waiter.shielded = true;
	begin(_i);
	qs_task_ask(waiting, QS_CAUSE_API, QS_FOREVER);
	world_settle();
	ck_assert(!waiter.returned);
	qs_fiber_of(waiting)->shield = 0;
	qs_task_cancel(waiting, QS_CAUSE_API);
	let_it_end();
	ck_result(-ECANCELED);
	finish(QS_VERDICT_CANCELLED);
}
END_TEST

START_TEST(force_ends_it_and_leaves_nothing_behind)
{
	begin(_i);
	qs_task_kill(waiting, QS_CAUSE_API);
	let_it_end();
	ck_assert(!waiter.returned);
	/* What it waited for comes all the same. */
	if (waiter.kind->satisfy && waiter.kind->wait != wait_send)
		waiter.kind->satisfy();
	world_settle();
	finish(QS_VERDICT_KILLED);
}
END_TEST

START_TEST(force_comes_between_what_it_waited_for_and_its_return)
{
	begin(_i);
	if (waiter.kind->satisfy && !waiter.kind->real)
		waiter.kind->satisfy();
	qs_task_kill(waiting, QS_CAUSE_API);
	let_it_end();
	if (waiter.kind->wait == wait_semaphore)
		ck_assert_uint_eq(qs_semaphore_available(scene.semaphore), 1);
	finish(waiter.returned ? QS_VERDICT_FINISHED : QS_VERDICT_KILLED);
}
END_TEST

START_TEST(the_deadline_of_an_outer_group_ends_it)
{
	uint64_t at;

	begin(_i);
	at = world_now() + (waiter.kind->real ? 50 * QS_MSEC : 5 * QS_SEC);
	ck_assert_int_eq(qs_group_set_deadline(scene.outer, at), 0);
	ck_assert_uint_eq(qs_group_deadline(scene.inner), at);
	let_it_end();
	ck_result(-ETIMEDOUT);
	ck_assert(waiter.kind->real || waiter.returned_at == at);
	finish(QS_VERDICT_CANCELLED);
}
END_TEST

START_TEST(its_own_deadline_ends_every_wait)
{
	uint64_t at = kinds[_i].real ? qs_time_now() + 300 * QS_MSEC : 5 * QS_SEC;
	const struct qs_task_options options = { .deadline = at };

	waiter.twice = true;
	begin_with(_i, &options);
	let_it_end();
	ck_result(-ETIMEDOUT);
	ck_assert_int_eq(waiter.second, -ETIMEDOUT);
	ck_assert_uint_ge(waiter.returned_at, at);
	finish(QS_VERDICT_FAILED);
}
END_TEST

START_TEST(a_shield_keeps_ask_cancel_and_deadlines_away)
{
	const struct qs_task_options options = { .deadline = 3 * QS_SEC };

	waiter.shielded = true;
	begin_with(_i, kinds[_i].real ? NULL : &options);
	ck_assert_int_eq(qs_group_set_deadline(scene.outer, world_now()), 0);
	(void)qs_loop_turn(world.loop, false);
	qs_task_cancel(waiting, QS_CAUSE_API);
	world_settle();
	ck_assert_msg(!waiter.returned, "%s: %d", waiter.kind->name, waiter.first);
	if (waiter.kind->satisfy)
		waiter.kind->satisfy();
	let_it_end();
	ck_result(0);
	finish(QS_VERDICT_CANCELLED);
}
END_TEST

static void forget_last(void)
{
	waiter = (struct waiter){ 0 };
	scene = (struct scene){ 0 };
}

int main(void)
{
	Suite *suite = suite_create("fiber_waits");
	TCase *tcase = tcase_create("each");
	int count = (int)ARRAY_SIZE(kinds);

	tcase_add_checked_fixture(tcase, forget_last, NULL);
	tcase_add_loop_test(tcase, it_returns_when_what_it_waits_for_comes, 0, count);
	tcase_add_loop_test(tcase, its_deadline_ends_it_in_time, 0, count);
	tcase_add_loop_test(tcase, an_ask_ends_it_if_it_is_idle_and_only_then, 0, count);
	tcase_add_loop_test(tcase, asked_before_it_ends_at_once_if_it_is_idle, 0, count);
	tcase_add_loop_test(tcase, a_cancel_ends_it_now_and_later, 0, count);
	tcase_add_loop_test(tcase, a_cancel_after_the_ask_ends_it, 0, count);
	tcase_add_loop_test(tcase, force_ends_it_and_leaves_nothing_behind, 0, count);
	tcase_add_loop_test(tcase, force_comes_between_what_it_waited_for_and_its_return, 0, count);
	tcase_add_loop_test(tcase, the_deadline_of_an_outer_group_ends_it, 0, count);
	tcase_add_loop_test(tcase, its_own_deadline_ends_every_wait, 0, count);
	tcase_add_loop_test(tcase, a_shield_keeps_ask_cancel_and_deadlines_away, 0, count);
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
