/*
 * A call without enough memory, at every point of its life: it is not begun, or it ends and is
 * answered, exactly once; the books add up, and nothing is left.
 */
#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/call.h"
#include "daemon/callee.h"
#include "daemon/control_internal.h"
#include "daemon/fleet.h"
#include "daemon/log.h"
#include "lib/fiber.h"
#include "lib/process.h"
#include "tests/unit/budget.h"

#define PATIENCE (20 * QS_SEC)
#define ENOUGH   1000 /* allocations: no call needs so many */

static struct qs_clock world_clock;
static struct qs_loop *loop;
static struct qs_ledger *ledger;
static struct qs_context context;
static struct qs_group root;
static struct qs_reaper *reaper;
static struct events events;
static struct fleet fleet;

static struct config *read_config(const char *yaml)
{
	char file[] = "/tmp/quiesced-call-XXXXXX";
	struct config_errors errors = { 0 };
	struct config *config = NULL;
	int fd = mkstemp(file);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_gt(dprintf(fd, "log: { level: error }\nworkers:\n  %s\n", yaml), 0);
	close(fd);
	ck_assert_msg(config_read(file, NULL, &config, &errors) == 0, "%s", errors.text);
	config_errors_done(&errors);
	unlink(file);
	return config;
}

static struct worker *open_world(const char *yaml)
{
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	qs_clock_init(&world_clock);
	ck_assert_int_eq(qs_loop_new(&world_clock, &loop), 0);
	ck_assert_int_eq(qs_ledger_new(&ledger), 0);
	qs_context_init(&context, loop, ledger);
	qs_group_init(&root, &context, NULL);
	ck_assert_int_eq(
	        qs_fibers_new(&context, &(struct qs_fibers_options){ 0 }, &context.fibers), 0);
	ck_assert_int_eq(
	        qs_reaper_new(&context,
	                &(struct qs_reaper_options){ .subreaper = true, .no_cgroups = true },
	                &reaper),
	        0);
	events_init(&events);
	ck_assert_int_eq(fleet_init(&fleet, &context, &root, reaper, &events, read_config(yaml),
	                         &(struct fleet_hooks){ 0 }),
	        0);
	fleet_start(&fleet);
	struct worker *worker = list_entry(fleet.workers.next, struct worker, node);
	while (worker->state != WORKER_RUNNING)
		(void)qs_loop_turn(loop, true);
	return worker;
}

static void close_world(void)
{
	fleet_done(&fleet);
	qs_reaper_free(reaper);
	qs_group_done(&root);
	qs_fibers_free(context.fibers);
	qs_context_done(&context);
	ck_assert_uint_eq(qs_ledger_live(ledger), 0);
	qs_ledger_free(ledger);
	qs_loop_free(loop);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
	ck_assert_int_eq(errno, ECHILD);
}

/* --- who asks --- */

static int answers, status;

static void fake_respond(_unused_ struct request *request, const struct answer *answer)
{
	answers++;
	status = answer->status;
	if (answer->owned)
		free((void *)answer->body);
	else if (answer->let_go)
		answer->let_go(answer->arg);
}

static const char *fake_header(_unused_ const struct request *request, _unused_ const char *name)
{
	return NULL;
}

static const struct transport fake_transport = { .respond = fake_respond, .header = fake_header };

static void too_late(struct qs_timer *timer)
{
	(void)timer;
	abort();
}

static void run_to_end(const struct worker *worker)
{
	struct qs_timer patience;
	long kept = budget;

	budget = -1;
	ck_assert_int_eq(qs_timer_init(loop, &patience, too_late), 0);
	budget = kept;
	qs_timer_arm(&patience, qs_time_add(qs_time_now(), PATIENCE));
	while (callee_live(worker) > 0)
		(void)qs_loop_turn(loop, true);
	qs_timer_done(&patience);
}

/* One call with so many allocations. Whether that was enough. */
static bool call_with(struct worker *worker, long allocations)
{
	struct request request = { .transport = &fake_transport };
	const struct call_payload payload = { .text = "{}", .size = 2 };
	char problem[CALL_PROBLEM_MAX];
	struct call *call;

	answers = status = 0;
	budget = allocations;
	int r = call_begin(worker, &payload, problem, &call);
	if (r == 0) {
		call_attach(call, &request);
		run_to_end(worker);
	}
	bool enough = budget > 0;
	budget = -1;
	if (r < 0)
		ck_assert_int_eq(r, -ENOMEM);
	ck_assert_int_eq(answers, r == 0);
	ck_assert_uint_eq(callee_live(worker), 0);
	ck_assert_uint_eq(fleet.calls.count, 0);
	ck_assert_uint_eq(fleet.config->calls, 0);
	ck_assert_uint_eq(qs_ledger_live(ledger), 0);
	return enough;
}

static void starve(const char *yaml, int wanted)
{
	struct worker *worker = open_world(yaml);
	long allocations = 0;

	/* What is made once and kept is there then. */
	(void)call_with(worker, ENOUGH);
	ck_assert_int_eq(status, wanted);
	while (!call_with(worker, allocations))
		ck_assert_int_lt(++allocations, ENOUGH);
	ck_assert_int_gt(allocations, 4);
	ck_assert_int_eq(status, wanted);
	close_world();
}

START_TEST(a_call_of_a_program_without_memory_is_answered_once)
{
	starve("w: { when: call, exec: [cat] }", 200);
}
END_TEST

START_TEST(a_call_of_a_server_without_memory_is_answered_once)
{
	starve("w: { when: call, http: { url: 'http://127.0.0.1:1/' } }", 502);
}
END_TEST

int main(void)
{
	log_set_level(LOG_LEVEL_ERROR);
	Suite *suite = suite_create("call_memory");
	TCase *tcase = tcase_create("call");

	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, a_call_of_a_program_without_memory_is_answered_once);
	tcase_add_test(tcase, a_call_of_a_server_without_memory_is_answered_once);
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
