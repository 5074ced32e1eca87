/* Events: each watcher gets each one, as a line of JSON, in order. */
#include "daemon/events.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "lib/macro.h"

struct watcher {
	struct events_observer observer;
	unsigned count;
	bool leaves;
	char last[512];
};

static void note(struct events_observer *observer, const char *line, size_t length)
{
	struct watcher *watcher = container_of(observer, struct watcher, observer);
	ck_assert_uint_lt(length, sizeof(watcher->last));
	memcpy(watcher->last, line, length);
	watcher->last[length] = '\0';
	watcher->count++;
	if (watcher->leaves)
		events_unsubscribe(observer);
}

static struct events events;
static struct watcher one, two;

static void begin(void)
{
	events_init(&events);
	one = two = (struct watcher){ .observer.event = note };
	list_init(&one.observer.node);
	list_init(&two.observer.node);
}

static json_t *last(const struct watcher *watcher)
{
	ck_assert_ptr_null(strchr(watcher->last, '\n'));
	json_t *object = json_loads(watcher->last, JSON_REJECT_DUPLICATES, NULL);
	ck_assert_ptr_nonnull(object);
	return object;
}

static const char *text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

START_TEST(an_event_tells_its_number_time_and_name)
{
	events_subscribe(&events, &one.observer);
	events_emit(&events, "worker-state", json_pack("{s:s}", "worker", "tick\ner"));
	_cleanup_(json_decrefp) json_t *event = last(&one);
	ck_assert_int_eq(json_integer_value(json_object_get(event, "seq")), 1);
	ck_assert_str_eq(text_of(event, "event"), "worker-state");
	ck_assert_str_eq(text_of(event, "worker"), "tick\ner");
	unsigned year, month, day, hour, minute, second, milli;
	char zone;
	ck_assert_int_eq(sscanf(text_of(event, "time"), "%4u-%2u-%2uT%2u:%2u:%2u.%3u%c", &year,
	                         &month, &day, &hour, &minute, &second, &milli, &zone),
	        8);
	ck_assert_int_eq(zone, 'Z');
	ck_assert_int_eq(strncmp(one.last, "{\"seq\":1,\"time\":\"", 16), 0);
}
END_TEST

START_TEST(numbers_rise_by_one)
{
	events_subscribe(&events, &one.observer);
	for (int i = 1; i <= 3; i++) {
		events_emit(&events, "x", json_object());
		_cleanup_(json_decrefp) json_t *event = last(&one);
		ck_assert_int_eq(json_integer_value(json_object_get(event, "seq")), i);
	}
}
END_TEST

START_TEST(one_that_could_not_be_made_is_told_as_lost)
{
	events_subscribe(&events, &one.observer);
	events_emit(&events, "phase", NULL);
	_cleanup_(json_decrefp) json_t *event = last(&one);
	ck_assert(json_is_true(json_object_get(event, "lost")));
	ck_assert_str_eq(text_of(event, "event"), "phase");
	ck_assert_int_eq(json_integer_value(json_object_get(event, "seq")), 1);
	json_t *not_utf8 = json_object();
	json_object_set_new_nocheck(not_utf8, "worker", json_string_nocheck("\xff"));
	events_emit(&events, "phase", not_utf8);
	_cleanup_(json_decrefp) json_t *second = last(&one);
	ck_assert(json_is_true(json_object_get(second, "lost")));
}
END_TEST

START_TEST(the_body_is_taken_watched_or_not)
{
	json_t *body = json_incref(json_object());
	events_emit(&events, "x", body);
	ck_assert_uint_eq(body->refcount, 1);
	events_subscribe(&events, &one.observer);
	events_emit(&events, "x", json_incref(body));
	ck_assert_uint_eq(body->refcount, 1);
	json_decref(body);
}
END_TEST

START_TEST(every_watcher_hears_of_every_event)
{
	events_subscribe(&events, &one.observer);
	events_subscribe(&events, &two.observer);
	events_emit(&events, "x", json_object());
	ck_assert_uint_eq(one.count, 1);
	ck_assert_str_eq(one.last, two.last);
}
END_TEST

START_TEST(who_has_left_hears_nothing)
{
	events_subscribe(&events, &one.observer);
	events_unsubscribe(&one.observer);
	events_unsubscribe(&one.observer);
	events_emit(&events, "x", json_object());
	ck_assert_uint_eq(one.count, 0);
}
END_TEST

START_TEST(a_watcher_may_leave_while_it_is_told)
{
	one.leaves = true;
	events_subscribe(&events, &one.observer);
	events_subscribe(&events, &two.observer);
	events_emit(&events, "x", json_object());
	events_emit(&events, "y", json_object());
	ck_assert_uint_eq(one.count, 1);
	ck_assert_uint_eq(two.count, 2);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("events");
	TCase *lines = tcase_create("lines");
	TCase *watchers = tcase_create("watchers");
	tcase_add_checked_fixture(lines, begin, NULL);
	tcase_add_checked_fixture(watchers, begin, NULL);
	tcase_add_test(lines, an_event_tells_its_number_time_and_name);
	tcase_add_test(lines, numbers_rise_by_one);
	tcase_add_test(lines, one_that_could_not_be_made_is_told_as_lost);
	tcase_add_test(lines, the_body_is_taken_watched_or_not);
	tcase_add_test(watchers, every_watcher_hears_of_every_event);
	tcase_add_test(watchers, who_has_left_hears_nothing);
	tcase_add_test(watchers, a_watcher_may_leave_while_it_is_told);
	suite_add_tcase(suite, lines);
	suite_add_tcase(suite, watchers);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
