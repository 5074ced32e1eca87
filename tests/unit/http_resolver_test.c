/*
 * Names: libcurl looks them up by getaddrinfo in threads, and finds the one of this program, which
 * hangs, fails or answers as the name says. A resolver that hangs holds nobody up.
 */
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>

#include "lib/macro.h"
#include "tests/http/http_server.h"
#include "tests/unit/http_world.h"

/* --- the resolver --- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool released;
static unsigned lookups, looking, most;

static void hang(void)
{
	pthread_mutex_lock(&lock);
	looking++;
	most = MAX(most, looking);
	pthread_cond_broadcast(&changed);
	while (!released)
		pthread_cond_wait(&changed, &lock);
	looking--;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

static unsigned count(const unsigned *counter)
{
	unsigned value;

	pthread_mutex_lock(&lock);
	value = *counter;
	pthread_mutex_unlock(&lock);
	return value;
}

static void release(void)
{
	pthread_mutex_lock(&lock);
	released = true;
	pthread_cond_broadcast(&changed);
	while (looking > 0)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

static int answer_with(const char *service, struct addrinfo **ret_list)
{
	struct addrinfo *info = calloc(1, sizeof(*info) + sizeof(struct sockaddr_in));
	struct sockaddr_in *address = (struct sockaddr_in *)(info + 1);

	if (!info)
		return EAI_MEMORY;
	address->sin_family = AF_INET;
	address->sin_port = htons((uint16_t)atoi(service));
	address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	*info = (struct addrinfo){ .ai_family = AF_INET,
		.ai_socktype = SOCK_STREAM,
		.ai_addrlen = sizeof(*address),
		.ai_addr = (struct sockaddr *)address };
	*ret_list = info;
	return 0;
}

__attribute__((visibility("default"))) int getaddrinfo(const char *node, const char *service,
        const struct addrinfo *hints, struct addrinfo **ret_list)
{
	(void)hints;
	pthread_mutex_lock(&lock);
	lookups++;
	pthread_mutex_unlock(&lock);
	if (strncmp(node, "hang", 4) == 0)
		hang();
	return strncmp(node, "none", 4) == 0 ? EAI_NONAME : answer_with(service, ret_list);
}

__attribute__((visibility("default"))) void freeaddrinfo(struct addrinfo *list)
{
	free(list);
}

/* --- the tests --- */

static struct http_server server;

static void set_up(void)
{
	const struct qs_http_options options = { .resolving = 4 };

	http_server_start(&server, NULL);
	world_open(false, 0);
	ck_assert_int_eq(qs_http_new(&world.root, &options, &http), 0);
}

static void tear_down(void)
{
	uint64_t began = qs_time_now();

	qs_http_free(http);
	ck_assert_uint_lt(qs_time_now() - began, QS_SEC);
	release();
	world_close();
	http_server_stop(&server);
}

static char urls[16][64];

static struct exchange exchange_with(int number, const char *host, const char *path)
{
	snprintf(urls[number], sizeof(urls[number]), "http://%s:%u%s", host, server.port, path);
	return (struct exchange){ .request = {
		                          .url = urls[number], .limits.timeout = 20 * QS_SEC } };
}

static void run(void)
{
	while (world.root.live > 0)
		(void)qs_loop_turn(world.loop, true);
}

START_TEST(a_name_leads_to_its_address)
{
	struct exchange exchange = exchange_with(0, "fine.test", "/answer?body=hello");

	exchange_perform(&exchange);
	ck_exchange(&exchange, 0, QS_HTTP_OVER);
	ck_assert_str_eq(exchange.response.body, "hello");
	ck_assert_uint_gt(exchange.response.times.resolved, 0);
	exchange_done(&exchange);
}
END_TEST

START_TEST(a_name_that_is_none_is_unreachable)
{
	struct exchange exchange = exchange_with(0, "none.test", "/");

	exchange_perform(&exchange);
	ck_exchange(&exchange, -EHOSTUNREACH, QS_HTTP_RESOLVING);
	ck_assert_str_eq(exchange.response.error, "the name cannot be resolved");
	ck_assert(!exchange.response.sent_any);
	exchange_done(&exchange);
}
END_TEST

START_TEST(a_lookup_that_hangs_ends_with_the_connect_timeout)
{
	struct exchange exchange = exchange_with(0, "hang.test", "/");

	exchange.request.limits.connect_timeout = 200 * QS_MSEC;
	exchange_perform(&exchange);
	ck_exchange(&exchange, -ETIME, QS_HTTP_RESOLVING);
	ck_assert_str_eq(exchange.response.error, "no connection within 0.2 s");
	ck_assert_uint_lt(exchange.took, 2 * QS_SEC);
	exchange_done(&exchange);
}
END_TEST

START_TEST(a_lookup_that_hangs_is_left_at_once_on_cancel)
{
	struct exchange exchange = exchange_with(0, "hang.test", "/");
	qs_task *task = world_spawn(&world.root, exchange_run, &exchange);
	uint64_t began;

	while (count(&looking) == 0)
		(void)qs_loop_turn(world.loop, false);
	began = qs_time_now();
	qs_task_cancel(task, QS_CAUSE_API);
	run();
	while (http->has_dropped)
		(void)qs_loop_turn(world.loop, true);
	ck_assert_uint_lt(qs_time_now() - began, QS_SEC);
	ck_exchange(&exchange, -ECANCELED, QS_HTTP_RESOLVING);
	ck_assert_int_eq(world_result(task).verdict, QS_VERDICT_CANCELLED);
	exchange_done(&exchange);
}
END_TEST

START_TEST(names_that_hang_are_no_more_than_allowed_and_hold_nobody_up)
{
	struct exchange hanging[8], fine;
	char host[32];

	for (int i = 0; i < 8; i++) {
		/* Of the same name one is looked up. */
		snprintf(host, sizeof(host), "hang%d.test", i % 3);
		hanging[i] = exchange_with(i, host, "/");
		hanging[i].request.limits.timeout = 500 * QS_MSEC;
		exchange_start(&hanging[i]);
	}
	fine = exchange_with(9, "fine.test", "/answer");
	fine.request.limits.timeout = 450 * QS_MSEC;
	exchange_start(&fine);
	run();
	ck_exchange(&fine, 0, QS_HTTP_OVER);
	exchange_done(&fine);
	ck_assert_uint_eq(count(&most), 3);
	for (int i = 0; i < 8; i++) {
		ck_assert_int_eq(hanging[i].result, -ETIME);
		exchange_done(&hanging[i]);
	}
}
END_TEST

START_TEST(no_more_names_than_allowed_are_looked_up_at_once)
{
	struct exchange hanging[8];
	char host[32];

	for (int i = 0; i < 8; i++) {
		snprintf(host, sizeof(host), "hang%d.test", i);
		hanging[i] = exchange_with(i, host, "/");
		hanging[i].request.limits.timeout = 300 * QS_MSEC;
		exchange_start(&hanging[i]);
	}
	run();
	ck_assert_uint_eq(count(&most), 4);
	for (int i = 0; i < 8; i++) {
		ck_exchange(&hanging[i], -ETIME, i < 4 ? QS_HTTP_RESOLVING : QS_HTTP_QUEUED);
		exchange_done(&hanging[i]);
	}
}
END_TEST

START_TEST(who_waits_for_a_name_shares_what_comes_of_it)
{
	struct exchange exchanges[8];

	for (int i = 0; i < 8; i++) {
		exchanges[i] = exchange_with(i, _i == 0 ? "none.test" : "Fine.test", "/answer");
		exchange_start(&exchanges[i]);
	}
	run();
	for (int i = 0; i < 8; i++) {
		if (_i == 0)
			ck_exchange(&exchanges[i], -EHOSTUNREACH,
			        i == 0 ? QS_HTTP_RESOLVING : QS_HTTP_QUEUED);
		else
			ck_exchange(&exchanges[i], 0, QS_HTTP_OVER);
		exchange_done(&exchanges[i]);
	}
	ck_assert_uint_eq(count(&lookups), 1);
}
END_TEST

/* The one that looked it up has gone; the next does. */
START_TEST(the_next_looks_a_name_up_when_the_first_has_left)
{
	struct exchange first = exchange_with(0, "hang.test", "/"), second = first;

	second.request.limits.timeout = 500 * QS_MSEC;
	first.deadline = world_now() + 100 * QS_MSEC;
	exchange_start(&first);
	exchange_start(&second);
	run();
	ck_exchange(&first, -ETIMEDOUT, QS_HTTP_RESOLVING);
	ck_exchange(&second, -ETIME, QS_HTTP_RESOLVING);
	ck_assert_uint_eq(count(&lookups), 2);
	exchange_done(&first);
	exchange_done(&second);
}
END_TEST

START_TEST(a_client_can_be_freed_while_lookups_hang)
{
	struct exchange exchanges[3];

	for (int i = 0; i < 3; i++) {
		exchanges[i] = exchange_with(i, "hang.test", "/");
		exchange_start(&exchanges[i]);
	}
	while (count(&looking) == 0)
		(void)qs_loop_turn(world.loop, false);
	qs_http_free(TAKE(http, NULL));
	run();
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(exchanges[i].result, -ECANCELED);
		exchange_done(&exchanges[i]);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("http_resolver");
	TCase *names = tcase_create("names");

	tcase_add_checked_fixture(names, set_up, tear_down);
	tcase_add_test(names, a_name_leads_to_its_address);
	tcase_add_test(names, a_name_that_is_none_is_unreachable);
	tcase_add_test(names, a_lookup_that_hangs_ends_with_the_connect_timeout);
	tcase_add_test(names, a_lookup_that_hangs_is_left_at_once_on_cancel);
	tcase_add_test(names, names_that_hang_are_no_more_than_allowed_and_hold_nobody_up);
	tcase_add_test(names, no_more_names_than_allowed_are_looked_up_at_once);
	tcase_add_loop_test(names, who_waits_for_a_name_shares_what_comes_of_it, 0, 2);
	tcase_add_test(names, the_next_looks_a_name_up_when_the_first_has_left);
	tcase_add_test(names, a_client_can_be_freed_while_lookups_hang);
	suite_add_tcase(suite, names);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
