/* Memory runs out at every single allocation of reading: -ENOMEM, and nothing stays behind. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "daemon/config_internal.h"

static long budget = -1; /* allocations until they fail; below 0: never */
static long live;        /* blocks that are out */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t size);
void __real_free(void *memory);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t size);
void __wrap_free(void *memory);

static bool spend(void)
{
	if (budget == 0)
		return false;
	budget -= budget > 0;
	return true;
}

static void *counted(void *memory)
{
	live += memory != NULL;
	return memory;
}

void *__wrap_malloc(size_t size)
{
	return spend() ? counted(__real_malloc(size)) : NULL;
}

void *__wrap_calloc(size_t count, size_t size)
{
	return spend() ? counted(__real_calloc(count, size)) : NULL;
}

void *__wrap_realloc(void *memory, size_t size)
{
	if (!spend())
		return NULL;
	return memory ? __real_realloc(memory, size) : counted(__real_realloc(NULL, size));
}

char *__wrap_strdup(const char *text)
{
	return spend() ? counted(__real_strdup(text)) : NULL;
}

char *__wrap_strndup(const char *text, size_t size)
{
	return spend() ? counted(__real_strndup(text, size)) : NULL;
}

void __wrap_free(void *memory)
{
	live -= memory != NULL;
	__real_free(memory);
}

static const char good[] =
        "shutdown: { deadline: 5s }\n"
        "control: { socket: /run/x, group: g }\n"
        "workers:\n"
        "  a: &a\n"
        "    exec: [x, 1, \"$${credential:x} and more\"]\n"
        "    environment: { A: b, C: d }\n"
        "    working_directory: /\n"
        "    stop: { success: [1, 2] }\n"
        "  b: { exec: [x], after: [a] }\n"
        "  c: *a\n  d: *a\n  e: *a\n  f: *a\n  g: *a\n  h: *a\n  i: *a\n"
        "  late: { exec: [x], backoff: { base: 1h, cap: 1h }, limit: { count: 9, within: 1s } }\n";

static const char bad[] = "shutdown: { deadlin: 5s, drain: x, drain: [] }\n"
                          "workers:\n"
                          "  a: { exec: [x, ~], after: [b, c] }\n"
                          "  b: { exec: [\"${credential:x}\", x], after: [a] }\n"
                          "  b: { exec: x, environment: { A: ~, 1: 2, A: 3 } }\n"
                          "  c: x\n  d: x\n  e: x\n  f: x\n";

/* Reads with ever more memory until it suffices; returns what came out then. */
static int read_starving(const char *yaml, long *ret_rounds)
{
	int r = -ENOMEM;
	long rounds = 0;
	for (; r == -ENOMEM && rounds < 5000; rounds++) {
		struct config *config = NULL;
		struct config_errors errors = { 0 };
		long before = live;
		budget = rounds;
		r = config_read_text("a.yaml", yaml, strlen(yaml), &config, &errors);
		budget = -1;
		if (r == -ENOMEM && (config || errors.text || errors.warnings))
			ck_abort_msg("something was given out after %ld allocations", rounds);
		config_free(config);
		config_errors_done(&errors);
		if (live != before)
			ck_abort_msg(
			        "%ld blocks left after %ld allocations", live - before, rounds);
	}
	*ret_rounds = rounds;
	return r;
}

START_TEST(a_good_file_leaves_nothing_behind_wherever_memory_ends)
{
	long rounds;
	ck_assert_int_eq(read_starving(good, &rounds), 0);
	ck_assert_int_gt(rounds, 100);
}
END_TEST

START_TEST(a_bad_file_leaves_nothing_behind_wherever_memory_ends)
{
	long rounds;
	ck_assert_int_eq(read_starving(bad, &rounds), -EBADMSG);
	ck_assert_int_gt(rounds, 50);
}
END_TEST

static const char http[] = "workers:\n"
                           "  poll:\n"
                           "    when: every 1s\n"
                           "    http:\n"
                           "      url: https://h/a\n"
                           "      method: GET\n"
                           "      ca_file: /ca\n"
                           "      retry: { attempts: 2, statuses: [500], budget: 5% }\n"
                           "      expect: { status: [200], pointer: /a, equals: { b: [1, x] } }\n"
                           "      save: /f\n"
                           "  gate:\n"
                           "    when: call\n"
                           "    cache: { size: 1, headers: [A, B] }\n"
                           "    http:\n"
                           "      url: 'http://h/{{payload.id}}?q=1'\n"
                           "      headers: { A: 'x {{payload/a}}', B: y, Authorization: z }\n"
                           "      body: '{\"p\": \"{{payload.p}}\", \"q\": {{payload}}}'\n"
                           "  sum: { exec: [x], when: call, call: { type: a/b } }\n"
                           "  once: { when: once, http: { url: 'http://h/' } }\n";

START_TEST(http_leaves_nothing_behind_wherever_memory_ends)
{
	long rounds;
	ck_assert_int_eq(read_starving(http, &rounds), 0);
	ck_assert_int_gt(rounds, 100);
}
END_TEST

START_TEST(files_and_directories_leave_nothing_behind_wherever_memory_ends)
{
	int r = -ENOMEM;
	long before = live, rounds = 0;
	char path[4096];
	(void)snprintf(path, sizeof(path), "%s/tests/fuzz/corpus/config", getenv("QUIESCE_SOURCE"));
	for (; r == -ENOMEM && rounds < 20000; rounds++) {
		struct config *config = NULL;
		struct config_errors errors = { 0 };
		budget = rounds;
		r = config_read("/dev/null", path, &config, &errors);
		budget = -1;
		config_free(config);
		config_errors_done(&errors);
		if (live != before)
			ck_abort_msg(
			        "%ld blocks left after %ld allocations", live - before, rounds);
	}
	ck_assert_int_eq(r, -EBADMSG);
	ck_assert_int_gt(rounds, 200);
}
END_TEST

int main(void)
{
	json_set_alloc_funcs(malloc, free);
	Suite *suite = suite_create("config_memory");
	TCase *starving = tcase_create("starving");
	tcase_add_test(starving, a_good_file_leaves_nothing_behind_wherever_memory_ends);
	tcase_add_test(starving, a_bad_file_leaves_nothing_behind_wherever_memory_ends);
	tcase_add_test(starving, http_leaves_nothing_behind_wherever_memory_ends);
	tcase_add_test(starving, files_and_directories_leave_nothing_behind_wherever_memory_ends);
	suite_add_tcase(suite, starving);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
