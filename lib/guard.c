/*
 * The guard thread. It shares with the loop: a small inbox of signals and requests under a mutex
 * that is only ever held for a few instructions, the loop's pulse, and two eventfds. It allocates
 * nothing while it runs, because the loop may be stuck with the allocator's lock in its hand.
 *
 * How it sleeps: with nothing to watch it raises `guard_sleeps` in the pulse and waits for ever;
 * the loop writes our eventfd when its next turn begins. From then on we look every 10 ms whether
 * that turn is over, and go back to sleep when the loop is idle again. An idle process thus wakes
 * up for nothing but the watchdog.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>

#include "lib/eventfd.h"
#include "lib/guard.h"
#include "lib/trace.h"

#define LOOK_EVERY   (10 * QS_MSEC)
#define STALL_AFTER  QS_SEC
#define TRACE_LOOKS  10 /* a thread that cannot be interrupted for so long has no trace */
#define LEAVE_MARGIN (5 * QS_MSEC) /* what a loop that does turn needs to leave by itself */
#define INBOX_SIZE   16
#define THREAD_STACK (256 * 1024)

enum letter_kind { LETTER_STOP, LETTER_SIGNAL };

struct letter {
	enum letter_kind kind;
	int signo;
	struct qs_stop_reason reason;
};

/* What is known of the present turn. */
enum stall {
	STALL_NONE,
	STALL_TRACED, /* it lasts too long; the loop's thread was asked where it is */
	STALL_TOLD,
};

struct qs_guard {
	struct qs_guard_options options;
	struct qs_clock *clock;
	struct qs_loop_pulse *pulse;
	struct qs_watch inbox_watch;
	pthread_t thread;
	int signal_fd, wake_fd, inbox_fd;
	_Atomic bool quit, stands_down;
	_Atomic bool pong; /* the loop has answered the latest ping */
	_Atomic bool ping;
	_Atomic uint64_t farewell_at; /* QS_FOREVER until qs_guard_farewell */
	_Atomic int farewell_status;

	pthread_mutex_t lock; /* inbox and shadow */
	struct letter inbox[INBOX_SIZE];
	unsigned letters;
	struct shutdown_fsm shadow; /* sees the requests and the time, and no task ever ending */

	uint64_t ping_at; /* guard thread only: the next ping, QS_FOREVER for none */
	enum stall stall;
	unsigned trace_looks; /* how often it has been looked for the trace */
	struct qs_trace trace;
};

static void fill_guard_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
	sigaddset(set, SIGUSR1);
	sigaddset(set, SIGUSR2);
}

int qs_guard_block_signals(void)
{
	sigset_t set;

	fill_guard_signals(&set);
	return -pthread_sigmask(SIG_BLOCK, &set, NULL);
}

/* --- the loop's side --- */

static void take_out(struct qs_guard *guard, unsigned i)
{
	guard->letters--;
	memmove(&guard->inbox[i], &guard->inbox[i + 1],
	        (guard->letters - i) * sizeof(guard->inbox[0]));
}

/* Of each signal only the latest is kept: a storm of them must not leave a stop without room. */
static void forget_signal(struct qs_guard *guard, int signo)
{
	for (unsigned i = 0; i < guard->letters; i++) {
		if (guard->inbox[i].kind != LETTER_SIGNAL || guard->inbox[i].signo != signo)
			continue;
		take_out(guard, i);
		return;
	}
}

static void post(struct qs_guard *guard, const struct letter *letter)
{
	pthread_mutex_lock(&guard->lock);
	if (letter->kind == LETTER_SIGNAL)
		forget_signal(guard, letter->signo);
	/* Beyond what fits, a further request has nothing left to say: every phase has been
	 * skipped. */
	if (guard->letters < INBOX_SIZE)
		guard->inbox[guard->letters++] = *letter;
	pthread_mutex_unlock(&guard->lock);
	eventfd_raise(guard->inbox_fd);
}

static bool take_letter(struct qs_guard *guard, struct letter *ret_letter)
{
	pthread_mutex_lock(&guard->lock);
	bool any = guard->letters > 0;
	if (any) {
		*ret_letter = guard->inbox[0];
		take_out(guard, 0);
	}
	pthread_mutex_unlock(&guard->lock);
	return any;
}

static void inbox_ready(struct qs_watch *watch, unsigned what _unused_)
{
	struct qs_guard *guard = container_of(watch, struct qs_guard, inbox_watch);
	struct letter letter;

	eventfd_lower(guard->inbox_fd);
	if (atomic_exchange(&guard->ping, false)) {
		atomic_store(&guard->pong, true);
		eventfd_raise(guard->wake_fd);
	}
	while (take_letter(guard, &letter)) {
		if (letter.kind == LETTER_STOP)
			guard->options.stop_requested(&letter.reason, guard->options.arg);
		else
			guard->options.signalled(letter.signo, guard->options.arg);
	}
}

/* --- requests, from any thread --- */

/* Brings the shadow up to the present time; the lock is held. */
static void advance_shadow(struct qs_guard *guard, uint64_t now)
{
	while (guard->shadow.wake_at <= now && fsm_step(&guard->shadow, FSM_TIME, now, 0) > 0)
		;
}

/* Whoever asks first may have less patience than the plan; the lock is held. */
static void shorten_plan(struct qs_guard *guard, uint64_t deadline, uint64_t now)
{
	struct shutdown_plan *plan = &guard->shadow.plan;

	if (deadline == 0 || fsm_stopping(&guard->shadow))
		return;
	plan->deadline = MIN(plan->deadline, qs_time_sub(deadline, now));
	plan->drain = MIN(plan->drain, plan->deadline);
}

void qs_guard_request_stop(struct qs_guard *guard, const struct qs_stop_reason *reason)
{
	struct letter letter = { .kind = LETTER_STOP, .reason = *reason };

	letter.reason.detail[sizeof(letter.reason.detail) - 1] = '\0';
	if (guard->options.asked)
		guard->options.asked(guard->options.arg);
	uint64_t now = qs_time_now();

	pthread_mutex_lock(&guard->lock);
	advance_shadow(guard, now);
	shorten_plan(guard, reason->deadline, now);
	/* Past its end it refuses: the guard is about to leave, and the loop may still hear of it.
	 */
	if (fsm_step(&guard->shadow, FSM_STOP, now, 1) >= 0)
		advance_shadow(guard, now);
	letter.reason.at = now;
	letter.reason.deadline = fsm_cancel_at(&guard->shadow);
	pthread_mutex_unlock(&guard->lock);
	(void)qs_stop_set(guard->options.stop, &letter.reason);
	post(guard, &letter);
	eventfd_raise(guard->wake_fd);
}

bool qs_guard_stopping(struct qs_guard *guard)
{
	pthread_mutex_lock(&guard->lock);
	bool stopping = fsm_stopping(&guard->shadow);
	pthread_mutex_unlock(&guard->lock);
	return stopping;
}

void qs_guard_set_plan(struct qs_guard *guard, const struct shutdown_plan *plan)
{
	pthread_mutex_lock(&guard->lock);
	if (!fsm_stopping(&guard->shadow))
		guard->shadow.plan = *plan;
	pthread_mutex_unlock(&guard->lock);
}

void qs_guard_farewell(struct qs_guard *guard, uint64_t span, int status)
{
	atomic_store(&guard->farewell_status, status);
	atomic_store(&guard->farewell_at, qs_time_add(qs_time_now(), span));
	eventfd_raise(guard->wake_fd);
}

void qs_guard_stand_down(struct qs_guard *guard)
{
	atomic_store(&guard->stands_down, true);
	eventfd_raise(guard->wake_fd);
}

/* --- the thread --- */

static void read_signals(struct qs_guard *guard)
{
	struct signalfd_siginfo info;

	while (read(guard->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		int signo = (int)info.ssi_signo;

		if (signo != SIGTERM && signo != SIGINT) {
			post(guard, &(struct letter){ .kind = LETTER_SIGNAL, .signo = signo });
			continue;
		}
		struct qs_stop_reason reason = { .cause = QS_CAUSE_SHUTDOWN };
		snprintf(reason.detail, sizeof(reason.detail), "signal SIG%s from pid %u uid %u",
		        sigabbrev_np(signo), info.ssi_pid, info.ssi_uid);
		qs_guard_request_stop(guard, &reason);
	}
}

/* When everything has to be over; QS_FOREVER while nobody has asked for it. */
static uint64_t shadow_leave_at(struct qs_guard *guard, uint64_t now)
{
	pthread_mutex_lock(&guard->lock);
	advance_shadow(guard, now);
	uint64_t at = fsm_stopping(&guard->shadow) ? fsm_leave_at(&guard->shadow) : QS_FOREVER;
	pthread_mutex_unlock(&guard->lock);
	return at;
}

/* A loop that has been in one turn for longer than it may take to leave will not leave by itself.
 */
static uint64_t margin(const struct qs_guard *guard, uint64_t leave_at)
{
	uint64_t began = atomic_load(&guard->pulse->turn_began);

	return began != 0 && qs_time_sub(leave_at, began) > 2 * LEAVE_MARGIN ? 0 : LEAVE_MARGIN;
}

/* Ends the process if it is time; else returns when. Once the loop says farewell, that counts. */
static uint64_t leave_if_due(struct qs_guard *guard, uint64_t now)
{
	uint64_t farewell_at = atomic_load(&guard->farewell_at);

	if (atomic_load(&guard->stands_down))
		return QS_FOREVER;
	if (farewell_at == QS_FOREVER) {
		uint64_t leave_at = shadow_leave_at(guard, now);

		leave_at = qs_time_add(leave_at, margin(guard, leave_at));
		if (now >= leave_at)
			_exit(guard->options.last_words(guard->options.arg));
		return leave_at;
	}
	if (now >= farewell_at)
		_exit(atomic_load(&guard->farewell_status));
	return farewell_at;
}

/* The ping goes to the loop, its answer comes back by our eventfd, and only then is it told on. */
static void keep_watchdog(struct qs_guard *guard, uint64_t now)
{
	if (atomic_exchange(&guard->pong, false) && guard->options.alive)
		guard->options.alive(guard->options.arg);
	if (now < guard->ping_at)
		return;
	guard->ping_at = qs_time_add(now, guard->options.watchdog / 2);
	atomic_store(&guard->ping, true);
	eventfd_raise(guard->inbox_fd);
}

/* Threads stamp themselves with the coarse time, which the loop does not move while it waits. */
static bool move_clock(struct qs_guard *guard)
{
	if (atomic_load(&guard->pulse->threads) <= 0)
		return false;
	(void)qs_clock_read(guard->clock);
	return true;
}

static void tell_stall(struct qs_guard *guard, uint64_t span)
{
	const struct qs_guard_options *options = &guard->options;
	size_t lines = qs_trace_lines(&guard->trace);
	char line[QS_TRACE_LINE];

	if (options->stalled)
		options->stalled(atomic_load(&guard->pulse->holder), span, options->arg);
	for (size_t i = 0; options->traced && i < lines; i++)
		options->traced(qs_trace_line(&guard->trace, i, line), options->arg);
}

/* The trace is not waited for: the hard deadline may be near. It is there at one of the next looks.
 */
static void report_stall(struct qs_guard *guard, uint64_t span)
{
	if (guard->stall == STALL_NONE) {
		guard->stall = STALL_TRACED;
		guard->trace_looks = 0;
		qs_trace_ask(&guard->trace);
	} else if (guard->stall == STALL_TRACED) {
		if (qs_trace_lines(&guard->trace) == 0 && ++guard->trace_looks < TRACE_LOOKS)
			return;
		guard->stall = STALL_TOLD;
		tell_stall(guard, span);
	}
}

/* Whether a turn is under way that has to be looked at again. */
static bool watch_turn(struct qs_guard *guard)
{
	uint64_t began = atomic_load(&guard->pulse->turn_began);

	if (began == 0) {
		guard->stall = STALL_NONE;
		return move_clock(guard);
	}
	uint64_t span = qs_time_sub(qs_clock_read(guard->clock), began);
	if (span < STALL_AFTER)
		guard->stall = STALL_NONE;
	else
		report_stall(guard, span);
	return true;
}

/*
 * The race: the loop begins a turn between our look and our sleep. Raising the flag first and
 * looking again afterwards closes it: either we see the turn, or the loop sees the flag.
 */
static bool may_sleep(struct qs_guard *guard)
{
	if (watch_turn(guard))
		return false;
	atomic_store(&guard->pulse->guard_sleeps, 1);
	return !watch_turn(guard);
}

static void wait_for_news(struct qs_guard *guard, uint64_t until)
{
	struct pollfd fds[] = {
		{ .fd = guard->signal_fd, .events = POLLIN },
		{ .fd = guard->wake_fd, .events = POLLIN },
	};
	uint64_t span = qs_time_sub(until, qs_time_now());
	struct timespec timeout = { .tv_sec = (time_t)(span / QS_SEC),
		.tv_nsec = (long)(span % QS_SEC) };

	if (ppoll(fds, ARRAY_SIZE(fds), until == QS_FOREVER ? NULL : &timeout, NULL) <= 0)
		return;
	if (fds[1].revents)
		eventfd_lower(guard->wake_fd);
	if (fds[0].revents)
		read_signals(guard);
}

static void *guard_main(void *arg)
{
	struct qs_guard *guard = arg;

	pthread_setname_np(pthread_self(), "guard");
	while (!atomic_load(&guard->quit)) {
		uint64_t now = qs_time_now();
		uint64_t until = leave_if_due(guard, now);

		keep_watchdog(guard, now);
		until = MIN(until, guard->ping_at);
		if (!may_sleep(guard))
			until = MIN(until, qs_time_add(now, LOOK_EVERY));
		wait_for_news(guard, until);
	}
	return NULL;
}

/* --- life --- */

static void close_descriptors(struct qs_guard *guard)
{
	closep(&guard->signal_fd);
	closep(&guard->wake_fd);
	closep(&guard->inbox_fd);
}

static int open_descriptors(struct qs_guard *guard)
{
	sigset_t set;

	fill_guard_signals(&set);
	if (!guard->options.keep_signals) {
		guard->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
		if (guard->signal_fd < 0)
			return -errno;
	}
	guard->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	guard->inbox_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (guard->wake_fd < 0 || guard->inbox_fd < 0)
		return -errno;
	return 0;
}

static int start_thread(struct qs_guard *guard)
{
	pthread_attr_t attributes;
	sigset_t all, before;

	int r = pthread_attr_init(&attributes);
	if (r != 0)
		return -r;
	(void)pthread_attr_setstacksize(&attributes, THREAD_STACK);
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	r = pthread_create(&guard->thread, &attributes, guard_main, guard);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return -r;
}

int qs_guard_start(const struct qs_guard_options *options, struct qs_guard **ret_guard)
{
	struct qs_guard *guard = calloc(1, sizeof(*guard));

	if (!guard)
		return -ENOMEM;
	guard->options = *options;
	guard->clock = qs_loop_clock(options->loop);
	guard->pulse = qs_loop_pulse(options->loop);
	guard->signal_fd = guard->wake_fd = guard->inbox_fd = -1;
	guard->inbox_watch.ready = inbox_ready;
	guard->farewell_at = QS_FOREVER;
	guard->ping_at = options->watchdog ? qs_time_now() : QS_FOREVER;
	pthread_mutex_init(&guard->lock, NULL);
	fsm_init(&guard->shadow, &options->plan);

	int r = qs_trace_init(&guard->trace);
	if (r < 0)
		goto fail;
	r = open_descriptors(guard);
	if (r < 0)
		goto fail_trace;
	r = qs_watch_start(options->loop, &guard->inbox_watch, guard->inbox_fd, QS_READ);
	if (r < 0)
		goto fail_trace;
	atomic_store(&guard->pulse->guard_fd, guard->wake_fd);
	r = start_thread(guard);
	if (r < 0)
		goto fail_watch;
	*ret_guard = guard;
	return 0;

fail_watch:
	atomic_store(&guard->pulse->guard_fd, -1);
	qs_watch_stop(&guard->inbox_watch);
fail_trace:
	qs_trace_done(&guard->trace);
fail:
	close_descriptors(guard);
	pthread_mutex_destroy(&guard->lock);
	free(guard);
	return r;
}

void qs_guard_stop(struct qs_guard *guard)
{
	if (!guard)
		return;
	atomic_store(&guard->quit, true);
	eventfd_raise(guard->wake_fd);
	pthread_join(guard->thread, NULL);
	atomic_store(&guard->pulse->guard_fd, -1);
	atomic_store(&guard->pulse->guard_sleeps, 0);
	qs_watch_stop(&guard->inbox_watch);
	qs_trace_done(&guard->trace);
	close_descriptors(guard);
	pthread_mutex_destroy(&guard->lock);
	free(guard);
}
