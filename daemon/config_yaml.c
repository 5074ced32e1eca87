/*
 * From text to a tree with marks. The events are looked at first and the tree is built only when
 * they are few and shallow: libyaml's own work is quadratic in the depth, and aliases can make a
 * small file a very large tree.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config_internal.h"

#define EXPANDED_MAX       (UINT64_C(16) * 1024 * 1024)
#define EXPANDED_DEPTH_MAX 64

struct mark yaml_mark(const struct reader *reader, yaml_mark_t mark)
{
	return (struct mark){
		.file = reader->file->name,
		.line = (unsigned)mark.line + 1,
		.column = (unsigned)mark.column + 1,
	};
}

struct mark node_mark(const struct reader *reader, const yaml_node_t *node)
{
	return yaml_mark(reader, node->start_mark);
}

yaml_node_t *node_at(const struct reader *reader, int index)
{
	return yaml_document_get_node(reader->document, index);
}

bool node_is_null(const yaml_node_t *node)
{
	static const char *const words[] = { "", "~", "null", "Null", "NULL" };
	if (node->type != YAML_SCALAR_NODE || node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcmp((const char *)node->data.scalar.value, words[i]) == 0)
			return node->data.scalar.length == strlen(words[i]);
	return false;
}

const char *node_kind(const yaml_node_t *node)
{
	if (node->type == YAML_SEQUENCE_NODE)
		return "a list";
	if (node->type == YAML_MAPPING_NODE)
		return "a mapping";
	return node_is_null(node) ? "nothing" : "a single value";
}

/* The reader of libyaml knows only how many bytes it had seen. */
static struct mark offset_mark(
        const struct reader *reader, const char *text, size_t size, size_t offset)
{
	yaml_mark_t mark = { 0 };
	for (size_t i = 0; i < MIN(offset, size); i++) {
		mark.column++;
		if (text[i] == '\n') {
			mark.line++;
			mark.column = 0;
		}
	}
	return yaml_mark(reader, mark);
}

static int report_syntax(
        struct reader *reader, const yaml_parser_t *parser, const char *text, size_t size)
{
	if (parser->error == YAML_MEMORY_ERROR)
		return -ENOMEM;
	const char *problem = parser->problem ? parser->problem : "cannot be parsed";
	if (parser->error == YAML_READER_ERROR)
		return problem_add(reader, offset_mark(reader, text, size, parser->problem_offset),
		        "not YAML: %s; the file must be UTF-8 text", problem);
	const char *hint = "";
	if (strstr(problem, "cannot start any token"))
		hint = "; indent with spaces, not tabs, and quote texts that begin with @, ` or %";
	return problem_add(reader, yaml_mark(reader, parser->problem_mark), "not YAML: %s%s%s%s%s",
	        problem, parser->context ? " (" : "", parser->context ? parser->context : "",
	        parser->context ? ")" : "", hint);
}

struct scan {
	unsigned depth, nodes, aliases, documents;
};

/* NULL: fine so far, else what is too much. */
static const char *scan_event(struct scan *scan, yaml_event_type_t type)
{
	if (type == YAML_DOCUMENT_START_EVENT && ++scan->documents > 1)
		return "a second document begins here: put everything into one, or into two files";
	if (type == YAML_SEQUENCE_START_EVENT || type == YAML_MAPPING_START_EVENT)
		scan->depth++;
	if (type == YAML_SEQUENCE_END_EVENT || type == YAML_MAPPING_END_EVENT)
		scan->depth--;
	else if (type == YAML_ALIAS_EVENT)
		scan->aliases++;
	else
		scan->nodes++;
	if (scan->depth > CONFIG_DEPTH_MAX)
		return "nested too deeply: 32 levels are the most that is read";
	if (scan->nodes > CONFIG_NODES_MAX || scan->aliases > CONFIG_ALIASES_MAX)
		return "too many values in one file: split it up into conf.d";
	return NULL;
}

/* 1: fit to be loaded. */
static int scan_text(struct reader *reader, const char *text, size_t size)
{
	_cleanup_(yaml_parser_delete) yaml_parser_t parser;
	struct scan scan = { 0 };
	if (!yaml_parser_initialize(&parser))
		return -ENOMEM;
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, size);
	for (;;) {
		yaml_event_t event;
		if (!yaml_parser_parse(&parser, &event))
			return report_syntax(reader, &parser, text, size);
		yaml_event_type_t type = event.type;
		yaml_mark_t mark = event.start_mark;
		yaml_event_delete(&event);
		if (type == YAML_STREAM_END_EVENT)
			return 1;
		const char *problem = scan_event(&scan, type);
		if (problem)
			return problem_add(reader, yaml_mark(reader, mark), "%s", problem);
	}
}

/* What a node weighs with all its aliases written out. -ELOOP: too deep, or part of itself. */
static int measure(
        yaml_document_t *document, int index, unsigned depth, uint64_t *sizes, uint64_t *ret_size)
{
	yaml_node_t *node = yaml_document_get_node(document, index);
	uint64_t size = 16, part;
	int r = 0;
	if (depth > EXPANDED_DEPTH_MAX)
		return -ELOOP;
	if (sizes[index] > 0) {
		*ret_size = sizes[index];
		return 0;
	}
	if (node->type == YAML_SCALAR_NODE)
		size += node->data.scalar.length;
	else if (node->type == YAML_SEQUENCE_NODE)
		for (yaml_node_item_t *item = node->data.sequence.items.start;
		        r == 0 && item < node->data.sequence.items.top; item++) {
			r = measure(document, *item, depth + 1, sizes, &part);
			size += r == 0 ? part : 0;
		}
	else
		for (yaml_node_pair_t *pair = node->data.mapping.pairs.start;
		        r == 0 && pair < node->data.mapping.pairs.top; pair++) {
			r = measure(document, pair->key, depth + 1, sizes, &part);
			size += r == 0 ? part : 0;
			if (r == 0)
				r = measure(document, pair->value, depth + 1, sizes, &part);
			size += r == 0 ? part : 0;
		}
	if (r == 0 && size > EXPANDED_MAX)
		r = -E2BIG;
	if (r == 0)
		*ret_size = sizes[index] = size;
	return r;
}

/* 1: no alias makes it too large. */
static int check_aliases(struct reader *reader, yaml_document_t *document)
{
	size_t count = (size_t)(document->nodes.top - document->nodes.start);
	if (count == 0)
		return 1;
	uint64_t size;
	_cleanup_(freep) uint64_t *sizes = calloc(count + 1, sizeof(*sizes));
	if (!sizes)
		return -ENOMEM;
	int r = measure(document, 1, 0, sizes, &size);
	if (r == 0)
		return 1;
	return problem_add(reader, (struct mark){ reader->file->name, 1, 1 },
	        r == -ELOOP ? "the aliases (*name) nest too deeply, or one stands inside of what "
	                      "it names: write these values out"
	                    : "the aliases (*name) make the file too large: use fewer of them");
}

int yaml_load(struct reader *reader, const char *text, size_t size, yaml_document_t *ret_document)
{
	int r = scan_text(reader, text, size);
	if (r <= 0)
		return r;
	_cleanup_(yaml_parser_delete) yaml_parser_t parser;
	yaml_document_t document;
	if (!yaml_parser_initialize(&parser))
		return -ENOMEM;
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, size);
	if (!yaml_parser_load(&parser, &document))
		return report_syntax(reader, &parser, text, size);
	r = check_aliases(reader, &document);
	if (r <= 0)
		yaml_document_delete(&document);
	else
		*ret_document = document;
	return r;
}
