/* Trees of processes that do not want to end, in the real daemon: all of them are gone at the end.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "lib/macro.h"
#include "tests/system/rig.h"
#include "tests/system/suite.h"

#define SHORT "shutdown: { deadline: 400ms, cancel_grace: 200ms, kill_grace: 5s }\n"

static struct rig rig;

/* Starts one worker `w` from a script, and waits until it has said "here". */
static void start_script(const char *script)
{
	rig_init(&rig, SHORT "workers: { w: { exec: [./w], restart: never } }\n");
	rig_write(&rig, "w", script);
	rig_start(&rig);
	rig_expect(&rig, "here");
}

/* Stops the daemon and compares what it says of `w`. */
static void stop_and_expect(int status, const char *verdict)
{
	int exited = rig_stop(&rig);
	json_t *report = rig_report(&rig);

	ck_assert_msg(
	        exited == status, "exit status %d instead of %d\n%s", exited, status, rig.log);
	ck_assert_str_eq(rig_verdict(report, "w"), verdict);
	json_decref(report);
	rig_done(&rig);
}

START_TEST(a_child_that_goes_when_asked_was_stopped)
{
	start_script("#!/bin/sh\necho here\nexec sleep 1000\n");
	stop_and_expect(0, "stopped");
}
END_TEST

START_TEST(a_child_that_ignores_sigterm_is_killed)
{
	start_script("#!/bin/sh\ntrap '' TERM\necho here\nwhile :; do sleep 1000; done\n");
	stop_and_expect(150, "killed");
}
END_TEST

START_TEST(a_child_that_ends_after_its_cancel_was_cancelled)
{
	rig_init(&rig, SHORT "workers: { w: { exec: [./w], stop: { cancel_signal: SIGUSR1 } } }\n");
	rig_write(&rig, "w",
	        "#!/bin/sh\ntrap '' TERM\ntrap 'exit 0' USR1\necho here\nwhile :; do sleep 0.05; "
	        "done\n");
	rig_start(&rig);
	rig_expect(&rig, "here");
	stop_and_expect(150, "cancelled");
}
END_TEST

START_TEST(what_a_leader_leaves_behind_is_ended_before_anything_else_happens)
{
	start_script("#!/bin/sh\nsleep 4101 &\nsleep 4101 &\necho here\nexit 0\n");
	rig_expect(&rig, "ended: finished");
	ck_assert(!rig_process_exists("sleep 4101"));
	ck_assert_int_eq(rig_stop(&rig), 0);
	rig_done(&rig);
}
END_TEST

START_TEST(a_stubborn_tree_without_its_leader_is_killed)
{
	start_script("#!/bin/sh\ntrap '' TERM\nsleep 4102 &\necho here\nexit 0\n");
	rig_expect(&rig, "asked to stop (leader-exit)");
	stop_and_expect(150, "killed");
}
END_TEST

START_TEST(a_double_fork_does_not_escape)
{
	start_script("#!/bin/sh\n(sleep 4103 & )\necho here\nexec sleep 4103\n");
	rig_await_process("sleep 4103", true);
	stop_and_expect(0, "stopped");
	ck_assert(!rig_process_exists("sleep 4103"));
}
END_TEST

START_TEST(a_session_of_its_own_does_not_escape)
{
	start_script("#!/bin/sh\nsetsid sh -c 'trap \"\" TERM HUP; setsid sleep 4104 & echo here; "
	             "exec sleep 4104' &\nexec sleep 4104\n");
	ck_assert_int_eq(rig_stop(&rig), 150);
	ck_assert(!rig_process_exists("sleep 4104"));
	rig_done(&rig);
}
END_TEST

START_TEST(forking_while_being_killed_does_not_help)
{
	start_script("#!/bin/sh\ntrap '' TERM\necho here\n"
	             "spawn() { (trap '' TERM; setsid sleep 4105) & }\n"
	             "while :; do spawn; sleep 0.01; done\n");
	ck_assert_int_eq(rig_stop(&rig), 150);
	ck_assert(!rig_process_exists("sleep 4105"));
	rig_done(&rig);
}
END_TEST

START_TEST(a_child_that_stopped_itself_hears_the_ask)
{
	start_script("#!/bin/sh\ntrap 'exit 0' TERM\necho here\nkill -STOP $$\n"
	             "while :; do sleep 0.05; done\n");
	stop_and_expect(0, "stopped");
}
END_TEST

START_TEST(held_standard_output_does_not_hold_up_the_end)
{
	rig_init(&rig, SHORT "workers: { w: { exec: [./w], restart: never } }\n");
	rig_write(&rig, "w", "#!/bin/sh\ntrap '' TERM\nsleep 4106 &\necho here\nexit 3\n");
	rig_start(&rig);
	rig_expect(&rig, "here");
	rig_expect(&rig, "asked to stop (leader-exit)");
	ck_assert_int_eq(rig_stop(&rig), 150);
	ck_assert(rig_logged(&rig, "exit status 3"));
	rig_done(&rig);
}
END_TEST

START_TEST(output_before_the_end_is_in_the_log_and_the_last_line_needs_no_newline)
{
	start_script("#!/bin/sh\necho here\ni=0\nwhile [ $i -lt 2000 ]; do echo line $i; "
	             "i=$((i+1)); done\n"
	             "printf 'the very last words'\n");
	rig_expect(&rig, "line 1999");
	rig_expect(&rig, "the very last words");
	rig_expect(&rig, "ended: finished");
	ck_assert_int_eq(rig_stop(&rig), 0);
	rig_done(&rig);
}
END_TEST

START_TEST(ten_megabytes_without_a_newline_are_folded)
{
	start_script("#!/bin/sh\necho here\nhead -c 10000000 /dev/zero | tr '\\0' x\n");
	rig_expect(&rig, "[10000000 bytes, sha256 ");
	rig_expect(&rig, "ended: finished");
	ck_assert_int_eq(rig_stop(&rig), 0);
	rig_done(&rig);
}
END_TEST

START_TEST(a_child_without_standard_streams_is_ended_like_any_other)
{
	start_script("#!/bin/sh\necho here\nexec <&- >&- 2>&-\nexec sleep 4107\n");
	rig_await_process("sleep 4107", true);
	stop_and_expect(0, "stopped");
}
END_TEST

START_TEST(a_child_hears_of_the_stop_by_its_pipe)
{
	start_script(
	        "#!/bin/sh\ntrap '' TERM\necho here\neval \"read -r line <&$QUIESCE_STOP_FD\"\n"
	        "echo \"heard: $line\"\neval \"read -r more <&$QUIESCE_STOP_FD\" || echo end of "
	        "pipe\n");
	rig_signal(&rig, SIGTERM);
	rig_expect(&rig, "heard: stop reason=shutdown deadline_usec=");
	rig_expect(&rig, "end of pipe");
	ck_assert_int_eq(rig_wait(&rig), 0);
	rig_done(&rig);
}
END_TEST

START_TEST(what_concerns_the_daemon_alone_is_not_inherited)
{
	rig_init(&rig, "workers: { w: { exec: [./w], environment: { MINE: \"1\" } } }\n");
	rig_write(&rig, "w",
	        "#!/bin/sh\necho \"env: <$WATCHDOG_PID$LISTEN_FDS$INVOCATION_ID$STATE_DIRECTORY>\" "
	        "$MINE\n"
	        "echo \"fds: $(ls /proc/self/fd | tr '\\n' ' ')\"\n"
	        "grep -E '^Sig(Blk|Ign)' /proc/self/status | tr -d '\\t\\n'; echo\nexec sleep "
	        "1000\n");
	setenv("INVOCATION_ID", "0123456789abcdef0123456789abcdef", 1);
	setenv("STATE_DIRECTORY", "/nowhere", 1);
	rig_start(&rig);
	rig_expect(&rig, "env: <> 1");
	rig_expect(&rig, "SigBlk:0000000000000000SigIgn:0000000000000000");
	ck_assert_int_eq(rig_stop(&rig), 0);
	rig_done(&rig);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		a_child_that_goes_when_asked_was_stopped,
		a_child_that_ignores_sigterm_is_killed,
		a_child_that_ends_after_its_cancel_was_cancelled,
		what_a_leader_leaves_behind_is_ended_before_anything_else_happens,
		a_stubborn_tree_without_its_leader_is_killed,
		a_double_fork_does_not_escape,
		a_session_of_its_own_does_not_escape,
		forking_while_being_killed_does_not_help,
		a_child_that_stopped_itself_hears_the_ask,
		held_standard_output_does_not_hold_up_the_end,
		output_before_the_end_is_in_the_log_and_the_last_line_needs_no_newline,
		ten_megabytes_without_a_newline_are_folded,
		a_child_without_standard_streams_is_ended_like_any_other,
		a_child_hears_of_the_stop_by_its_pipe,
		what_concerns_the_daemon_alone_is_not_inherited,
	};

	return suite_run("trees", tests, ARRAY_SIZE(tests));
}
