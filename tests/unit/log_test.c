/* The log: what is said comes out whole and in order, and nobody ever waits for who reads it. */
#include "daemon/log.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <quiesce/clock.h>

#include "daemon/log_ring.h"

#define PATIENCE (30 * QS_SEC)

static int ends[2]; /* of the pipe that is the log */

static void open_log(int fd, const char *journal_path)
{
	const struct log_options options = { .journal = journal_path != NULL,
		.fd = fd,
		.level = LOG_LEVEL_INFO,
		.max_line = 4096,
		.journal_path = journal_path };
	ck_assert_int_eq(log_init(&options), 0);
}

static void begin(void)
{
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	open_log(ends[1], NULL);
}

/* Ends the log and returns all that it wrote and that fits into the pipe. */
static const char *written(void)
{
	static char text[1 << 17];
	log_done(qs_time_add(qs_time_now(), PATIENCE));
	close(ends[1]);
	size_t used = 0;
	for (ssize_t got; (got = read(ends[0], text + used, sizeof(text) - 1 - used)) > 0;)
		used += (size_t)got;
	text[used] = '\0';
	return text;
}

/* The line without its time, which has to be one. */
static const char *after_time(const char *line)
{
	unsigned part[7];
	int length = 0;
	ck_assert_int_eq(sscanf(line, "%4u-%2u-%2uT%2u:%2u:%2u.%3uZ %n", &part[0], &part[1],
	                         &part[2], &part[3], &part[4], &part[5], &part[6], &length),
	        7);
	ck_assert_int_eq(length, 25);
	return line + length;
}

START_TEST(a_line_has_time_level_worker_and_text)
{
	const struct log_fields fields = { .event = LOG_WORKER_OUTPUT, .worker = "ticker" };
	log_event(LOG_LEVEL_INFO, &fields, "tick %d", 7);
	ck_assert_str_eq(after_time(written()), "info ticker: tick 7\n");
}
END_TEST

START_TEST(lines_of_the_daemon_carry_its_own_name)
{
	log_error("bad");
	ck_assert_str_eq(after_time(written()), "error quiesced: bad\n");
}
END_TEST

START_TEST(lines_come_in_order)
{
	char expected[32];
	for (int i = 0; i < 1000; i++)
		log_info("line %d", i);
	const char *line = written();
	for (int i = 0; i < 1000; i++) {
		size_t length =
		        (size_t)snprintf(expected, sizeof(expected), "info quiesced: line %d\n", i);
		line = after_time(line);
		ck_assert_int_eq(strncmp(line, expected, length), 0);
		line += length;
	}
	ck_assert_str_eq(line, "");
}
END_TEST

START_TEST(a_text_is_always_one_line)
{
	log_info("a\nb\r\x1b[31m\tc\xff ö");
	ck_assert_str_eq(after_time(written()), "info quiesced: a\\nb\\x0d\\x1b[31m\tc\\xff ö\n");
}
END_TEST

START_TEST(levels_above_the_set_one_are_silent)
{
	log_debug("no");
	log_set_level(LOG_LEVEL_DEBUG);
	log_debug("yes");
	log_set_level(LOG_LEVEL_ERROR);
	log_warning("no");
	ck_assert_str_eq(after_time(written()), "debug quiesced: yes\n");
}
END_TEST

START_TEST(a_long_text_is_cut_at_a_characters_edge)
{
	char text[1000] = "";
	while (strlen(text) < 900)
		strcat(text, "漢");
	log_set_max_line(100);
	log_info("%s", text);
	char expected[256];
	snprintf(
	        expected, sizeof(expected), "info quiesced: %.99s…[cut, 900 bytes in all]\n", text);
	ck_assert_str_eq(after_time(written()), expected);
}
END_TEST

/* A line that folding has cut already must not be cut again. */
START_TEST(a_mark_of_a_cut_does_not_make_it_cut_again)
{
	char text[201];
	memset(text, 'x', 200);
	text[200] = '\0';
	log_set_max_line(100);
	log_info("%s", text);
	const char *line = after_time(written());
	ck_assert_uint_eq(strlen(line), strlen("info quiesced: \n") + 200);
}
END_TEST

START_TEST(errno_is_told_and_stays)
{
	errno = ENOENT;
	log_info("open: %m");
	ck_assert_int_eq(errno, ENOENT);
	ck_assert_str_eq(after_time(written()), "info quiesced: open: No such file or directory\n");
}
END_TEST

START_TEST(very_long_lines_and_names_pass)
{
	static char text[100000];
	char name[200];
	memset(text, '\x01', sizeof(text) - 1);
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	log_set_max_line(1 << 30);
	ck_assert_int_ge(fcntl(ends[1], F_SETPIPE_SZ, 1 << 20), 0);
	log_event(LOG_LEVEL_INFO, &(struct log_fields){ .worker = name }, "%s", text);
	size_t length = strlen(written());
	ck_assert_uint_gt(length, 100000);
}
END_TEST

static const char *on_terminal(enum log_level level)
{
	static char text[1024];
	int main_end, terminal;
	ck_assert_int_eq(openpty(&main_end, &terminal, NULL, NULL, NULL), 0);
	open_log(terminal, NULL);
	log_set_level(LOG_LEVEL_DEBUG);
	log_event(level, &(struct log_fields){ .worker = "w" }, "text");
	log_done(qs_time_add(qs_time_now(), PATIENCE));
	ssize_t size = read(main_end, text, sizeof(text) - 1);
	ck_assert_int_gt(size, 0);
	text[size] = '\0';
	close(main_end);
	close(terminal);
	return text;
}

START_TEST(a_terminal_shows_the_time_of_day_and_colours)
{
	unsetenv("NO_COLOR");
	setenv("TERM", "xterm", 1);
	setenv("TZ", "XXX-5:30", 1);
	const char *text = on_terminal(LOG_LEVEL_WARNING);
	unsigned hour, minute, second, milli;
	int length = 0;
	ck_assert_int_eq(sscanf(text, "\x1b[2m%2u:%2u:%2u.%3u \x1b[0m%n", &hour, &minute, &second,
	                         &milli, &length),
	        4);
	ck_assert_str_eq(text + length, "\x1b[36mw\x1b[0m: \x1b[33mwarning: text\x1b[0m\r\n");
}
END_TEST

START_TEST(a_terminal_without_colours_shows_plain_text)
{
	setenv("NO_COLOR", "1", 1);
	setenv("TERM", "xterm", 1);
	ck_assert_str_eq(on_terminal(LOG_LEVEL_ERROR) + 13, "w: error: text\r\n");
	ck_assert_str_eq(on_terminal(LOG_LEVEL_INFO) + 13, "w: text\r\n");
	unsetenv("NO_COLOR");
	setenv("TERM", "dumb", 1);
	ck_assert_str_eq(on_terminal(LOG_LEVEL_DEBUG) + 13, "w: text\r\n");
}
END_TEST

static uint64_t count_lines(const char *text, const char *what)
{
	uint64_t count = 0;
	for (const char *at = text; (at = strstr(at, what)); at++)
		count++;
	return count;
}

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

static char *read_catalog(void)
{
	static char text[65536];
	char path[512];
	const char *source = getenv("QUIESCE_SOURCE");
	snprintf(path, sizeof(path), "%s/systemd/quiesced.catalog", source ? source : ".");
	FILE *file = fopen(path, "re");
	ck_assert_msg(file != NULL, "%s", path);
	text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
	fclose(file);
	return text;
}

#define EVENT_ID(value, id) id,
static const char *const ids[] = { LOG_EVENT_MAP(EVENT_ID) };

START_TEST(every_event_is_explained_once_and_nothing_else_is)
{
	const char *catalog = read_catalog();
	char head[64];
	for (size_t i = 1; i < LOG_EVENT_COUNT; i++) {
		ck_assert_uint_eq(strlen(ids[i]), 32);
		snprintf(head, sizeof(head), "\n-- %s\nSubject: ", ids[i]);
		ck_assert_uint_eq(count_lines(catalog, head), 1);
	}
	ck_assert_uint_eq(count_lines(catalog, "\n-- "), LOG_EVENT_COUNT - 1);
}
END_TEST

/* Against a plain queue of sizes: what comes out is what went in, and nothing overlaps. */
START_TEST(a_ring_keeps_what_was_put_in)
{
	static _Alignas(8) char memory[1024];
	struct log_ring ring = { .data = memory, .size = sizeof(memory) };
	size_t sizes[1024], first = 0, last = 0;
	srand((unsigned)_i);
	for (int i = 0; i < 5000; i++) {
		size_t size = 8 + (size_t)(rand() % 200);
		char *data;
		if (rand() % 2 && (data = log_ring_reserve(&ring, size))) {
			ck_assert(data >= memory && data + size <= memory + sizeof(memory));
			memset(data, (int)(last & 0x7f), size);
			log_ring_commit(&ring, size);
			sizes[last++ % 1024] = size;
		} else if (log_ring_readable(&ring, &data) > 0) {
			size = sizes[first % 1024];
			size_t same = 0;
			while (same < size && data[same] == (char)(first & 0x7f))
				same++;
			ck_assert_uint_eq(same, size);
			log_ring_drop(&ring, log_ring_rounded(size));
			first++;
		} else {
			ck_assert_uint_eq(first, last);
		}
	}
}
END_TEST

START_TEST(an_empty_ring_begins_at_its_beginning)
{
	static _Alignas(8) char memory[1024];
	struct log_ring ring = { .data = memory, .size = sizeof(memory) };
	char *data;
	for (int i = 0; i < 10; i++) {
		ck_assert_ptr_eq(log_ring_reserve(&ring, 1000), memory);
		log_ring_commit(&ring, 1000);
		ck_assert_uint_eq(log_ring_readable(&ring, &data), 1000);
		ck_assert_ptr_null(log_ring_reserve(&ring, 100));
		log_ring_drop(&ring, 1000);
	}
	ck_assert_ptr_null(log_ring_reserve(&ring, 1025));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("log");
	TCase *text = tcase_create("text");
	TCase *terminal = tcase_create("terminal");
	TCase *waiting = tcase_create("waiting");
	TCase *threads = tcase_create("threads");
	TCase *journal_entries = tcase_create("journal");
	TCase *catalog = tcase_create("catalog");
	TCase *ring = tcase_create("ring");
	tcase_add_checked_fixture(text, begin, NULL);
	tcase_add_checked_fixture(waiting, begin, NULL);
	tcase_add_checked_fixture(threads, begin, NULL);
	tcase_add_checked_fixture(journal_entries, begin_journal, end_journal);
	tcase_add_test(text, a_line_has_time_level_worker_and_text);
	tcase_add_test(text, lines_of_the_daemon_carry_its_own_name);
	tcase_add_test(text, lines_come_in_order);
	tcase_add_test(text, a_text_is_always_one_line);
	tcase_add_test(text, levels_above_the_set_one_are_silent);
	tcase_add_test(text, a_long_text_is_cut_at_a_characters_edge);
	tcase_add_test(text, a_mark_of_a_cut_does_not_make_it_cut_again);
	tcase_add_test(text, errno_is_told_and_stays);
	tcase_add_test(text, very_long_lines_and_names_pass);
	tcase_add_test(terminal, a_terminal_shows_the_time_of_day_and_colours);
	tcase_add_test(terminal, a_terminal_without_colours_shows_plain_text);
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
	tcase_add_test(catalog, every_event_is_explained_once_and_nothing_else_is);
	tcase_add_loop_test(ring, a_ring_keeps_what_was_put_in, 0, 50);
	tcase_add_test(ring, an_empty_ring_begins_at_its_beginning);
	suite_add_tcase(suite, text);
	suite_add_tcase(suite, terminal);
	suite_add_tcase(suite, waiting);
	suite_add_tcase(suite, threads);
	suite_add_tcase(suite, journal_entries);
	suite_add_tcase(suite, catalog);
	suite_add_tcase(suite, ring);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
