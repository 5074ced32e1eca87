/*
 * The control socket without memory: each allocation of setting it up, of each answer, and of a
 * connection's whole life, failing in its turn. Nothing may crash, leak or stay behind.
 */
#include <event2/event.h>

#include "daemon/routes.h"
#include "tests/unit/control_fixture.h"

#define ENOUGH 100000

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);

/* In this thread so many allocations succeed, then none does. Below 0 all do. Check needs memory
 * for its own, and so do clients. */
static _Thread_local long budget = -1;

static bool spend(void)
{
	return budget < 0 || (budget > 0 && budget-- > 0);
}

void *__wrap_malloc(size_t size)
{
	return spend() ? __real_malloc(size) : NULL;
}

void *__wrap_calloc(size_t count, size_t size)
{
	return spend() ? __real_calloc(count, size) : NULL;
}

static void *budgeted_realloc(void *memory, size_t size)
{
	return spend() ? realloc(memory, size) : NULL;
}

static void set_up(void)
{
	json_set_alloc_funcs(__wrap_malloc, free);
	start_server(NULL);
}

/* evhttp 2.1 survives this when it is made, but not with a connection: what it has half built of a
 * request it frees as if it were whole. */
static void set_up_with_libevent(void)
{
	event_set_mem_functions(__wrap_malloc, budgeted_realloc, free);
	set_up();
}

/* --- the constructor --- */

START_TEST(without_memory_there_is_no_server_and_nothing_left)
{
	char other[96];
	struct control *control = NULL;
	struct control_options options = { .path = other, .listen_fd = -1 };
	long allowance;
	int r = -ENOMEM;

	stop_thread();
	snprintf(other, sizeof(other), "%s/other", directory);
	size_t before = count_descriptors();
	for (allowance = 0; r < 0 && allowance < ENOUGH; allowance++) {
		budget = allowance;
		r = control_new(&served, &options, &control);
		budget = -1;
		if (r == 0)
			break;
		ck_assert_int_eq(r, -ENOMEM);
		ck_assert_uint_eq(count_descriptors(), before);
		ck_assert_int_ne(access(other, F_OK), 0);
	}
	ck_assert_int_eq(r, 0);
	ck_assert_int_gt(allowance, 5);
	control_free(control);
	ck_assert_uint_eq(count_descriptors(), before);
	stop_parts();
}
END_TEST

/* --- answers --- */

static int answers, bodies, status;

static void fake_respond(_unused_ struct request *request, const struct answer *answer)
{
	answers++;
	status = answer->status;
	bodies += answer->body != NULL;
	if (answer->owned)
		free((void *)answer->body);
}

static const struct transport fake_transport = { .respond = fake_respond };

static int get(const char *path, long allowance)
{
	struct request request = { .transport = &fake_transport,
		.daemon = &served,
		.method = METHOD_GET,
		.path = path,
		.query = "" };

	answers = bodies = status = 0;
	budget = allowance;
	routes_dispatch(&request);
	budget = -1;
	ck_assert_int_eq(answers, 1);
	ck_assert_int_eq(bodies, 1);
	return status;
}

static void starve(const char *path)
{
	int wanted = get(path, -1);
	long allowance = 0;

	while (get(path, allowance) != wanted && allowance < ENOUGH) {
		ck_assert_int_eq(status, 500);
		allowance++;
	}
	ck_assert_int_lt(allowance, ENOUGH);
}

START_TEST(without_memory_an_answer_says_so)
{
	stop_thread();
	starve("/livez");
	starve("/readyz");
	starve("/v1/status");
	starve("/v1/workers");
	starve("/v1/workers/steady");
	starve("/v1/workers/nobody");
	starve("/nothing");
	stop_parts();
}
END_TEST

/* --- connections --- */

static void set_budget(void *arg)
{
	budget = *(long *)arg;
}

static void do_nothing(_unused_ void *arg)
{
}

/*
 * For some turns there is no memory, then there is again. What it gets is one thing; that the next
 * is served as ever, the other.
 */
static void ask_starving(long allowance, const char *line)
{
	long plenty = -1;
	char text[256];
	int fd = dial();

	snprintf(text, sizeof(text), "%s HTTP/1.1\r\nConnection: close\r\n\r\n", line);
	in_loop(set_budget, &allowance);
	say(fd, text);
	for (int turns = 0; turns < 20; turns++)
		in_loop(do_nothing, NULL);
	in_loop(set_budget, &plenty);
	ck_assert(hear(fd, NULL));
	ck_assert(heard_size == 0 || status_heard() > 0);
	close(fd);
}

START_TEST(without_memory_a_connection_ends_and_the_next_is_served)
{
	for (long allowance = 0; allowance < 60; allowance++) {
		ask_starving(allowance, "GET /v1/workers/steady");
		ask_starving(allowance, "POST /v1/workers/steady/start?wait=1ms");
		ck_assert_int_eq(ask("GET /livez"), 200);
	}
	stop_server();
}
END_TEST

static Suite *memory_suite(void)
{
	Suite *suite = suite_create("control_memory");
	TCase *making = tcase_create("making"), *memory = tcase_create("serving");

	tcase_add_checked_fixture(making, set_up_with_libevent, NULL);
	tcase_add_test(making, without_memory_there_is_no_server_and_nothing_left);
	suite_add_tcase(suite, making);
	tcase_add_checked_fixture(memory, set_up, NULL);
	tcase_add_test(memory, without_memory_an_answer_says_so);
	tcase_add_test(memory, without_memory_a_connection_ends_and_the_next_is_served);
	suite_add_tcase(suite, memory);
	return suite;
}

int main(void)
{
	SRunner *runner = srunner_create(memory_suite());

	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
