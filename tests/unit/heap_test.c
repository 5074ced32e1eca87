/* The heap against a model that is too simple to be wrong, and its promises about memory. */
#include "lib/heap.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "tests/unit/budget.h"

#define NODES 300

static struct heap heap;
static struct heap_node nodes[NODES];
static uint64_t orders[NODES], last_order; /* the model's */

static void set_up(void)
{
	heap = (struct heap){ 0 };
	for (size_t i = 0; i < NODES; i++)
		nodes[i] = (struct heap_node){ 0 };
}

static void tear_down(void)
{
	budget = -1;
	heap_done(&heap);
}

/* The node which has to be first, found by looking at all. */
static struct heap_node *model_first(void)
{
	struct heap_node *first = NULL;

	for (size_t i = 0; i < NODES; i++) {
		struct heap_node *node = &nodes[i];

		if (node->index == HEAP_NOT_IN)
			continue;
		uint64_t key = heap_key(&heap, node), earliest = first ? heap_key(&heap, first) : 0;
		if (!first || key < earliest ||
		        (key == earliest && orders[i] < orders[first - nodes]))
			first = node;
	}
	return first;
}

START_TEST(an_empty_heap_has_no_first)
{
	ck_assert_ptr_null(heap_first(&heap));
}
END_TEST

START_TEST(equal_keys_come_in_the_order_they_were_added)
{
	for (size_t i = 0; i < NODES; i++)
		ck_assert_int_eq(heap_add(&heap, &nodes[i], 7), 0);
	for (size_t i = 0; i < NODES; i++) {
		ck_assert_ptr_eq(heap_first(&heap), &nodes[i]);
		heap_remove(&heap, &nodes[i]);
	}
	ck_assert_uint_eq(heap.count, 0);
}
END_TEST

START_TEST(an_updated_node_queues_up_again_behind_its_equals)
{
	for (size_t i = 0; i < 3; i++)
		ck_assert_int_eq(heap_add(&heap, &nodes[i], 7), 0);
	heap_update(&heap, &nodes[0], 7);
	ck_assert_ptr_eq(heap_first(&heap), &nodes[1]);
	heap_update(&heap, &nodes[2], 3);
	ck_assert_ptr_eq(heap_first(&heap), &nodes[2]);
}
END_TEST

START_TEST(a_node_in_no_heap_is_left_alone_by_remove)
{
	ck_assert_int_eq(heap_add(&heap, &nodes[0], 1), 0);
	heap_remove(&heap, &nodes[1]);
	ck_assert_uint_eq(heap.count, 1);
	heap_remove(&heap, &nodes[0]);
	heap_remove(&heap, &nodes[0]);
	ck_assert_uint_eq(heap.count, 0);
}
END_TEST

/* _i is the seed. */
START_TEST(any_sequence_of_changes_keeps_the_earliest_first)
{
	unsigned seed = (unsigned)_i;

	for (int step = 0; step < 3000; step++) {
		struct heap_node *node = &nodes[(unsigned)rand_r(&seed) % NODES];
		uint64_t key = (unsigned)rand_r(&seed) % 50;

		orders[node - nodes] = ++last_order;
		if (node->index == HEAP_NOT_IN)
			ck_assert_int_eq(heap_add(&heap, node, key), 0);
		else if (key % 2)
			heap_update(&heap, node, key);
		else
			heap_remove(&heap, node);
		ck_assert_ptr_eq(heap_first(&heap), model_first());
	}
	for (struct heap_node *first; (first = heap_first(&heap));) {
		ck_assert_ptr_eq(first, model_first());
		heap_remove(&heap, first);
	}
}
END_TEST

START_TEST(reserved_room_cannot_fail_and_the_rest_says_so)
{
	int added = 0, refused, huge;

	ck_assert_int_eq(heap_reserve(&heap, 100), 0);
	ck_assert_uint_lt(heap.capacity, NODES);
	budget = 0;
	while (heap.count < heap.capacity)
		added |= heap_add(&heap, &nodes[heap.count], heap.count);
	refused = heap_add(&heap, &nodes[NODES - 1], 0);
	huge = heap_reserve(&heap, SIZE_MAX);
	budget = -1;
	ck_assert_int_eq(added, 0);
	ck_assert_uint_ge(heap.count, 100);
	ck_assert_int_eq(refused, -ENOMEM);
	ck_assert_uint_eq(nodes[NODES - 1].index, HEAP_NOT_IN);
	ck_assert_int_eq(huge, -ENOMEM);
}
END_TEST

START_TEST(done_lets_go_of_every_node)
{
	for (size_t i = 0; i < NODES; i++)
		ck_assert_int_eq(heap_add(&heap, &nodes[i], i), 0);
	heap_done(&heap);
	for (size_t i = 0; i < NODES; i++)
		ck_assert_uint_eq(nodes[i].index, HEAP_NOT_IN);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("heap");
	TCase *tcase = tcase_create("heap");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, an_empty_heap_has_no_first);
	tcase_add_test(tcase, equal_keys_come_in_the_order_they_were_added);
	tcase_add_test(tcase, an_updated_node_queues_up_again_behind_its_equals);
	tcase_add_test(tcase, a_node_in_no_heap_is_left_alone_by_remove);
	tcase_add_loop_test(tcase, any_sequence_of_changes_keeps_the_earliest_first, 0, 20);
	tcase_add_test(tcase, reserved_room_cannot_fail_and_the_rest_says_so);
	tcase_add_test(tcase, done_lets_go_of_every_node);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
