/*
 * A batch of calls to an API that fails, through a gate: two at once, each tried up to four times;
 * who asks the same gets the same answer, and nothing is asked twice for that. One is told to come
 * back in five minutes. Then somebody presses Ctrl+C, and all of it has ended a moment later.
 *
 * It prints, and exits with status 0:
 *
 *	that is Ctrl+C
 *	question 0: answer 0 (server, attempts: 1)
 *	question 1: answer 1 (server, attempts: 2)
 *	question 2: answer 2 (server, attempts: 3)
 *	question 3: status 404 (server, attempts: 1)
 *	question 4: answer 0 (shared, attempts: 1)
 *	question 5: stopped before another attempt; the last was status 503 (attempts: 1)
 *	question 6: connection refused (attempts: 4)
 *	question 7: answer 0 (cache, attempts: 0)
 *	the API was asked 12 times
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <quiesce/gate.h>
#include <quiesce/http_call.h>
#include <quiesce/quiesce.h>

#define QUESTIONS 8

struct question {
	struct batch *batch;
	const char *url;
	struct qs_gate_answer answer;
	int result;
};

struct batch {
	qs_runtime *runtime;
	qs_http *http;
	qs_gate *gate;
	unsigned asked, times[QUESTIONS]; /* by the API's own count */
	struct question questions[QUESTIONS];
};

/* A stand-in for the API. With qs_http_new instead of the scripted client it would be a real one.
 */
static void api(
        const struct qs_http_request *request, struct qs_http_scripted *ret_scripted, void *arg)
{
	static const struct qs_http_header in_five_minutes[] = { { "Retry-After", "300" }, { 0 } };
	struct batch *batch = arg;
	unsigned question = (unsigned)atoi(strrchr(request->url, '/') + 1);
	unsigned time = ++batch->times[question];
	static char body[32];

	batch->asked++;
	ret_scripted->delay = 20 * QS_MSEC;
	ret_scripted->status = 200;
	ret_scripted->body_size = (size_t)snprintf(body, sizeof(body), "answer %u", question);
	ret_scripted->body = body;
	if (question == 1 && time == 1)
		ret_scripted->status = 429;
	if (question == 2 && time <= 2)
		ret_scripted->status = 504;
	if (question == 3)
		ret_scripted->status = 404;
	if (question == 5) {
		ret_scripted->status = 503;
		ret_scripted->headers = in_five_minutes;
	}
	if (question == 6) {
		ret_scripted->error = -ECONNREFUSED;
		ret_scripted->unsent = true;
	}
}

static int ask(qs_task *self, void *arg)
{
	struct question *question = arg;
	const struct qs_http_request request = { .url = question->url };

	question->result =
	        qs_gate_call(self, question->batch->gate, &request, QS_FOREVER, &question->answer);
	return question->result;
}

static void show(unsigned number, const struct question *question)
{
	static const char *const sources[] = { "server", "shared", "cache" };
	const struct qs_gate_answer *answer = &question->answer;
	const struct qs_http_response *response = &answer->response;

	printf("question %u: ", number);
	if (question->result == -ESHUTDOWN)
		printf("stopped before another attempt; the last was status %d (attempts: %u)\n",
		        response->status, answer->attempts);
	else if (question->result == -ECONNREFUSED)
		printf("connection refused (attempts: %u)\n", answer->attempts);
	else if (response->status == 200)
		printf("%s (%s, attempts: %u)\n", response->body, sources[answer->source],
		        answer->attempts);
	else
		printf("status %d (%s, attempts: %u)\n", response->status, sources[answer->source],
		        answer->attempts);
}

/* In a group of its own: it is over when each question has ended, answered or not. */
static int gather(qs_task *self, void *arg)
{
	static const char *const urls[QUESTIONS] = { "http://api.example/0", "http://api.example/1",
		"http://api.example/2", "http://api.example/3", "http://api.example/0",
		"http://api.example/5", "http://api.example/6", "http://api.example/0" };
	struct batch *batch = arg;
	qs_group *group;
	int r = qs_group_new(qs_task_group(self), NULL, &group);

	for (unsigned i = 0; r == 0 && i < QUESTIONS; i++) {
		batch->questions[i] = (struct question){ .batch = batch, .url = urls[i] };
		/* The last comes when the others have been answered. */
		if (i == QUESTIONS - 1)
			r = qs_sleep(self, qs_in(self, QS_SEC));
		if (r == 0)
			r = qs_spawn_fiber(group, NULL, ask, &batch->questions[i], NULL);
	}
	if (r == 0)
		r = qs_group_join(self, group, QS_FOREVER, NULL);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < QUESTIONS; i++)
		show(i, &batch->questions[i]);
	printf("the API was asked %u times\n", batch->asked);
	return 0;
}

static int press_control_c(qs_task *self, void *arg)
{
	int r = qs_sleep(self, qs_in(self, 2 * QS_SEC));

	(void)arg;
	if (r < 0)
		return r;
	puts("that is Ctrl+C");
	return kill(getpid(), SIGINT);
}

static int set_up(struct batch *batch)
{
	const struct qs_gate_options options = {
		.concurrency = 2,
		.retry = { .attempts = 4, .base = 10 * QS_MSEC },
		.cache_size = 1 << 20,
	};
	qs_group *root = qs_root(batch->runtime);
	int r = qs_http_new_scripted(root, api, batch, &batch->http);

	if (r == 0)
		r = qs_gate_new(root, batch->http, &options, &batch->gate);
	if (r == 0)
		r = qs_spawn_fiber(root, NULL, gather, batch, NULL);
	return r < 0 ? r : qs_spawn_fiber(root, NULL, press_control_c, NULL, NULL);
}

int main(void)
{
	static struct batch batch;
	int status = 1;

	if (qs_runtime_new(&batch.runtime) < 0)
		return 1;
	if (set_up(&batch) == 0)
		status = qs_run(batch.runtime);
	for (unsigned i = 0; i < QUESTIONS; i++)
		if (batch.questions[i].url)
			qs_gate_answer_done(&batch.questions[i].answer);
	qs_gate_free(batch.gate);
	qs_http_free(batch.http);
	qs_runtime_free(batch.runtime);
	return status;
}
