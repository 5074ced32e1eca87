/* The cache by itself: what goes first, how much it holds, and who holds what. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/cache.h"
#include "lib/http.h"
#include "lib/supervise.h"

#define NOW (100 * QS_SEC)
#define TTL QS_MIN

static struct qs_cache cache;
static struct qs_seam seam;

static void set_up(void)
{
	seam = (struct qs_seam){ 0 };
	qs_seam = &seam;
	ck_assert_int_eq(qs_cache_init(&cache, 100000, TTL), 0);
}

static void tear_down(void)
{
	qs_cache_done(&cache);
	ck_assert_uint_eq(cache.size, 0);
	qs_seam = NULL;
	ck_assert_int_eq(seam.live, 0);
}

static struct qs_digest digest_of(unsigned number)
{
	struct qs_random random = { .state = number };
	struct qs_digest digest;

	for (size_t i = 0; i < sizeof(digest.bytes); i += 8) {
		uint64_t bits = qs_random_next(&random);

		memcpy(&digest.bytes[i], &bits, sizeof(bits));
	}
	return digest;
}

static struct qs_cache_value *make_value(unsigned number, size_t size)
{
	struct qs_cache_value *value = qs_cache_value_new();
	char *body = qs_calloc(1, size + 1);

	ck_assert(value && body);
	value->response.status = (int)number;
	value->response.body = body;
	value->response.body_size = size;
	return value;
}

static void put(unsigned number, size_t size, uint64_t now)
{
	struct qs_digest digest = digest_of(number);
	struct qs_cache_value *value = make_value(number, size);

	qs_cache_put(&cache, &digest, value, now);
	qs_cache_value_release(value);
}

/* The status that is kept under that number; 0: nothing is. */
static int found(unsigned number, uint64_t now)
{
	struct qs_digest digest = digest_of(number);
	struct qs_cache_value *value = qs_cache_find(&cache, &digest, now);
	int status = value ? value->response.status : 0;

	qs_cache_value_release(value);
	return status;
}

START_TEST(what_was_put_there_is_found_until_its_time_is_over)
{
	put(1, 10, NOW);
	ck_assert_int_eq(found(1, NOW), 1);
	ck_assert_int_eq(found(2, NOW), 0);
	ck_assert_int_eq(found(1, NOW + TTL - 1), 1);
	ck_assert_int_eq(found(1, NOW + TTL), 0);
	ck_assert_uint_eq(qs_cache_count(&cache), 0);
}
END_TEST

START_TEST(to_be_found_does_not_make_it_younger)
{
	put(1, 10, NOW);
	put(2, 10, NOW + 1);
	ck_assert_int_eq(found(1, NOW + TTL - 1), 1);
	ck_assert_int_eq(found(2, NOW + TTL), 2);
	ck_assert_uint_eq(qs_cache_count(&cache), 1);
}
END_TEST

START_TEST(what_is_over_goes_when_anybody_comes_by)
{
	for (unsigned i = 1; i <= 10; i++)
		put(i, 10, NOW);
	ck_assert_int_eq(found(99, NOW + TTL), 0);
	ck_assert_uint_eq(qs_cache_count(&cache), 0);
	ck_assert_uint_eq(cache.size, 0);
}
END_TEST

START_TEST(the_least_lately_used_goes_first)
{
	put(1, 30000, NOW);
	put(2, 30000, NOW);
	put(3, 30000, NOW);
	ck_assert_int_eq(found(1, NOW), 1);
	put(4, 30000, NOW);
	ck_assert_int_eq(found(2, NOW), 0);
	ck_assert_int_eq(found(1, NOW), 1);
	ck_assert_int_eq(found(3, NOW), 3);
	ck_assert_int_eq(found(4, NOW), 4);
}
END_TEST

START_TEST(all_bytes_count)
{
	struct qs_http_header headers[] = { { "A", "b" }, { 0 } };
	struct qs_digest digest = digest_of(1);
	struct qs_cache_value *value = make_value(1, 1000);

	value->response.headers = headers;
	qs_cache_put(&cache, &digest, value, NOW);
	ck_assert_uint_ge(cache.size, sizeof(*value) + 1001 + sizeof(headers) + 4);
	qs_cache_value_release(value);
	put(2, 0, NOW);
	ck_assert_uint_ge(cache.size, 2 * sizeof(*value) + 1001 + sizeof(headers) + 4);
}
END_TEST

START_TEST(what_is_too_large_is_not_kept_and_drives_nothing_out)
{
	put(1, 10, NOW);
	put(2, 100000, NOW);
	ck_assert_int_eq(found(1, NOW), 1);
	ck_assert_int_eq(found(2, NOW), 0);
}
END_TEST

START_TEST(another_under_the_same_digest_takes_its_place)
{
	struct qs_digest digest = digest_of(1);
	struct qs_cache_value *value = make_value(7, 10);

	put(1, 10, NOW);
	qs_cache_put(&cache, &digest, value, NOW);
	qs_cache_value_release(value);
	ck_assert_int_eq(found(1, NOW), 7);
	ck_assert_uint_eq(qs_cache_count(&cache), 1);
}
END_TEST

START_TEST(who_holds_a_value_keeps_it)
{
	struct qs_digest digest = digest_of(1);
	struct qs_cache_value *value;

	put(1, 10, NOW);
	value = qs_cache_find(&cache, &digest, NOW);
	ck_assert_int_eq(found(1, NOW + TTL), 0);
	ck_assert_int_eq(value->response.status, 1);
	ck_assert_uint_eq(value->holders, 1);
	qs_cache_value_release(value);
	qs_cache_value_release(NULL);
}
END_TEST

/* Against a list that is looked through from its front. */
START_TEST(it_does_what_a_simple_one_would)
{
	struct qs_random random = { .state = (uint64_t)_i + 1 };
	unsigned kept[200], count = 0;

	for (unsigned step = 0; step < 5000; step++) {
		unsigned number = (unsigned)qs_random_below(&random, 60) + 1, at = 0;

		while (at < count && kept[at] != number)
			at++;
		ck_assert_int_eq(found(number, NOW) != 0, at < count);
		if (at < count)
			memmove(&kept[at], &kept[at + 1], (--count - at) * sizeof(*kept));
		else
			put(number, 4000, NOW);
		kept[count++] = number;
		if (count > qs_cache_count(&cache))
			memmove(&kept[0], &kept[1], --count * sizeof(*kept));
		ck_assert_uint_eq(count, qs_cache_count(&cache));
		ck_assert_uint_le(cache.size, 100000);
	}
	ck_assert_uint_gt(count, 10);
}
END_TEST

START_TEST(the_table_grows_and_does_without_where_there_is_no_memory)
{
	cache.size_max = SIZE_MAX;
	seam.fail_at = 0;
	for (unsigned i = 1; i <= 5000; i++) {
		struct qs_digest digest = digest_of(i);
		struct qs_cache_value *value = make_value(i, 0);

		seam.rate = _i == 0 ? 0 : 1000000;
		qs_cache_put(&cache, &digest, value, NOW);
		seam.rate = 0;
		qs_cache_value_release(value);
	}
	ck_assert_uint_eq(cache.table.bucket_count, _i == 0 ? 8192 : 16);
	for (unsigned i = 1; i <= 5000; i++)
		ck_assert_int_eq(found(i, NOW), (int)i);
}
END_TEST

START_TEST(one_that_cannot_be_made_can_be_done_with)
{
	struct qs_cache other;

	seam.fail_at = seam.chances + 1;
	ck_assert_int_eq(qs_cache_init(&other, 1000, TTL), -ENOMEM);
	qs_cache_done(&other);
	seam.fail_at = seam.chances + 1;
	ck_assert_ptr_null(qs_cache_value_new());
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cache");
	TCase *cases = tcase_create("cache");

	tcase_add_checked_fixture(cases, set_up, tear_down);
	tcase_add_test(cases, what_was_put_there_is_found_until_its_time_is_over);
	tcase_add_test(cases, to_be_found_does_not_make_it_younger);
	tcase_add_test(cases, what_is_over_goes_when_anybody_comes_by);
	tcase_add_test(cases, the_least_lately_used_goes_first);
	tcase_add_test(cases, all_bytes_count);
	tcase_add_test(cases, what_is_too_large_is_not_kept_and_drives_nothing_out);
	tcase_add_test(cases, another_under_the_same_digest_takes_its_place);
	tcase_add_test(cases, who_holds_a_value_keeps_it);
	tcase_add_loop_test(cases, it_does_what_a_simple_one_would, 0, 5);
	tcase_add_loop_test(cases, the_table_grows_and_does_without_where_there_is_no_memory, 0, 2);
	tcase_add_test(cases, one_that_cannot_be_made_can_be_done_with);
	suite_add_tcase(suite, cases);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
