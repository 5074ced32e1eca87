/*
 * The chat bot behind an API that fails: Ctrl+C took it ten minutes, for its retries slept on and
 * its requests could not be cancelled; and its images flooded the console.
 */
#include <ctype.h>
#include <signal.h>

#include "tests/system/calls_scene.h"

#define STORM      200
#define BLACK      3
#define IMAGE_SIZE 3000
#define RUN_MAX    63 /* so many letters of base64 in a row are a word or a digest */

static const char *image(void)
{
	static const char letters[] =
	        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	static char payload[IMAGE_SIZE + 64];
	uint32_t state = 1;
	char *to = stpcpy(payload, "{\"image\":\"");

	for (int i = 0; i < IMAGE_SIZE; i++) {
		state = state * 1664525 + 1013904223;
		*to++ = letters[state >> 26];
	}
	strcpy(to, "\"}");
	return payload;
}

static void assert_no_image(const char *what, const char *text)
{
	size_t run = 0;

	for (const char *at = text; *at; at++) {
		run = isalnum((unsigned char)*at) || *at == '+' || *at == '/' ? run + 1 : 0;
		ck_assert_msg(run <= RUN_MAX, "an image is in %s: %.64s", what, at - run + 1);
	}
}

static char *content(const char *name)
{
	static char text[1 << 20];
	char path[192];

	snprintf(path, sizeof(path), "%s/%s", rig.directory, name);
	FILE *file = fopen(path, "re");
	ck_assert_ptr_nonnull(file);
	text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
	fclose(file);
	return text;
}

/* Images in requests, in answers that are good, and in some that are not. */
static void show_images(void)
{
	struct told good = call("image", image()), bad = call("refused", image());

	assert_told(good, 200, "Quiesced-Source: server");
	assert_told(bad, 502, "status 200 is not expected");
	/* Whoever asked may have what came. */
	ck_assert_ptr_nonnull(strstr(bad.text, "\"upstream\":{\"status\":200"));
	told_done(&good);
	told_done(&bad);
}

static void assert_report(int duration)
{
	json_t *report = rig_report(&rig), *counts = json_object_get(report, "counts"), *task;
	char host[64];
	size_t i, named = 0;

	ck_assert_int_eq(json_integer_value(json_object_get(counts, "stopped")), STORM);
	ck_assert_int_eq(json_integer_value(json_object_get(counts, "cancelled")), BLACK);
	ck_assert_int_lt(json_integer_value(json_object_get(report, "duration_ms")), duration);
	snprintf(host, sizeof(host), "127.0.0.1:%u: waiting, ", server.silent_port);
	json_array_foreach (json_object_get(report, "tasks"), i, task) {
		const char *waited = json_string_value(json_object_get(task, "waiting_on"));

		if (strcmp(json_string_value(json_object_get(task, "worker")), "black") != 0)
			continue;
		ck_assert_msg(waited && strncmp(waited, host, strlen(host)) == 0 &&
		                      strstr(waited, " s, 0 bytes"),
		        "it waited for: %s", waited);
		named++;
	}
	ck_assert_uint_eq(named, BLACK);
	json_decref(report);
}

START_TEST(a_storm_with_requests_in_flight_ends_by_the_deadline)
{
	char straggler[64];

	start("shutdown: { deadline: 300ms, cancel_grace: 20s }",
	        "  storm: { when: call, http: { method: GET, url: '%s/status/504', retry: { "
	        "attempts: 1000, "
	        "base: 10min, cap: 1h, budget: off } } }\n"
	        "  image: { when: call, http: { method: POST, url: '%s/echo' } }\n"
	        "  refused: { when: call, http: { method: POST, url: '%s/echo', expect: { status: "
	        "[201] } } }\n"
	        "  black: { when: call, http: { url: '%S/x' } }\n");
	for (int i = 0; i < STORM; i++)
		detach("storm");
	http_server_await_least(&server, "requests", STORM);
	show_images();
	for (int i = 0; i < BLACK; i++)
		detach("black");
	http_server_await(&server, "silent", BLACK);
	uint64_t begun = rig_now_ms();
	rig_signal(&rig, SIGTERM);
	snprintf(straggler, sizeof(straggler), "cancelled: 127.0.0.1:%u: waiting, ",
	        server.silent_port);
	rig_expect(&rig, straggler);
	ck_assert_int_eq(rig_wait(&rig), 150);
	/* Not a back-off, and not the grace. */
	ck_assert_uint_lt(rig_now_ms() - begun, 10000);
	assert_report(10000);
	/* Nobody is left at the other end of a socket that is half open. */
	http_server_await(&server, "open", 0);
	http_server_await(&server, "silent", 0);
	ck_assert_uint_eq(http_server_count(&server, "cut"), 0);
	assert_no_image("the log", rig.log);
	assert_no_image("the report", content("state/last-shutdown.json"));
	http_server_stop(&server);
	rig_done(&rig);
}
END_TEST

START_TEST(bodies_in_the_log_are_folded)
{
	start("log: { bodies: true }",
	        "  image: { when: call, http: { method: POST, url: '%s/echo' } }\n"
	        "  refused: { when: call, http: { method: POST, url: '%s/echo', expect: { status: "
	        "[201] } } }\n");
	show_images();
	rig_expect(&rig, "[3000 bytes, sha256 ");
	ck_assert_int_eq(rig_stop(&rig), 0);
	assert_no_image("the log", rig.log);
	http_server_stop(&server);
	rig_done(&rig);
}
END_TEST

/* --- streams of answers --- */

static size_t resident_kib(void)
{
	char path[64], line[256];
	unsigned kib = 0;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)rig.pid);
	FILE *file = fopen(path, "re");
	ck_assert_ptr_nonnull(file);
	while (fgets(line, sizeof(line), file) && sscanf(line, "VmRSS: %u", &kib) != 1)
		;
	fclose(file);
	return kib;
}

/* Until the server has got rid of no more for a while. */
static uint64_t await_standstill(void)
{
	uint64_t until = rig_now_ms() + RIG_PATIENCE_MS, before;

	do {
		before = http_server_count(&server, "sent");
		(void)usleep(300000);
	} while (http_server_count(&server, "sent") != before && rig_now_ms() < until);
	return before;
}

START_TEST(readers_who_do_not_read_cost_a_bounded_amount)
{
	enum { READERS = 10 };
	int readers[READERS];

	start("shutdown: { deadline: 100ms }",
	        "  chat: { when: call, concurrency: 64, http: { url: '%s/stream?size=20000', "
	        "timeout: infinity, idle_timeout: infinity } }\n");
	size_t before = resident_kib();
	for (int i = 0; i < READERS; i++)
		readers[i] = ask("POST", "/v1/workers/chat/call", "", "");
	http_server_await(&server, "in_flight", READERS);
	(void)await_standstill();
	/* A stack, an easy handle and what is unsent: far less than a MiB each; sanitizers keep
	 * what was freed. */
	ck_assert_uint_lt(resident_kib() - before, READERS * 4 * 1024);
	for (int i = 0; i < READERS; i += 2)
		close(readers[i]);
	http_server_await(&server, "in_flight", READERS / 2);
	ck_assert_int_eq(rig_stop(&rig), 150);
	/* They have not read, and are not waited for. */
	for (int i = 1; i < READERS; i += 2)
		close(readers[i]);
	http_server_await(&server, "open", 0);
	http_server_stop(&server);
	rig_done(&rig);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		a_storm_with_requests_in_flight_ends_by_the_deadline,
		bodies_in_the_log_are_folded,
		readers_who_do_not_read_cost_a_bounded_amount,
	};

	return suite_run("case_chat", tests, ARRAY_SIZE(tests));
}
