/* quiescectl call, and its batches, with the real daemon and a server that misbehaves as told. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/macro.h"
#include "tests/http/http_server.h"
#include "tests/system/rig.h"
#include "tests/system/suite.h"
#include "tests/unit/fake_daemon.h"

#define LINES 1000

static struct http_server server;
static struct rig rig;

/* The server does what stands in the payload. Attempts enough that none of them is in vain. */
static const char api[] =
        "shutdown: { deadline: 300ms, cancel_grace: 1s, kill_grace: 1s }\n"
        "workers:\n"
        "  api:\n"
        "    when: call\n"
        "    concurrency: 20\n"
        "    http:\n"
        "      url: \"%s/v1/workers/x/call\"\n"
        "      retry: { attempts: 10, base: 1ms, cap: 5ms, unsafe: true, budget: off }\n"
        "  once:\n"
        "    when: call\n"
        "    http: { url: \"%s/v1/workers/x/call\" }\n";

static void begin(void)
{
	char yaml[2048];

	rig_init(&rig, "");
	http_server_start(&server, NULL);
	snprintf(yaml, sizeof(yaml), api, server.url, server.url);
	rig_configure(&rig, yaml);
	rig_start(&rig);
}

static void finish(int status)
{
	int exited = rig_stop(&rig);

	http_server_stop(&server);
	ck_assert_msg(exited == status, "exit status %d: %s", exited, rig.log);
	rig_done(&rig);
}

static void assert_contains(const char *text, const char *part)
{
	ck_assert_msg(strstr(text, part) != NULL, "no '%s' in: %s", part, text);
}

static void assert_ctl(const char *words, int status, const char *out, const char *err)
{
	struct ctl_run run = ctl(rig.socket, words);

	ck_assert_msg(run.status == status, "status %d: %s%s", run.status, run.out, run.err);
	assert_contains(run.out, out);
	assert_contains(run.err, err);
	ctl_done(&run);
}

/* --- calls --- */

START_TEST(an_answer_comes_through_or_a_problem_does)
{
	begin();
	assert_ctl("call once {\"path\":\"/answer?body=well\"}", 0, "well", "");
	assert_ctl("call once {\"path\":\"/status/504\"}", 1, "",
	        "quiescectl: the server's answer: 504 text/plain\nquiescectl: for ever\n");
	assert_ctl("call nobody", 3, "", "nobody");
	assert_ctl("call once {", 1, "", "the payload is no JSON");
	assert_ctl(
	        "call once {\"path\":\"/stream?events=3&size=4\"}", 0, "id: 3\ndata: abcd\n\n", "");
	finish(0);
}
END_TEST

START_TEST(an_interrupt_cancels_the_call)
{
	struct ctl_run run;

	begin();
	run = ctl_begin(rig.socket, &(struct ctl_where){ 0 }, "call once {\"path\":\"/silent\"}");
	http_server_await(&server, "in_flight", 1);
	kill(run.pid, SIGINT);
	ctl_finish(&run);
	ck_assert_int_eq(run.status, 256 + SIGINT);
	assert_contains(run.err, "interrupted: hung up, which cancels the call");
	ctl_done(&run);
	http_server_await(&server, "cut", 1);
	finish(0);
}
END_TEST

START_TEST(a_stream_flows_until_it_is_interrupted)
{
	struct ctl_run run;

	begin();
	run = ctl_begin(
	        rig.socket, &(struct ctl_where){ 0 }, "call once {\"path\":\"/stream?every=1ms\"}");
	ctl_await(&run, "id: 20\n");
	kill(run.pid, SIGINT);
	ctl_finish(&run);
	ctl_done(&run);
	http_server_await(&server, "cut", 1);
	finish(0);
}
END_TEST

START_TEST(a_detached_call_is_asked_for_later)
{
	struct ctl_run run;
	char words[64];

	begin();
	run = ctl(rig.socket, "call --detach once {\"path\":\"/hold\"}");
	ck_assert_int_eq(run.status, 0);
	unsigned long id = strtoul(run.out, NULL, 10);
	ck_assert_uint_gt(id, 0);
	ctl_done(&run);
	http_server_await(&server, "in_flight", 1);
	assert_ctl("calls", 0, "  once  running  ", "");
	snprintf(words, sizeof(words), "answer %lu", id);
	assert_ctl(words, 8, "", "is not over yet: running");
	free(http_server_get(&server, "/release"));
	snprintf(words, sizeof(words), "answer %lu --wait=20s", id);
	assert_ctl(words, 0, "released\n", "");
	assert_ctl("answer 999999", 3, "", "999999");
	finish(0);
}
END_TEST

START_TEST(a_detached_call_is_cancelled)
{
	struct ctl_run run;
	char words[64];

	begin();
	run = ctl(rig.socket, "call --detach once {\"path\":\"/silent\"}");
	unsigned long id = strtoul(run.out, NULL, 10);
	ctl_done(&run);
	http_server_await(&server, "in_flight", 1);
	snprintf(words, sizeof(words), "cancel %lu", id);
	assert_ctl(words, 0, "call ", "");
	http_server_await(&server, "cut", 1);
	snprintf(words, sizeof(words), "answer %lu --wait=20s", id);
	assert_ctl(words, 1, "", "cancelled");
	finish(0);
}
END_TEST

/* --- batches --- */

/* The pattern with the number in the place of '#'. */
static void fill(char *text, size_t size, const char *pattern, unsigned number)
{
	size_t before = strcspn(pattern, "#");

	snprintf(text, size, "%.*s%u%s", (int)before, pattern, number, pattern + before + 1);
}

static void write_lines(unsigned count, const char *pattern)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/in.jsonl", rig.directory);
	file = fopen(path, "we");
	ck_assert_ptr_nonnull(file);
	for (unsigned i = 0; i < count; i++) {
		char target[256];
		fill(target, sizeof(target), pattern, i);
		fprintf(file, "{\"id\": \"i%u\", \"path\": \"%s\"}\n", i, target);
	}
	ck_assert_int_eq(fclose(file), 0);
}

static struct ctl_run begin_batch(const char *more)
{
	char words[320];

	snprintf(words, sizeof(words), "call api --batch %s/in.jsonl --out %s/out%s%s",
	        rig.directory, rig.directory, *more ? " " : "", more);
	return ctl_begin(rig.socket, &(struct ctl_where){ 0 }, words);
}

static void assert_answers(unsigned count, const char *pattern)
{
	char path[160], text[256], expected[128];

	for (unsigned i = 0; i < count; i++) {
		snprintf(path, sizeof(path), "%s/out/i%u.json", rig.directory, i);
		FILE *file = fopen(path, "re");
		ck_assert_msg(file != NULL, "there is no %s", path);
		text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
		fclose(file);
		fill(expected, sizeof(expected), pattern, i);
		ck_assert_msg(strncmp(text, expected, strlen(expected)) == 0, "%s: %s", path, text);
	}
	snprintf(text, sizeof(text), "ls %s/out | wc -l", rig.directory);
	FILE *pipe = popen(text, "re");
	ck_assert(pipe && fgets(text, sizeof(text), pipe));
	pclose(pipe);
	ck_assert_uint_eq(strtoul(text, NULL, 10), count + 1); /* and failed.jsonl */
}

/* What a run says of it: answered, failed, left. */
struct told {
	unsigned answered, failed, left;
};

static struct told read_summary(const struct ctl_run *run)
{
	json_t *summary = json_loads(run->out, 0, NULL);
	struct told told;
	unsigned before;

	ck_assert_msg(summary != NULL, "%s%s", run->out, run->err);
	before = (unsigned)json_integer_value(json_object_get(summary, "answered_before"));
	told.answered = before + (unsigned)json_integer_value(json_object_get(summary, "answered"));
	told.failed = (unsigned)json_integer_value(json_object_get(summary, "failed"));
	told.left = (unsigned)json_integer_value(json_object_get(summary, "left"));
	json_decref(summary);
	ck_assert_uint_eq(told.answered + told.failed + told.left, LINES);
	return told;
}

/* What fails all the same is tried again by the next run, as is what was left. */
START_TEST(a_batch_with_faults_is_interrupted_and_gone_on_with)
{
	struct told told = { .left = LINES };
	unsigned interrupted = 0;

	begin();
	write_lines(LINES, "/faults?percent=10&seed=7&slow=20ms&id=i#");
	for (unsigned i = 0; told.failed + told.left > 0; i++) {
		struct ctl_run run = begin_batch("--json");
		if (i < 2) {
			http_server_await_least(&server, "requests", 300 + 300 * i);
			kill(run.pid, SIGINT);
		}
		ctl_finish(&run);
		ck_assert_uint_lt(i, 10);
		told = read_summary(&run);
		ck_assert_int_eq(run.status, told.failed + told.left > 0);
		ck_assert(told.left == 0 || i < 2);
		interrupted += told.left > 0;
		ctl_done(&run);
	}
	assert_answers(LINES, "{\"id\": \"i#\", ");
	ck_assert_uint_gt(interrupted, 0);
	/* None was asked again once it had been answered. */
	ck_assert_uint_eq(
	        http_server_count(&server, "ok") + http_server_count(&server, "slow"), LINES);
	ck_assert_uint_gt(http_server_count(&server, "requests"), LINES + 50);
	finish(0);
}
END_TEST

START_TEST(a_batch_outlives_its_daemon)
{
	struct ctl_run run;
	int status;

	begin();
	write_lines(100, "/answer?delay=30ms&type=application/json&body=%7B%22i%22:#%7D");
	run = begin_batch("--jobs 4");
	http_server_await_least(&server, "requests", 20);
	status = rig_stop(&rig);
	ck_assert_msg(status == 0 || status == 150, "exit status %d: %s", status, rig.log);
	ctl_finish(&run);
	ck_assert_int_ne(run.status, 0);
	assert_contains(run.out, " 0 failed, ");
	assert_contains(run.out, "The same command goes on with what is left.");
	ctl_done(&run);
	rig_start(&rig);
	run = begin_batch("--jobs 30");
	ctl_finish(&run);
	ck_assert_msg(run.status == 0, "status %d: %s%s", run.status, run.out, run.err);
	ctl_done(&run);
	assert_answers(100, "{\"i\":#}");
	finish(0);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		an_answer_comes_through_or_a_problem_does,
		an_interrupt_cancels_the_call,
		a_stream_flows_until_it_is_interrupted,
		a_detached_call_is_asked_for_later,
		a_detached_call_is_cancelled,
		a_batch_with_faults_is_interrupted_and_gone_on_with,
		a_batch_outlives_its_daemon,
	};

	return suite_run("call_verbs", tests, ARRAY_SIZE(tests));
}
