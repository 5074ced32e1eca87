/* What a child is given to read and what it answers: whole, bounded, and never waited for. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <quiesce/process.h>

#include "lib/process_internal.h"
#include "tests/unit/process_world.h"

static struct child child;
static struct answer {
	char *bytes; /* the first of them */
	size_t room, size, largest, limit;
	bool given_up;
} answer;
static char *input;
static size_t input_size;

static void set_up(void)
{
	memset(&child, 0, sizeof(child));
	answer = (struct answer){ .room = 4 << 20, .limit = SIZE_MAX };
	answer.bytes = calloc(1, answer.room + 1);
	world_set_up();
}

static void tear_down(void)
{
	world_tear_down();
	free(answer.bytes);
	free(TAKE(input, NULL));
}

static void take_bytes(const char *data, size_t size)
{
	size_t used = MIN(answer.size, answer.room);

	ck_assert(!answer.given_up);
	memcpy(answer.bytes + used, data, MIN(size, answer.room - used));
	answer.size += size;
	answer.largest = MAX(answer.largest, size);
	answer.given_up = answer.size > answer.limit;
}

static int on_answer(
        struct qs_process *process _unused_, const char *data, size_t size, void *arg _unused_)
{
	take_bytes(data, size);
	return answer.given_up ? -EMSGSIZE : 0;
}

/* No two stretches of it are the same. */
static void make_input(size_t size)
{
	input = malloc(size + 16);
	for (input_size = 0; input_size < size;)
		input_size += (size_t)snprintf(input + input_size, 16, "%zu\n", input_size);
	input_size = size;
}

static void call(const char *script)
{
	char shell[] = "sh", option[] = "-c", *text = strdup(script);
	char *argv[] = { shell, option, text, NULL };
	struct qs_process_options options = child_options(argv);

	options.input = input;
	options.input_size = input_size;
	options.events.answer = on_answer;
	child_start(&child, options);
	free(text);
}

static void check_end(enum qs_verdict verdict)
{
	child_await_end(&child);
	ck_assert_str_eq(qs_verdict_name(child.verdict), qs_verdict_name(verdict));
}

/* --- what it reads --- */

START_TEST(what_it_is_given_comes_whole_and_then_the_end)
{
	static const size_t sizes[] = { 0, 1, 4096, 65536, 65537, 3 << 20 };

	make_input(sizes[_i]);
	call("cat");
	/* It was copied where that was needed. */
	char *given = malloc(input_size + 1);
	memcpy(given, input, input_size);
	memset(input, 'x', input_size);
	check_end(QS_VERDICT_FINISHED);
	ck_assert_uint_eq(answer.size, input_size);
	ck_assert_mem_eq(answer.bytes, given, input_size);
	free(given);
}
END_TEST

START_TEST(one_that_reads_slowly_gets_it_all)
{
	make_input(1 << 20);
	call("dd bs=100 count=1000 status=none; dd bs=61 status=none");
	check_end(QS_VERDICT_FINISHED);
	ck_assert_uint_eq(answer.size, input_size);
	ck_assert_mem_eq(answer.bytes, input, input_size);
}
END_TEST

START_TEST(one_that_never_reads_holds_up_nobody)
{
	struct child other = { 0 };

	make_input(1 << 20);
	call("echo up; exec sleep 1000");
	AWAIT(answer.size == 3);
	child_sh(&other, "exit 0");
	child_await_end(&other);
	child_end(&child, QS_VERDICT_STOPPED);
}
END_TEST

/* The world has the default action for SIGPIPE: a signal would end this test. */
START_TEST(one_that_ends_before_it_has_read_ends_well)
{
	make_input(1 << 20);
	call("read line; echo $line");
	check_end(QS_VERDICT_FINISHED);
	ck_assert_str_eq(answer.bytes, "0\n");
}
END_TEST

START_TEST(one_that_closes_its_input_is_not_offered_any_more)
{
	make_input(1 << 20);
	call("exec <&-; echo up; exec sleep 1000");
	AWAIT(child.process->input.fd < 0);
	ck_assert_ptr_null(child.process->unread);
	child_end(&child, QS_VERDICT_STOPPED);
}
END_TEST

START_TEST(without_input_it_reads_nothing)
{
	call("readlink /proc/self/fd/0; cat");
	check_end(QS_VERDICT_FINISHED);
	ck_assert_str_eq(answer.bytes, "/dev/null\n");
}
END_TEST

/* --- what it answers --- */

START_TEST(an_answer_comes_apart_from_what_it_says_besides)
{
	call("echo out; echo besides >&2; echo more");
	check_end(QS_VERDICT_FINISHED);
	ck_assert_str_eq(answer.bytes, "out\nmore\n");
	ck_assert_str_eq(child.output, "besides\n");
}
END_TEST

START_TEST(a_hundred_megabytes_come_in_portions_and_others_have_their_turns)
{
	unsigned before = world.turns;

	call("head -c 100000000 /dev/zero");
	check_end(QS_VERDICT_FINISHED);
	ck_assert_uint_eq(answer.size, 100000000);
	ck_assert_uint_le(answer.largest, OUTPUT_PORTION);
	ck_assert_uint_ge(world.turns - before, 100000000 / OUTPUT_PORTION / 2);
}
END_TEST

START_TEST(who_writes_more_than_is_wanted_is_cut_off)
{
	answer.limit = 1 << 20;
	call("exec cat /dev/zero");
	check_end(QS_VERDICT_FAILED);
	ck_assert_int_eq(child.leader.value, SIGPIPE);
	ck_assert_uint_le(answer.size, answer.limit + OUTPUT_PORTION);
}
END_TEST

START_TEST(one_that_closes_its_output_goes_on)
{
	call("echo last; exec >&-; echo besides >&2; exec sleep 1000");
	child_await_output(&child, "besides\n");
	AWAIT(child.process->answer.fd < 0);
	ck_assert_str_eq(answer.bytes, "last\n");
	child_end(&child, QS_VERDICT_STOPPED);
}
END_TEST

/* Somebody who is not of the tree holds the pipe open; here it is the test itself. */
START_TEST(the_end_of_the_tree_is_the_end_whoever_holds_its_output)
{
	char path[64];

	call("trap '' TERM; echo up; read line <&3; head -c 50000 /dev/zero; exit 0");
	AWAIT(answer.size == 3);
	snprintf(path, sizeof(path), "/proc/%d/fd/1", (int)child.pid);
	int held = open(path, O_WRONLY | O_CLOEXEC);
	ck_assert_int_ge(held, 0);
	child_end(&child, QS_VERDICT_STOPPED);
	ck_assert_uint_eq(answer.size, 50003);
	close(held);
}
END_TEST

START_TEST(a_grandchild_that_holds_the_output_is_ended_with_the_tree)
{
	call("sleep 1000 & echo up; exit 0");
	check_end(QS_VERDICT_FINISHED);
	ck_assert_str_eq(answer.bytes, "up\n");
}
END_TEST

/* --- as the users of the library have it --- */

static int on_program_answer(qs_task *task, const char *data, size_t size, void *arg)
{
	ck_assert_uint_ne(qs_task_id(task), 0);
	ck_assert_ptr_eq(arg, &answer);
	take_bytes(data, size);
	return 0;
}

START_TEST(a_program_of_the_library_is_fed_and_answers_too)
{
	char name[] = "tr", from[] = "a-z", to[] = "A-Z";
	char *argv[] = { name, from, to, NULL };
	const struct qs_program program = { .argv = argv,
		.input = "well, well",
		.input_size = 10,
		.answer = on_program_answer,
		.arg = &answer };
	struct qs_result result;
	qs_task *task;

	world.context.reaper = world.reaper;
	ck_assert_int_eq(qs_spawn_process(&world.group, NULL, &program, &task), 0);
	AWAIT(qs_task_id(task) == 0);
	ck_assert_int_eq(qs_task_result(task, &result), 0);
	ck_assert_int_eq(result.verdict, QS_VERDICT_FINISHED);
	ck_assert_str_eq(answer.bytes, "WELL, WELL");
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("process-feed");
	TCase *tcase = tcase_create("feed");

	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_loop_test(tcase, what_it_is_given_comes_whole_and_then_the_end, 0, 6);
	tcase_add_test(tcase, one_that_reads_slowly_gets_it_all);
	tcase_add_test(tcase, one_that_never_reads_holds_up_nobody);
	tcase_add_test(tcase, one_that_ends_before_it_has_read_ends_well);
	tcase_add_test(tcase, one_that_closes_its_input_is_not_offered_any_more);
	tcase_add_test(tcase, without_input_it_reads_nothing);
	tcase_add_test(tcase, an_answer_comes_apart_from_what_it_says_besides);
	tcase_add_test(tcase, a_hundred_megabytes_come_in_portions_and_others_have_their_turns);
	tcase_add_test(tcase, who_writes_more_than_is_wanted_is_cut_off);
	tcase_add_test(tcase, one_that_closes_its_output_goes_on);
	tcase_add_test(tcase, the_end_of_the_tree_is_the_end_whoever_holds_its_output);
	tcase_add_test(tcase, a_grandchild_that_holds_the_output_is_ended_with_the_tree);
	tcase_add_test(tcase, a_program_of_the_library_is_fed_and_answers_too);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(int argc, char **argv)
{
	return process_test_main(argc, argv, make_suite);
}
