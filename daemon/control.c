/*
 * The control socket's server: evhttp on a Unix socket. What evhttp leaves open is done here and in
 * the files beside: connections are counted, and one that sends a byte a second, or never takes its
 * answer, is cut. The timer for that runs only while a request or an answer is incomplete: an idle
 * daemon sleeps.
 */
#include "daemon/control.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "daemon/control_http.h"
#include "daemon/daemon.h"
#include "daemon/log.h"

/* All that live: evhttp takes the place of a listener's argument, so that one has to look it up. */
static struct list servers = { &servers, &servers };

static struct evconnlistener *listener_of(const struct control *control)
{
	return control->bound ? evhttp_bound_socket_get_listener(control->bound) : NULL;
}

/* --- accepting --- */

void control_pause(struct control *control)
{
	if (control->accepting)
		(void)evconnlistener_disable(listener_of(control));
	control->accepting = false;
}

static struct control *server_of(const struct evconnlistener *listener)
{
	list_for_each (node, &servers) {
		struct control *control = list_entry(node, struct control, in_servers);

		if (listener_of(control) == listener)
			return control;
	}
	return NULL;
}

/* Without a pause the listener would be ready, and fail, in each turn. */
static void accept_failed(struct evconnlistener *listener, _unused_ void *http)
{
	int error = errno;
	struct control *control = server_of(listener);

	if (!control || (error != EMFILE && error != ENFILE && error != ENOBUFS && error != ENOMEM))
		return;
	control_pause(control);
	control->accept_at = qs_time_add(qs_loop_now(control->loop), QS_SEC);
	qs_job_schedule(control->loop, &control->settle);
	log_warning("control socket: cannot accept: %s", strerror(error));
}

static void accept_again(struct control *control)
{
	if (control->accepting || !control->bound || list_empty(&control->lists[CONNECTION_FREE]))
		return;
	if (control->accept_at != QS_FOREVER && control->accept_at > qs_loop_now(control->loop))
		return;
	control->accept_at = QS_FOREVER;
	control->accepting = evconnlistener_enable(listener_of(control)) == 0;
}

/* --- the end of a turn --- */

static uint64_t first_due(const struct control *control, enum connection_state state, uint64_t span)
{
	const struct list *list = &control->lists[state];

	if (list_empty(list))
		return QS_FOREVER;
	return qs_time_add(list_entry(list->next, struct connection, node)->since, span);
}

/* Those who do nothing are left alone while there is room for others. */
static bool is_full(const struct control *control)
{
	return list_empty(&control->lists[CONNECTION_FREE]);
}

static void arm_timer(struct control *control)
{
	const struct control_limits *limits = &control->limits;
	uint64_t at = MIN(control->accept_at, control->leave_at);

	at = MIN(at, first_due(control, CONNECTION_READING, limits->request_time));
	at = MIN(at, first_due(control, CONNECTION_SENDING, limits->answer_time));
	if (is_full(control))
		at = MIN(at, first_due(control, CONNECTION_IDLE, limits->request_time));
	qs_timer_arm(&control->timer, at);
}

static void settle(struct qs_job *job)
{
	struct control *control = container_of(job, struct control, settle);

	connection_adopt_all(control);
	list_for_each (refused, &control->lists[CONNECTION_REFUSED])
		request_reword(list_entry(refused, struct connection, node));
	if (TAKE(control->consider, false))
		pending_consider(&control->pending);
	connection_cut_all(control, CONNECTION_DOOMED);
	accept_again(control);
	arm_timer(control);
}

static void cut_overdue(struct control *control, enum connection_state state, uint64_t span)
{
	uint64_t now = qs_loop_now(control->loop);

	while (first_due(control, state, span) <= now)
		connection_cut(list_entry(control->lists[state].next, struct connection, node));
}

static void timer_due(struct qs_timer *timer)
{
	struct control *control = container_of(timer, struct control, timer);

	cut_overdue(control, CONNECTION_READING, control->limits.request_time);
	cut_overdue(control, CONNECTION_SENDING, control->limits.answer_time);
	if (is_full(control))
		cut_overdue(control, CONNECTION_IDLE, control->limits.request_time);
	qs_job_schedule(control->loop, &control->settle);
}

void control_consider(struct control *control)
{
	if (!control || list_empty(&control->pending.waits))
		return;
	control->consider = true;
	qs_job_schedule(control->loop, &control->settle);
}

unsigned control_connections(const struct control *control)
{
	return control ? control->count : 0;
}

uint64_t control_requests(const struct control *control)
{
	return control ? control->requests : 0;
}

/* --- life --- */

static struct control_limits limits_or_defaults(const struct control_limits *said)
{
	return (struct control_limits){
		.connections = said->connections ? said->connections : 1024,
		.body = said->body ? said->body : 16 << 20,
		.headers = said->headers ? said->headers : 64 << 10,
		.input = said->input ? said->input : 64 << 20,
		.stream_backlog = said->stream_backlog ? said->stream_backlog : 256 << 10,
		.request_time = said->request_time ? said->request_time : 10 * QS_SEC,
		.answer_time = said->answer_time ? said->answer_time : 60 * QS_SEC,
	};
}

static int make_slots(struct control *control)
{
	control->slots = calloc(control->limits.connections, sizeof(*control->slots));
	control->evcons = calloc(control->limits.connections, sizeof(struct evhttp_connection *));
	if (!control->slots || !control->evcons)
		return -ENOMEM;
	for (unsigned i = 0; i < control->limits.connections; i++) {
		struct connection *connection = &control->slots[i];

		connection->control = control;
		list_init(&connection->node);
		list_append(&control->lists[CONNECTION_FREE], &connection->node);
	}
	return 0;
}

/* What libevent has to say belongs into the log. */
static void libevent_said(int severity, const char *text)
{
	log_event(severity >= EVENT_LOG_ERR ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING,
	        &(struct log_fields){ 0 }, "libevent: %s", text);
}

static int make_server(struct control *control)
{
	event_set_log_callback(libevent_said);
	control->scratch = evbuffer_new();
	control->http = evhttp_new(qs_loop_base(control->loop));
	if (!control->scratch || !control->http)
		return -ENOMEM;
	evhttp_set_max_headers_size(control->http, (ev_ssize_t)control->limits.headers);
	evhttp_set_max_body_size(control->http, (ev_ssize_t)control->limits.body);
	evhttp_set_allowed_methods(control->http, EVHTTP_REQ_GET | EVHTTP_REQ_POST |
	                                                  EVHTTP_REQ_HEAD | EVHTTP_REQ_PUT |
	                                                  EVHTTP_REQ_DELETE | EVHTTP_REQ_OPTIONS |
	                                                  EVHTTP_REQ_TRACE | EVHTTP_REQ_PATCH);
	evhttp_set_bevcb(control->http, connection_make_bufferevent, control);
	evhttp_set_gencb(control->http, request_came, control);
	return 0;
}

/* Takes ownership of the descriptor. */
static int start_listening(struct control *control, int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
	        fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
		int r = -errno;

		(void)close(fd);
		return r;
	}
	control->bound = evhttp_accept_socket_with_handle(control->http, fd);
	if (!control->bound) {
		(void)close(fd);
		return -ENOMEM;
	}
	evconnlistener_set_error_cb(listener_of(control), accept_failed);
	control->accepting = true;
	return 0;
}

int control_new(
        struct daemon *daemon, const struct control_options *options, struct control **ret_control)
{
	struct control *control = calloc(1, sizeof(*control));
	int fd = options->listen_fd, r = -ENOMEM;

	if (!control)
		goto fail;
	control->daemon = daemon;
	control->loop = daemon->loop;
	control->limits = limits_or_defaults(&options->limits);
	control->accept_at = control->leave_at = QS_FOREVER;
	for (unsigned i = 0; i < CONNECTION_STATE_COUNT; i++)
		list_init(&control->lists[i]);
	list_init(&control->in_servers);
	list_append(&servers, &control->in_servers);
	qs_job_init(&control->settle, settle);
	pending_init(&control->pending, control->loop, control->limits.stream_backlog);
	r = make_slots(control);
	if (r >= 0)
		r = qs_timer_init(control->loop, &control->timer, timer_due);
	if (r >= 0)
		r = make_server(control);
	if (r >= 0 && fd < 0)
		r = control_listen(options->path, options->group, &control->file, &fd);
	if (r >= 0)
		r = start_listening(control, TAKE(fd, -1));
	if (r < 0)
		goto fail;
	*ret_control = control;
	return 0;

fail:
	closep(&fd);
	control_free(control);
	return r;
}

static void stop_listening(struct control *control)
{
	if (control->bound)
		evhttp_del_accept_socket(control->http, TAKE(control->bound, NULL));
	control->accepting = false;
	control->accept_at = QS_FOREVER;
	socket_file_remove(&control->file);
}

static void cut_everything(struct control *control)
{
	connection_adopt_all(control);
	for (unsigned i = CONNECTION_IDLE; i < CONNECTION_STATE_COUNT; i++)
		connection_cut_all(control, (enum connection_state)i);
}

/*
 * The mirror of the beginning: the listener, what hangs on requests, those who say nothing; and
 * when the last answers have gone, or time has, the connections.
 */
void control_close(struct control *control, uint64_t deadline)
{
	if (!control || control->closing)
		return;
	control->closing = true;
	control->leave_at = deadline;
	stop_listening(control);
	connection_adopt_all(control);
	pending_finish(&control->pending);
	connection_cut_all(control, CONNECTION_IDLE);
	connection_cut_all(control, CONNECTION_READING);
	arm_timer(control);
	while (control->count > 0 && qs_clock_read(qs_loop_clock(control->loop)) < deadline)
		(void)qs_loop_turn(control->loop, true);
	control->leave_at = QS_FOREVER;
	cut_everything(control);
}

void control_free(struct control *control)
{
	if (!control)
		return;
	stop_listening(control);
	if (control->slots)
		cut_everything(control);
	if (control->http)
		evhttp_free(control->http);
	if (control->scratch)
		evbuffer_free(control->scratch);
	qs_job_cancel(&control->settle);
	qs_timer_done(&control->timer);
	free(control->evcons);
	free(control->slots);
	list_remove(&control->in_servers);
	free(control);
}
