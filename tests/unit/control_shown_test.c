/* What the control socket shows: metrics, status, the last report; and to whom. */
#include <fcntl.h>
#include <grp.h>

#include "tests/unit/control_fixture.h"

static void set_up(void)
{
	start_server(NULL);
}

START_TEST(the_metrics_are_well_formed)
{
	char family[128] = "", name[128];

	ck_assert_int_eq(ask("GET /metrics"), 200);
	ck_assert_ptr_nonnull(strstr(heard, "Content-Type: text/plain; version=0.0.4"));
	ck_assert_ptr_nonnull(strstr(heard, "quiesced_phase{phase=\"running\"} 1\n"));
	ck_assert_ptr_nonnull(strstr(heard, "quiesced_control_connections 1\n"));
	ck_assert_ptr_nonnull(strstr(heard,
	        "quiesced_worker_tasks_ended_total{worker=\"steady\",verdict=\"killed\"} 0\n"));
	for (char *line = strtok((char *)body_heard(), "\n"); line; line = strtok(NULL, "\n")) {
		if (sscanf(line, "# TYPE %127s", family) == 1 || line[0] == '#')
			continue;
		/* Each sample belongs to the family whose type was told last. */
		ck_assert_int_eq(sscanf(line, "%127[a-z_]", name), 1);
		ck_assert_str_eq(name, family);
		ck_assert_int_eq(strncmp(name, "quiesced_", 9), 0);
		ck_assert_ptr_nonnull(strrchr(line, ' '));
	}
}
END_TEST

START_TEST(a_status_has_what_the_design_says)
{
	static const char *const fields[] = { "name", "kind", "state", "pid", "since", "restarts",
		"next_restart_at", "stop_lag_seconds", "last_verdict", "last_detail", "status",
		"waiting_on", "detail", "when", "counts" };

	ck_assert_int_eq(ask("GET /v1/status"), 200);
	json_t *status = json_loads(body_heard(), 0, NULL);
	json_t *daemon = json_object_get(status, "daemon"),
	       *workers = json_object_get(status, "workers");
	ck_assert_str_eq(json_string_value(json_object_get(daemon, "phase")), "running");
	ck_assert_str_eq(json_string_value(json_object_get(daemon, "version")), QUIESCE_VERSION);
	ck_assert_int_eq(json_integer_value(json_object_get(daemon, "pid")), getpid());
	ck_assert(json_is_null(json_object_get(status, "shutdown")));
	ck_assert_uint_eq(json_array_size(workers), 4);
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		ck_assert_msg(
		        json_object_get(json_array_get(workers, 0), fields[i]), "%s", fields[i]);
	ck_assert_str_eq(
	        json_string_value(json_object_get(json_array_get(workers, 0), "name")), "steady");
	json_decref(status);
	ck_assert_int_eq(ask("GET /v1/workers"), 200);
	ck_assert_int_eq(ask("GET /v1/workers/%73teady"), 200);
	ck_assert_int_eq(ask("GET /v1/workers/nobody"), 404);
}
END_TEST

START_TEST(the_last_report_is_shown_when_there_is_one)
{
	char name[96];

	ck_assert_int_eq(ask("GET /v1/shutdowns/last"), 404);
	snprintf(name, sizeof(name), "%s/last-shutdown.json", directory);
	write_file(name, "{\"version\": 1}\n");
	ck_assert_int_eq(ask("GET /v1/shutdowns/last"), 200);
	ck_assert_str_eq(body_heard(), "{\"version\": 1}\n");
}
END_TEST

/* In a child, which the server's reaper waits for: the two statuses go through a pipe. */
static void be_a_stranger(int out)
{
	int statuses[2] = { 0 };

	if (setgroups(0, NULL) == 0 && setgid(65534) == 0 && setuid(65534) == 0) {
		statuses[0] = ask("GET /livez");
		statuses[1] = ask("POST /v1/drain");
	}
	_exit(write(out, statuses, sizeof(statuses)) == sizeof(statuses) ? 0 : 1);
}

START_TEST(a_stranger_may_read_and_not_change)
{
	int statuses[2] = { 0 }, ends[2];

	if (geteuid() != 0)
		return;
	ck_assert_int_eq(chmod(socket_path, 0666), 0);
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	pid_t child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0)
		be_a_stranger(ends[1]);
	close(ends[1]);
	ck_assert_int_eq(read(ends[0], statuses, sizeof(statuses)), sizeof(statuses));
	close(ends[0]);
	ck_assert_int_eq(statuses[0], 200);
	ck_assert_int_eq(statuses[1], 403);
}
END_TEST

static Suite *shown_suite(void)
{
	Suite *suite = suite_create("control_shown");
	TCase *shown = tcase_create("shown");

	tcase_add_checked_fixture(shown, set_up, stop_server);
	tcase_add_test(shown, the_metrics_are_well_formed);
	tcase_add_test(shown, a_status_has_what_the_design_says);
	tcase_add_test(shown, the_last_report_is_shown_when_there_is_one);
	tcase_add_test(shown, a_stranger_may_read_and_not_change);
	suite_add_tcase(suite, shown);
	return suite;
}

int main(void)
{
	SRunner *runner = srunner_create(shown_suite());

	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
