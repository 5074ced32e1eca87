/* Nobody ever waits for who reads the log: neither a pipe, nor a disk, nor the journal. */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "tests/unit/log_fixture.h"

/* How many lines one line accounts for. */
static uint64_t worth(const char *line, uint64_t *lost)
{
	unsigned long long value;
	const char *rest = after_time(line);
	if (sscanf(rest, "warning quiesced: %llu lines were lost: the log was too slow", &value) ==
	                1 ||
	        (strcmp(rest, "warning quiesced: 1 line was lost: the log was too slow") == 0 &&
	                (value = 1))) {
		*lost += value;
		return value;
	}
	ck_assert_ptr_nonnull(strstr(rest, " some line of the log"));
	return 1;
}

/* Reads until all that was said is accounted for. Returns how many lines were lost. */
static uint64_t read_until_told(uint64_t total)
{
	char *line = NULL;
	size_t capacity = 0;
	uint64_t known = 0, lost = 0;
	FILE *file = fdopen(dup(ends[0]), "r");
	ck_assert_ptr_nonnull(file);
	while (known < total) {
		ssize_t length = getline(&line, &capacity, file);
		ck_assert_int_gt(length, 0);
		line[length - 1] = '\0';
		known += worth(line, &lost);
	}
	ck_assert_uint_eq(known, total);
	free(line);
	fclose(file);
	return lost;
}

START_TEST(nobody_waits_for_a_pipe_that_is_full_and_losses_are_told)
{
	for (int i = 0; i < 30000; i++)
		log_info("%d some line of the log, not too short to be one of many", i);
	ck_assert_uint_gt(read_until_told(30000), 0);
	log_info("afterwards");
	log_done(qs_time_add(qs_time_now(), PATIENCE));
}
END_TEST

static void fill_pipe(void)
{
	static const char filler[4096];
	int flags = fcntl(ends[1], F_GETFL);
	fcntl(ends[1], F_SETFL, flags | O_NONBLOCK);
	while (write(ends[1], filler, sizeof(filler)) > 0)
		continue;
	fcntl(ends[1], F_SETFL, flags);
}

START_TEST(the_end_does_not_wait_beyond_its_deadline)
{
	fill_pipe();
	log_info("never read");
	uint64_t deadline = qs_time_add(qs_time_now(), 20 * QS_MSEC);
	log_done(deadline);
	ck_assert_uint_ge(qs_time_now(), deadline);
	log_info("nor this, and it does not block either");
	ck_assert_int_eq(log_init(&(struct log_options){ .fd = ends[1] }), -EALREADY);
}
END_TEST

START_TEST(an_emergency_does_not_wait_for_a_full_pipe)
{
	fill_pipe();
	log_info("the writer is stuck with this");
	for (int i = 0; i < 10; i++)
		log_emergency(&(struct log_fields){ .event = LOG_STALL }, "lost, but nobody waits");
	log_done(qs_time_now());
}
END_TEST

START_TEST(an_emergency_needs_no_writer)
{
	log_emergency(&(struct log_fields){ .event = LOG_STALL, .worker = "w" }, "stuck\n");
	char text[256];
	ssize_t size = read(ends[0], text, sizeof(text) - 1);
	ck_assert_int_gt(size, 0);
	text[size] = '\0';
	ck_assert_str_eq(after_time(text), "error w: stuck\\n\n");
	log_done(qs_time_add(qs_time_now(), PATIENCE));
	log_emergency(&(struct log_fields){ 0 }, "after the end");
	size = read(ends[0], text, sizeof(text) - 1);
	ck_assert_int_gt(size, 0);
	text[size] = '\0';
	ck_assert_str_eq(after_time(text), "error quiesced: after the end\n");
}
END_TEST

START_TEST(an_emergency_over_a_socket_does_not_wait_either)
{
	int pair[2];
	log_done(qs_time_add(qs_time_now(), PATIENCE));
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	open_log(pair[1], NULL);
	for (int i = 0; i < 100000; i++)
		log_emergency(&(struct log_fields){ 0 }, "nobody reads this, and nobody waits");
	log_done(qs_time_add(qs_time_now(), PATIENCE));
}
END_TEST

START_TEST(the_descriptor_stays_as_it_was)
{
	struct stat before, after;
	ck_assert_int_eq(fcntl(ends[1], F_GETFL) & O_NONBLOCK, 0);
	log_emergency(&(struct log_fields){ 0 }, "x");
	ck_assert_int_eq(fcntl(ends[1], F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_eq(fstat(ends[1], &before), 0);
	log_done(qs_time_add(qs_time_now(), PATIENCE));
	ck_assert_int_eq(fstat(ends[1], &after), 0);
	ck_assert_uint_eq(before.st_ino, after.st_ino);
}
END_TEST

START_TEST(what_a_full_disk_swallowed_is_told_when_there_is_room)
{
	static const char lost[] = "warning quiesced: 2 lines were lost: No space left on device\n";
	int pipe_end = dup(ends[1]), full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	ck_assert_int_ge(full, 0);
	log_done(qs_time_add(qs_time_now(), PATIENCE));
	ck_assert_int_eq(dup2(full, ends[1]), ends[1]);
	open_log(ends[1], NULL);
	log_info("one");
	log_info("two");
	log_done(qs_time_add(qs_time_now(), PATIENCE));
	ck_assert_int_eq(dup2(pipe_end, ends[1]), ends[1]);
	close(pipe_end);
	open_log(ends[1], NULL);
	log_info("three");
	const char *text = after_time(written());
	ck_assert_int_eq(strncmp(text, lost, strlen(lost)), 0);
	ck_assert_str_eq(after_time(text + strlen(lost)), "info quiesced: three\n");
}
END_TEST

START_TEST(a_reader_that_has_left_does_no_harm)
{
	close(ends[0]);
	log_info("x");
	log_done(qs_time_add(qs_time_now(), PATIENCE));
}
END_TEST

#define THREADS 4
#define LINES   2000

static void *say_much(void *arg)
{
	for (int i = 0; i < LINES; i++)
		log_event(LOG_LEVEL_INFO, &(struct log_fields){ .worker = arg },
		        "%d some line of the log", i);
	return NULL;
}

START_TEST(threads_do_not_mix_their_lines)
{
	pthread_t threads[THREADS];
	static char names[THREADS][16];
	for (int i = 0; i < THREADS; i++) {
		snprintf(names[i], sizeof(names[i]), "w%d", i);
		ck_assert_int_eq(pthread_create(&threads[i], NULL, say_much, names[i]), 0);
	}
	(void)read_until_told(THREADS * LINES);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	log_done(qs_time_add(qs_time_now(), PATIENCE));
}
END_TEST

START_TEST(the_writer_takes_no_signal)
{
	sigset_t term;
	siginfo_t info;
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &term, NULL);
	kill(getpid(), SIGTERM);
	ck_assert_int_eq(sigwaitinfo(&term, &info), SIGTERM);
	log_info("alive");
	ck_assert_str_eq(after_time(written()), "info quiesced: alive\n");
}
END_TEST

START_TEST(it_can_begin_again_and_only_once_at_a_time)
{
	ck_assert_int_eq(log_init(&(struct log_options){ .fd = ends[1] }), -EALREADY);
	for (int i = 0; i < 20; i++) {
		log_info("round %d", i);
		log_done(qs_time_add(qs_time_now(), PATIENCE));
		open_log(ends[1], NULL);
	}
	ck_assert_uint_eq(count_lines(written(), "round"), 20);
}
END_TEST

static char journal_directory[64], journal_path[80];
static int journal = -1;

static void begin_journal(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	snprintf(journal_directory, sizeof(journal_directory), "%s/quiesced-log-XXXXXX", P_tmpdir);
	ck_assert_ptr_nonnull(mkdtemp(journal_directory));
	snprintf(journal_path, sizeof(journal_path), "%s/socket", journal_directory);
	strcpy(address.sun_path, journal_path);
	journal = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(journal, 0);
	ck_assert_int_eq(bind(journal, (struct sockaddr *)&address, sizeof(address)), 0);
	open_log(ends[1], journal_path);
}

static void end_journal(void)
{
	unlink(journal_path);
	rmdir(journal_directory);
}

/* The next entry with a newline in front, so that each field can be found by "\nKEY=". */
static const char *entry(void)
{
	static char text[1 << 18];
	struct pollfd readable = { .fd = journal, .events = POLLIN };
	ck_assert_int_eq(poll(&readable, 1, 30000), 1);
	ssize_t size = recv(journal, text + 1, sizeof(text) - 2, 0);
	ck_assert_int_gt(size, 0);
	text[0] = '\n';
	text[size + 1] = '\0';
	return text;
}

START_TEST(an_entry_has_all_its_fields)
{
	const struct log_fields fields = { .event = LOG_WORKER_ENDED,
		.worker = "ticker",
		.task = 42,
		.phase = "stopping",
		.verdict = "killed" };
	log_event(LOG_LEVEL_WARNING, &fields, "a\nb");
	const char *text = entry();
	ck_assert_ptr_nonnull(strstr(text, "\nPRIORITY=4\n"));
	ck_assert_ptr_nonnull(strstr(text, "\nSYSLOG_IDENTIFIER=quiesced\n"));
	ck_assert_ptr_nonnull(strstr(text, "\nQUIESCED_WORKER=ticker\n"));
	ck_assert_ptr_nonnull(strstr(text, "\nQUIESCED_TASK=42\n"));
	ck_assert_ptr_nonnull(strstr(text, "\nQUIESCED_PHASE=stopping\n"));
	ck_assert_ptr_nonnull(strstr(text, "\nQUIESCED_VERDICT=killed\n"));
	ck_assert_ptr_nonnull(strstr(text, "\nMESSAGE=ticker: a\\nb\n"));
	const char *id = strstr(text, "\nMESSAGE_ID=");
	ck_assert_ptr_nonnull(id);
	ck_assert_uint_eq(strspn(id + 12, "0123456789abcdef"), 32);
	log_done(qs_time_add(qs_time_now(), PATIENCE));
}
END_TEST

START_TEST(a_plain_note_has_no_more_than_it_needs)
{
	log_error("note");
	ck_assert_str_eq(entry(), "\nPRIORITY=3\nSYSLOG_IDENTIFIER=quiesced\nMESSAGE=note\n");
	log_emergency(&(struct log_fields){ 0 }, "urgent");
	ck_assert_str_eq(entry(), "\nPRIORITY=3\nSYSLOG_IDENTIFIER=quiesced\nMESSAGE=urgent\n");
	log_done(qs_time_add(qs_time_now(), PATIENCE));
}
END_TEST

START_TEST(what_is_too_long_for_a_datagram_is_cut)
{
	static char text[60001];
	memset(text, '\x01', sizeof(text) - 1);
	log_set_max_line(65536);
	log_info("%s", text);
	const char *cut = strstr(entry(), "…[cut, 60000 bytes in all]\n");
	ck_assert_ptr_nonnull(cut);
	log_done(qs_time_add(qs_time_now(), PATIENCE));
}
END_TEST

START_TEST(without_a_journal_the_lines_go_to_the_descriptor)
{
	close(journal);
	log_info("one");
	log_info("two");
	const char *text = written();
	ck_assert_int_eq(strncmp(after_time(text), "info quiesced: one\n", 19), 0);
	ck_assert_uint_eq(count_lines(text, "\n"), 2);
}
END_TEST

START_TEST(a_journal_that_does_not_read_holds_only_the_writer)
{
	for (int i = 0; i < 20000; i++)
		log_info("line %d of many that nobody reads, for the journal hangs", i);
	log_emergency(&(struct log_fields){ 0 }, "nobody waits here");
	uint64_t deadline = qs_time_add(qs_time_now(), 20 * QS_MSEC);
	log_done(deadline);
	ck_assert_uint_ge(qs_time_now(), deadline);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("log_waiting");
	TCase *waiting = tcase_create("waiting");
	TCase *threads = tcase_create("threads");
	TCase *journal_entries = tcase_create("journal");

	tcase_add_checked_fixture(waiting, begin, NULL);
	tcase_add_checked_fixture(threads, begin, NULL);
	tcase_add_checked_fixture(journal_entries, begin_journal, end_journal);
	tcase_add_test(waiting, nobody_waits_for_a_pipe_that_is_full_and_losses_are_told);
	tcase_add_test(waiting, the_end_does_not_wait_beyond_its_deadline);
	tcase_add_test(waiting, an_emergency_does_not_wait_for_a_full_pipe);
	tcase_add_test(waiting, an_emergency_needs_no_writer);
	tcase_add_test(waiting, an_emergency_over_a_socket_does_not_wait_either);
	tcase_add_test(waiting, the_descriptor_stays_as_it_was);
	tcase_add_test(waiting, what_a_full_disk_swallowed_is_told_when_there_is_room);
	tcase_add_test(waiting, a_reader_that_has_left_does_no_harm);
	tcase_add_test(threads, threads_do_not_mix_their_lines);
	tcase_add_test(threads, the_writer_takes_no_signal);
	tcase_add_test(threads, it_can_begin_again_and_only_once_at_a_time);
	tcase_add_test(journal_entries, an_entry_has_all_its_fields);
	tcase_add_test(journal_entries, a_plain_note_has_no_more_than_it_needs);
	tcase_add_test(journal_entries, what_is_too_long_for_a_datagram_is_cut);
	tcase_add_test(journal_entries, without_a_journal_the_lines_go_to_the_descriptor);
	tcase_add_test(journal_entries, a_journal_that_does_not_read_holds_only_the_writer);
	suite_add_tcase(suite, waiting);
	suite_add_tcase(suite, threads);
	suite_add_tcase(suite, journal_entries);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
