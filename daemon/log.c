/*
 * The ring and its writer. A caller formats its line straight into the ring, under a lock that is
 * held for nothing else; the writer gives the lines their form and writes many at once, without the
 * lock, so that a slow reader of the log slows down nobody but the writer.
 */
#include "daemon/log.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <quiesce/clock.h>

#include "daemon/fold.h"
#include "daemon/log_ring.h"
#include "daemon/log_sink.h"
#include "lib/utf8.h"

#define RING_SIZE     (1024 * 1024)
#define MEMORY_SIZE   (RING_SIZE + LOG_SINK_BUFFER)
#define LINE_DEFAULT  4096
#define BATCH_SIZE    (32 * 1024)
#define WRITER_STACK  (128 * 1024)
#define STRAIGHT_SIZE 1024
#define NAME_MAX_SIZE 256
#define GATHER_TIME   (3 * QS_MSEC)
#define GATHER_MOST   (RING_SIZE / 4)

struct record {
	size_t size;
	uint64_t lost; /* lines, just before this one */
	struct log_line line;
	char data[]; /* what `line` points to */
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t work, end; /* for the writer; for log_done */
	pthread_t writer;
	bool running, ending, ended, asleep, gathering;
	struct log_ring ring;
	uint64_t lost; /* lines that did not fit since the last that did */
	struct log_sink sink;
	_Atomic int level;
	_Atomic size_t max_line;
	_Atomic bool bodies;
} logger = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.level = LOG_LEVEL_INFO,
	.max_line = LINE_DEFAULT,
	.sink = { .fd = -1, .journal_fd = -1, .urgent_fd = -1 },
};

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&logger.level, (int)level, memory_order_relaxed);
}

void log_set_max_line(size_t bytes)
{
	atomic_store_explicit(
	        &logger.max_line, MIN(bytes, (size_t)LOG_SINK_LINE), memory_order_relaxed);
}

void log_set_bodies(bool shown)
{
	atomic_store_explicit(&logger.bodies, shown, memory_order_relaxed);
}

bool log_bodies(void)
{
	return atomic_load_explicit(&logger.bodies, memory_order_relaxed);
}

void log_emergency(const struct log_fields *fields, const char *text)
{
	struct log_line line = log_describe(LOG_LEVEL_ERROR, fields);
	line.text = text;
	line.text_size = strlen(text);
	log_sink_write_now(&logger.sink, &line);
}

/* --- the writer --- */

/* Returns how much of the records it has taken. */
static size_t write_records(struct log_sink *sink, const char *data, size_t size)
{
	size_t taken = 0;
	log_sink_retell(sink);
	while (taken < size && taken < BATCH_SIZE) {
		const struct record *record = (const struct record *)(const void *)(data + taken);
		if (record->lost > 0)
			log_sink_write_loss(sink, record->lost, "the log was too slow");
		log_sink_write(sink, &record->line);
		taken += record->size;
	}
	log_sink_flush(sink);
	return taken;
}

/*
 * Lines seldom come alone: who has just been woken up lets more of them come, for a moment that
 * nobody notices. A thousand starts then do not cost a thousand wake-ups and as many small writes.
 */
static void gather(void)
{
	uint64_t deadline = qs_time_add(qs_time_now(), GATHER_TIME);
	const struct timespec until = { .tv_sec = (time_t)(deadline / QS_SEC),
		.tv_nsec = (long)(deadline % QS_SEC) };

	logger.gathering = true;
	while (logger.gathering && !logger.ending &&
	        pthread_cond_timedwait(&logger.work, &logger.lock, &until) == 0)
		continue;
	logger.gathering = false;
}

/* One turn of the writer, with the lock held, which it lets go of meanwhile. False at the end. */
static bool write_some(void)
{
	char *data;
	while (log_ring_readable(&logger.ring, &data) == 0 && logger.lost == 0 && !logger.ending) {
		logger.asleep = true;
		pthread_cond_wait(&logger.work, &logger.lock);
		logger.asleep = false;
		gather();
	}
	size_t size = log_ring_readable(&logger.ring, &data);
	uint64_t lost = size == 0 ? TAKE(logger.lost, 0) : 0;
	if (size == 0 && lost == 0)
		return false;
	pthread_mutex_unlock(&logger.lock);
	if (lost > 0) {
		log_sink_write_loss(&logger.sink, lost, "the log was too slow");
		log_sink_flush(&logger.sink);
	} else {
		size = write_records(&logger.sink, data, size);
	}
	pthread_mutex_lock(&logger.lock);
	log_ring_drop(&logger.ring, size);
	return true;
}

static void *writer_main(void *arg _unused_)
{
	pthread_mutex_lock(&logger.lock);
	while (write_some())
		continue;
	logger.ended = true;
	pthread_cond_signal(&logger.end);
	pthread_mutex_unlock(&logger.lock);
	return NULL;
}

/* --- the callers' side --- */

static char *copy_name(char **cursor, const char *name)
{
	char *copy = *cursor;
	size_t size = strnlen(name, NAME_MAX_SIZE);
	memcpy(copy, name, size);
	copy[size] = '\0';
	*cursor += size + 1;
	return copy;
}

static _printf_(3, 0) void fill(
        struct record *record, const struct log_line *line, const char *format, va_list ap)
{
	char *cursor = record->data;
	record->line = *line;
	record->line.worker = copy_name(&cursor, line->worker);
	record->line.phase = copy_name(&cursor, line->phase);
	record->line.verdict = copy_name(&cursor, line->verdict);
	record->line.call.host = copy_name(&cursor, line->call.host);
	record->line.call.source = copy_name(&cursor, line->call.source);
	record->line.text = cursor;
	/* One byte more than wanted shows whether a cut goes through a character. */
	vsnprintf(cursor, line->text_size + 2, format, ap);
	record->line.text_size = qs_utf8_cut(cursor, strlen(cursor), line->text_size);
}

/* One that gathers lines is only woken up when there are many. */
static void wake_writer(void)
{
	char *data;
	bool many = logger.gathering && log_ring_readable(&logger.ring, &data) > GATHER_MOST;

	if (TAKE(logger.asleep, false) || (many && TAKE(logger.gathering, false)))
		pthread_cond_signal(&logger.work);
}

/* Makes the line known to the writer, or counts it as lost. False: there is no writer. */
static _printf_(2, 0) bool enqueue(const struct log_line *line, const char *format, va_list ap)
{
	size_t size = sizeof(struct record) + strnlen(line->worker, NAME_MAX_SIZE) +
	              strnlen(line->phase, NAME_MAX_SIZE) + strnlen(line->verdict, NAME_MAX_SIZE) +
	              strnlen(line->call.host, NAME_MAX_SIZE) +
	              strnlen(line->call.source, NAME_MAX_SIZE) + line->text_size + 7;
	int error = errno; /* for %m */
	pthread_mutex_lock(&logger.lock);
	bool running = logger.running;
	struct record *record = running ? log_ring_reserve(&logger.ring, size) : NULL;
	if (record) {
		errno = error;
		fill(record, line, format, ap);
		record->size = log_ring_rounded(size);
		record->lost = TAKE(logger.lost, 0);
		log_ring_commit(&logger.ring, size);
	} else if (running) {
		logger.lost++;
	}
	wake_writer();
	pthread_mutex_unlock(&logger.lock);
	errno = error;
	return running;
}

static _printf_(2, 0) void log_straight(struct log_line *line, const char *format, va_list ap)
{
	char text[STRAIGHT_SIZE];
	vsnprintf(text, sizeof(text), format, ap);
	line->text = text;
	line->text_size = strlen(text);
	log_sink_write_now(&logger.sink, line);
}

void log_event(enum log_level level, const struct log_fields *fields, const char *format, ...)
{
	if ((int)level > atomic_load_explicit(&logger.level, memory_order_relaxed))
		return;
	int error = errno;
	struct log_line line = log_describe(level, fields);
	size_t max_line = atomic_load_explicit(&logger.max_line, memory_order_relaxed);
	va_list ap;
	va_start(ap, format);
	int size = vsnprintf(NULL, 0, format, ap);
	va_end(ap);
	line.text_size = size < 0 ? 0 : (size_t)size;
	if (line.text_size > max_line + LINE_READER_SLACK)
		line.cut_from = TAKE(line.text_size, max_line);
	errno = error;
	va_start(ap, format);
	bool queued = enqueue(&line, format, ap);
	va_end(ap);
	if (!queued) {
		va_start(ap, format);
		log_straight(&line, format, ap);
		va_end(ap);
	}
	errno = error;
}

/* --- set-up and its mirror --- */

/* No signal is for the writer. */
static int start_writer(void)
{
	sigset_t all, before;
	pthread_attr_t attributes;
	int r = pthread_attr_init(&attributes);
	if (r != 0)
		return -r;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_attr_setstacksize(&attributes, WRITER_STACK);
	if (r == 0)
		r = pthread_create(&logger.writer, &attributes, writer_main, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return -r;
}

static void init_conditions(void)
{
	pthread_condattr_t attributes;
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&logger.end, &attributes);
	pthread_cond_init(&logger.work, &attributes);
	pthread_condattr_destroy(&attributes);
}

static void release(void)
{
	log_sink_close(&logger.sink);
	munmap(logger.ring.data, MEMORY_SIZE);
	logger.ring = (struct log_ring){ 0 };
	pthread_cond_destroy(&logger.end);
	pthread_cond_destroy(&logger.work);
}

int log_init(const struct log_options *options)
{
	if (logger.ring.data)
		return -EALREADY;
	char *memory = mmap(NULL, MEMORY_SIZE, PROT_READ | PROT_WRITE,
	        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		return -ENOMEM;
	logger.ring = (struct log_ring){ .data = memory, .size = RING_SIZE };
	logger.ending = logger.ended = logger.asleep = false;
	log_sink_open(&logger.sink, options, memory + RING_SIZE);
	log_set_level(options->level);
	log_set_max_line(options->max_line);
	init_conditions();
	logger.running = true;
	int r = start_writer();
	if (r < 0) {
		logger.running = false;
		release();
	}
	return r;
}

void log_done(uint64_t deadline)
{
	const struct timespec until = { .tv_sec = (time_t)MIN(deadline / QS_SEC, INT32_MAX),
		.tv_nsec = (long)(deadline % QS_SEC) };
	pthread_mutex_lock(&logger.lock);
	bool was_running = TAKE(logger.running, false);
	logger.ending = true;
	if (was_running)
		pthread_cond_signal(&logger.work);
	int r = 0;
	while (was_running && !logger.ended && r == 0)
		r = pthread_cond_timedwait(&logger.end, &logger.lock, &until);
	bool ended = logger.ended;
	pthread_mutex_unlock(&logger.lock);
	if (was_running && ended) {
		pthread_join(logger.writer, NULL);
		release();
	}
}
