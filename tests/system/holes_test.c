/*
 * Whatever a request is stuck in, a stop ends it by the deadline, and the log and the report say
 * where it was stuck. How much later than the deadline the daemon has gone is printed.
 */
#include <inttypes.h>
#include <signal.h>

#include "tests/system/calls_scene.h"

#define DEADLINE_MS 300
#define LATE_MS     5000 /* by so much a busy machine may hold it up; the benchmarks are stricter */

/* %s and %S are the server's URLs, %H the silent one without its scheme. */
static const struct hole {
	const char *name, *url, *waits;
	const char *option;   /* of the server */
	bool resolver, proxy; /* that never answer */
} holes[] = {
	{ .name = "accepts and never answers", .url = "%s/silent", .waits = ": waiting, " },
	{ .name = "hears nothing at all", .url = "%S/x", .waits = ": waiting, " },
	{ .name = "a byte a second",
	        .url = "%s/trickle?every=1000&size=1000",
	        .waits = ": receiving, " },
	{ .name = "a head by bytes",
	        .url = "%s/slowhead?every=1000",
	        .waits = ": waiting, |: receiving, " },
	{ .name = "a stream without events",
	        .url = "%s/stream?every=100000&events=0",
	        .waits = ": receiving, " },
	{ .name = "no end of connecting",
	        .url = "%S/x",
	        .waits = ": connecting, ",
	        .option = "--stall-accept" },
	{ .name = "no end of shaking hands", .url = "https://%H/x", .waits = ": connecting, " },
	{ .name = "a dead proxy",
	        .url = "http://api.invalid/x",
	        .waits = "api.invalid: waiting, ",
	        .proxy = true },
	{ .name = "a dead proxy before TLS",
	        .url = "https://api.invalid/x",
	        .waits = "api.invalid: connecting, ",
	        .proxy = true },
	{ .name = "a resolver that is a black hole",
	        .url = "http://api.example/x",
	        .waits = "api.example: resolving, ",
	        .resolver = true },
};

static void fill_in(const char *format, char *to)
{
	for (; *format; format++) {
		if (format[0] != '%') {
			*to++ = *format;
			continue;
		}
		format++;
		to = stpcpy(to, *format == 's'   ? server.url
		                : *format == 'S' ? server.silent_url
		                                 : server.silent_url + strlen("http://"));
	}
	*to = '\0';
}

/* What the daemon has of the environment, and only the daemon. */
static void launch(const struct hole *hole)
{
	char library[512];

	snprintf(library, sizeof(library), "%s/lib/blocked-resolver.so", getenv("QUIESCE_BUILD"));
	if (hole->resolver) {
		ck_assert_int_eq(access(library, R_OK), 0);
		setenv("LD_PRELOAD", library, 1);
		setenv("ASAN_OPTIONS", "verify_asan_link_order=0", 1);
	}
	if (hole->proxy) {
		setenv("http_proxy", server.silent_url, 1);
		setenv("https_proxy", server.silent_url, 1);
	}
	rig_start(&rig);
	unsetenv("LD_PRELOAD");
	unsetenv("http_proxy");
	unsetenv("https_proxy");
}

/* One of several, parted by '|'. */
static bool has_one_of(const char *text, const char *wanted)
{
	char words[256], *rest = words, *word;

	snprintf(words, sizeof(words), "%s", wanted);
	while (text && (word = strsep(&rest, "|")))
		if (strstr(text, word))
			return true;
	return false;
}

/* Until the call is where it will be stuck. */
static void await_stuck(const struct hole *hole)
{
	uint64_t until = rig_now_ms() + RIG_PATIENCE_MS;
	char phase[64] = "";

	for (;;) {
		json_t *list = rig_json(&rig, "GET", "/v1/calls", 200);
		json_t *call = json_array_get(json_object_get(list, "calls"), 0);
		const char *now = json_string_value(json_object_get(call, "phase"));

		snprintf(phase, sizeof(phase), ": %s, ", now ? now : "");
		json_decref(list);
		if (has_one_of(hole->waits, phase))
			return;
		ck_assert_msg(
		        rig_now_ms() < until, "%s: stands at%s\n%s", hole->name, phase, rig.log);
	}
}

static void assert_named(const struct hole *hole)
{
	json_t *report = rig_report(&rig), *task;
	const char *waited;

	task = json_array_get(json_object_get(report, "tasks"), 0);
	waited = json_string_value(json_object_get(task, "waiting_on"));
	ck_assert_str_eq(rig_verdict(report, "hole"), "cancelled");
	ck_assert_msg(has_one_of(waited, hole->waits), "%s: waited for %s", hole->name, waited);
	ck_assert_msg(has_one_of(rig.log, hole->waits), "%s: %s", hole->name, rig.log);
	json_decref(report);
}

START_TEST(whatever_a_call_is_stuck_in_ends_by_the_deadline)
{
	const struct hole *hole = &holes[_i];
	char url[256], yaml[512];
	struct told told = { 0 };

	rig_init(&rig, "");
	http_server_start(&server, hole->option);
	fill_in(hole->url, url);
	snprintf(yaml, sizeof(yaml),
	        "shutdown: { deadline: %dms, cancel_grace: 20s }\nworkers: { hole: { when: call, "
	        "http: { url: '%s', timeout: infinity, connect_timeout: infinity } } }\n",
	        DEADLINE_MS, url);
	rig_configure(&rig, yaml);
	launch(hole);
	int fd = ask("POST", "/v1/workers/hole/call", "", "");
	await_stuck(hole);
	uint64_t begun = rig_now_ms();
	ck_assert_int_eq(rig_stop(&rig), 150);
	int64_t late = (int64_t)(rig_now_ms() - begun) - DEADLINE_MS;
	printf("%s: gone %" PRId64 " ms after the deadline\n", hole->name, late);
	ck_assert_int_lt(late, LATE_MS);
	ck_assert_int_ge(late, -1);
	assert_named(hole);
	/* Who waited hears of it: by the problem, or as the last event. */
	hear(fd, NULL, &told);
	assert_told(told, told.status == 200 ? 200 : 503, "\"verdict\":\"cancelled\"");
	told_done(&told);
	close(fd);
	if (!hole->option)
		http_server_await(&server, "silent", 0);
	http_server_stop(&server);
	rig_done(&rig);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("holes");
	TCase *tcase = tcase_create("holes");

	tcase_set_timeout(tcase, 120);
	tcase_add_loop_test(
	        tcase, whatever_a_call_is_stuck_in_ends_by_the_deadline, 0, ARRAY_SIZE(holes));
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
