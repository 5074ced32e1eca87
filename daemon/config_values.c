/*
 * One value of each type from text to its field. Defaults of the schema go the same way, so that
 * what the reference prints is what is in force.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "daemon/config_internal.h"

struct value_kind {
	const char *expects;
	/* -EINVAL: not of this kind; -ERANGE; -ENOMEM. NULL: config_lists.c reads it. */
	int (*parse)(const struct schema_key *key, const char *text, void *target);
};

static void store(const struct schema_key *key, void *target, uint64_t value)
{
	char *field = (char *)target + key->offset;
	uint32_t narrow = (uint32_t)value;
	bool flag = value != 0;
	if (key->size == sizeof(flag))
		memcpy(field, &flag, sizeof(flag));
	else if (key->size == sizeof(narrow))
		memcpy(field, &narrow, sizeof(narrow));
	else
		memcpy(field, &value, sizeof(value));
}

static int store_in_range(const struct schema_key *key, void *target, uint64_t value)
{
	if (value < key->minimum || value > key->maximum)
		return -ERANGE;
	store(key, target, value);
	return 0;
}

/* No sign, no leading zero: 010 is 8 to some and 10 to others. */
int number_parse(const char *text, uint64_t *ret_number)
{
	uint64_t number = 0;
	size_t length = strspn(text, "0123456789");
	if (length == 0 || text[length] != 0 || (text[0] == '0' && length > 1))
		return -EINVAL;
	for (; *text; text++)
		if (__builtin_mul_overflow(number, UINT64_C(10), &number) ||
		        __builtin_add_overflow(number, (uint64_t)(*text - '0'), &number))
			return -ERANGE;
	*ret_number = number;
	return 0;
}

static int parse_span(const struct schema_key *key, const char *text, void *target)
{
	uint64_t span;
	int r = span_parse(text, &span);
	return r < 0 ? r : store_in_range(key, target, span);
}

static int parse_size(const struct schema_key *key, const char *text, void *target)
{
	uint64_t size;
	int r = size_parse(text, &size);
	return r < 0 ? r : store_in_range(key, target, size);
}

static int parse_number(const struct schema_key *key, const char *text, void *target)
{
	uint64_t number;
	int r = number_parse(text, &number);
	return r < 0 ? r : store_in_range(key, target, number);
}

static int parse_flag(const struct schema_key *key, const char *text, void *target)
{
	static const char *const words[] = { "false", "true", "no", "yes", "off", "on" };
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcmp(words[i], text) == 0) {
			store(key, target, i % 2);
			return 0;
		}
	return -EINVAL;
}

static int parse_text(const struct schema_key *key, const char *text, void *target)
{
	if (text[0] == 0)
		return -EINVAL;
	if (strlen(text) > key->maximum)
		return -ERANGE;
	char *copy = strdup(text), **field = (char **)(void *)((char *)target + key->offset);
	if (!copy)
		return -ENOMEM;
	free(*field);
	*field = copy;
	return 0;
}

static int parse_path(const struct schema_key *key, const char *text, void *target)
{
	return text[0] == '/' ? parse_text(key, text, target) : -EINVAL;
}

static int parse_word(const struct schema_key *key, const char *text, void *target)
{
	for (size_t i = 0; key->words[i]; i++)
		if (strcmp(key->words[i], text) == 0) {
			store(key, target, i);
			return 0;
		}
	return -EINVAL;
}

/* Octal as chmod takes it, whatever YAML thinks of a leading zero. */
static int parse_umask(const struct schema_key *key, const char *text, void *target)
{
	uint64_t mask = 0;
	if (strncmp(text, "0o", 2) == 0)
		text += 2;
	size_t length = strspn(text, "01234567");
	if (length == 0 || text[length] != 0)
		return -EINVAL;
	for (; *text; text++) {
		mask = mask * 8 + (uint64_t)(*text - '0');
		if (mask > 0777)
			return -ERANGE;
	}
	store(key, target, mask);
	return 0;
}

/* 0: no such name. */
static int signal_by_name(const char *name)
{
	uint64_t offset;
	if (strncasecmp(name, "SIG", 3) == 0)
		name += 3;
	for (int number = 1; number < SIGRTMIN; number++) {
		const char *known = sigabbrev_np(number);
		if (known && strcasecmp(known, name) == 0)
			return number;
	}
	if (strncasecmp(name, "RTMIN", 5) != 0)
		return 0;
	if (name[5] == 0)
		return SIGRTMIN;
	if (name[5] != '+' || number_parse(name + 6, &offset) < 0)
		return 0;
	return offset <= (uint64_t)(SIGRTMAX - SIGRTMIN) ? SIGRTMIN + (int)offset : 0;
}

static int parse_signal(const struct schema_key *key, const char *text, void *target)
{
	uint64_t number;
	int r = number_parse(text, &number);
	if (r == -EINVAL) {
		number = (uint64_t)signal_by_name(text);
		if (number == 0)
			return -EINVAL;
	} else if (r < 0 || number < 1 || number > (uint64_t)SIGRTMAX)
		return -ERANGE;
	/* Force is the ladder's last rung, and nothing that one asks with. */
	if (number == SIGKILL || number == SIGSTOP)
		return -ERANGE;
	store(key, target, number);
	return 0;
}

static int parse_when(_unused_ const struct schema_key *key, const char *text, void *target)
{
	struct worker_config *worker = target;
	size_t length = strcspn(text, " \t");
	uint64_t every = 0;
	enum when when;
	if (strcmp(text, "always") == 0)
		when = WHEN_ALWAYS;
	else if (strcmp(text, "once") == 0)
		when = WHEN_ONCE;
	else if (strcmp(text, "call") == 0)
		when = WHEN_CALL;
	else if (length == 5 && strncmp(text, "every", 5) == 0)
		when = WHEN_EVERY;
	else
		return -EINVAL;
	if (when == WHEN_EVERY) {
		int r = span_parse(text + length, &every);
		if (r < 0)
			return r;
		if (every < QS_MSEC || every == QS_FOREVER)
			return -ERANGE;
	}
	worker->when = when;
	worker->every = every;
	return 0;
}

static const struct value_kind kinds[] = {
	[VALUE_SPAN] = { "a time span such as 500ms, 30s or 1min 30s", parse_span },
	[VALUE_SIZE] = { "a size such as 4KiB or 256MiB", parse_size },
	[VALUE_NUMBER] = { "a whole number such as 10", parse_number },
	[VALUE_FLAG] = { "true or false", parse_flag },
	[VALUE_TEXT] = { "a text that is not empty", parse_text },
	[VALUE_PATH] = { "a path that begins with /", parse_path },
	[VALUE_WORD] = { "one of its words", parse_word },
	[VALUE_UMASK] = { "an octal mode such as 0027", parse_umask },
	[VALUE_SIGNAL] = { "a signal such as SIGTERM", parse_signal },
	[VALUE_WHEN] = { "always, once, call or every SPAN (such as every 30s)", parse_when },
	[VALUE_COMMAND] = { "a list of texts such as [/usr/bin/program, argument]", NULL },
	[VALUE_NAMES] = { "a list of workers such as [database, cache]", NULL },
	[VALUE_STATUSES] = { "a list of exit statuses such as [1, 143]", NULL },
	[VALUE_ENVIRONMENT] = { "a mapping such as {NAME: value}", NULL },
	[VALUE_TREE] = { "a mapping, a list or a value", NULL },
	[VALUE_METHOD] = { "a method such as POST", parse_method },
	[VALUE_TEMPLATE] = { "a text", NULL },
	[VALUE_HEADERS] = { "a mapping such as {Accept: application/json}", NULL },
	[VALUE_HEADER_NAMES] = { "a list of headers such as [Accept]", NULL },
	[VALUE_HTTP_STATUSES] = { "a list of statuses such as [200, 404]", NULL },
	[VALUE_POINTER] = { "a JSON pointer such as /state/0", parse_pointer },
	[VALUE_JSON] = { "a value", NULL },
	[VALUE_PERCENT] = { "a percentage such as 20%, or off", parse_percent },
	[VALUE_MEDIA_TYPE] = { "a media type such as application/json", parse_media_type },
	[VALUE_REFUSED] = { "nothing at all", NULL },
};
static_assert(ARRAY_SIZE(kinds) == VALUE_REFUSED + 1, "every type of value has its row");

const char *value_expects(enum value_type type)
{
	return kinds[type].expects;
}

static const char *format_bound(enum value_type type, uint64_t value, char *buffer, size_t size)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	size_t unit = 0;
	if (type == VALUE_SPAN)
		return span_format(value, buffer, size);
	while (type == VALUE_SIZE && value >= 1024 && unit + 1 < ARRAY_SIZE(units)) {
		value /= 1024;
		unit++;
	}
	(void)snprintf(buffer, size, "%" PRIu64 "%s", value, type == VALUE_SIZE ? units[unit] : "");
	return buffer;
}

static char *format_words(const char *const *words, char *buffer, size_t size)
{
	size_t length = 0;
	buffer[0] = 0;
	for (size_t i = 0; words[i] && length < size; i++) {
		const char *between = words[i + 1] ? ", " : " or ";
		int r = snprintf(
		        buffer + length, size - length, "%s%s", i > 0 ? between : "", words[i]);
		length += r > 0 ? (size_t)r : 0;
	}
	return buffer;
}

char *value_range(const struct schema_key *key, char *buffer, size_t size)
{
	char least[48], most[48];
	buffer[0] = 0;
	if (key->type == VALUE_WORD)
		return format_words(key->words, buffer, size);
	if (key->type == VALUE_UMASK)
		(void)snprintf(buffer, size, "0000 to 0777");
	else if (key->type == VALUE_SIGNAL)
		(void)snprintf(buffer, size, "1 to %d, but not SIGKILL or SIGSTOP", SIGRTMAX);
	else if (key->type == VALUE_WHEN)
		(void)snprintf(buffer, size, "every 1ms at least, and not infinity");
	else if (key->type == VALUE_METHOD)
		(void)snprintf(buffer, size, "but not CONNECT or TRACE");
	else if (key->type == VALUE_PERCENT)
		(void)snprintf(
		        buffer, size, "%" PRIu64 "%% to %" PRIu64 "%%", key->minimum, key->maximum);
	else if (key->type == VALUE_TEXT || key->type == VALUE_PATH || key->type == VALUE_POINTER ||
	         key->type == VALUE_MEDIA_TYPE)
		(void)snprintf(buffer, size, "at most %" PRIu64 " bytes", key->maximum);
	else if (key->type <= VALUE_NUMBER)
		(void)snprintf(buffer, size, "%s to %s",
		        format_bound(key->type, key->minimum, least, sizeof(least)),
		        format_bound(key->type, key->maximum, most, sizeof(most)));
	return buffer;
}

static int report(
        struct reader *reader, const struct setting *setting, const yaml_node_t *node, int error)
{
	char quote[QUOTED_SIZE], range[96];
	const char *text = quoted((const char *)node->data.scalar.value, quote);
	enum value_type type = setting->key->type;
	struct mark mark = node_mark(reader, node);
	value_range(setting->key, range, sizeof(range));
	if (error == -ERANGE)
		return problem_add(
		        reader, mark, "%s: %s is out of range: %s", setting->shown, text, range);
	return problem_add(reader, mark, "%s: expected %s, not %s", setting->shown,
	        type == VALUE_WORD ? range : value_expects(type), text);
}

int value_read(struct reader *reader, const struct setting *setting, const yaml_node_t *node)
{
	const struct schema_key *key = setting->key;
	if (!kinds[key->type].parse)
		return list_read(reader, setting, node);
	const char *text;
	int r = node_text(reader, setting->shown, value_expects(key->type), node, &text);
	if (r <= 0)
		return r;
	r = kinds[key->type].parse(key, text, setting->target);
	if (r == -EINVAL || r == -ERANGE)
		return report(reader, setting, node, r);
	return r;
}

int value_default(const struct schema_key *key, void *target)
{
	return key->fallback ? kinds[key->type].parse(key, key->fallback, target) : 0;
}
