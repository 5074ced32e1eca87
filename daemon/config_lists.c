/* The values that are lists and mappings: a command, names, exit statuses, an environment. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config_internal.h"

static size_t item_count(const yaml_node_t *list)
{
	return (size_t)(list->data.sequence.items.top - list->data.sequence.items.start);
}

static const yaml_node_t *item_at(const struct reader *reader, const yaml_node_t *list, size_t i)
{
	return node_at(reader, list->data.sequence.items.start[i]);
}

static char **strings_new(size_t count)
{
	return calloc(count + 1, sizeof(char *));
}

/* Puts a copy with its credentials filled in at the end. Takes nothing. */
static int append_expanded(struct reader *reader, const char *shown, const yaml_node_t *node,
        const char *text, char **strings)
{
	_cleanup_(freep) char *expanded = NULL;
	int r = credential_expand(reader, shown, node, text, &expanded);
	if (r <= 0)
		return r;
	if (strlen(expanded) > CONFIG_STRING_MAX)
		return problem_add(reader, node_mark(reader, node),
		        "%s: longer than 128KiB, the most that a program can be given: use a file",
		        shown);
	while (*strings)
		strings++;
	*strings = TAKE(expanded, NULL);
	return 0;
}

static int read_command(
        struct reader *reader, const struct setting *setting, const yaml_node_t *node)
{
	struct worker_config *worker = setting->target;
	struct mark mark = node_mark(reader, node);
	if (node->type == YAML_SCALAR_NODE)
		return problem_add(reader, mark,
		        "%s: expected a list, not a single value: write [/usr/bin/program, "
		        "argument], or [/bin/sh, -c, 'a command line'] for a shell",
		        setting->shown);
	const char *expects = value_expects(VALUE_COMMAND);
	int r = node_collection(reader, setting->shown, expects, node, YAML_SEQUENCE_NODE);
	if (r <= 0)
		return r;
	size_t count = item_count(node);
	if (count == 0)
		return problem_add(reader, mark,
		        "%s: is empty: name the program to run, such as [/usr/bin/program]",
		        setting->shown);
	_cleanup_(strings_freep) char **strings = strings_new(count);
	if (!strings)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		const yaml_node_t *item = item_at(reader, node, i);
		const char *text;
		r = node_text(reader, setting->shown, "a text", item, &text);
		if (r > 0 && i == 0 && text[0] == 0)
			r = problem_add(reader, node_mark(reader, item),
			        "%s: the program has no name: write its path", setting->shown);
		else if (r > 0)
			r = append_expanded(reader, setting->shown, item, text, strings);
		if (r < 0)
			return r;
	}
	strings_free(worker->exec);
	worker->exec = TAKE(strings, NULL);
	return 0;
}

static int read_names(struct reader *reader, const struct setting *setting, const yaml_node_t *node)
{
	struct worker_config *worker = setting->target;
	const char *expects = value_expects(VALUE_NAMES);
	int r = node_collection(reader, setting->shown, expects, node, YAML_SEQUENCE_NODE);
	if (r <= 0)
		return r;
	size_t count = item_count(node), used = 0;
	_cleanup_(strings_freep) char **names = strings_new(count);
	_cleanup_(freep) struct mark *marks = calloc(count + 1, sizeof(*marks));
	if (!names || !marks)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		const yaml_node_t *item = item_at(reader, node, i);
		const char *text;
		r = node_text(reader, setting->shown, "the name of a worker", item, &text);
		if (r < 0)
			return r;
		if (r == 0)
			continue;
		names[used] = strdup(text);
		if (!names[used])
			return -ENOMEM;
		marks[used++] = node_mark(reader, item);
	}
	strings_free(worker->after);
	free(setting->source->after);
	worker->after = TAKE(names, NULL);
	setting->source->after = TAKE(marks, NULL);
	return 0;
}

static int read_statuses(
        struct reader *reader, const struct setting *setting, const yaml_node_t *node)
{
	struct worker_config *worker = setting->target;
	const char *expects = value_expects(VALUE_STATUSES);
	int r = node_collection(reader, setting->shown, expects, node, YAML_SEQUENCE_NODE);
	if (r <= 0)
		return r;
	size_t count = item_count(node), used = 0;
	_cleanup_(freep) int *statuses = calloc(count + 1, sizeof(*statuses));
	if (!statuses)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		const yaml_node_t *item = item_at(reader, node, i);
		const char *text, *wanted = "an exit status from 0 to 255";
		char quote[QUOTED_SIZE];
		uint64_t status;
		r = node_text(reader, setting->shown, wanted, item, &text);
		if (r > 0 && (number_parse(text, &status) < 0 || status > 255))
			r = problem_add(reader, node_mark(reader, item), "%s: expected %s, not %s",
			        setting->shown, wanted, quoted(text, quote));
		else if (r > 0)
			statuses[used++] = (int)status;
		if (r < 0)
			return r;
	}
	free(worker->stop_success);
	worker->stop_success = TAKE(statuses, NULL);
	worker->stop_success_count = used;
	return 0;
}

static bool is_variable_name(const char *name)
{
	if (name[0] >= '0' && name[0] <= '9')
		return false;
	size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	                             "0123456789_");
	return length > 0 && name[length] == 0;
}

static bool is_our_own(const char *name)
{
	static const char *const names[] = { "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID",
		"QUIESCE_STOP_FD", "QUIESCE_TASK" };
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

/* 1: may be set. */
static int check_variable(
        struct reader *reader, const struct setting *setting, const yaml_node_t *key)
{
	const char *name;
	char quote[QUOTED_SIZE];
	int r = node_text(reader, setting->shown, "the name of a variable", key, &name);
	if (r <= 0)
		return r;
	if (!is_variable_name(name))
		return problem_add(reader, node_mark(reader, key),
		        "%s: %s is no name of a variable: letters, digits and _ only, and no digit "
		        "first",
		        setting->shown, quoted(name, quote));
	if (is_our_own(name))
		return problem_add(reader, node_mark(reader, key),
		        "%s: %s is set by quiesced itself: leave it out", setting->shown,
		        quoted(name, quote));
	return 1;
}

static int read_variable(struct reader *reader, const struct setting *setting,
        const yaml_node_pair_t *pair, char **strings)
{
	const yaml_node_t *key = node_at(reader, pair->key), *node = node_at(reader, pair->value);
	const char *value;
	int r = check_variable(reader, setting, key);
	if (r <= 0)
		return r;
	const char *name = (const char *)key->data.scalar.value;
	char shown[SHOWN_SIZE];
	(void)snprintf(shown, sizeof(shown), "%.100s.%.80s", setting->shown, name);
	if (node_is_null(node))
		return problem_add(reader, node_mark(reader, key),
		        "%s: has no value: write \"\" for an empty one", shown);
	r = node_text(reader, shown, "a text", node, &value);
	if (r <= 0)
		return r;
	size_t size = strlen(name) + strlen(value) + 2;
	_cleanup_(freep) char *assignment = malloc(size);
	if (!assignment)
		return -ENOMEM;
	(void)snprintf(assignment, size, "%s=%s", name, value);
	return append_expanded(reader, shown, node, assignment, strings);
}

static int read_environment(
        struct reader *reader, const struct setting *setting, const yaml_node_t *node)
{
	struct worker_config *worker = setting->target;
	const char *expects = value_expects(VALUE_ENVIRONMENT);
	int r = node_collection(reader, setting->shown, expects, node, YAML_MAPPING_NODE);
	if (r > 0)
		r = node_check_duplicates(reader, node);
	else
		return r;
	if (r < 0)
		return r;
	const yaml_node_pair_t *pairs = node->data.mapping.pairs.start;
	size_t count = (size_t)(node->data.mapping.pairs.top - pairs), used = 0;
	_cleanup_(strings_freep) char **strings = strings_new(count);
	if (!strings)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		r = read_variable(reader, setting, &pairs[i], strings + used);
		if (r < 0)
			return r;
		if (strings[used])
			used++;
	}
	strings_free(worker->environment);
	worker->environment = TAKE(strings, NULL);
	return 0;
}

int list_read(struct reader *reader, const struct setting *setting, const yaml_node_t *node)
{
	enum value_type type = setting->key->type;
	if (type == VALUE_COMMAND)
		return read_command(reader, setting, node);
	if (type == VALUE_NAMES)
		return read_names(reader, setting, node);
	if (type == VALUE_STATUSES)
		return read_statuses(reader, setting, node);
	if (type == VALUE_TREE || type == VALUE_JSON)
		return tree_read(reader, setting, node);
	if (type != VALUE_ENVIRONMENT)
		return list_read_http(reader, setting, node);
	return read_environment(reader, setting, node);
}
