/* A real daemon whose workers call a real server, and clients that call them. */
#ifndef QUIESCE_CALLS_SCENE_H
#define QUIESCE_CALLS_SCENE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/macro.h"
#include "tests/http/http_server.h"
#include "tests/system/rig.h"
#include "tests/system/suite.h"

static struct rig rig;
static struct http_server server;

/* Each %s of the workers becomes the server's URL; %S is the one that never answers. */
static inline void start(const char *settings, const char *workers)
{
	char yaml[8192];
	size_t used = 0;

	rig_init(&rig, "");
	http_server_start(&server, NULL);
	used += (size_t)snprintf(yaml, sizeof(yaml), "%s\nworkers:\n", settings);
	for (const char *at = workers; *at; at++) {
		const char *url = at[0] != '%'   ? NULL
		                  : at[1] == 'S' ? server.silent_url
		                                 : server.url;

		ck_assert_uint_lt(used + 64, sizeof(yaml));
		if (url)
			used += (size_t)snprintf(yaml + used, sizeof(yaml) - used, "%s", url);
		else
			yaml[used++] = *at;
		at += url != NULL;
	}
	yaml[used] = '\0';
	rig_configure(&rig, yaml);
	rig_start(&rig);
}

static inline void finish(int status)
{
	int exited = rig_stop(&rig);

	ck_assert_msg(exited == status, "exit status %d\n%s", exited, rig.log);
	http_server_stop(&server);
	rig_done(&rig);
}

/* --- a client --- */

struct told {
	int status;
	char *text; /* head and body, as they came */
	size_t size;
};

/* Asks, and does not wait for an answer. */
static inline int ask(const char *method, const char *target, const char *headers, const char *body)
{
	char request[4096];
	int fd = rig_connect(&rig);
	int size = snprintf(request, sizeof(request),
	        "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%sContent-Length: "
	        "%zu\r\n\r\n%s",
	        method, target, headers, strlen(body), body);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(send(fd, request, (size_t)size, MSG_NOSIGNAL), size);
	return fd;
}

/* Reads until the text is there (NULL: to the end). */
static inline void hear(int fd, const char *until, struct told *told)
{
	for (;;) {
		if (until && told->text && strstr(told->text, until))
			break;
		told->text = realloc(told->text, told->size + 65537);
		ssize_t n = read(fd, told->text + told->size, 65536);
		ck_assert_msg(n >= 0 && (n > 0 || !until), "no \"%s\" in: %s\n%s",
		        until ? until : "", told->text, rig.log);
		told->size += (size_t)n;
		told->text[told->size] = '\0';
		if (n == 0)
			break;
	}
	(void)sscanf(told->text, "HTTP/%*s %d", &told->status);
}

static inline void told_done(struct told *told)
{
	free(told->text);
}

static inline struct told call_with(const char *target, const char *headers, const char *body)
{
	struct told told = { 0 };
	int fd = ask("POST", target, headers, body);

	hear(fd, NULL, &told);
	close(fd);
	return told;
}

#define JSON "Content-Type: application/json\r\n"

static inline struct told call(const char *worker, const char *payload)
{
	char target[128];

	snprintf(target, sizeof(target), "/v1/workers/%s/call", worker);
	return call_with(target, *payload ? JSON : "", payload);
}

#define assert_told(told, expected, part)                                                   \
	do {                                                                                \
		ck_assert_msg((told).status == (expected), "%s\n%s", (told).text, rig.log); \
		ck_assert_msg(strstr((told).text, part) != NULL, "no %s in %s\n%s", part,   \
		        (told).text, rig.log);                                              \
	} while (0)

/* Waits until so many calls live. */
static inline void await_calls(size_t wanted)
{
	uint64_t until = rig_now_ms() + RIG_PATIENCE_MS;
	size_t live;

	do {
		json_t *list = rig_json(&rig, "GET", "/v1/calls", 200), *one;
		size_t i;

		live = 0;
		json_array_foreach (json_object_get(list, "calls"), i, one)
			live += json_is_null(json_object_get(one, "verdict"));
		json_decref(list);
	} while (live != wanted && rig_now_ms() < until);
	ck_assert_uint_eq(live, wanted);
}

static inline uint64_t detach(const char *worker)
{
	char target[128];

	snprintf(target, sizeof(target), "/v1/workers/%s/call?detach", worker);
	json_t *json = rig_json(&rig, "POST", target, 202);
	uint64_t id = (uint64_t)json_integer_value(json_object_get(json, "id"));
	json_decref(json);
	ck_assert_uint_gt(id, 0);
	return id;
}

#endif
