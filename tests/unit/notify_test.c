/* What the service manager passes on, and what it is told, with a socket of our own in its place.
 */
#include "lib/notify.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <quiesce/clock.h>

#include "lib/macro.h"

static int manager = -1;

/* An abstract socket, which leaves nothing behind. */
static void begin(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char name[64];
	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(manager, 0);
	snprintf(name, sizeof(name), "@quiesced-notify-%d", (int)getpid());
	memcpy(address.sun_path, name, strlen(name));
	address.sun_path[0] = '\0';
	socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
	ck_assert_int_eq(bind(manager, (struct sockaddr *)&address, size), 0);
	setenv("NOTIFY_SOCKET", name, 1);
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("JOURNAL_STREAM");
}

static void end(void)
{
	close(manager);
}

static const char *heard(void)
{
	static char text[4096];
	ssize_t size = recv(manager, text, sizeof(text) - 1, 0);
	ck_assert_int_ge(size, 0);
	text[size] = '\0';
	return text;
}

START_TEST(each_state_has_its_message)
{
	ck_assert_int_eq(qs_notify_ready("up"), 0);
	ck_assert_str_eq(heard(), "READY=1\nSTATUS=up");
	ck_assert_int_eq(qs_notify_ready(NULL), 0);
	ck_assert_str_eq(heard(), "READY=1\n");
	ck_assert_int_eq(qs_notify_status("3 of 4"), 0);
	ck_assert_str_eq(heard(), "STATUS=3 of 4");
	ck_assert_int_eq(qs_notify_stopping("waiting for a"), 0);
	ck_assert_str_eq(heard(), "STOPPING=1\nSTATUS=waiting for a");
	ck_assert_int_eq(qs_notify_extend(1500 * QS_MSEC), 0);
	ck_assert_str_eq(heard(), "EXTEND_TIMEOUT_USEC=1500000");
	ck_assert_int_eq(qs_notify_watchdog(), 0);
	ck_assert_str_eq(heard(), "WATCHDOG=1");
}
END_TEST

START_TEST(reloading_tells_the_time_in_the_same_datagram)
{
	unsigned long long usec;
	uint64_t before = qs_time_now();
	ck_assert_int_eq(qs_notify_reloading(), 0);
	ck_assert_int_eq(sscanf(heard(), "RELOADING=1\nMONOTONIC_USEC=%llu", &usec), 1);
	ck_assert_uint_ge(usec, before / QS_USEC);
	ck_assert_uint_le(usec, qs_time_now() / QS_USEC);
}
END_TEST

START_TEST(a_status_cannot_smuggle_in_a_field)
{
	ck_assert_int_eq(qs_notify_status("bad\nMAINPID=1\x1b"), 0);
	ck_assert_str_eq(heard(), "STATUS=bad MAINPID=1 ");
}
END_TEST

START_TEST(a_long_status_is_cut_at_a_characters_edge)
{
	char status[2000] = "";
	while (strlen(status) < 1500)
		strcat(status, "漢");
	ck_assert_int_eq(qs_notify_status(status), 0);
	const char *text = heard();
	ck_assert_uint_eq(strlen(text), 7 + 510);
	ck_assert_int_eq(strncmp(text + 7, status, 510), 0);
}
END_TEST

START_TEST(without_a_manager_nothing_happens)
{
	unsetenv("NOTIFY_SOCKET");
	ck_assert_int_eq(qs_notify_ready("up"), 0);
	setenv("NOTIFY_SOCKET", "", 1);
	ck_assert_int_eq(qs_notify_watchdog(), 0);
	setenv("NOTIFY_SOCKET", "vsock:2:1234", 1);
	ck_assert_int_eq(qs_notify_watchdog(), 0);
}
END_TEST

START_TEST(a_manager_that_is_gone_is_an_error)
{
	close(TAKE(manager, -1));
	ck_assert_int_eq(qs_notify_ready("up"), -ECONNREFUSED);
	setenv("NOTIFY_SOCKET", "/nonexistent/notify", 1);
	ck_assert_int_eq(qs_notify_ready("up"), -ENOENT);
}
END_TEST

/* sd_notify would wait here for ever. */
START_TEST(a_manager_that_does_not_read_holds_nobody)
{
	int r = 0;
	for (int i = 0; i < 100000 && r == 0; i++)
		r = qs_notify_watchdog();
	ck_assert_int_eq(r, -EAGAIN);
	uint64_t before = qs_time_now();
	ck_assert_int_eq(qs_notify_status("x"), -EAGAIN);
	ck_assert_int_eq(qs_notify_extend(QS_SEC), -EAGAIN);
	ck_assert_int_eq(qs_notify_stopping("x"), -EAGAIN);
	ck_assert_uint_lt(qs_time_sub(qs_time_now(), before), 5 * QS_SEC);
}
END_TEST

START_TEST(nothing_is_there_without_a_manager)
{
	struct qs_notify notify;
	unsetenv("NOTIFY_SOCKET");
	qs_notify_init(&notify);
	ck_assert(!notify.managed && !notify.journal);
	ck_assert_uint_eq(notify.watchdog, 0);
	ck_assert_int_eq(notify.listen_fds, 0);
}
END_TEST

START_TEST(the_watchdogs_span_is_read_if_it_is_ours)
{
	struct qs_notify notify;
	char pid[32];
	setenv("WATCHDOG_USEC", "30000000", 1);
	qs_notify_init(&notify);
	ck_assert(notify.managed);
	ck_assert_uint_eq(notify.watchdog, 30 * QS_SEC);
	snprintf(pid, sizeof(pid), "%d", (int)getppid());
	setenv("WATCHDOG_PID", pid, 1);
	qs_notify_init(&notify);
	ck_assert_uint_eq(notify.watchdog, 0);
	ck_assert_str_eq(getenv("WATCHDOG_USEC"), "30000000");
}
END_TEST

START_TEST(passed_descriptors_become_close_on_exec_and_non_blocking)
{
	struct qs_notify notify;
	char pid[32], name[16];
	int pair[2];
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	ck_assert_int_eq(dup2(pair[0], 3), 3);
	ck_assert_int_eq(dup2(pair[1], 4), 4);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", "2", 1);
	setenv("LISTEN_FDNAMES", "control:second", 1);
	qs_notify_init(&notify);
	ck_assert_int_eq(notify.listen_fds, 2);
	for (int fd = 3; fd <= 4; fd++) {
		ck_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
		ck_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
	}
	ck_assert_str_eq(qs_notify_fd_name(0, name, sizeof(name)), "control");
	ck_assert_str_eq(qs_notify_fd_name(1, name, sizeof(name)), "second");
	ck_assert_str_eq(qs_notify_fd_name(2, name, sizeof(name)), "");
	ck_assert_str_eq(qs_notify_fd_name(0, name, 4), "con");
	unsetenv("LISTEN_FDNAMES");
	ck_assert_str_eq(qs_notify_fd_name(0, name, sizeof(name)), "");
}
END_TEST

START_TEST(the_journal_is_believed_only_if_it_is_there)
{
	struct qs_notify notify;
	struct stat status;
	char stream[64];
	ck_assert_int_eq(fstat(STDERR_FILENO, &status), 0);
	snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)status.st_dev,
	        (uintmax_t)status.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	qs_notify_init(&notify);
	ck_assert(notify.journal);
	snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)status.st_dev,
	        (uintmax_t)status.st_ino + 1);
	setenv("JOURNAL_STREAM", stream, 1);
	qs_notify_init(&notify);
	ck_assert(!notify.journal);
	setenv("JOURNAL_STREAM", "nonsense", 1);
	qs_notify_init(&notify);
	ck_assert(!notify.journal);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("notify");
	TCase *telling = tcase_create("telling");
	TCase *reading = tcase_create("reading");
	tcase_add_checked_fixture(telling, begin, end);
	tcase_add_checked_fixture(reading, begin, NULL);
	tcase_add_test(telling, each_state_has_its_message);
	tcase_add_test(telling, reloading_tells_the_time_in_the_same_datagram);
	tcase_add_test(telling, a_status_cannot_smuggle_in_a_field);
	tcase_add_test(telling, a_long_status_is_cut_at_a_characters_edge);
	tcase_add_test(telling, without_a_manager_nothing_happens);
	tcase_add_test(telling, a_manager_that_is_gone_is_an_error);
	tcase_add_test(telling, a_manager_that_does_not_read_holds_nobody);
	tcase_add_test(reading, nothing_is_there_without_a_manager);
	tcase_add_test(reading, the_watchdogs_span_is_read_if_it_is_ours);
	tcase_add_test(reading, passed_descriptors_become_close_on_exec_and_non_blocking);
	tcase_add_test(reading, the_journal_is_believed_only_if_it_is_there);
	suite_add_tcase(suite, telling);
	suite_add_tcase(suite, reading);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
