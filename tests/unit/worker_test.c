/*
 * One worker without enough memory, at every point of its life: it is made, started, heard, and it
 * ends, or it says why not; nothing crashes, nothing is lost and nothing is left.
 */
#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/fleet.h"
#include "lib/process.h"
#include "tests/unit/budget.h"

#define PATIENCE (20 * QS_SEC)

char *__real_strndup(const char *text, size_t size);
char *__wrap_strndup(const char *text, size_t size);

char *__wrap_strndup(const char *text, size_t size)
{
	return budget_spend() ? __real_strndup(text, size) : NULL;
}

static struct qs_clock world_clock;
static struct qs_loop *loop;
static struct qs_ledger *ledger;
static struct qs_context context;
static struct qs_group root;
static struct qs_reaper *reaper;
static struct events events;
static struct fleet fleet;
static char file[] = "/tmp/quiesced-worker-XXXXXX";

static struct config *read_config(void)
{
	struct config_errors errors = { 0 };
	struct config *config = NULL;

	ck_assert_msg(config_read(file, NULL, &config, &errors) == 0, "%s", errors.text);
	config_errors_done(&errors);
	return config;
}

static void set_up(void)
{
	qs_clock_init(&world_clock);
	ck_assert_int_eq(qs_loop_new(&world_clock, &loop), 0);
	ck_assert_int_eq(qs_ledger_new(&ledger), 0);
	qs_context_init(&context, loop, ledger);
	qs_group_init(&root, &context, NULL);
	ck_assert_int_eq(
	        qs_reaper_new(&context,
	                &(struct qs_reaper_options){ .subreaper = true, .no_cgroups = true },
	                &reaper),
	        0);
	events_init(&events);
}

static void tear_down(void)
{
	qs_reaper_free(reaper);
	qs_group_done(&root);
	qs_context_done(&context);
	qs_ledger_free(ledger);
	qs_loop_free(loop);
}

static void too_late(struct qs_timer *timer)
{
	(void)timer;
	abort();
}

static bool is_at_rest(const struct worker *worker)
{
	return !worker->run && (worker->state == WORKER_STOPPED || worker->state == WORKER_FAILED ||
	                               worker->state == WORKER_BACKOFF);
}

/* Turns the loop until the only worker has come to rest; aborts if it never does. */
static void run_to_rest(const struct worker *worker)
{
	struct qs_timer patience;
	long kept = budget;

	budget = -1;
	ck_assert_int_eq(qs_timer_init(loop, &patience, too_late), 0);
	budget = kept;
	qs_timer_arm(&patience, qs_time_add(qs_time_now(), PATIENCE));
	while (!is_at_rest(worker))
		qs_loop_turn(loop, true);
	qs_timer_done(&patience);
}

/* Everything that began is in the books, with exactly one verdict. */
static void assert_books_add_up(const struct worker *worker)
{
	uint64_t ended = 0;

	for (size_t i = 0; i < QS_VERDICT_COUNT; i++)
		ended += atomic_load(&worker->owner->ended[i]);
	ck_assert_uint_eq(ended, atomic_load(&worker->owner->started));
	ck_assert_uint_eq(root.live, 0);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
	ck_assert_int_eq(errno, ECHILD);
}

/* Whether `allocations` were enough for all of it. */
static bool live_with(long allocations)
{
	struct config *config = read_config();
	int before = open_descriptors();

	set_up();
	budget = allocations;
	int r = fleet_init(
	        &fleet, &context, &root, reaper, &events, config, &(struct fleet_hooks){ 0 });
	if (r < 0) {
		budget = -1;
		ck_assert_int_eq(r, -ENOMEM);
		tear_down();
		ck_assert_int_eq(open_descriptors(), before);
		return false;
	}
	struct worker *worker = list_entry(fleet.workers.next, struct worker, node);
	fleet_start(&fleet);
	run_to_rest(worker);
	bool enough = budget > 0;
	budget = -1;
	assert_books_add_up(worker);
	if (enough) {
		ck_assert_int_eq(worker->state, WORKER_STOPPED);
		ck_assert_str_eq(worker_line(worker, 0), "goodbye");
	} else if (worker->state != WORKER_STOPPED) {
		ck_assert_str_ne(worker->detail, "");
	}
	fleet_done(&fleet);
	tear_down();
	ck_assert_int_eq(open_descriptors(), before);
	return enough;
}

START_TEST(without_memory_at_any_point_it_says_so_or_goes_on)
{
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	int fd = mkstemp(file);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_gt(dprintf(fd, "log: { level: error }\nworkers: { w: { when: once, "
	                             "exec: [sh, -c, \"echo hello; echo goodbye\"], "
	                             "environment: { A: b }, stop: { success: [3] } } }\n"),
	        0);
	close(fd);
	long allocations = 0;
	while (!live_with(allocations))
		allocations++;
	/* The number is what makes the loop above mean something: it has failed at each of them. */
	ck_assert_int_gt(allocations, 10);
	unlink(file);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("worker");
	TCase *tcase = tcase_create("worker");

	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, without_memory_at_any_point_it_says_so_or_goes_on);
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
