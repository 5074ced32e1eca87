/*
 * One reader a stream, with three modes. PLAIN copies text; a word of base64 letters that the end
 * of the data interrupts, or that is too long, goes on in BASE64; a byte that is no text begins
 * BINARY. A run (the bytes of the present BASE64 or BINARY) is held back, up to FOLD_LIMIT of it
 * raw and the rest as a digest only, until its end says whether it is shown or folded.
 *
 * A line that comes in one piece and is all plain is handed on where it lies.
 */
#include "daemon/fold.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "daemon/fold_line.h"
#include "daemon/fold_run.h"
#include "lib/macro.h"
#include "lib/utf8.h"

#define PADDING_MAX 2 /* '=' after base64 */
#define CLEAN_MAX   8 /* text inside of binary: so much of it in a row ends the run */

enum mode { PLAIN, BASE64, BINARY };

/*
 * STEERING characters belong to colours, progress bars and the like: alone they make a run as well,
 * but text between them is not taken for binary.
 */
enum sort {
	LETTER,   /* of base64 */
	PRINT,    /* any other character of one byte */
	WIDE,     /* a character of several bytes, if it is one */
	STEERING, /* \a \b \v \f \r ESC */
	BROKEN,   /* other control characters, stray bytes */
};

struct line_reader {
	line_fn fn;
	void *arg;
	struct fold_line line; /* what is shown of the present one */
	uint64_t total;        /* bytes of the present line, all of them */
	struct fold_run *run;  /* made for the first one that has to be held back */
	enum mode mode;
	bool carriage_return; /* held back: a newline may follow */
	bool broken;          /* BINARY: more than steering characters came */
	bool escapes_newline;
	uint8_t padding;      /* BASE64 */
	uint8_t clean_held;   /* BINARY: text since the run's last byte */
	uint8_t partial_held; /* the beginning of a character */
	char clean[CLEAN_MAX + 4];
	char partial[4];
};

static const uint8_t sorts[256] = {
	[0 ... 0x06] = BROKEN,
	[0x07 ... 0x08] = STEERING,
	['\t'] = PRINT,
	['\n'] = STEERING,
	[0x0b ... 0x0d] = STEERING,
	[0x0e ... 0x1a] = BROKEN,
	[0x1b] = STEERING,
	[0x1c ... 0x1f] = BROKEN,
	[' ' ... '*'] = PRINT,
	['+'] = LETTER,
	[','] = PRINT,
	['-'] = LETTER,
	['.'] = PRINT,
	['/' ... '9'] = LETTER,
	[':' ... '@'] = PRINT,
	['A' ... 'Z'] = LETTER,
	['[' ... '^'] = PRINT,
	['_'] = LETTER,
	['`'] = PRINT,
	['a' ... 'z'] = LETTER,
	['{' ... '~'] = PRINT,
	[0x7f] = BROKEN,
	[0x80 ... 0xff] = WIDE,
};

static enum sort sort_of(char byte)
{
	return (enum sort)sorts[(unsigned char)byte];
}

int line_reader_new(size_t max_line, line_fn fn, void *arg, struct line_reader **ret_reader)
{
	struct line_reader *reader = calloc(1, sizeof(*reader));
	if (!reader)
		return -ENOMEM;
	reader->fn = fn;
	reader->arg = arg;
	reader->line.limit = max_line;
	*ret_reader = reader;
	return 0;
}

void line_reader_free(struct line_reader *reader)
{
	if (!reader)
		return;
	free(reader->line.data);
	free(reader->run);
	free(reader);
}

/* Returns false when there is no memory to hold anything back in. */
static bool run_begin(struct line_reader *reader, enum mode mode)
{
	if (!reader->run)
		reader->run = malloc(sizeof(*reader->run));
	if (!reader->run) {
		reader->line.cut = true;
		return false;
	}
	fold_run_init(reader->run);
	reader->mode = mode;
	reader->broken = false;
	reader->padding = reader->clean_held = 0;
	return true;
}

static void show_folded(struct line_reader *reader, struct fold_run *run)
{
	char mark[FOLD_MARK_SIZE];
	size_t size = fold_run_mark(run, mark);
	if (!reader->line.cut && reader->line.used <= reader->line.limit)
		fold_line_put_mark(&reader->line, mark, size);
}

/* A short run of BINARY holds text, too. */
static void show_short(struct line_reader *reader, const struct fold_run *run)
{
	for (size_t i = 0; i < run->held;) {
		int length = qs_utf8_next(run->bytes + i, run->held - i);
		if (length > 0 && (!qs_utf8_is_control(run->bytes + i) || run->bytes[i] == '\t')) {
			fold_line_put_whole(&reader->line, run->bytes + i, (size_t)length);
			i += (size_t)length;
		} else {
			fold_line_put_escaped(&reader->line, run->bytes[i++]);
		}
	}
}

static void run_end(struct line_reader *reader)
{
	struct fold_run *run = reader->run;
	enum mode mode = reader->mode;
	if (mode == PLAIN)
		return;
	reader->mode = PLAIN;
	if (fold_run_is_long(run))
		show_folded(reader, run);
	else if (mode == BASE64)
		fold_line_put(&reader->line, run->bytes, run->held);
	else
		show_short(reader, run);
}

static void take(struct line_reader *reader, enum sort sort, const char *data, size_t size);

/* Ends BINARY and takes the text behind it as what it is. */
static void binary_end(struct line_reader *reader)
{
	char clean[sizeof(reader->clean)];
	size_t held = reader->clean_held;
	memcpy(clean, reader->clean, held);
	run_end(reader);
	for (size_t i = 0; i < held;) {
		int length = qs_utf8_next(clean + i, held - i);
		take(reader, sort_of(clean[i]), clean + i, (size_t)length);
		i += (size_t)length;
	}
}

static void take_in_binary(
        struct line_reader *reader, enum sort sort, const char *data, size_t size)
{
	if (sort == STEERING || sort == BROKEN) {
		fold_run_add(reader->run, reader->clean, reader->clean_held);
		fold_run_add(reader->run, data, size);
		reader->clean_held = 0;
		reader->broken |= sort == BROKEN;
		return;
	}
	memcpy(reader->clean + reader->clean_held, data, size);
	reader->clean_held = (uint8_t)(reader->clean_held + size);
	if (!reader->broken || reader->clean_held >= CLEAN_MAX)
		binary_end(reader);
}

static void take_in_plain(struct line_reader *reader, enum sort sort, const char *data, size_t size)
{
	if (sort == PRINT || sort == WIDE)
		fold_line_put_whole(&reader->line, data, size);
	else if (run_begin(reader, sort == LETTER ? BASE64 : BINARY))
		take(reader, sort, data, size);
}

/* One character, or one byte that is none. */
static void take(struct line_reader *reader, enum sort sort, const char *data, size_t size)
{
	if (reader->mode == BASE64) {
		bool more = sort == LETTER && reader->padding == 0;
		bool pads = *data == '=' && reader->padding < PADDING_MAX;
		if (more || pads) {
			fold_run_add(reader->run, data, size);
			reader->padding = (uint8_t)(reader->padding + (more ? 0 : 1));
			return;
		}
		run_end(reader);
	}
	if (reader->mode == BINARY)
		take_in_binary(reader, sort, data, size);
	else
		take_in_plain(reader, sort, data, size);
}

/* What begins here, in any mode. Returns its length, 0 when more data has to say. */
static size_t take_next(struct line_reader *reader, const char *data, size_t size)
{
	enum sort sort = sort_of(*data);
	int length = sort == WIDE ? qs_utf8_next(data, size) : 1;
	if (length < 0)
		return 0;
	if (length == 0 || (sort == WIDE && qs_utf8_is_control(data))) {
		sort = BROKEN;
		length = MAX(length, 1);
	}
	take(reader, sort, data, (size_t)length);
	return (size_t)length;
}

/* The whole words of plain text at the beginning. */
static size_t scan_plain(const char *data, size_t size)
{
	size_t i = 0, letters = 0;
	for (; i < size && letters <= FOLD_LIMIT; i++) {
		uint8_t sort = sorts[(unsigned char)data[i]];
		if (sort > PRINT)
			return i;
		letters = sort == LETTER ? letters + 1 : 0;
	}
	return i - letters;
}

static size_t scan_letters(const char *data, size_t size)
{
	size_t i = 0;
	while (i < size && sorts[(unsigned char)data[i]] == LETTER)
		i++;
	return i;
}

/* What can be done at once, in the modes that have such. */
static size_t take_span(struct line_reader *reader, const char *data, size_t size)
{
	size_t span = 0;
	if (reader->mode == PLAIN) {
		span = scan_plain(data, size);
		fold_line_put(&reader->line, data, span);
	} else if (reader->mode == BASE64 && reader->padding == 0) {
		span = scan_letters(data, size);
		fold_run_add(reader->run, data, span);
	}
	return span;
}

/* Bytes of one line. */
static void take_bytes(struct line_reader *reader, const char *data, size_t size)
{
	while (size > 0) {
		size_t taken = take_span(reader, data, size);
		if (taken == 0)
			taken = take_next(reader, data, size);
		if (taken == 0)
			break;
		data += taken;
		size -= taken;
	}
	if (size == 0)
		return;
	memcpy(reader->partial, data, size);
	reader->partial_held = (uint8_t)size;
}

/* The bytes that complete what the last piece left open. Returns how many those are. */
static size_t complete_partial(struct line_reader *reader, const char *data, size_t size)
{
	char joined[8];
	size_t old = reader->partial_held, added = MIN(size, sizeof(joined) - old), done = 0;
	memcpy(joined, reader->partial, old);
	memcpy(joined + old, data, added);
	reader->partial_held = 0;
	while (done < old) {
		size_t taken = take_next(reader, joined + done, old + added - done);
		if (taken == 0)
			break;
		done += taken;
	}
	if (done >= old)
		return done - old;
	memcpy(reader->partial, joined + done, old + added - done);
	reader->partial_held = (uint8_t)(old + added - done);
	return added;
}

/* No more of that character will come. */
static void break_partial(struct line_reader *reader)
{
	size_t held = TAKE(reader->partial_held, 0);
	for (size_t i = 0; i < held; i++)
		take(reader, BROKEN, reader->partial + i, 1);
}

static void take_carriage_return(struct line_reader *reader)
{
	if (!reader->carriage_return)
		return;
	break_partial(reader);
	reader->carriage_return = false;
	reader->total++;
	take(reader, STEERING, "\r", 1);
}

static void take_piece(struct line_reader *reader, const char *data, size_t size)
{
	if (size == 0)
		return;
	take_carriage_return(reader);
	reader->carriage_return = data[size - 1] == '\r' && !reader->escapes_newline;
	size -= reader->carriage_return ? 1 : 0;
	reader->total += size;
	size_t completed = reader->partial_held > 0 ? complete_partial(reader, data, size) : 0;
	take_bytes(reader, data + completed, size - completed);
}

static void end_line(struct line_reader *reader)
{
	break_partial(reader);
	if (reader->mode == BINARY)
		binary_end(reader);
	run_end(reader);
	if (reader->line.cut) {
		char mark[64];
		int size = snprintf(
		        mark, sizeof(mark), "…[cut, %ju bytes in all]", (uintmax_t)reader->total);
		fold_line_put_mark(&reader->line, mark, (size_t)size);
	}
	reader->fn(reader->line.used > 0 ? reader->line.data : "", reader->line.used, reader->arg);
	reader->line.used = 0;
	reader->total = 0;
	reader->line.cut = reader->carriage_return = false;
}

/* Hands a whole line on from where it lies, if nothing has to change in it. */
static bool pass_line(struct line_reader *reader, const char *data, size_t size)
{
	if (reader->total > 0 || reader->carriage_return)
		return false;
	if (size > 0 && data[size - 1] == '\r')
		size--;
	if (size > reader->line.limit)
		return false;
	size_t i = scan_plain(data, size);
	size_t letters = scan_letters(data + i, size - i);
	if (i + letters < size || letters > FOLD_LIMIT)
		return false;
	reader->fn(data, size, reader->arg);
	return true;
}

void line_reader_feed(struct line_reader *reader, const char *data, size_t size)
{
	while (size > 0) {
		const char *newline = memchr(data, '\n', size);
		size_t length = newline ? (size_t)(newline - data) : size;
		if (!newline) {
			take_piece(reader, data, length);
			return;
		}
		if (!pass_line(reader, data, length)) {
			take_piece(reader, data, length);
			end_line(reader);
		}
		data += length + 1;
		size -= length + 1;
	}
}

void line_reader_finish(struct line_reader *reader)
{
	take_carriage_return(reader);
	if (reader->total > 0)
		end_line(reader);
}

struct folded {
	char *text; /* NULL: no memory */
	size_t size;
};

static void keep_folded(const char *line, size_t length, void *arg)
{
	struct folded *folded = arg;
	folded->text = malloc(length + 1);
	if (!folded->text)
		return;
	memcpy(folded->text, line, length);
	folded->text[length] = '\0';
	folded->size = length;
}

static void fold_once(const char *data, size_t size, size_t max, struct folded *folded)
{
	struct line_reader reader = {
		.fn = keep_folded, .arg = folded, .line.limit = max, .escapes_newline = true
	};
	take_piece(&reader, data, size);
	end_line(&reader);
	free(reader.line.data);
	free(reader.run);
}

char *fold_text(const char *data, size_t size, size_t max)
{
	struct folded folded = { 0 };
	fold_once(data, size, max, &folded);
	if (folded.text && folded.size > max && max > LINE_READER_SLACK) {
		free(folded.text);
		folded = (struct folded){ 0 };
		fold_once(data, size, max - LINE_READER_SLACK, &folded);
	}
	if (folded.text)
		folded.text[qs_utf8_cut(folded.text, folded.size, max)] = '\0';
	return folded.text;
}
