/*
 * The driver that is a script: a client without a network, for simulations. What a request is
 * answered is asked for when it would be sent, and told when its delay is over.
 */
#include <errno.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/group.h"
#include "lib/http.h"

#define PIECE 16384U /* of a body at a time, as from a network */

typedef void script_fn(
        const struct qs_http_request *request, struct qs_http_scripted *ret_scripted, void *arg);

struct http_script {
	struct qs_http http;
	script_fn *script;
	void *arg;
};

/* An answer under way. The copies of what it consists of lie behind it. */
struct play {
	struct qs_http_call *call; /* NULL once that was dropped, or is over */
	struct qs_timer timer;
	bool begun, telling;
	int error, status;
	const struct qs_http_header *headers;
	const char *body;
	size_t body_size, told;
};

static void free_play(struct play *play)
{
	qs_timer_done(&play->timer);
	qs_free(play);
}

/* --- telling --- */

static int tell_head(const struct play *play)
{
	struct qs_http_call *call = play->call;
	int r = 0;

	qs_http_call_status(call, play->status);
	for (const struct qs_http_header *header = play->headers; header->name && r == 0; header++)
		r = qs_http_call_header(call, header->name, strlen(header->name), header->value,
		        strlen(header->value));
	return r < 0 ? r : qs_http_call_head(call);
}

/* 1: all of it; 0: it is to wait. */
static int tell_body(struct play *play)
{
	while (play->told < play->body_size) {
		size_t size = MIN(play->body_size - play->told, PIECE);
		int r = qs_http_call_data(play->call, play->body + play->told, size);

		if (r != 0)
			return r == QS_HTTP_PAUSE ? 0 : r;
		play->told += size;
	}
	return 1;
}

static int tell(struct play *play)
{
	int r = 0;

	if (play->error < 0)
		return play->error;
	if (!TAKE(play->begun, true))
		r = tell_head(play);
	return r < 0 ? r : tell_body(play);
}

static void go_on(struct play *play)
{
	struct qs_http_call *call;
	int r;

	play->telling = true;
	r = tell(play);
	play->telling = false;
	call = play->call;
	if (call && r == 0)
		return;
	free_play(play);
	if (!call)
		return;
	call->transfer = NULL;
	qs_http_call_over(call, MIN(r, 0));
}

static void delay_over(struct qs_timer *timer)
{
	go_on(container_of(timer, struct play, timer));
}

/* --- the script --- */

struct size {
	size_t headers, text, all;
};

static struct size size_of(const struct qs_http_scripted *scripted)
{
	size_t count = 1, text = 0;

	for (const struct qs_http_header *h = scripted->headers; h && h->name; h++, count++)
		text += strlen(h->name) + strlen(h->value) + 2;
	return (struct size){
		.headers = sizeof(struct play),
		.text = sizeof(struct play) + count * sizeof(struct qs_http_header),
		.all = sizeof(struct play) + count * sizeof(struct qs_http_header) + text +
		       scripted->body_size,
	};
}

static void copy(struct play *play, const struct qs_http_scripted *scripted, struct size size)
{
	struct qs_http_header *to = (struct qs_http_header *)((char *)play + size.headers);
	char *at = (char *)play + size.text;

	play->headers = to;
	for (const struct qs_http_header *h = scripted->headers; h && h->name; h++, to++) {
		to->name = at;
		at = stpcpy(at, h->name) + 1;
		to->value = at;
		at = stpcpy(at, h->value) + 1;
	}
	*to = (struct qs_http_header){ 0 };
	play->body = at;
	play->body_size = scripted->body_size;
	if (scripted->body_size > 0)
		memcpy(at, scripted->body, scripted->body_size);
}

static struct qs_http_scripted ask(const struct qs_http_call *call)
{
	const struct http_script *script = container_of(call->http, struct http_script, http);
	const struct qs_http_request request = {
		.method = call->method,
		.url = call->url,
		.headers = call->headers,
		.body = call->body,
		.body_size = call->body_size,
		.limits = call->limits,
		.compressed = call->compressed,
	};
	struct qs_http_scripted scripted = { 0 };

	script->script(&request, &scripted, script->arg);
	return scripted;
}

static int script_add(struct qs_http_call *call)
{
	struct qs_http_scripted scripted = ask(call);
	struct qs_loop *loop = call->http->loop;
	struct size size = size_of(&scripted);
	struct play *play = qs_malloc(size.all);
	int r;

	if (!play)
		return -ENOMEM;
	*play = (struct play){ .call = call, .error = scripted.error, .status = scripted.status };
	copy(play, &scripted, size);
	r = qs_timer_init(loop, &play->timer, delay_over);
	if (r < 0) {
		qs_free(play);
		return r;
	}
	qs_timer_arm(&play->timer, qs_time_add(qs_loop_now(loop), scripted.delay));
	call->transfer = play;
	if (scripted.error == 0 || !scripted.unsent) {
		call->sent = call->body_size;
		qs_http_call_reached(call, QS_HTTP_WAITING);
	}
	return 0;
}

static void script_resume(struct qs_http_call *call)
{
	go_on(call->transfer);
}

static void script_drop(struct qs_http_call *call)
{
	struct play *play = call->transfer;

	play->call = NULL;
	if (!play->telling)
		free_play(play);
}

static void script_free(struct qs_http *http)
{
	qs_http_done(http);
	qs_free(container_of(http, struct http_script, http));
}

static const struct qs_http_driver script_driver = {
	.add = script_add,
	.resume = script_resume,
	.drop = script_drop,
	.free = script_free,
};

int qs_http_new_scripted(qs_group *group, script_fn *script, void *arg, qs_http **ret_http)
{
	struct http_script *client = qs_calloc(1, sizeof(*client));
	int r;

	if (!client)
		return -ENOMEM;
	client->http.driver = &script_driver;
	client->http.loop = group->context->loop;
	client->http.looks_nothing_up = true;
	client->script = script;
	client->arg = arg;
	r = qs_http_init(&client->http, &(struct qs_http_options){ 0 });
	if (r < 0) {
		script_free(&client->http);
		return r;
	}
	*ret_http = &client->http;
	return 0;
}
