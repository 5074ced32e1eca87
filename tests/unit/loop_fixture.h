/* A loop on either clock, and a watch that counts. */
#ifndef QS_TEST_LOOP_FIXTURE_H
#define QS_TEST_LOOP_FIXTURE_H

#include <check.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/eventfd.h"
#include "lib/loop.h"
#include "lib/macro.h"

static struct qs_clock time_source;
static struct qs_loop *loop;

static inline void set_up_virtual(void)
{
	qs_clock_init_virtual(&time_source, 1000);
	ck_assert_int_eq(qs_loop_new(&time_source, &loop), 0);
}

static inline void set_up_real(void)
{
	qs_clock_init(&time_source);
	ck_assert_int_eq(qs_loop_new(&time_source, &loop), 0);
}

static inline void tear_down(void)
{
	qs_loop_free(loop);
}

/* --- an eventfd whose watch counts --- */

struct tap {
	struct qs_watch watch;
	int calls;
	unsigned what;
	bool keep;          /* leave it readable */
	bool dies;          /* stop, close and free it in its own callback */
	struct tap *victim; /* stopped by this one's callback */
	uint64_t now;       /* what the loop said */
};

static int dead_taps;

static inline void close_tap(struct tap *tap)
{
	qs_watch_stop(&tap->watch);
	close(tap->watch.fd);
	free(tap);
}

static inline void tap_ready(struct qs_watch *watch, unsigned what)
{
	struct tap *tap = container_of(watch, struct tap, watch);

	tap->calls++;
	tap->what = what;
	tap->now = qs_loop_now(loop);
	if (!tap->keep)
		eventfd_lower(watch->fd);
	if (tap->victim)
		qs_watch_stop(&tap->victim->watch);
	if (tap->dies) {
		dead_taps++;
		close_tap(tap);
	}
}

static inline struct tap *open_tap(unsigned raised, unsigned what)
{
	struct tap *tap = calloc(1, sizeof(*tap));
	int fd = eventfd(raised, EFD_CLOEXEC | EFD_NONBLOCK);

	ck_assert_ptr_nonnull(tap);
	ck_assert_int_ge(fd, 0);
	tap->watch.ready = tap_ready;
	ck_assert_int_eq(qs_watch_start(loop, &tap->watch, fd, what), 0);
	return tap;
}

#endif
