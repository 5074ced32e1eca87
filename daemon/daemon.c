/*
 * The daemon's whole life. Everything is set up in one order (set_up) and torn down in its mirror
 * (tear_down); what happens in between is hooks: the coordinator's, the guard's and the fleet's.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "daemon/control.h"
#include "daemon/daemon.h"
#include "daemon/daemon_internal.h"
#include "daemon/log.h"
#include "lib/fiber.h"

#define EXTEND_EVERY (10 * QS_SEC)
#define FAREWELL     (2 * QS_SEC) /* for the way from the loop to the exit */
#define SWEEP_TIME   (500 * QS_MSEC)
#define CONTROL_TIME (100 * QS_MSEC)
#define LOG_TIME     (200 * QS_MSEC)

/* --- what the loop tells: hooks of the coordinator --- */

static void on_hold(void *arg, bool held)
{
	struct daemon *daemon = arg;

	fleet_hold(&daemon->fleet, held);
}

static void on_phase(void *arg, enum qs_phase phase)
{
	struct daemon *daemon = arg;
	const char *name = qs_phase_name(phase);

	log_event(LOG_LEVEL_INFO, &(struct log_fields){ .event = LOG_PHASE, .phase = name },
	        "phase: %s", name);
	if (daemon_stopping(daemon))
		fleet_end(&daemon->fleet);
	if (!list_empty(&daemon->events.observers))
		events_emit(&daemon->events, "phase", json_pack("{s:s}", "phase", name));
	daemon_tell_manager(daemon);
	if (daemon->control)
		control_consider(daemon->control);
}

static unsigned on_count_stages(void *arg)
{
	struct daemon *daemon = arg;

	return fleet_assign_stages(&daemon->fleet);
}

/* --- what the guard tells --- */

/* In the thread that asks: from now on no ending is forgotten, since the report counts from now. */
static void on_asked(void *arg)
{
	struct daemon *daemon = arg;

	qs_ledger_retain(daemon->ledger);
}

static void on_stop_requested(const struct qs_stop_reason *reason, void *arg)
{
	struct daemon *daemon = arg;

	if (daemon_stopping(daemon))
		log_info("stop asked for again (%s): one phase on", reason->detail);
	else
		log_info("stop asked for: %s", reason->detail);
	qs_coordinator_stop(&daemon->coordinator, reason);
}

static void reload_by_signal(struct daemon *daemon)
{
	struct config_errors errors = { 0 };
	struct fleet_change change;

	/* daemon_reload logs how it went; nobody else is there to be told. */
	int r = daemon_reload(daemon, &change, &errors);
	(void)r;
	config_errors_done(&errors);
}

static void on_signalled(int signo, void *arg)
{
	struct daemon *daemon = arg;
	int r = 0;

	if (daemon_stopping(daemon)) {
		log_info("SIG%s ignored: stopping", sigabbrev_np(signo));
		return;
	}
	if (signo == SIGHUP)
		reload_by_signal(daemon);
	else if (signo == SIGUSR1)
		r = qs_coordinator_drain(&daemon->coordinator);
	else if (signo == SIGUSR2)
		r = qs_coordinator_resume(&daemon->coordinator);
	if (r < 0)
		log_warning("SIG%s: %s", sigabbrev_np(signo), strerror(-r));
}

/* In the guard's thread, as are the next two. */
static void on_alive(void *arg _unused_)
{
	(void)qs_notify_watchdog();
}

static void on_stalled(uint64_t holder, uint64_t span, void *arg _unused_)
{
	char text[160];

	snprintf(text, sizeof(text), "the loop has been stuck for %llu ms%s%llu",
	        (unsigned long long)(span / QS_MSEC), holder ? ", working for task " : ", task ",
	        (unsigned long long)holder);
	log_emergency(&(struct log_fields){ .event = LOG_STALL, .task = holder }, text);
}

/* The loop never came to its end: whoever still lives is killed blindly, then the report. */
static int on_last_words(void *arg)
{
	struct daemon *daemon = arg;
	const struct qs_record *record;
	uint64_t cursor = 0;

	while ((record = qs_ledger_next(daemon->ledger, &cursor)) != NULL) {
		pid_t pid = (pid_t)atomic_load(&record->pid);

		if (pid > 0 && atomic_load(&record->verdict) == QS_VERDICT_NONE)
			(void)kill(-pid, SIGKILL);
	}
	qs_ledger_close_books(daemon->ledger, qs_time_now());
	daemon_write_report(daemon, true);
	log_emergency(&(struct log_fields){ .event = LOG_REPORT },
	        "the loop did not come to its end in time: leaving without it");
	return qs_report_exit_status(&daemon->report);
}

/* Then the process aborts: another fiber's memory may be damaged. */
static void on_overflow(const char *name, void *arg _unused_)
{
	char text[128];

	snprintf(text, sizeof(text), "stack overflow in a task of %s", name);
	log_emergency(&(struct log_fields){ 0 }, text);
}

/* --- what the fleet tells --- */

static void on_readiness(void *arg, bool ready)
{
	struct daemon *daemon = arg;

	if (ready && !daemon->announced_ready) {
		daemon->announced_ready = true;
		qs_timer_disarm(&daemon->tick);
		(void)qs_notify_ready("ready");
		log_info("ready");
	}
	if (!list_empty(&daemon->events.observers))
		events_emit(&daemon->events, "readiness", json_pack("{s:b}", "ready", ready));
}

static void on_changed(void *arg)
{
	struct daemon *daemon = arg;

	if (daemon->control)
		control_consider(daemon->control);
}

/* While it starts: more time, please. While it stops: who is left. Otherwise it is not armed. */
static void on_tick(struct qs_timer *timer)
{
	struct daemon *daemon = container_of(timer, struct daemon, tick);

	daemon_tell_manager(daemon);
}

/* --- set-up --- */

/* Without them the first files we open would be taken for the standard ones, and written to. */
static void open_standard_descriptors(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		(void)close(fd);
}

static void prepare_process(void)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	sigset_t child;

	open_standard_descriptors();
	(void)sigaction(SIGPIPE, &ignore, NULL);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	(void)pthread_sigmask(SIG_BLOCK, &child, NULL);
}

static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

static int set_up_core(struct daemon *daemon)
{
	const struct qs_coordinator_hooks hooks = {
		.hold = on_hold, .phase = on_phase, .arg = daemon
	};

	qs_clock_init(&daemon->clock);
	int r = qs_loop_new(&daemon->clock, &daemon->loop);
	if (r < 0)
		return r;
	r = qs_ledger_new(&daemon->ledger);
	if (r < 0)
		return r;
	qs_context_init(&daemon->context, daemon->loop, daemon->ledger);
	qs_group_init(&daemon->root, &daemon->context, NULL);
	r = qs_timer_init(daemon->loop, &daemon->tick, on_tick);
	if (r < 0)
		return r;
	r = qs_coordinator_init(
	        &daemon->coordinator, &daemon->root, &daemon->config->shutdown, &hooks);
	if (r < 0)
		return r;
	daemon->coordinator.count_stages = on_count_stages;
	r = qs_stop_new(NULL, &daemon->stop);
	if (r < 0)
		return r;
	const struct qs_fibers_options fibers = { .overflowed = on_overflow };
	return qs_fibers_new(&daemon->context, &fibers, &daemon->context.fibers);
}

static int set_up_guard(struct daemon *daemon)
{
	struct qs_guard_options options = {
		.loop = daemon->loop,
		.stop = daemon->stop,
		.plan = daemon->config->shutdown,
		.watchdog = daemon->notify.watchdog,
		.asked = on_asked,
		.stop_requested = on_stop_requested,
		.signalled = on_signalled,
		.alive = on_alive,
		.stalled = on_stalled,
		.last_words = on_last_words,
		.arg = daemon,
	};

	return qs_guard_start(&options, &daemon->guard);
}

static int set_up_fleet(struct daemon *daemon)
{
	const struct fleet_hooks hooks = {
		.readiness = on_readiness, .changed = on_changed, .arg = daemon
	};

	int r = qs_reaper_new(&daemon->context, &(struct qs_reaper_options){ .subreaper = true },
	        &daemon->reaper);
	if (r < 0)
		return r;
	raise_descriptor_limit();
	events_init(&daemon->events);
	r = fleet_init(&daemon->fleet, &daemon->context, &daemon->root, daemon->reaper,
	        &daemon->events, daemon->config, &hooks);
	if (r < 0)
		daemon->config = NULL;
	return r;
}

static int fail_step(const char *what, int error)
{
	log_error("cannot set up %s: %s", what, strerror(-error));
	return error;
}

static int set_up(struct daemon *daemon)
{
	int r = daemon_open_state(daemon);
	if (r < 0)
		return r;
	r = set_up_core(daemon);
	if (r < 0)
		return fail_step("the event loop", r);
	daemon_begin_report(daemon);
	r = set_up_fleet(daemon);
	if (r < 0)
		return fail_step("the workers", r);
	r = daemon_open_control(daemon);
	if (r < 0)
		return r;
	r = set_up_guard(daemon);
	if (r < 0)
		return fail_step("the guard", r);
	return 0;
}

/* --- tear-down, the mirror of set_up --- */

static void sweep(struct daemon *daemon)
{
	int found = qs_reaper_sweep(daemon->reaper, qs_time_add(qs_time_now(), SWEEP_TIME));

	if (found == -ETIMEDOUT)
		log_warning("some processes below the daemon would not end");
	else if (found > 0)
		log_warning("%d processes that no worker owned any more were killed", found);
}

static void tear_down(struct daemon *daemon)
{
	/* Tasks have ended before what they use: the control socket still answers until here. */
	fleet_close_calls(&daemon->fleet);
	control_close(daemon->control, qs_time_add(qs_time_now(), CONTROL_TIME));
	control_free(TAKE(daemon->control, NULL));
	if (daemon->fleet.config)
		daemon->config = NULL;
	fleet_done(&daemon->fleet);
	qs_reaper_free(daemon->reaper);
	qs_guard_stop(daemon->guard);
	qs_fibers_free(daemon->context.fibers);
	qs_stop_free(daemon->stop);
	qs_coordinator_done(&daemon->coordinator);
	if (daemon->loop)
		qs_timer_done(&daemon->tick);
	qs_context_done(&daemon->context);
	qs_ledger_free(daemon->ledger);
	qs_loop_free(daemon->loop);
	state_close(&daemon->state);
}

static int quiesce(struct daemon *daemon)
{
	char summary[512];

	qs_guard_farewell(daemon->guard, FAREWELL, qs_report_exit_status(&daemon->report));
	sweep(daemon);
	daemon_write_report(daemon, false);
	qs_report_summarise(&daemon->report, summary, sizeof(summary));
	log_event(LOG_LEVEL_INFO, &(struct log_fields){ .event = LOG_REPORT }, "%s", summary);
	return qs_report_exit_status(&daemon->report);
}

static void begin(struct daemon *daemon)
{
	char socket[160] = "";

	daemon_describe_control(daemon, socket, sizeof(socket));
	log_event(LOG_LEVEL_INFO, &(struct log_fields){ .event = LOG_STARTED },
	        "quiesced " QUIESCE_VERSION ", pid %d, %zu worker%s%s", (int)getpid(),
	        daemon->fleet.config->worker_count,
	        daemon->fleet.config->worker_count == 1 ? "" : "s", socket);
	if (daemon->notify.managed)
		qs_timer_arm(&daemon->tick, qs_time_add(qs_time_now(), EXTEND_EVERY));
	fleet_start(&daemon->fleet);
}

static int run(struct daemon *daemon)
{
	int r = set_up(daemon);

	if (r < 0) {
		daemon_report_failure(daemon, r);
		return r == -EACCES || r == -EPERM ? EXIT_NO_PERMISSION : EXIT_RUNTIME_FAILURE;
	}
	begin(daemon);
	qs_loop_run(daemon->loop);
	return quiesce(daemon);
}

int daemon_run(const struct daemon_options *options)
{
	struct daemon daemon = { .options = *options,
		.state = { .directory_fd = -1, .lock_fd = -1 },
		.started_at = qs_time_now() };
	struct config_errors errors = { 0 };

	prepare_process();
	int r = qs_guard_block_signals();
	if (r < 0)
		return EXIT_RUNTIME_FAILURE;
	r = daemon_read_config(options, &daemon.config, &errors);
	if (errors.text)
		fputs(errors.text, stderr);
	if (r < 0) {
		config_errors_done(&errors);
		return r == -EBADMSG ? EXIT_BAD_CONFIGURATION : EXIT_RUNTIME_FAILURE;
	}
	qs_notify_init(&daemon.notify);
	r = daemon_start_log(&daemon, errors.warnings);
	config_errors_done(&errors);
	if (r == 0) {
		r = run(&daemon);
		tear_down(&daemon);
	} else {
		r = EXIT_RUNTIME_FAILURE;
	}
	config_free(daemon.config);
	log_done(qs_time_add(qs_time_now(), LOG_TIME));
	return r;
}
