/*
 * The control socket's parts, each by itself: who may what, the table of requests behind a
 * transport of the test's own, the socket file; and what is shown, by the real server.
 */
#include <fcntl.h>
#include <grp.h>

#include "daemon/routes.h"
#include "tests/unit/control_fixture.h"

/* --- who may what --- */

START_TEST(only_hosts_that_mean_this_socket_are_ours)
{
	static const char *const ours[] = { "", "localhost", "LocalHost", "localhost:80",
		"quiesced", "quiesced:1" };
	static const char *const foreign[] = { "localhost.example", "d", "localhost:8o",
		"127.0.0.1", "quiesced.example:80", "localhos", "x-localhost" };

	ck_assert(access_host_is_ours(NULL));
	for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
		ck_assert_msg(access_host_is_ours(ours[i]), "%s", ours[i]);
	for (size_t i = 0; i < ARRAY_SIZE(foreign); i++)
		ck_assert_msg(!access_host_is_ours(foreign[i]), "%s", foreign[i]);
}
END_TEST

START_TEST(changes_are_for_root_the_owner_and_the_group)
{
	const gid_t groups[] = { 7, 500, 9 };

	ck_assert(access_may_change(0, NULL, 0, 1000, 500));
	ck_assert(access_may_change(1000, NULL, 0, 1000, 500));
	ck_assert(access_may_change(1001, groups, 3, 1000, 500));
	ck_assert(!access_may_change(1001, groups, 1, 1000, 500));
	ck_assert(!access_may_change(1001, NULL, 0, 1000, 500));
}
END_TEST

START_TEST(the_peer_of_our_own_pair_is_ourselves)
{
	struct peer peer;
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	ck_assert_int_eq(access_read_peer(pair[0], &peer), 0);
	ck_assert_uint_eq(peer.uid, geteuid());
	ck_assert_uint_eq(peer.gid, getegid());
	ck_assert_int_eq(peer.pid, getpid());
	ck_assert(peer.may_change);
	ck_assert_int_eq(access_read_peer(STDIN_FILENO, &peer), -ENOTSOCK);
}
END_TEST

/* --- the table, behind a transport of ours --- */

struct exchange {
	struct request request;
	bool may_change;
	int identify_error, status, answers;
	char type[64], allow[32], body[1024];
};

static int fake_identify(const struct request *request, struct peer *ret_peer)
{
	const struct exchange *exchange = container_of(request, struct exchange, request);

	*ret_peer = (struct peer){ .uid = 4711, .may_change = exchange->may_change };
	return exchange->identify_error;
}

static void fake_respond(struct request *request, const struct answer *answer)
{
	struct exchange *exchange = container_of(request, struct exchange, request);

	exchange->answers++;
	exchange->status = answer->status;
	snprintf(
	        exchange->type, sizeof(exchange->type), "%s", answer->type ? answer->type : "json");
	snprintf(
	        exchange->allow, sizeof(exchange->allow), "%s", answer->allow ? answer->allow : "");
	snprintf(exchange->body, sizeof(exchange->body), "%.*s", (int)answer->size,
	        answer->body ? answer->body : "");
	if (answer->owned)
		free((void *)answer->body);
}

static const struct transport fake_transport = { .identify = fake_identify,
	.respond = fake_respond };

static struct exchange dispatch_with(
        enum method method, const char *path, const char *host, const char *origin, bool may_change)
{
	struct exchange exchange = {
		.request = { .transport = &fake_transport,
		        .method = method,
		        .path = path,
		        .query = "",
		        .host = host,
		        .origin = origin },
		.may_change = may_change,
	};

	routes_dispatch(&exchange.request);
	ck_assert_int_eq(exchange.answers, 1);
	return exchange;
}

static struct exchange dispatch(enum method method, const char *path)
{
	return dispatch_with(method, path, "localhost", NULL, false);
}

START_TEST(what_is_not_in_the_table_is_404)
{
	static const char *const paths[] = { "", "/", "/livez/", "/livezz", "/v1", "/v1/workers/",
		"/v1/workers//stop", "/v1/workers/a/b/stop", "/v1/workers/a/",
		"/v1/workers/a/stop/", "/v1/workers/%/stop", "/v1/workers/%00/stop", "/v1/forecast",
		"*" };

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		struct exchange exchange = dispatch(METHOD_GET, paths[i]);

		ck_assert_msg(exchange.status == 404, "%s: %d", paths[i], exchange.status);
		ck_assert_str_eq(exchange.type, "application/problem+json");
	}
}
END_TEST

START_TEST(a_wrong_method_is_405_with_the_right_one)
{
	ck_assert_int_eq(dispatch(METHOD_POST, "/livez").status, 405);
	ck_assert_str_eq(dispatch(METHOD_POST, "/livez").allow, "GET, HEAD");
	ck_assert_int_eq(dispatch(METHOD_GET, "/v1/workers/a/stop").status, 405);
	ck_assert_str_eq(dispatch(METHOD_OTHER, "/v1/shutdown").allow, "POST");
}
END_TEST

START_TEST(an_origin_or_a_foreign_host_is_refused_before_all_else)
{
	struct exchange exchange =
	        dispatch_with(METHOD_GET, "/livez", "localhost", "http://example.org", true);
	ck_assert_int_eq(exchange.status, 403);
	ck_assert_int_eq(dispatch_with(METHOD_GET, "/livez", "localhost", "", true).status, 403);
	ck_assert_int_eq(
	        dispatch_with(METHOD_GET, "/nothing", "evil.example", NULL, true).status, 403);
	exchange = dispatch_with(METHOD_GET, "/livez", "evil.example", NULL, true);
	ck_assert_int_eq(exchange.status, 403);
	ck_assert_ptr_nonnull(strstr(exchange.body, "localhost"));
	ck_assert_int_eq(dispatch_with(METHOD_GET, "/livez", NULL, NULL, false).status, 200);
}
END_TEST

START_TEST(every_change_needs_the_right_to_it)
{
	static const char *const changes[] = { "/v1/drain", "/v1/resume", "/v1/reload",
		"/v1/shutdown", "/v1/workers/a/start", "/v1/workers/a/stop",
		"/v1/workers/a/restart" };

	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		struct exchange exchange = dispatch(METHOD_POST, changes[i]);

		ck_assert_msg(exchange.status == 403, "%s: %d", changes[i], exchange.status);
		ck_assert_ptr_nonnull(strstr(exchange.body, "uid 4711"));
	}
	struct exchange unknown = { .request = { .transport = &fake_transport,
		                            .method = METHOD_POST,
		                            .path = "/v1/drain",
		                            .query = "" },
		.may_change = true,
		.identify_error = -ENOTCONN };
	routes_dispatch(&unknown.request);
	ck_assert_int_eq(unknown.status, 403);
}
END_TEST

START_TEST(the_values_of_a_query_are_decoded)
{
	char value[8];

	ck_assert_int_eq(query_get("", "wait", value, sizeof(value)), 0);
	ck_assert_int_eq(query_get("waiting=1&x", "wait", value, sizeof(value)), 0);
	ck_assert_int_eq(query_get("x=1&wait=1m%2B+2&wait=3", "wait", value, sizeof(value)), 1);
	ck_assert_str_eq(value, "1m+ 2");
	ck_assert_int_eq(query_get("wait", "wait", value, sizeof(value)), 1);
	ck_assert_str_eq(value, "");
	ck_assert_int_eq(query_get("&&wait=&", "wait", value, sizeof(value)), 1);
	ck_assert_str_eq(value, "");
	ck_assert_int_eq(query_get("wait=1234567", "wait", value, sizeof(value)), 1);
	ck_assert_int_eq(query_get("wait=12345678", "wait", value, sizeof(value)), -ENOBUFS);
	ck_assert_int_eq(query_get("wait=%4", "wait", value, sizeof(value)), -EINVAL);
	ck_assert_int_eq(query_get("wait=%4&a", "wait", value, sizeof(value)), -EINVAL);
	ck_assert_int_eq(query_get("wait=%00", "wait", value, sizeof(value)), -EINVAL);
	ck_assert_int_eq(query_get("wait=%g0", "wait", value, sizeof(value)), -EINVAL);
}
END_TEST

START_TEST(a_problem_shows_texts_that_are_no_utf8)
{
	struct exchange exchange = { .request = { .transport = &fake_transport } };

	answer_problem(&exchange.request, 404, "no \xff here");
	ck_assert_int_eq(exchange.status, 404);
	json_t *problem = json_loads(exchange.body, 0, NULL);
	ck_assert_ptr_nonnull(problem);
	ck_assert_ptr_nonnull(
	        strstr(json_string_value(json_object_get(problem, "detail")), "here"));
	json_decref(problem);
}
END_TEST

/* --- the socket file --- */

static char place[64], path[96];
static struct socket_file file;

static void make_place(void)
{
	snprintf(place, sizeof(place), "/tmp/control-listen.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(place));
	snprintf(path, sizeof(path), "%s/s", place);
}

/* Nothing but `count` entries may be in it. */
static void assert_entries(unsigned wanted)
{
	DIR *entries = opendir(place);
	unsigned count = 0;

	for (struct dirent *entry; (entry = readdir(entries));)
		count += entry->d_name[0] != '.' || strlen(entry->d_name) > 2;
	closedir(entries);
	ck_assert_uint_eq(count, wanted);
}

static void remove_place(void)
{
	(void)unlink(path);
	ck_assert_int_eq(rmdir(place), 0);
}

static int listen_there(void)
{
	int fd = -1, r = control_listen(path, NULL, &file, &fd);

	return r < 0 ? r : fd;
}

START_TEST(it_is_made_for_us_and_our_group_and_removed)
{
	struct stat status;
	int fd = listen_there();

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(stat(path, &status), 0);
	ck_assert(S_ISSOCK(status.st_mode));
	ck_assert_uint_eq(status.st_mode & 07777, 0660);
	ck_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
	ck_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_entries(1);
	close(fd);
	socket_file_remove(&file);
	assert_entries(0);
}
END_TEST

START_TEST(a_stale_one_is_replaced)
{
	int fd = listen_there();

	ck_assert_int_ge(fd, 0);
	close(fd);
	free(file.path);
	fd = listen_there();
	ck_assert_int_ge(fd, 0);
	assert_entries(1);
	close(fd);
	socket_file_remove(&file);
}
END_TEST

START_TEST(a_live_one_is_left_alone)
{
	int fd = listen_there();
	struct socket_file first = file;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(listen_there(), -EADDRINUSE);
	assert_entries(1);
	close(fd);
	socket_file_remove(&first);
}
END_TEST

START_TEST(what_is_no_socket_is_left_alone)
{
	struct stat status;

	write_file(path, "precious");
	ck_assert_int_eq(listen_there(), -EEXIST);
	ck_assert_int_eq(stat(path, &status), 0);
	ck_assert(S_ISREG(status.st_mode));
	assert_entries(1);
}
END_TEST

START_TEST(one_that_took_our_place_is_not_removed)
{
	int fd = listen_there();
	struct socket_file first = file;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(unlink(path), 0);
	int second = listen_there();
	ck_assert_int_ge(second, 0);
	socket_file_remove(&first);
	assert_entries(1);
	close(fd);
	close(second);
	socket_file_remove(&file);
	assert_entries(0);
}
END_TEST

START_TEST(places_that_cannot_be_are_errors)
{
	char longer[200];
	int fd;

	memset(longer, 'l', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	ck_assert_int_eq(control_listen(longer, NULL, &file, &fd), -ENAMETOOLONG);
	snprintf(longer, sizeof(longer), "%s/not/there", place);
	ck_assert_int_eq(control_listen(longer, NULL, &file, &fd), -ENOENT);
	assert_entries(0);
}
END_TEST

START_TEST(an_unknown_group_is_no_obstacle)
{
	int fd = -1;

	ck_assert_int_eq(control_listen(path, "no-such-group-here", &file, &fd), 0);
	close(fd);
	socket_file_remove(&file);
}
END_TEST

/* --- what is shown, by the real server --- */

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

static Suite *parts_suite(void)
{
	Suite *suite = suite_create("control_parts");
	TCase *rights = tcase_create("access"), *table = tcase_create("routes"),
	      *listening = tcase_create("listen"), *shown = tcase_create("shown");

	tcase_add_test(rights, only_hosts_that_mean_this_socket_are_ours);
	tcase_add_test(rights, changes_are_for_root_the_owner_and_the_group);
	tcase_add_test(rights, the_peer_of_our_own_pair_is_ourselves);
	suite_add_tcase(suite, rights);
	tcase_add_test(table, what_is_not_in_the_table_is_404);
	tcase_add_test(table, a_wrong_method_is_405_with_the_right_one);
	tcase_add_test(table, an_origin_or_a_foreign_host_is_refused_before_all_else);
	tcase_add_test(table, every_change_needs_the_right_to_it);
	tcase_add_test(table, the_values_of_a_query_are_decoded);
	tcase_add_test(table, a_problem_shows_texts_that_are_no_utf8);
	suite_add_tcase(suite, table);
	tcase_add_checked_fixture(listening, make_place, remove_place);
	tcase_add_test(listening, it_is_made_for_us_and_our_group_and_removed);
	tcase_add_test(listening, a_stale_one_is_replaced);
	tcase_add_test(listening, a_live_one_is_left_alone);
	tcase_add_test(listening, what_is_no_socket_is_left_alone);
	tcase_add_test(listening, one_that_took_our_place_is_not_removed);
	tcase_add_test(listening, places_that_cannot_be_are_errors);
	tcase_add_test(listening, an_unknown_group_is_no_obstacle);
	suite_add_tcase(suite, listening);
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
	SRunner *runner = srunner_create(parts_suite());

	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
