/* Mailboxes: order, bounds, who is gone, and senders in other threads. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include <quiesce/mailbox.h>

#include "tests/unit/fiber_world.h"

static qs_mailbox *mailbox;
static unsigned dropped;

static void count_dropped(void *message, void *arg)
{
	(void)message;
	(void)arg;
	dropped++;
}

static void open_mailbox(unsigned capacity)
{
	const struct qs_mailbox_options options = { .capacity = capacity, .drop = count_dropped };

	dropped = 0;
	ck_assert_int_eq(qs_mailbox_new(&world.root, &options, &mailbox), 0);
}

static void set_up(void)
{
	world_open(true, 0);
	open_mailbox(4);
}

static void set_up_real(void)
{
	world_open(false, 0);
	open_mailbox(4);
}

static void close_mailbox(void)
{
	qs_mailbox_close(mailbox);
}

static void tear_down(void)
{
	world_run();
	close_mailbox();
	world_close();
}

static unsigned numbers[100000];

static void *number(unsigned which)
{
	numbers[which] = which;
	return &numbers[which];
}

/* --- fibers --- */

static int send_numbers(qs_task *self, void *arg)
{
	unsigned count = *(unsigned *)arg;
	int r = 0;

	for (unsigned i = 0; i < count && r == 0; i++)
		r = qs_mailbox_send(self, mailbox, number(i), QS_FOREVER);
	qs_mailbox_remove_sender(mailbox);
	return r;
}

struct tally {
	unsigned count;
	bool in_order;
	int last; /* result */
};

static int receive_all(qs_task *self, void *arg)
{
	struct tally *tally = arg;
	void *message;

	tally->in_order = true;
	while ((tally->last = qs_mailbox_receive(self, mailbox, QS_FOREVER, &message)) == 0) {
		tally->in_order &= *(unsigned *)message == tally->count;
		tally->count++;
	}
	return 0;
}

START_TEST(all_is_received_in_order_and_then_the_last_sender_is_gone)
{
	unsigned count = 1000;
	struct tally tally = { 0 };

	world_send_off(&world.root, send_numbers, &count);
	world_send_off(&world.root, receive_all, &tally);
	world_run();
	ck_assert_uint_eq(tally.count, 1000);
	ck_assert(tally.in_order);
	ck_assert_int_eq(tally.last, -EPIPE);
	ck_assert_uint_eq(dropped, 0);
}
END_TEST

START_TEST(a_sender_waits_while_it_is_full)
{
	unsigned count = 10;

	world_send_off(&world.root, send_numbers, &count);
	world_settle();
	ck_assert_uint_eq(qs_mailbox_count(mailbox), 4);
	ck_assert_uint_eq(world.root.live, 1);
	ck_assert_int_eq(qs_mailbox_post(mailbox, number(0)), -EAGAIN);
	struct tally tally = { 0 };
	world_send_off(&world.root, receive_all, &tally);
	world_run();
	ck_assert_uint_eq(tally.count, 10);
	ck_assert(tally.in_order);
}
END_TEST

START_TEST(what_lies_in_it_is_received_after_an_ask_too)
{
	struct tally tally = { 0 };
	qs_task *task;

	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(qs_mailbox_post(mailbox, number(i)), 0);
	task = world_spawn(&world.root, receive_all, &tally);
	qs_task_ask(task, QS_CAUSE_API, QS_FOREVER);
	world_run();
	ck_assert_uint_eq(tally.count, 3);
	ck_assert_int_eq(tally.last, -ESHUTDOWN);
	qs_mailbox_remove_sender(mailbox);
	qs_task_forget(task);
}
END_TEST

START_TEST(closing_it_ends_all_waits_and_drops_what_lies_in_it)
{
	unsigned count = 10;
	qs_task *sender = world_spawn(&world.root, send_numbers, &count);

	(void)qs_mailbox_add_sender(mailbox);
	world_settle();
	close_mailbox();
	world_run();
	ck_assert_uint_eq(dropped, 4);
	ck_assert_int_eq(world_result(sender).outcome.value, -EPIPE);
	qs_mailbox_remove_sender(mailbox);
	/* The fixture closes another. */
	open_mailbox(1);
	qs_mailbox_remove_sender(mailbox);
}
END_TEST

START_TEST(closing_it_ends_a_receive)
{
	struct tally tally = { 0 };
	qs_mailbox *closed = mailbox;

	world_send_off(&world.root, receive_all, &tally);
	world_settle();
	close_mailbox();
	world_run();
	ck_assert_int_eq(tally.last, -ECANCELED);
	ck_assert_int_eq(qs_mailbox_post(closed, number(0)), -EPIPE);
	qs_mailbox_remove_sender(closed);
	open_mailbox(1);
	qs_mailbox_remove_sender(mailbox);
}
END_TEST

static int send_and_kill(qs_task *self, void *arg)
{
	int r = qs_mailbox_send(self, mailbox, number(0), QS_FOREVER);

	qs_task_kill(arg, QS_CAUSE_API);
	qs_mailbox_remove_sender(mailbox);
	return r;
}

static int receive_into(qs_task *self, void *arg)
{
	void *message;
	int *ret = arg;

	*ret = qs_mailbox_receive(self, mailbox, QS_FOREVER, &message);
	return 0;
}

static int post_two_and_receive(qs_task *self, void *arg)
{
	ck_assert_int_eq(qs_mailbox_post(mailbox, number(1)), 0);
	ck_assert_int_eq(qs_mailbox_post(mailbox, number(2)), 0);
	qs_mailbox_remove_sender(mailbox);
	return receive_into(self, arg);
}

/* The second heard "empty and nobody sends", because the first still seemed to wait. */
START_TEST(all_that_lies_in_it_is_received_before_its_senders_are_gone)
{
	int first = 1, second = 1;

	world_send_off(&world.root, receive_into, &first);
	world_settle();
	world_send_off(&world.root, post_two_and_receive, &second);
	world_run();
	ck_assert_int_eq(first, 0);
	ck_assert_int_eq(second, 0);
}
END_TEST

/* It waited for ever. */
START_TEST(nobody_waits_in_one_that_is_closed)
{
	int result = 1;

	qs_mailbox_close(mailbox);
	world_send_off(&world.root, receive_into, &result);
	world_run();
	ck_assert_int_eq(result, -ECANCELED);
	qs_mailbox_remove_sender(mailbox);
	open_mailbox(1);
	qs_mailbox_remove_sender(mailbox);
}
END_TEST

START_TEST(a_message_handed_to_one_that_is_killed_is_dropped_not_lost)
{
	struct tally tally = { 0 };
	qs_task *task = world_spawn(&world.root, receive_all, &tally);

	world_settle();
	world_send_off(&world.root, send_and_kill, task);
	world_run();
	ck_assert_uint_eq(tally.count, 0);
	ck_assert_uint_eq(dropped, 1);
	qs_task_forget(task);
}
END_TEST

/* --- conversations: a handler each, which ends with its last message --- */

struct conversation {
	qs_mailbox *box;
	unsigned heard;
};

static int handle(qs_task *self, void *arg)
{
	struct conversation *conversation = arg;
	void *message;

	while (qs_mailbox_receive(self, conversation->box, QS_FOREVER, &message) == 0)
		conversation->heard++;
	qs_mailbox_close(conversation->box);
	free(conversation);
	return 0;
}

static void converse(qs_group *group)
{
	struct conversation *conversation = calloc(1, sizeof(*conversation));

	ck_assert_ptr_nonnull(conversation);
	ck_assert_int_eq(qs_mailbox_new(group, NULL, &conversation->box), 0);
	qs_mailbox *box = conversation->box;
	world_send_off(group, handle, conversation);
	ck_assert_int_eq(qs_mailbox_post(box, number(0)), 0);
	qs_mailbox_remove_sender(box);
}

/* ThreadSanitizer takes half a millisecond to know of a fiber. */
#ifdef QUIESCE_TSAN
#define CONVERSATIONS 20000
#else
#define CONVERSATIONS 100000
#endif

START_TEST(a_hundred_thousand_conversations_leave_nothing_behind)
{
	qs_group *group;

	ck_assert_int_eq(qs_group_new(&world.root, NULL, &group), 0);
	for (int i = 0; i < CONVERSATIONS; i++) {
		converse(group);
		if (i % 100 == 0)
			world_settle();
	}
	world_run();
	ck_assert_uint_eq(qs_group_live(group), 0);
	ck_assert_uint_eq(world.fibers->count, 0);
	qs_group_free(group);
	qs_mailbox_remove_sender(mailbox);
}
END_TEST

/* --- other threads --- */

#define THREADS 4U
#define POSTS   5000U

static void *post_many(void *arg)
{
	unsigned first = *(unsigned *)arg * POSTS;

	for (unsigned i = 0; i < POSTS;) {
		int r = qs_mailbox_post(mailbox, number(first + i));

		if (r == 0)
			i++;
		else if (r == -EAGAIN)
			(void)sched_yield();
		else
			break;
	}
	qs_mailbox_remove_sender(mailbox);
	return NULL;
}

static int receive_each_once(qs_task *self, void *arg)
{
	unsigned char *seen = arg;
	void *message;

	while (qs_mailbox_receive(self, mailbox, QS_FOREVER, &message) == 0)
		seen[*(unsigned *)message]++;
	return 0;
}

START_TEST(threads_post_and_every_message_arrives_once)
{
	static unsigned char seen[THREADS * POSTS];
	pthread_t threads[THREADS];
	unsigned which[THREADS];

	world_send_off(&world.root, receive_each_once, seen);
	world_send_off(&world.root, receive_each_once, seen);
	for (unsigned i = 0; i < THREADS; i++) {
		which[i] = i;
		(void)qs_mailbox_add_sender(mailbox);
		ck_assert_int_eq(pthread_create(&threads[i], NULL, post_many, &which[i]), 0);
	}
	qs_mailbox_remove_sender(mailbox);
	world_run();
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (unsigned i = 0; i < THREADS * POSTS; i++)
		ck_assert_msg(seen[i] == 1, "message %u arrived %u times", i, seen[i]);
}
END_TEST

START_TEST(it_closes_under_the_hands_of_its_senders)
{
	pthread_t threads[THREADS];
	unsigned which[THREADS];

	for (unsigned i = 0; i < THREADS; i++) {
		which[i] = i;
		(void)qs_mailbox_add_sender(mailbox);
		ck_assert_int_eq(pthread_create(&threads[i], NULL, post_many, &which[i]), 0);
	}
	qs_mailbox_remove_sender(mailbox);
	while (qs_mailbox_count(mailbox) < 4)
		(void)qs_loop_turn(world.loop, false);
	qs_mailbox_close(mailbox);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	ck_assert_uint_eq(dropped, 4);
	open_mailbox(1);
	qs_mailbox_remove_sender(mailbox);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("mailbox");
	TCase *fibers = tcase_create("fibers"), *threads = tcase_create("threads");

	tcase_add_checked_fixture(fibers, set_up, tear_down);
	tcase_add_test(fibers, all_is_received_in_order_and_then_the_last_sender_is_gone);
	tcase_add_test(fibers, a_sender_waits_while_it_is_full);
	tcase_add_test(fibers, what_lies_in_it_is_received_after_an_ask_too);
	tcase_add_test(fibers, closing_it_ends_all_waits_and_drops_what_lies_in_it);
	tcase_add_test(fibers, closing_it_ends_a_receive);
	tcase_add_test(fibers, all_that_lies_in_it_is_received_before_its_senders_are_gone);
	tcase_add_test(fibers, nobody_waits_in_one_that_is_closed);
	tcase_add_test(fibers, a_message_handed_to_one_that_is_killed_is_dropped_not_lost);
	tcase_add_test(fibers, a_hundred_thousand_conversations_leave_nothing_behind);
	tcase_add_checked_fixture(threads, set_up_real, tear_down);
	tcase_add_test(threads, threads_post_and_every_message_arrives_once);
	tcase_add_test(threads, it_closes_under_the_hands_of_its_senders);
	suite_add_tcase(suite, fibers);
	suite_add_tcase(suite, threads);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
