/*
 * The driver that is libcurl: one multi handle on the loop. libcurl says which descriptors it wants
 * to be watched and when it wants to be called next, and gets its turn then.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/alloc.h"
#include "lib/http_curl_internal.h"

#define KEEP 256 /* idle connections */

static struct qs_http_curl *curl_of(struct qs_http *http)
{
	return container_of(http, struct qs_http_curl, http);
}

/* --- the multi handle --- */

static void finish(struct qs_http_transfer *transfer, CURLcode code)
{
	struct qs_http_curl *curl = transfer->owner;
	struct qs_http_call *call = transfer->call;
	int result = qs_http_transfer_errno(transfer, code);

	if (call->compressed) {
		curl_off_t size = 0;

		if (curl->libcurl.easy_getinfo(transfer->easy, CURLINFO_SIZE_DOWNLOAD_T, &size) ==
		        CURLE_OK)
			call->received = (uint64_t)size;
	}
	(void)curl->libcurl.multi_remove_handle(curl->multi, transfer->easy);
	qs_http_transfer_put(transfer);
	call->transfer = NULL;
	qs_http_call_over(call, result);
}

/* What has been dropped meanwhile is swept. */
static void finish_all(struct qs_http_curl *curl)
{
	CURLMsg *message;
	int left;

	while ((message = curl->libcurl.multi_info_read(curl->multi, &left))) {
		struct qs_http_transfer *transfer = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		(void)curl->libcurl.easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
		if (transfer->call)
			finish(transfer, message->data.result);
	}
}

static void act(struct qs_http_curl *curl, curl_socket_t fd, int what)
{
	int running;

	(void)curl->libcurl.multi_socket_action(curl->multi, fd, what, &running);
	finish_all(curl);
}

static void socket_ready(struct qs_http_sockets *sockets, int fd, unsigned what)
{
	static_assert(CURL_CSELECT_IN == QS_READ && CURL_CSELECT_OUT == QS_WRITE, "as ours");
	act(container_of(sockets, struct qs_http_curl, sockets), fd, (int)what);
}

static int on_socket(CURL *easy _unused_, curl_socket_t fd, int what, void *arg, void *own _unused_)
{
	struct qs_http_curl *curl = arg;

	static_assert(CURL_POLL_IN == QS_READ && CURL_POLL_OUT == QS_WRITE &&
	                      CURL_POLL_INOUT == (QS_READ | QS_WRITE),
	        "as ours");
	qs_http_sockets_want(&curl->sockets, fd, what == CURL_POLL_REMOVE ? 0 : (unsigned)what);
	return 0;
}

static void timer_due(struct qs_timer *timer)
{
	act(container_of(timer, struct qs_http_curl, timer), CURL_SOCKET_TIMEOUT, 0);
}

static int on_timer(CURLM *multi _unused_, long milliseconds, void *arg)
{
	struct qs_http_curl *curl = arg;
	uint64_t now = qs_loop_now(curl->http.loop);

	qs_timer_arm(&curl->timer,
	        milliseconds < 0 ? QS_FOREVER : qs_time_add(now, (uint64_t)milliseconds * QS_MSEC));
	return 0;
}

/* --- the driver --- */

/* libcurl's limit is for all connections, those in use too. */
static void limit_connections(struct qs_http_curl *curl)
{
	(void)curl->libcurl.multi_setopt(
	        curl->multi, CURLMOPT_MAXCONNECTS, (long)(curl->http.active_count + curl->keep));
}

static int curl_add(struct qs_http_call *call)
{
	struct qs_http_curl *curl = curl_of(call->http);
	struct qs_http_transfer *transfer;
	int r = qs_http_transfer_get(call, &transfer);

	if (r < 0)
		return r;
	if (curl->libcurl.multi_add_handle(curl->multi, transfer->easy) != CURLM_OK) {
		qs_http_transfer_put(transfer);
		return -ENOMEM;
	}
	call->transfer = transfer;
	return 0;
}

static void curl_begin(struct qs_http *http)
{
	limit_connections(curl_of(http));
	act(curl_of(http), CURL_SOCKET_TIMEOUT, 0);
}

static void curl_resume(struct qs_http_call *call)
{
	struct qs_http_curl *curl = curl_of(call->http);
	struct qs_http_transfer *transfer = call->transfer;

	(void)curl->libcurl.easy_pause(transfer->easy, CURLPAUSE_CONT);
	finish_all(curl);
}

static void curl_drop(struct qs_http_call *call)
{
	struct qs_http_transfer *transfer = call->transfer;

	transfer->call = NULL;
	list_append(&transfer->owner->dropped, &transfer->node);
}

static bool curl_sweep(struct qs_http *http)
{
	struct qs_http_curl *curl = curl_of(http);
	struct qs_http_transfer *transfer;

	if (list_empty(&curl->dropped))
		return false;
	transfer = list_entry(curl->dropped.next, struct qs_http_transfer, node);
	(void)curl->libcurl.multi_remove_handle(curl->multi, transfer->easy);
	qs_http_transfer_put(transfer);
	return !list_empty(&curl->dropped);
}

/* The connections go with the multi handle, and only then what watches them. */
static void curl_free_client(struct qs_http *http)
{
	struct qs_http_curl *curl = curl_of(http);

	while (curl_sweep(http))
		;
	list_for_each (node, &curl->spare)
		qs_http_transfer_free(list_entry(node, struct qs_http_transfer, node));
	if (curl->multi)
		(void)curl->libcurl.multi_cleanup(curl->multi);
	qs_http_sockets_done(&curl->sockets);
	qs_timer_done(&curl->timer);
	qs_http_done(http);
	qs_free(curl->unix_socket);
	qs_free(curl->ca_file);
	qs_free(curl->user_agent);
	qs_free(curl);
}

static const struct qs_http_driver curl_driver = {
	.add = curl_add,
	.begin = curl_begin,
	.resume = curl_resume,
	.drop = curl_drop,
	.sweep = curl_sweep,
	.free = curl_free_client,
};

/* --- making one --- */

static int copy_text(const char *text, char **ret_copy)
{
	size_t size;

	if (!text)
		return 0;
	size = strlen(text) + 1;
	*ret_copy = qs_malloc(size);
	if (!*ret_copy)
		return -ENOMEM;
	memcpy(*ret_copy, text, size);
	return 0;
}

static int copy_options(struct qs_http_curl *curl, const struct qs_http_options *options)
{
	const char *agent = options->user_agent;
	int r;

	curl->keep = options->keep ? options->keep : KEEP;
	r = copy_text(options->unix_socket, &curl->unix_socket);
	if (r == 0)
		r = copy_text(options->ca_file, &curl->ca_file);
	if (r == 0)
		r = copy_text(agent ? agent : "libquiesce/" QUIESCE_VERSION, &curl->user_agent);
	return r;
}

static int open_multi(struct qs_http_curl *curl)
{
	CURLMcode code;

	curl->multi = qs_refused(ENOMEM) ? NULL : curl->libcurl.multi_init();
	if (!curl->multi)
		return -ENOMEM;
	code = curl->libcurl.multi_setopt(curl->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	if (code == CURLM_OK)
		code = curl->libcurl.multi_setopt(curl->multi, CURLMOPT_SOCKETDATA, curl);
	if (code == CURLM_OK)
		code = curl->libcurl.multi_setopt(curl->multi, CURLMOPT_TIMERFUNCTION, on_timer);
	if (code == CURLM_OK)
		code = curl->libcurl.multi_setopt(curl->multi, CURLMOPT_TIMERDATA, curl);
	return code == CURLM_OK ? 0 : -ENOMEM;
}

static int check_options(const struct qs_http_options *options)
{
	const char *path = options->unix_socket;

	if (path && *path == '\0')
		return -EINVAL;
	if (path && strlen(path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return -ENAMETOOLONG;
	if (options->ca_file && access(options->ca_file, R_OK) < 0)
		return -ENOENT;
	return 0;
}

int qs_http_new_on(struct qs_loop *loop, const struct qs_http_options *options, qs_http **ret_http)
{
	struct qs_http_options given = options ? *options : (struct qs_http_options){ 0 };
	struct qs_http_curl *curl;
	int r = check_options(&given);

	if (r < 0)
		return r;
	curl = qs_calloc(1, sizeof(*curl));
	if (!curl)
		return -ENOMEM;
	curl->http.driver = &curl_driver;
	curl->http.loop = loop;
	list_init(&curl->dropped);
	list_init(&curl->spare);
	curl->http.looks_nothing_up = given.unix_socket;
	r = qs_http_init(&curl->http, &given);
	if (r == 0)
		r = qs_curl_load(&curl->libcurl);
	if (r == 0)
		r = qs_timer_init(loop, &curl->timer, timer_due);
	if (r == 0)
		r = qs_http_sockets_init(&curl->sockets, loop, socket_ready);
	if (r == 0)
		r = copy_options(curl, &given);
	if (r == 0)
		r = open_multi(curl);
	if (r < 0) {
		curl_free_client(&curl->http);
		return r;
	}
	*ret_http = &curl->http;
	return 0;
}
