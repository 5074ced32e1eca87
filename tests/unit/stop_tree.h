/* A small tree of stop events to try things on. */
#ifndef QS_TEST_STOP_TREE_H
#define QS_TEST_STOP_TREE_H

#include <check.h>
#include <poll.h>
#include <stdbool.h>

#include <quiesce/clock.h>
#include <quiesce/stop.h>

static const struct qs_stop_reason by_api = {
	.cause = QS_CAUSE_API, .detail = "api uid 0", .at = 5, .deadline = 77
};
static const struct qs_stop_reason by_reload = { .cause = QS_CAUSE_RELOAD, .deadline = QS_FOREVER };

/* root ── left ── leaf, root ── right */
static qs_stop *root, *left, *right, *leaf;

static inline qs_stop *new_stop(qs_stop *parent)
{
	qs_stop *stop;

	ck_assert_int_eq(qs_stop_new(parent, &stop), 0);
	return stop;
}

static inline void set_up(void)
{
	root = new_stop(NULL);
	left = new_stop(root);
	right = new_stop(root);
	leaf = new_stop(left);
}

static inline void tear_down(void)
{
	qs_stop_free(leaf);
	qs_stop_free(left);
	qs_stop_free(right);
	qs_stop_free(root);
}

static inline bool readable(int fd)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };

	ck_assert_int_ge(fd, 0);
	return poll(&pollfd, 1, 0) == 1;
}

static inline struct qs_stop_reason reason_of(const qs_stop *stop)
{
	struct qs_stop_reason reason;

	ck_assert_int_eq(qs_stop_get_reason(stop, &reason), 0);
	return reason;
}

#endif
