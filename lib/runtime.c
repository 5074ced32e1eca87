/*
 * A runtime's life. Everything is made in one order (set_up) and freed in its mirror
 * (qs_runtime_free).
 *
 * How a shutdown begins: a signal or qs_shutdown goes to the guard, which sets the stop event and
 * tells the loop. Whoever sets the stop event directly is heard by its callback, which asks the
 * guard on his behalf. In a simulation there is no guard: the callback tells the coordinator.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "lib/alloc.h"
#include "lib/clock.h"
#include "lib/fiber.h"
#include "lib/macro.h"
#include "lib/notify.h"
#include "lib/runtime.h"
#include "lib/step.h"
#include "lib/thread.h"

#define DEFAULT_DEADLINE     (20 * QS_SEC)
#define DEFAULT_CANCEL_GRACE (2 * QS_SEC)
#define DEFAULT_KILL_GRACE   QS_SEC

#define VIRTUAL_BEGIN QS_SEC /* 0 would look like "never" in places */

/* --- requests to stop --- */

/* The guard has told when the cancel comes, which may be earlier than by the plan. */
static void shorten_plan(qs_runtime *runtime, const struct qs_stop_reason *reason)
{
	struct shutdown_plan plan = runtime->coordinator.fsm.plan;
	uint64_t now = qs_loop_now(runtime->loop);
	/* As the coordinator does: from the request on. */
	uint64_t left = qs_time_sub(reason->deadline, reason->at == 0 ? now : MIN(reason->at, now));

	if (reason->deadline == 0 || left >= plan.deadline)
		return;
	plan.deadline = left;
	plan.drain = MIN(plan.drain, left);
	qs_coordinator_set_plan(&runtime->coordinator, &plan);
}

static void stop_requested(const struct qs_stop_reason *reason, void *arg)
{
	qs_runtime *runtime = arg;

	qs_runtime_log(runtime, QS_LOG_NOTICE,
	        fsm_stopping(&runtime->coordinator.fsm) ? "stop asked for again (%s): one phase on"
	                                                : "stop asked for: %s",
	        reason->detail);
	shorten_plan(runtime, reason);
	qs_coordinator_stop(&runtime->coordinator, reason);
}

static void signalled(int signo, void *arg)
{
	const qs_runtime *runtime = arg;

	if (runtime->options.hooks.signalled)
		runtime->options.hooks.signalled(signo, runtime->options.hooks.arg);
}

/* The guard's own sets come by here as well: it knows of them already. */
static void stop_was_set(qs_stop *stop, void *arg)
{
	qs_runtime *runtime = arg;
	struct qs_stop_reason reason;

	if (qs_stop_get_reason(stop, &reason) < 0)
		return;
	if (!runtime->options.virtual_clock) {
		if (!qs_guard_stopping(runtime->guard))
			qs_guard_request_stop(runtime->guard, &reason);
	} else {
		stop_requested(&reason, runtime);
	}
}

static void stop_again(void *arg)
{
	qs_runtime *runtime = arg;
	struct qs_stop_reason reason;

	if (qs_stop_get_reason(runtime->ground->stop, &reason) < 0)
		return;
	reason.at = 0; /* the reason is still the first one's, the time is not */
	stop_requested(&reason, runtime);
}

int qs_shutdown(qs_runtime *runtime, const char *detail)
{
	struct qs_stop_reason reason = { .cause = QS_CAUSE_SHUTDOWN };

	snprintf(reason.detail, sizeof(reason.detail), "%s", detail ? detail : "");
	return qs_shutdown_for(runtime, &reason);
}

int qs_shutdown_for(qs_runtime *runtime, const struct qs_stop_reason *reason)
{
	struct qs_stop_reason virtual = *reason;

	if (!runtime->options.virtual_clock) {
		qs_guard_request_stop(runtime->guard, reason);
		return 0;
	}
	virtual.at = qs_loop_now(runtime->loop);
	uint64_t deadline = qs_time_add(virtual.at, runtime->options.plan.deadline);
	virtual.deadline = reason->deadline > 0 ? MIN(reason->deadline, deadline) : deadline;
	if (qs_stop_set(runtime->ground->stop, &virtual) > 0)
		return 0;
	return qs_loop_post(runtime->loop, stop_again, runtime);
}

static void stop_wakes(struct qs_watch *watch, unsigned what _unused_)
{
	qs_stop_dispatch(container_of(watch, struct qs_runtime, stop_wake)->ground->stop);
}

/* --- hooks of the coordinator --- */

static void phase_changed(void *arg, enum qs_phase phase)
{
	qs_runtime_tell_phase(arg, phase);
}

static void leaves(void *arg)
{
	qs_runtime *runtime = arg;

	runtime->over = true;
}

/* --- set-up --- */

static void fill_in_defaults(struct qs_runtime_options *options)
{
	struct qs_shutdown_plan *plan = &options->plan;

	if (options->virtual_clock)
		options->keep_quiet = true;
	if (plan->deadline == 0)
		plan->deadline = DEFAULT_DEADLINE;
	if (plan->cancel_grace == 0)
		plan->cancel_grace = DEFAULT_CANCEL_GRACE;
	if (plan->kill_grace == 0)
		plan->kill_grace = DEFAULT_KILL_GRACE;
}

static struct shutdown_plan plan_of(const qs_runtime *runtime)
{
	const struct qs_shutdown_plan *plan = &runtime->options.plan;

	return (struct shutdown_plan){ .drain = plan->drain,
		.deadline = plan->deadline,
		.cancel_grace = plan->cancel_grace,
		.kill_grace = plan->kill_grace };
}

/* Whoever wakes his threads with a signal that the guard reads would take it away from it. */
static bool is_taken(const struct qs_runtime_options *options, int signo)
{
	static const int taken[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGSEGV };

	for (size_t i = 0; i < ARRAY_SIZE(taken); i++)
		if (signo == taken[i])
			return !options->keep_signals;
	return false;
}

static int set_up_core(qs_runtime *runtime)
{
	const struct qs_coordinator_hooks hooks = {
		.phase = phase_changed, .leave = leaves, .arg = runtime
	};
	const struct shutdown_plan plan = plan_of(runtime);

	int r = qs_ground_new(&runtime->ground);
	if (r < 0)
		return r;
	if (runtime->options.virtual_clock)
		qs_clock_init_virtual(&runtime->ground->clock, VIRTUAL_BEGIN);
	else
		qs_clock_init(&runtime->ground->clock);
	r = qs_loop_new(&runtime->ground->clock, &runtime->loop);
	if (r < 0)
		return r;
	if (runtime->options.virtual_clock)
		qs_loop_set_seed(runtime->loop, runtime->options.seed);
	qs_context_init(&runtime->context, runtime->loop, runtime->ground->ledger);
	runtime->context.ground = runtime->ground;
	runtime->context.unread = qs_runtime_tell_failure;
	runtime->context.unread_arg = runtime;
	qs_group_init(&runtime->root, &runtime->context, NULL);
	return qs_coordinator_init(&runtime->coordinator, &runtime->root, &plan, &hooks);
}

static int set_up_stop(qs_runtime *runtime)
{
	qs_stop *stop = runtime->ground->stop;

	runtime->stop_wake.ready = stop_wakes;
	int r = qs_watch_start(runtime->loop, &runtime->stop_wake, qs_stop_wake_fd(stop), QS_READ);
	if (r < 0)
		return r;
	int64_t id = qs_stop_add_callback(stop, stop_was_set, runtime);
	return id < 0 ? (int)id : 0;
}

static int set_up_kinds(qs_runtime *runtime)
{
	const struct qs_runtime_options *options = &runtime->options;

	const struct qs_threads_options threads = { .limit = options->thread_limit,
		.wake_signal = options->wake_signal };
	const struct qs_fibers_options fibers = {
		.stack_size = options->stack_size,
		.seed = options->seed,
		.measure = options->measure_stacks,
		.overflowed = qs_runtime_overflowed,
		.arg = runtime,
	};

	int r = qs_steps_new(&runtime->context, options->seed, &runtime->context.steps);
	if (r < 0)
		return r;
	r = qs_threads_new(&runtime->context, &threads, &runtime->context.threads);
	if (r < 0)
		return r;
	return qs_fibers_new(&runtime->context, &fibers, &runtime->context.fibers);
}

static int set_up_report(qs_runtime *runtime, const char *directory)
{
	qs_runtime_begin_report(runtime);
	if (!directory)
		return 0;
	runtime->report_fd = open(directory, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	return runtime->report_fd < 0 ? -errno : 0;
}

static int block_signals(qs_runtime *runtime)
{
	if (runtime->options.keep_signals)
		return 0;
	int r = -pthread_sigmask(SIG_SETMASK, NULL, &runtime->mask_before);
	if (r < 0)
		return r;
	runtime->has_mask = true;
	return qs_guard_block_signals();
}

static int set_up_guard(qs_runtime *runtime)
{
	struct qs_notify notify = { 0 };

	if (runtime->options.virtual_clock)
		return 0;
	if (!runtime->options.keep_quiet)
		qs_notify_init(&notify);
	int r = block_signals(runtime);
	if (r < 0)
		return r;
	const struct qs_guard_options options = {
		.loop = runtime->loop,
		.stop = runtime->ground->stop,
		.plan = plan_of(runtime),
		.watchdog = runtime->options.watchdog ? runtime->options.watchdog : notify.watchdog,
		.keep_signals = runtime->options.keep_signals,
		.stop_requested = stop_requested,
		.signalled = signalled,
		.alive = qs_runtime_alive,
		.stalled = qs_runtime_stalled,
		.traced = qs_runtime_traced,
		.last_words = qs_runtime_last_words,
		.arg = runtime,
	};
	return qs_guard_start(&options, &runtime->guard);
}

static int set_up(qs_runtime *runtime, const char *directory)
{
	int r = set_up_core(runtime);
	if (r < 0)
		return r;
	r = set_up_stop(runtime);
	if (r < 0)
		return r;
	r = set_up_report(runtime, directory);
	if (r < 0)
		return r;
	r = set_up_kinds(runtime);
	if (r < 0)
		return r;
	if (!runtime->options.keep_signals)
		r = qs_fault_enter(&runtime->fault);
	return r < 0 ? r : set_up_guard(runtime);
}

int qs_runtime_new_with(const struct qs_runtime_options *options, qs_runtime **ret_runtime)
{
	if (is_taken(options, options->wake_signal))
		return -EINVAL;
	qs_runtime *runtime = qs_calloc(1, sizeof(*runtime));
	if (!runtime)
		return -ENOMEM;
	runtime->options = *options;
	runtime->options.report_directory = NULL;
	runtime->report_fd = -1;
	runtime->fault = (struct qs_fault_scope){
		.name_at = qs_runtime_name_at, .told = qs_runtime_crashed, .arg = runtime
	};
	fill_in_defaults(&runtime->options);
	int r = set_up(runtime, options->report_directory);
	if (r < 0) {
		qs_runtime_free(runtime);
		return r;
	}
	*ret_runtime = runtime;
	return 0;
}

int qs_runtime_new(qs_runtime **ret_runtime)
{
	return qs_runtime_new_with(&(struct qs_runtime_options){ 0 }, ret_runtime);
}

/* --- tear-down, the mirror of set_up --- */

static void note_time_over(struct qs_timer *timer)
{
	qs_timer_disarm(timer);
}

static void wait_for_killed(qs_runtime *runtime)
{
	struct qs_timer patience;

	if (qs_timer_init(runtime->loop, &patience, note_time_over) < 0)
		return;
	qs_timer_arm(&patience,
	        qs_time_add(qs_loop_now(runtime->loop), runtime->options.plan.kill_grace));
	while (runtime->context.task_count > 0 && qs_timer_armed(&patience))
		(void)qs_loop_turn(runtime->loop, true);
	qs_timer_done(&patience);
}

/* Whatever lives is killed and has the kill's grace to be gone. */
static void kill_the_rest(qs_runtime *runtime)
{
	if (runtime->context.task_count == 0)
		return;
	qs_group_kill(&runtime->root, QS_CAUSE_SHUTDOWN);
	wait_for_killed(runtime);
	/* Threads may still stamp their records. */
	qs_ledger_retain(runtime->ground->ledger);
	qs_group_abandon(&runtime->root);
}

/* A further SIGTERM that came too late to matter must not end the program once it is let in. */
static void restore_signals(qs_runtime *runtime)
{
	const struct timespec at_once = { 0 };
	sigset_t late;

	if (!runtime->has_mask)
		return;
	sigemptyset(&late);
	if (sigismember(&runtime->mask_before, SIGTERM) == 0)
		sigaddset(&late, SIGTERM);
	if (sigismember(&runtime->mask_before, SIGINT) == 0)
		sigaddset(&late, SIGINT);
	while (sigtimedwait(&late, NULL, &at_once) > 0)
		;
	(void)pthread_sigmask(SIG_SETMASK, &runtime->mask_before, NULL);
}

void qs_runtime_free(qs_runtime *runtime)
{
	if (!runtime)
		return;
	if (runtime->loop) {
		/* The last posts still find all that lives, and start nothing new. */
		qs_group_close(&runtime->root);
		qs_loop_close_posts(runtime->loop);
		kill_the_rest(runtime);
	}
	qs_guard_stop(runtime->guard);
	restore_signals(runtime);
	qs_fault_leave(&runtime->fault);
	/* What waits there to be read goes with its kind. */
	if (runtime->loop)
		qs_group_done(&runtime->root);
	qs_fibers_free(runtime->context.fibers);
	qs_threads_free(runtime->context.threads);
	qs_steps_free(runtime->context.steps);
	closep(&runtime->report_fd);
	qs_watch_stop(&runtime->stop_wake);
	qs_coordinator_done(&runtime->coordinator);
	if (runtime->loop)
		qs_context_done(&runtime->context);
	qs_loop_free(runtime->loop);
	qs_ground_unref(runtime->ground);
	qs_free(runtime);
}

void qs_runtime_freep(qs_runtime **runtime)
{
	qs_runtime_free(*runtime);
}

/* --- running --- */

/* Also when the last task has heard of the stop by itself: the loop has yet to hear of it. */
static bool has_to_go_on(const qs_runtime *runtime)
{
	return runtime->root.live > 0 || qs_stop_is_set(runtime->ground->stop);
}

int qs_runtime_turn(qs_runtime *runtime)
{
	bool goes_on = has_to_go_on(runtime);
	bool ran = qs_loop_turn(runtime->loop, goes_on) > 0;

	if (runtime->over)
		return false;
	if (!ran && goes_on && runtime->options.virtual_clock)
		return -EDEADLK;
	return ran || has_to_go_on(runtime);
}

int qs_run(qs_runtime *runtime)
{
	int r;

	if (runtime->running)
		return -EDEADLK;
	if (runtime->concluded)
		return runtime->status;
	qs_runtime_tell_ready(runtime);
	runtime->running = true;
	do
		r = qs_runtime_turn(runtime);
	while (r > 0);
	runtime->running = false;
	return r < 0 ? r : qs_runtime_finish(runtime);
}

int qs_runtime_finish(qs_runtime *runtime)
{
	if (runtime->over)
		qs_runtime_conclude(runtime);
	else if (runtime->context.task_count > 0)
		qs_runtime_leave_behind(runtime);
	return runtime->status;
}

/* --- small things --- */

qs_group *qs_root(qs_runtime *runtime)
{
	return &runtime->root;
}

int qs_post(qs_runtime *runtime, void (*fn)(void *arg), void *arg)
{
	return qs_loop_post(runtime->loop, fn, arg);
}

qs_stop *qs_runtime_stop(qs_runtime *runtime)
{
	return runtime->ground->stop;
}

uint64_t qs_now(qs_runtime *runtime)
{
	return qs_loop_now(runtime->loop);
}

uint64_t qs_live(const qs_runtime *runtime)
{
	return qs_ledger_live(runtime->ground->ledger);
}
