/* Lines, their names, and the digest by which the file is known again. */
#include "daemon/ctl/batch_input.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <nettle/sha2.h>

#include "daemon/ctl/client.h"
#include "lib/macro.h"

#define LINE_MAX_BYTES (16u << 20) /* what the control socket takes */

static void write_digest(struct sha256_ctx *context, char text[static BATCH_DIGEST_SIZE])
{
	uint8_t digest[SHA256_DIGEST_SIZE];

	sha256_digest(context, sizeof(digest), digest);
	for (size_t i = 0; i < sizeof(digest); i++)
		sprintf(text + 2 * i, "%02x", digest[i]);
}

/* A line counts when anything but white space stands in it. */
static uint64_t count_lines(const char *data, size_t size, bool *in_line)
{
	uint64_t count = 0;

	for (size_t i = 0; i < size; i++) {
		if (data[i] == '\n') {
			*in_line = false;
		} else if (!*in_line && !isspace((unsigned char)data[i])) {
			*in_line = true;
			count++;
		}
	}
	return count;
}

static int read_all(struct batch_input *input)
{
	struct sha256_ctx context;
	bool in_line = false;
	char buffer[65536];
	size_t size;

	sha256_init(&context);
	while ((size = fread(buffer, 1, sizeof(buffer), input->file)) > 0) {
		sha256_update(&context, size, (const uint8_t *)buffer);
		input->lines += count_lines(buffer, size, &in_line);
	}
	if (ferror(input->file))
		return -EIO;
	write_digest(&context, input->digest);
	rewind(input->file);
	return 0;
}

int batch_input_open(struct batch_input *input, const char *path)
{
	*input = (struct batch_input){ .path = path };
	input->file = fopen(path, "re");
	if (!input->file || fstat(fileno(input->file), &input->begin) < 0)
		return -errno;
	if (!S_ISREG(input->begin.st_mode))
		return S_ISDIR(input->begin.st_mode) ? -EISDIR : -EINVAL;
	return read_all(input);
}

void batch_input_close(struct batch_input *input)
{
	if (input->file)
		fclose(input->file);
	input->file = NULL;
}

bool batch_input_changed(const struct batch_input *input)
{
	struct stat now;

	return stat(input->path, &now) < 0 || now.st_ino != input->begin.st_ino ||
	       now.st_dev != input->begin.st_dev || now.st_size != input->begin.st_size ||
	       now.st_mtim.tv_sec != input->begin.st_mtim.tv_sec ||
	       now.st_mtim.tv_nsec != input->begin.st_mtim.tv_nsec;
}

/* --- lines --- */

struct text {
	char *data;
	size_t size, capacity;
	bool cut; /* the line was longer */
};

static int add_byte(struct text *text, int byte)
{
	if (text->size == LINE_MAX_BYTES) {
		text->cut = true;
		return 0;
	}
	if (text->size + 1 >= text->capacity) {
		size_t capacity = MAX((size_t)256, 2 * text->capacity);
		char *data = realloc(text->data, capacity);
		if (!data)
			return -ENOMEM;
		text->data = data;
		text->capacity = capacity;
	}
	text->data[text->size++] = (char)byte;
	text->data[text->size] = '\0';
	return 0;
}

/* Without its newline: 1, 0 at the end of the file. */
static int read_line(struct batch_input *input, struct text *text)
{
	int byte, r = 0;

	text->size = 0;
	text->cut = false;
	while (r == 0 && (byte = getc_unlocked(input->file)) != EOF && byte != '\n')
		r = add_byte(text, byte);
	if (r < 0 || ferror(input->file))
		return r < 0 ? r : -EIO;
	input->number++;
	return byte == '\n' || text->size > 0;
}

static bool is_blank(const struct text *text)
{
	for (size_t i = 0; i < text->size; i++)
		if (!isspace((unsigned char)text->data[i]))
			return false;
	return true;
}

/* What may be the name of a file, and is not one of ours. */
static bool is_good_name(const char *id)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	                            "0123456789._-@+=";
	size_t size = strspn(id, plain);

	return size > 0 && size < BATCH_NAME_SIZE && !id[size] && *id != '.' &&
	       strcmp(id, "failed") != 0;
}

static void name_line(struct batch_line *line, const json_t *payload)
{
	const json_t *id = json_object_get(payload, "id");

	snprintf(line->name, sizeof(line->name), "%07" PRIu64, line->number);
	if (json_is_integer(id))
		snprintf(line->name, sizeof(line->name), "%" JSON_INTEGER_FORMAT,
		        json_integer_value(id));
	else if (json_is_string(id) && is_good_name(json_string_value(id)))
		snprintf(line->name, sizeof(line->name), "%s", json_string_value(id));
}

int batch_input_next(struct batch_input *input, struct batch_line *ret_line)
{
	struct batch_line line = { 0 };
	struct text text = { 0 };
	int r;

	do
		r = read_line(input, &text);
	while (r > 0 && is_blank(&text));
	if (r <= 0) {
		free(text.data);
		return r;
	}
	line.number = input->number;
	line.text = text.data;
	line.size = text.size;
	if (text.cut)
		line.wrong = "a line has 16 MiB at most";
	_cleanup_(json_freep) json_t *payload =
	        text.cut ? NULL : json_loadb(line.text, line.size, JSON_DECODE_ANY, NULL);
	if (!payload && !line.wrong)
		line.wrong = "it is no JSON";
	name_line(&line, payload);
	*ret_line = line;
	return 1;
}
