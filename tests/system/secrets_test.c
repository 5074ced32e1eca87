/*
 * What a credential holds reaches the server it is meant for, and nobody else: no other host that a
 * redirect leads to, no log, no status, no event, no error, no metric and no report.
 */
#include <signal.h>

#include "tests/system/calls_scene.h"

#define SECRET "s3cr3t-0f-the-3xample"

static struct http_server other;

/* The scene with credentials; %O is another server, and another host by its port. */
static void start_with_secret(const char *workers)
{
	char replaced[4096], *to = replaced;

	rig_init(&rig, "");
	http_server_start(&other, NULL);
	for (; *workers; workers++)
		if (strncmp(workers, "%O", 2) == 0)
			to = stpcpy(to, other.url), workers++;
		else
			*to++ = *workers;
	*to = '\0';
	rig_write(&rig, "key", SECRET);
	http_server_start(&server, NULL);
	for (char *at; (at = strstr(replaced, "%s"));) {
		char rest[sizeof(replaced)];

		snprintf(rest, sizeof(rest), "%s", at + 2);
		snprintf(at, sizeof(replaced) - (size_t)(at - replaced), "%s%s", server.url, rest);
	}
	char yaml[sizeof(replaced) + 128];
	snprintf(yaml, sizeof(yaml), "shutdown: { deadline: 200ms }\nworkers:\n%s", replaced);
	rig_configure(&rig, yaml);
	setenv("CREDENTIALS_DIRECTORY", rig.directory, 1);
	rig_start(&rig);
	unsetenv("CREDENTIALS_DIRECTORY");
}

static void stop_servers(void)
{
	http_server_stop(&server);
	http_server_stop(&other);
	rig_done(&rig);
}

#define KEYS "headers: { X-Key: '${credential:key}', Authorization: 'Bearer ${credential:key}' }"
#define LESS "headers: { Cookie: 'k=${credential:key}', Authorization: 'Bearer ${credential:key}' }"

START_TEST(a_redirect_to_another_host_does_not_bring_it_a_key)
{
	start_with_secret(
	        "  keys: { when: call, http: { url: '%s/redirect?to=%O/echo', " KEYS " } }\n"
	        "  same: { when: call, http: { url: '%s/redirect?to=/echo', " KEYS " } }\n"
	        "  less: { when: call, http: { url: '%s/redirect?to=%O/echo', " LESS " } }\n"
	        "  none: { when: call, http: { url: '%s/redirect?to=%O/echo' } }\n"
	        "  body: { when: call, http: { url: '%s/redirect?status=307&to=%O/echo', "
	        "method: PUT, body: '\"${credential:key}\"' } }\n");
	struct told told[] = { call("keys", ""), call("same", ""), call("less", ""),
		call("none", ""), call("body", "") };

	assert_told(
	        told[0], 502, "redirected to another host, which must not have the header X-Key");
	assert_told(told[1], 200, "\"X-Key\":\"" SECRET "\"");
	assert_told(told[1], 200, "\"Authorization\":\"Bearer " SECRET "\"");
	assert_told(told[2], 200, "\"path\":\"/echo\"");
	ck_assert_ptr_null(strstr(told[2].text, SECRET));
	assert_told(told[3], 200, "\"path\":\"/echo\"");
	assert_told(told[4], 502, "redirected to another host, which must not have the body");
	ck_assert_uint_eq(http_server_count(&other, "requests"), 2);
	for (size_t i = 0; i < ARRAY_SIZE(told); i++)
		told_done(&told[i]);
	ck_assert_int_eq(rig_stop(&rig), 0);
	ck_assert(!rig_logged(&rig, SECRET));
	stop_servers();
}
END_TEST

static void assert_not_told(const char *target)
{
	int status;
	char *body = rig_request(&rig, "GET", target, &status);

	ck_assert_ptr_nonnull(body);
	ck_assert_msg(!strstr(body, SECRET), "%s: %s", target, body);
	free(body);
}

static void assert_no_file_has_it(void)
{
	char command[256];

	snprintf(command, sizeof(command), "! grep -rl '%s' %s/state", SECRET, rig.directory);
	ck_assert_int_eq(system(command), 0);
}

START_TEST(nobody_else_is_told_of_it)
{
	static const char *const targets[] = { "/v1/calls", "/v1/status", "/v1/workers",
		"/v1/workers/hold", "/v1/workers/poll", "/metrics", "/v1/forecast",
		"/readyz?verbose" };
	struct told events = { 0 };

	start_with_secret(
	        "  bad: { when: call, http: { url: '%s/status/404?key=${credential:key}', " KEYS
	        " } }\n"
	        "  gone: { when: call, http: { url: '%s/drop?key=${credential:key}' } }\n"
	        "  user: { when: call, http: { url: 'http://me:${credential:key}@nowhere.invalid/' "
	        "} }\n"
	        "  hold: { when: call, http: { url: '%s/hold?key=${credential:key}', " KEYS " } }\n"
	        "  poll: { when: every 50ms, http: { url: '%s/status/404?key=${credential:key}' } "
	        "}\n");
	int listener = ask("GET", "/v1/events", "", "");
	struct told told[] = { call("bad", ""), call("gone", ""), call("user", "") };

	for (size_t i = 0; i < ARRAY_SIZE(told); i++) {
		ck_assert_msg(!strstr(told[i].text, SECRET), "%s", told[i].text);
		assert_told(told[i], 502, "\"verdict\":\"failed\"");
		told_done(&told[i]);
	}
	detach("hold");
	http_server_await(&server, "in_flight", 1);
	for (size_t i = 0; i < ARRAY_SIZE(targets); i++)
		assert_not_told(targets[i]);
	ck_assert_int_eq(rig_stop(&rig), 150);
	hear(listener, NULL, &events);
	close(listener);
	ck_assert_ptr_nonnull(strstr(events.text, "\"worker\":\"gone\""));
	ck_assert_ptr_null(strstr(events.text, SECRET));
	told_done(&events);
	ck_assert_msg(!rig_logged(&rig, SECRET), "%s", rig.log);
	assert_no_file_has_it();
	stop_servers();
}
END_TEST

/* --- what a hostile server or caller brings about is told in words --- */

START_TEST(what_is_wrong_with_an_answer_is_said_in_words)
{
	static const struct {
		const char *worker, *says;
	} cases[] = {
		{ "garbage", "what the peer says is not HTTP" },
		{ "length", "what the peer says is not HTTP" },
		{ "half", "it hung up before the end of its answer" },
		{ "drop", "it hung up without an answer" },
		{ "loop", "more redirects than allowed" },
		{ "file", "redirected to what is neither https nor, from http, http" },
		{ "head", "the head of the answer is larger than 256 KiB" },
	};

	start("", "  garbage: { when: call, http: { url: '%s/garbage' } }\n"
	          "  length: { when: call, http: { url: '%s/badlength' } }\n"
	          "  half: { when: call, http: { url: '%s/half' } }\n"
	          "  drop: { when: call, http: { url: '%s/drop' } }\n"
	          "  loop: { when: call, http: { url: '%s/loop' } }\n"
	          "  file: { when: call, http: { url: '%s/redirect?to=file:///etc/passwd' } }\n"
	          "  head: { when: call, http: { url: '%s/bigheader' } }\n");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct told told = call(cases[i].worker, "");

		assert_told(told, 502, cases[i].says);
		told_done(&told);
		rig_expect(&rig, cases[i].says);
	}
	finish(0);
}
END_TEST

START_TEST(a_payload_that_makes_a_request_too_long_is_its_senders_fault)
{
	enum { SIZE = 100000 };
	static char request[SIZE + 512];
	struct told told = { 0 };
	char *to = request;

	start("", "  echo: { when: call, http: { url: '%s/echo', headers: { X-Who: "
	          "'{{payload.who}}' } } }\n");
	to += sprintf(to,
	        "POST /v1/workers/echo/call HTTP/1.1\r\nHost: localhost\r\nConnection: "
	        "close\r\n" JSON "Content-Length: %d\r\n\r\n{\"who\":\"",
	        SIZE + 10);
	memset(to, 'x', SIZE);
	memcpy(to + SIZE, "\"}", 3);
	int fd = rig_connect(&rig);
	size_t size = strlen(request);
	ck_assert_int_eq(send(fd, request, size, MSG_NOSIGNAL), (ssize_t)size);
	hear(fd, NULL, &told);
	close(fd);
	assert_told(told, 422, "header X-Who: would be longer than 64 KiB");
	told_done(&told);
	ck_assert_uint_eq(http_server_count(&server, "requests"), 0);
	finish(0);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		a_redirect_to_another_host_does_not_bring_it_a_key,
		nobody_else_is_told_of_it,
		what_is_wrong_with_an_answer_is_said_in_words,
		a_payload_that_makes_a_request_too_long_is_its_senders_fault,
	};

	return suite_run("secrets", tests, ARRAY_SIZE(tests));
}
