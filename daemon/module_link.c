/*
 * One line is one packet. A host may send as many as it likes: a few are read at a time, then none
 * for a moment, so that the loop belongs to all.
 *
 * Its tasks are counted in the ledger, for an owner of their own ("resizer/tasks"), over all runs;
 * so they are in the metrics and in the report. What lives when the host ends has ended like it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/fleet.h"
#include "daemon/log.h"
#include "daemon/module.h"

#define LINES_AT_ONCE 8
#define LINES_AT_END  256 /* more do not fit into a socket */
#define PAUSE         (50 * QS_MSEC)

struct module_link {
	struct worker *worker;
	struct qs_task *task;
	struct qs_watch watch;
	struct qs_timer pause;
	struct qs_owner *owner;
	uint64_t started, ended[QS_VERDICT_COUNT]; /* of the owner, in earlier runs */
	bool complained;
	struct module_told told;
	char line[MODULE_LINE_MAX];
};

static struct qs_loop *loop_of(const struct module_link *link)
{
	return link->worker->fleet->context->loop;
}

/* --- what it says --- */

static void count(struct module_link *link)
{
	const struct module_told *told = &link->told;
	uint64_t started = link->started + told->live;

	for (unsigned i = QS_VERDICT_NONE + 1; i < QS_VERDICT_COUNT; i++) {
		started += told->ended[i];
		atomic_store_explicit(&link->owner->ended[i], link->ended[i] + told->ended[i],
		        memory_order_relaxed);
	}
	atomic_store_explicit(&link->owner->started, started, memory_order_relaxed);
}

/* The worker's own task lags like the worst of them. */
static void stamp(struct module_link *link)
{
	uint64_t lag = module_told_lag(&link->told);

	if (link->task && link->task->record)
		atomic_store_explicit(&link->task->record->polled_at,
		        lag == QS_FOREVER ? 0 : qs_time_sub(link->told.told_at, lag),
		        memory_order_relaxed);
}

static void complain(struct module_link *link)
{
	if (link->complained)
		return;
	link->complained = true;
	log_event(LOG_LEVEL_WARNING, &(struct log_fields){ .worker = link->worker->config->name },
	        "its host sends what is none of our messages: it is left aside");
}

static void take(struct module_link *link, size_t size)
{
	int r = module_told_parse(&link->told, link->line, size);

	if (r == -EBADMSG)
		complain(link);
	if (r <= 0)
		return;
	link->told.told_at = qs_loop_now(loop_of(link));
	count(link);
	stamp(link);
}

static void shut(struct module_link *link)
{
	qs_watch_stop(&link->watch);
	qs_timer_disarm(&link->pause);
	closep(&link->watch.fd);
	link->watch.fd = -1;
}

/* Reads some; true: there may be more. */
static bool read_lines(struct module_link *link, unsigned most)
{
	for (; most > 0 && link->watch.fd >= 0; most--) {
		/* With MSG_TRUNC the size is what it was, not what has come. */
		ssize_t size = recv(
		        link->watch.fd, link->line, sizeof(link->line), MSG_DONTWAIT | MSG_TRUNC);

		if (size < 0 && errno == EINTR)
			continue;
		if (size < 0 && errno == EAGAIN)
			return false;
		if (size <= 0)
			shut(link);
		else
			take(link, (size_t)size);
	}
	return link->watch.fd >= 0;
}

static void listen_again(struct qs_timer *timer)
{
	struct module_link *link = container_of(timer, struct module_link, pause);

	if (link->watch.fd >= 0 &&
	        qs_watch_start(loop_of(link), &link->watch, link->watch.fd, QS_READ) < 0)
		shut(link);
}

static void has_said(struct qs_watch *watch, unsigned what _unused_)
{
	struct module_link *link = container_of(watch, struct module_link, watch);

	(void)read_lines(link, LINES_AT_ONCE);
	if (watch->fd < 0)
		return;
	qs_watch_stop(watch);
	qs_timer_arm(&link->pause, qs_time_add(qs_loop_now(loop_of(link)), PAUSE));
}

/* --- life --- */

static int find_owner(struct module_link *link)
{
	char name[QS_NAME_MAX];

	/* No worker has such a name. */
	snprintf(name, sizeof(name), "%.56s/tasks", link->worker->config->name);
	int r = qs_ledger_owner(link->worker->fleet->context->ledger, name, &link->owner);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < QS_VERDICT_COUNT; i++)
		link->ended[i] = atomic_load(&link->owner->ended[i]);
	link->started = atomic_load(&link->owner->started);
	return 0;
}

int module_link_new(struct worker *worker, struct module_link **ret_link, int *ret_host_fd)
{
	struct module_link *link = calloc(1, sizeof(*link));
	int ends[2];

	if (!link)
		return -ENOMEM;
	link->worker = worker;
	link->watch.fd = -1;
	link->watch.ready = has_said;
	int r = qs_timer_init(loop_of(link), &link->pause, listen_again);
	if (r < 0) {
		free(link);
		return r;
	}
	r = find_owner(link);
	if (r < 0)
		goto fail;
	r = -ENOMEM;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
		r = -errno;
		goto fail;
	}
	link->watch.fd = ends[0];
	r = qs_watch_start(loop_of(link), &link->watch, ends[0], QS_READ);
	if (r < 0) {
		(void)close(ends[1]);
		goto fail;
	}
	*ret_link = link;
	*ret_host_fd = ends[1];
	return 0;

fail:
	module_link_free(link);
	return r;
}

void module_link_free(struct module_link *link)
{
	if (!link)
		return;
	shut(link);
	qs_timer_done(&link->pause);
	free(link);
}

void module_link_begin(struct module_link *link, struct qs_task *task)
{
	link->task = task;
}

void module_link_end(struct module_link *link, enum qs_verdict verdict)
{
	struct worker *worker = link->worker;

	link->task = NULL; /* its record is closed */
	(void)read_lines(link, LINES_AT_END);
	link->told.ended[verdict] += link->told.live;
	link->told.live = 0;
	count(link);
	if (!link->told.failure[0])
		return;
	worker->hopeless = true;
	snprintf(worker->detail, sizeof(worker->detail), "%s", link->told.failure);
}

const struct module_told *module_link_told(const struct module_link *link)
{
	return &link->told;
}
