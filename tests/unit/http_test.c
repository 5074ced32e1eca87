/*
 * The HTTP client by a scripted server on a virtual clock: phases, timeouts, limits, callbacks,
 * streams, and what goes with the fiber.
 */
#include <errno.h>

#include <quiesce/http_call.h>

#include "tests/unit/fiber_world.h"

static qs_http *http;
static struct qs_http_scripted script;
static struct qs_http_response response;
static int result;

static void answer(
        const struct qs_http_request *request, struct qs_http_scripted *ret_scripted, void *arg)
{
	(void)request;
	(void)arg;
	*ret_scripted = script;
}

static void open_client(void)
{
	world_open(true, 0);
	ck_assert_int_eq(qs_http_new_scripted(&world.root, answer, NULL, &http), 0);
	script = (struct qs_http_scripted){ .status = 200 };
	result = 1;
}

static void close_client(void)
{
	qs_http_free(http);
	world_close();
}

/* --- fibers --- */

static struct qs_http_request request;
static uint64_t wait_until;

static int perform(qs_task *self, void *arg)
{
	(void)arg;
	result = qs_http_perform(self, http, &request, wait_until, &response);
	return 0;
}

static void perform_at_once(void)
{
	wait_until = wait_until ? wait_until : QS_FOREVER;
	world_send_off(&world.root, perform, NULL);
	world_run();
}

START_TEST(an_answer_comes_with_its_headers_and_its_body)
{
	const struct qs_http_header headers[] = { { "Content-Type", "text/plain" }, { "Empty", "" },
		{ 0 } };

	open_client();
	request = (struct qs_http_request){ .url = "http://user:secret@api.example:80/?key=1" };
	script.headers = headers;
	script.body = "hello";
	script.body_size = 5;
	script.delay = 3 * QS_SEC;
	perform_at_once();
	ck_assert_int_eq(result, 0);
	ck_assert_int_eq(response.status, 200);
	ck_assert_str_eq(response.body, "hello");
	ck_assert_uint_eq(response.body_size, 5);
	ck_assert_str_eq(qs_http_response_header(&response, "content-type"), "text/plain");
	ck_assert_str_eq(qs_http_response_header(&response, "EMPTY"), "");
	ck_assert_ptr_null(qs_http_response_header(&response, "absent"));
	ck_assert_str_eq(response.host, "api.example");
	ck_assert_int_eq(response.phase, QS_HTTP_OVER);
	ck_assert_uint_eq(response.received, 5);
	ck_assert_uint_eq(response.times.total, 3 * QS_SEC);
	qs_http_response_done(&response);
	close_client();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("http");
	TCase *answers = tcase_create("answers");

	tcase_add_test(answers, an_answer_comes_with_its_headers_and_its_body);
	suite_add_tcase(suite, answers);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
