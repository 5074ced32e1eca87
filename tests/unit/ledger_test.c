/*
 * The ledger: what adds up, what is kept, what another thread sees while records change hands, and
 * what is lost when there is no memory (nothing but history).
 */
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/ledger.h"
#include "lib/macro.h"

static int budget = -1; /* allocations until they fail; below 0: never */

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);

void *__wrap_calloc(size_t count, size_t size)
{
	if (budget == 0)
		return NULL;
	if (budget > 0)
		budget--;
	return __real_calloc(count, size);
}

static const struct qs_outcome exit_3 = { .type = QS_OUTCOME_EXIT, .value = 3 };

static struct qs_ledger *new_ledger(void)
{
	struct qs_ledger *ledger;

	ck_assert_int_eq(qs_ledger_new(&ledger), 0);
	return ledger;
}

static struct qs_owner *owner_of(struct qs_ledger *ledger, const char *name)
{
	struct qs_owner *owner;

	ck_assert_int_eq(qs_ledger_owner(ledger, name, &owner), 0);
	return owner;
}

/* No ck_assert while all is well: each of them tells the runner where it is, a million times. */
static struct qs_record *open_task(struct qs_ledger *ledger, struct qs_owner *owner, uint64_t now)
{
	struct qs_record *record = NULL;

	if (qs_ledger_open(ledger, owner, QS_KIND_PROCESS, "task", now, &record) != 0)
		ck_abort_msg("no record");
	return record;
}

static uint64_t count_used(const struct qs_ledger *ledger)
{
	uint64_t cursor = 0, count = 0;

	while (qs_ledger_next(ledger, &cursor))
		count++;
	return count;
}

START_TEST(an_owner_is_made_once_for_each_name)
{
	struct qs_ledger *ledger = new_ledger();
	struct qs_owner *a = owner_of(ledger, "a"), *b = owner_of(ledger, "b"), *none = NULL;
	char longest[QS_NAME_MAX + 1];

	ck_assert_ptr_ne(a, b);
	ck_assert_ptr_eq(owner_of(ledger, "a"), a);
	ck_assert_ptr_eq(qs_ledger_first_owner(ledger), a);
	ck_assert_ptr_eq(a->next, b);
	ck_assert_ptr_null(b->next);
	ck_assert_int_eq(qs_ledger_owner(ledger, "", &none), -EINVAL);
	memset(longest, 'x', QS_NAME_MAX);
	longest[QS_NAME_MAX] = '\0';
	ck_assert_int_eq(qs_ledger_owner(ledger, longest, &none), -ENAMETOOLONG);
	ck_assert_ptr_null(none);
	longest[QS_NAME_MAX - 1] = '\0';
	ck_assert_str_eq(owner_of(ledger, longest)->name, longest);
	qs_ledger_free(ledger);
}
END_TEST

START_TEST(started_is_what_lives_and_what_ended)
{
	struct qs_ledger *ledger = new_ledger();
	struct qs_owner *owner = owner_of(ledger, "w");
	struct qs_record *records[100];

	for (unsigned i = 0; i < ARRAY_SIZE(records); i++)
		records[i] = open_task(ledger, owner, i + 1);
	ck_assert_uint_eq(qs_ledger_live(ledger), 100);
	for (unsigned i = 0; i < 60; i++)
		qs_ledger_close(ledger, records[i], i % 2 ? QS_VERDICT_KILLED : QS_VERDICT_STOPPED,
		        exit_3, 200);
	ck_assert_uint_eq(owner->started, 100);
	ck_assert_uint_eq(owner->ended[QS_VERDICT_KILLED], 30);
	ck_assert_uint_eq(owner->ended[QS_VERDICT_STOPPED], 30);
	ck_assert_uint_eq(qs_ledger_live(ledger), 40);
	ck_assert_uint_eq(count_used(ledger), 40);
	qs_ledger_free(ledger);
}
END_TEST

START_TEST(the_depth_of_a_fibers_stack_is_kept_with_its_ending)
{
	struct qs_ledger *ledger = new_ledger();
	struct qs_owner *owner;
	struct qs_record *fiber, *process;
	struct qs_record_copy copy;

	ck_assert_int_eq(qs_ledger_owner(ledger, "owner", &owner), 0);
	ck_assert_int_eq(qs_ledger_open(ledger, owner, QS_KIND_FIBER, "f", 1, &fiber), 0);
	ck_assert_int_eq(qs_ledger_open(ledger, owner, QS_KIND_PROCESS, "p", 1, &process), 0);
	fiber->stack = 12288;
	process->pid = 77;
	ck_assert(qs_ledger_read(fiber, &copy));
	ck_assert_uint_eq(copy.stack, 12288);
	ck_assert_int_eq(copy.pid, 0);
	ck_assert(qs_ledger_read(process, &copy));
	ck_assert_uint_eq(copy.stack, 0);
	ck_assert_int_eq(copy.pid, 77);
	qs_ledger_close(ledger, fiber, QS_VERDICT_FINISHED, exit_3, 2);
	qs_ledger_close(ledger, process, QS_VERDICT_FINISHED, exit_3, 2);
	ck_assert_uint_eq(owner->endings[0].stack, 12288);
	ck_assert_uint_eq(owner->endings[1].stack, 0);
	qs_ledger_free(ledger);
}
END_TEST

START_TEST(an_id_is_never_used_again_but_a_slot_is)
{
	struct qs_ledger *ledger = new_ledger();
	struct qs_record *record = open_task(ledger, NULL, 1), *again;
	uint64_t id = record->id;
	struct qs_record_copy copy;

	record->asked_at = 2;
	record->rung = QS_RUNG_KILL;
	record->cause = QS_CAUSE_API;
	record->polled_at = 3;
	record->waiting_on = "sleep";
	record->pid = 77;
	qs_ledger_close(ledger, record, QS_VERDICT_KILLED, exit_3, 4);
	ck_assert(!qs_ledger_read(record, &copy));
	ck_assert_int_eq(qs_ledger_open(ledger, NULL, QS_KIND_STEP, NULL, 5, &again), 0);
	ck_assert_ptr_eq(again, record);
	ck_assert(qs_ledger_read(again, &copy));
	ck_assert_int_eq(again->pid, 0);
	ck_assert_uint_gt(copy.id, id);
	ck_assert_int_eq(copy.kind, QS_KIND_STEP);
	ck_assert_int_eq(copy.rung, QS_RUNG_NONE);
	ck_assert_int_eq(copy.cause, QS_CAUSE_NONE);
	ck_assert_int_eq(copy.verdict, QS_VERDICT_NONE);
	ck_assert_int_eq(copy.outcome.type, QS_OUTCOME_NONE);
	ck_assert_uint_eq(copy.started_at, 5);
	ck_assert_uint_eq(copy.asked_at + copy.ended_at + copy.polled_at, 0);
	ck_assert_int_eq(copy.pid, 0);
	ck_assert_ptr_null(copy.waiting_on);
	ck_assert_str_eq(copy.name, "");
	qs_ledger_free(ledger);
}
END_TEST

START_TEST(a_long_name_is_cut_at_a_characters_edge)
{
	struct qs_ledger *ledger = new_ledger();
	struct qs_record *record;

	ck_assert_int_eq(qs_ledger_open(ledger, NULL, QS_KIND_STEP,
	                         "123456789-123456789-123456789-\xc3\xa9\xc3\xa9", 1, &record),
	        0);
	ck_assert_str_eq(record->name, "123456789-123456789-123456789-");
	qs_ledger_free(ledger);
}
END_TEST

START_TEST(the_latest_endings_are_kept_in_a_ring)
{
	struct qs_ledger *ledger = new_ledger();
	struct qs_owner *owner = owner_of(ledger, "w");

	ck_assert_ptr_null(owner->endings);
	for (uint64_t i = 1; i <= 100; i++) {
		struct qs_record *record = open_task(ledger, owner, i);

		record->asked_at = i + 1;
		record->rung = QS_RUNG_ASK;
		record->cause = QS_CAUSE_RELOAD;
		qs_ledger_close(ledger, record, QS_VERDICT_FAILED, exit_3, i + 2);
	}
	ck_assert_uint_eq(owner->endings_count, 100);
	for (uint64_t i = 100; i > 100 - QS_ENDINGS_KEPT; i--) {
		const struct qs_ending *ending = &owner->endings[(i - 1) % QS_ENDINGS_KEPT];

		ck_assert_uint_eq(ending->id, i);
		ck_assert_uint_eq(ending->started_at, i);
		ck_assert_uint_eq(ending->asked_at, i + 1);
		ck_assert_uint_eq(ending->ended_at, i + 2);
		ck_assert_uint_eq(ending->verdict, QS_VERDICT_FAILED);
		ck_assert_uint_eq(ending->cause, QS_CAUSE_RELOAD);
		ck_assert_uint_eq(ending->rung, QS_RUNG_ASK);
		ck_assert_int_eq(ending->outcome.value, 3);
	}
	qs_ledger_free(ledger);
}
END_TEST

START_TEST(what_ends_is_retained_from_then_on)
{
	struct qs_ledger *ledger = new_ledger();
	struct qs_record *before = open_task(ledger, NULL, 1);
	struct qs_record *after = open_task(ledger, NULL, 2);
	struct qs_outcome crash = {
		.type = QS_OUTCOME_SIGNAL, .value = 11, .core_dumped = true, .out_of_memory = true
	};
	struct qs_record_copy copy;

	qs_ledger_close(ledger, before, QS_VERDICT_FINISHED, exit_3, 3);
	qs_ledger_retain(ledger);
	qs_ledger_close(ledger, after, QS_VERDICT_FAILED, crash, 4);
	ck_assert_uint_eq(count_used(ledger), 1);
	ck_assert_uint_eq(qs_ledger_live(ledger), 0);
	ck_assert(qs_ledger_read(after, &copy));
	ck_assert_int_eq(copy.verdict, QS_VERDICT_FAILED);
	ck_assert_uint_eq(copy.ended_at, 4);
	ck_assert_int_eq(copy.outcome.type, QS_OUTCOME_SIGNAL);
	ck_assert_int_eq(copy.outcome.value, 11);
	ck_assert(copy.outcome.core_dumped && copy.outcome.out_of_memory);
	for (unsigned i = 0; i < 200; i++)
		ck_assert_ptr_ne(open_task(ledger, NULL, 5), after);
	qs_ledger_free(ledger);
}
END_TEST

START_TEST(a_verdict_is_given_only_once)
{
	struct qs_ledger *ledger = new_ledger();
	struct qs_owner *owner = owner_of(ledger, "w");
	struct qs_record *record = open_task(ledger, owner, 1);

	qs_ledger_retain(ledger);
	qs_ledger_close(ledger, record, QS_VERDICT_STOPPED, exit_3, 2);
	qs_ledger_close(ledger, record, QS_VERDICT_KILLED, exit_3, 3);
	ck_assert_int_eq(record->verdict, QS_VERDICT_STOPPED);
	ck_assert_uint_eq(record->ended_at, 2);
	ck_assert_uint_eq(owner->ended[QS_VERDICT_KILLED], 0);
	ck_assert_uint_eq(qs_ledger_live(ledger), 0);
	qs_ledger_free(ledger);
}
END_TEST

START_TEST(closed_books_abandon_what_lives_and_admit_nothing)
{
	struct qs_ledger *ledger = new_ledger();
	struct qs_owner *owner = owner_of(ledger, "w");
	struct qs_record *record = open_task(ledger, owner, 1), *late = NULL;

	qs_ledger_close_books(ledger, 9);
	ck_assert_int_eq(record->verdict, QS_VERDICT_ABANDONED);
	ck_assert_uint_eq(record->ended_at, 9);
	qs_ledger_close(ledger, record, QS_VERDICT_STOPPED, exit_3, 10);
	ck_assert_int_eq(record->verdict, QS_VERDICT_ABANDONED);
	ck_assert_uint_eq(owner->ended[QS_VERDICT_ABANDONED], 1);
	ck_assert_uint_eq(owner->ended[QS_VERDICT_STOPPED], 0);
	ck_assert_int_eq(
	        qs_ledger_open(ledger, owner, QS_KIND_STEP, "late", 11, &late), -ESHUTDOWN);
	ck_assert_ptr_null(late);
	ck_assert_uint_eq(owner->started, 1);
	qs_ledger_free(ledger);
}
END_TEST

/* The shadow of a million records takes ThreadSanitizer most of a minute. */
#ifdef QUIESCE_TSAN
#define MILLION 50000
#else
#define MILLION 1000000
#endif

START_TEST(a_million_tasks_live_at_once_and_never_move)
{
	struct qs_ledger *ledger = new_ledger();
	struct qs_owner *owner = owner_of(ledger, "w");
	struct qs_record **records = malloc(MILLION * sizeof(struct qs_record *));

	ck_assert_ptr_nonnull(records);
	for (unsigned i = 0; i < MILLION; i++)
		records[i] = open_task(ledger, owner, i + 1);
	for (unsigned i = 0; i < MILLION; i++)
		if (records[i]->id != i + 1 || records[i]->started_at != i + 1)
			ck_abort_msg("record %u", i);
	ck_assert_uint_eq(count_used(ledger), MILLION);
	for (unsigned i = 0; i < MILLION; i++)
		qs_ledger_close(ledger, records[i], QS_VERDICT_STOPPED, exit_3, MILLION + 1);
	ck_assert_uint_eq(count_used(ledger), 0);
	ck_assert_uint_eq(owner->ended[QS_VERDICT_STOPPED], MILLION);
	free(records);
	qs_ledger_free(ledger);
}
END_TEST

START_TEST(without_memory_nothing_is_counted_and_only_history_is_lost)
{
	struct qs_ledger *ledger = NULL;
	struct qs_owner *owner = NULL;
	struct qs_record *record = NULL;

	budget = 0;
	ck_assert_int_eq(qs_ledger_new(&ledger), -ENOMEM);
	ck_assert_ptr_null(ledger);
	budget = 1;
	ck_assert_int_eq(qs_ledger_new(&ledger), 0);
	ck_assert_int_eq(qs_ledger_owner(ledger, "w", &owner), -ENOMEM);
	ck_assert_ptr_null(qs_ledger_first_owner(ledger));
	budget = 1;
	ck_assert_int_eq(qs_ledger_owner(ledger, "w", &owner), 0);
	ck_assert_int_eq(qs_ledger_open(ledger, owner, QS_KIND_STEP, "t", 1, &record), -ENOMEM);
	ck_assert_uint_eq(owner->started, 0);
	ck_assert_uint_eq(qs_ledger_live(ledger), 0);
	budget = 1;
	ck_assert_int_eq(qs_ledger_open(ledger, owner, QS_KIND_STEP, "t", 1, &record), 0);
	qs_ledger_close(ledger, record, QS_VERDICT_FINISHED, exit_3, 2);
	ck_assert_uint_eq(owner->ended[QS_VERDICT_FINISHED], 1);
	ck_assert_ptr_null(owner->endings);
	ck_assert_uint_eq(owner->endings_count, 0);
	budget = -1;
	record = open_task(ledger, owner, 3);
	qs_ledger_close(ledger, record, QS_VERDICT_FINISHED, exit_3, 4);
	ck_assert_uint_eq(owner->endings_count, 1);
	qs_ledger_free(ledger);
}
END_TEST

/* --- the reader in another thread --- */

struct reading {
	struct qs_ledger *ledger;
	_Atomic bool over;
	_Atomic uint64_t read, torn;
};

/* Each task's name, start and pid are made from its id, so that a torn copy gives itself away. */
static bool is_whole(const struct qs_record_copy *copy)
{
	char name[QS_TASK_NAME_MAX];

	(void)snprintf(name, sizeof(name), "task-%llu", (unsigned long long)copy->started_at);
	return copy->id == copy->started_at && strcmp(name, copy->name) == 0;
}

static void *read_on(void *arg)
{
	struct reading *reading = arg;

	while (!reading->over) {
		const struct qs_record *record;
		struct qs_record_copy copy;
		uint64_t cursor = 0;

		while ((record = qs_ledger_next(reading->ledger, &cursor)) != NULL) {
			if (!qs_ledger_read(record, &copy))
				continue;
			reading->read++;
			if (!is_whole(&copy))
				reading->torn++;
		}
	}
	return NULL;
}

/* The loop's side: tasks come and go in slots that are used again and again. */
static void churn(struct qs_ledger *ledger, struct qs_owner *owner, uint64_t *next_id)
{
	struct qs_record *records[200];
	char name[QS_TASK_NAME_MAX];

	for (unsigned i = 0; i < ARRAY_SIZE(records); i++, (*next_id)++) {
		(void)snprintf(name, sizeof(name), "task-%llu", (unsigned long long)*next_id);
		if (qs_ledger_open(ledger, owner, QS_KIND_FIBER, name, *next_id, &records[i]) != 0)
			ck_abort_msg("no record");
		records[i]->asked_at = *next_id;
		records[i]->cause = QS_CAUSE_API;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(records); i++)
		qs_ledger_close(ledger, records[i], QS_VERDICT_STOPPED, exit_3, *next_id);
}

START_TEST(another_thread_reads_whole_records_while_they_change_hands)
{
	struct reading reading = { .ledger = new_ledger() };
	struct qs_owner *owner = owner_of(reading.ledger, "w");
	uint64_t next_id = 1;
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, read_on, &reading), 0);
	for (unsigned round = 0; round < 200 || (reading.read < 1000 && round < 100000); round++)
		churn(reading.ledger, owner, &next_id);
	reading.over = true;
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_uint_gt(reading.read, 0);
	ck_assert_uint_eq(reading.torn, 0);
	qs_ledger_free(reading.ledger);
}
END_TEST

static void *close_books(void *arg)
{
	qs_ledger_close_books(arg, 99);
	return NULL;
}

START_TEST(loop_and_guard_together_give_each_task_one_verdict)
{
	for (unsigned round = 0; round < 50; round++) {
		struct qs_ledger *ledger = new_ledger();
		struct qs_owner *owner = owner_of(ledger, "w");
		struct qs_record *records[500];
		pthread_t thread;

		for (unsigned i = 0; i < ARRAY_SIZE(records); i++)
			records[i] = open_task(ledger, owner, 1);
		qs_ledger_retain(ledger);
		ck_assert_int_eq(pthread_create(&thread, NULL, close_books, ledger), 0);
		for (unsigned i = ARRAY_SIZE(records); i-- > 0;)
			qs_ledger_close(ledger, records[i], QS_VERDICT_STOPPED, exit_3, 98);
		ck_assert_int_eq(pthread_join(thread, NULL), 0);
		ck_assert_uint_eq(
		        owner->ended[QS_VERDICT_STOPPED] + owner->ended[QS_VERDICT_ABANDONED],
		        ARRAY_SIZE(records));
		ck_assert_uint_eq(qs_ledger_live(ledger), 0);
		qs_ledger_free(ledger);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ledger");
	TCase *books = tcase_create("books");
	TCase *threads = tcase_create("threads");

	tcase_add_test(books, an_owner_is_made_once_for_each_name);
	tcase_add_test(books, started_is_what_lives_and_what_ended);
	tcase_add_test(books, the_depth_of_a_fibers_stack_is_kept_with_its_ending);
	tcase_add_test(books, an_id_is_never_used_again_but_a_slot_is);
	tcase_add_test(books, a_long_name_is_cut_at_a_characters_edge);
	tcase_add_test(books, the_latest_endings_are_kept_in_a_ring);
	tcase_add_test(books, what_ends_is_retained_from_then_on);
	tcase_add_test(books, a_verdict_is_given_only_once);
	tcase_add_test(books, closed_books_abandon_what_lives_and_admit_nothing);
	tcase_add_test(books, a_million_tasks_live_at_once_and_never_move);
	tcase_add_test(books, without_memory_nothing_is_counted_and_only_history_is_lost);
	tcase_add_test(threads, another_thread_reads_whole_records_while_they_change_hands);
	tcase_add_test(threads, loop_and_guard_together_give_each_task_one_verdict);
	suite_add_tcase(suite, books);
	suite_add_tcase(suite, threads);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
