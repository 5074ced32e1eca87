/*
 * The control socket's parts, each by itself: who may what, the table of requests behind a
 * transport of the test's own, the socket file.
 */
#include <dirent.h>
#include <fcntl.h>

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

/* systemd hands it over blocking and inheritable; the file is systemd's. */
START_TEST(one_that_was_passed_is_used_and_left_in_its_place)
{
	struct daemon daemon = { 0 };
	struct control *control = NULL;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(chmod(path, 0600), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	qs_clock_init(&daemon.clock);
	ck_assert_int_eq(qs_loop_new(&daemon.clock, &daemon.loop), 0);
	events_init(&daemon.events);
	struct control_options options = { .path = path, .group = "root", .listen_fd = fd };
	ck_assert_int_eq(control_new(&daemon, &options, &control), 0);
	ck_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
	ck_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	control_close(control, qs_time_now());
	control_free(control);
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
	struct stat status;
	ck_assert_int_eq(stat(path, &status), 0);
	ck_assert_uint_eq(status.st_mode & 07777, 0600);
	options = (struct control_options){ .listen_fd = open("/dev/null", O_RDONLY) };
	close(options.listen_fd);
	ck_assert_int_eq(control_new(&daemon, &options, &control), -EBADF);
	qs_loop_free(daemon.loop);
}
END_TEST

static Suite *parts_suite(void)
{
	Suite *suite = suite_create("control_parts");
	TCase *rights = tcase_create("access"), *table = tcase_create("routes"),
	      *listening = tcase_create("listen");

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
	tcase_add_test(listening, one_that_was_passed_is_used_and_left_in_its_place);
	suite_add_tcase(suite, listening);
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
