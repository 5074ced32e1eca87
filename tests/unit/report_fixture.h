/* A shutdown to tell of, and the report of it, read back by another JSON library. */
#ifndef QUIESCE_REPORT_FIXTURE_H
#define QUIESCE_REPORT_FIXTURE_H

#include <check.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/macro.h"
#include "lib/report.h"

#define T0 (1000 * QS_SEC) /* the request */

static struct qs_ledger *ledger;
static struct qs_chronicle chronicle;
static struct qs_report report;
static char directory[] = "/tmp/quiesce-report-XXXXXX";
static int directory_fd = -1;
static bool allocation_is_a_failure;

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);

void *__wrap_malloc(size_t size)
{
	if (allocation_is_a_failure)
		ck_abort_msg("an allocation");
	return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	if (allocation_is_a_failure)
		ck_abort_msg("an allocation");
	return __real_calloc(count, size);
}

static inline void set_up(void)
{
	ck_assert_ptr_nonnull(mkdtemp(directory));
	directory_fd = open(directory, O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(directory_fd, 0);
	ck_assert_int_eq(qs_ledger_new(&ledger), 0);
	chronicle = (struct qs_chronicle){ .reason = { .cause = QS_CAUSE_SHUTDOWN,
		                                   .detail = "signal SIGTERM" } };
	report = (struct qs_report){ .ledger = ledger,
		.chronicle = &chronicle,
		.invocation_id = "0123456789abcdef0123456789abcdef",
		.started_at = T0 - QS_MIN,
		.pid = 4711 };
}

static inline void tear_down(void)
{
	(void)unlinkat(directory_fd, QS_REPORT_NAME, 0);
	(void)close(directory_fd);
	ck_assert_int_eq(rmdir(directory), 0);
	qs_ledger_free(ledger);
}

/* --- a shutdown to tell of --- */

static inline struct qs_record *open_task(const char *worker, enum qs_kind kind, uint64_t now)
{
	struct qs_owner *owner = NULL;
	struct qs_record *record = NULL;

	if (worker)
		ck_assert_int_eq(qs_ledger_owner(ledger, worker, &owner), 0);
	ck_assert_int_eq(
	        qs_ledger_open(ledger, owner, kind, worker ? worker : "nobody's", now, &record), 0);
	return record;
}

static inline void ask(struct qs_record *record, enum qs_rung rung, uint64_t now)
{
	record->asked_at = now;
	record->cause = QS_CAUSE_SHUTDOWN;
	record->rung = (uint8_t)rung;
}

static inline void end(struct qs_record *record, enum qs_verdict verdict, uint64_t now)
{
	static const struct qs_outcome outcome = { .type = QS_OUTCOME_EXIT, .value = 3 };

	qs_ledger_close(ledger, record, verdict, outcome, now);
}

static inline void request(void)
{
	chronicle.requested_at = T0;
	chronicle.phase_began[QS_PHASE_DRAINING] = T0;
	qs_ledger_retain(ledger);
}

static inline void leave(uint64_t now)
{
	chronicle.phase_began[QS_PHASE_QUIESCED] = now;
	chronicle.left_at = now;
}

/* --- reading it --- */

static inline json_t *write_and_read(void)
{
	json_error_t error;
	json_t *json;

	allocation_is_a_failure = true;
	int r = qs_report_write(&report, directory_fd);
	allocation_is_a_failure = false;
	ck_assert_int_eq(r, 0);
	int fd = openat(directory_fd, QS_REPORT_NAME, O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	json = json_loadfd(fd, JSON_REJECT_DUPLICATES, &error);
	ck_assert_msg(json, "line %d: %s", error.line, error.text);
	(void)close(fd);
	return json;
}

static inline json_t *at(const json_t *object, const char *key)
{
	json_t *value = json_object_get(object, key);

	ck_assert_msg(value, "no %s", key);
	return value;
}

static inline const char *text_at(const json_t *object, const char *key)
{
	return json_string_value(at(object, key));
}

static inline json_int_t count_at(const json_t *object, const char *key)
{
	ck_assert(json_is_integer(at(object, key)));
	return json_integer_value(at(object, key));
}

#endif
