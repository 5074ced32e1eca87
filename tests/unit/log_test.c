/* The log: what is said comes out whole and in order, for machines and for people. */
#include <check.h>
#include <errno.h>
#include <pty.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/log_ring.h"
#include "tests/unit/log_fixture.h"

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
	TCase *catalog = tcase_create("catalog");
	TCase *ring = tcase_create("ring");

	tcase_add_checked_fixture(text, begin, NULL);
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
	tcase_add_test(catalog, every_event_is_explained_once_and_nothing_else_is);
	tcase_add_loop_test(ring, a_ring_keeps_what_was_put_in, 0, 50);
	tcase_add_test(ring, an_empty_ring_begins_at_its_beginning);
	suite_add_tcase(suite, text);
	suite_add_tcase(suite, terminal);
	suite_add_tcase(suite, catalog);
	suite_add_tcase(suite, ring);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
