/* What a node of the tree must be before its value is looked at. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config_internal.h"

/* 1: no tag, and a tag that says what is so anyway is none. */
static int check_tag(struct reader *reader, const char *shown, const yaml_node_t *node)
{
	const char *usual = YAML_STR_TAG;
	if (node->type == YAML_SEQUENCE_NODE)
		usual = YAML_SEQ_TAG;
	else if (node->type == YAML_MAPPING_NODE)
		usual = YAML_MAP_TAG;
	if (!node->tag || strcmp((const char *)node->tag, usual) == 0)
		return 1;
	char quote[QUOTED_SIZE];
	return problem_add(reader, node_mark(reader, node),
	        "%s: the tag %s means nothing here: "
	        "leave it out",
	        shown, quoted((const char *)node->tag, quote));
}

int node_text(struct reader *reader, const char *shown, const char *expected,
        const yaml_node_t *node, const char **ret_text)
{
	struct mark mark = node_mark(reader, node);
	if (node->type != YAML_SCALAR_NODE)
		return problem_add(
		        reader, mark, "%s: expected %s, not %s", shown, expected, node_kind(node));
	if (node_is_null(node))
		return problem_add(reader, mark,
		        "%s: expected %s, not nothing (null): quote it if you mean the text", shown,
		        expected);
	const char *text = (const char *)node->data.scalar.value;
	if (strlen(text) != node->data.scalar.length)
		return problem_add(reader, mark, "%s: contains a NUL byte: leave it out", shown);
	int r = check_tag(reader, shown, node);
	if (r > 0)
		*ret_text = text;
	return r;
}

int node_collection(struct reader *reader, const char *shown, const char *expected,
        const yaml_node_t *node, yaml_node_type_t type)
{
	if (node->type != type)
		return problem_add(reader, node_mark(reader, node), "%s: expected %s, not %s",
		        shown, expected, node_kind(node));
	return check_tag(reader, shown, node);
}

static int compare_keys(const void *left, const void *right)
{
	const yaml_node_t *a = *(yaml_node_t *const *)left, *b = *(yaml_node_t *const *)right;
	size_t length = MIN(a->data.scalar.length, b->data.scalar.length);
	int r = memcmp(a->data.scalar.value, b->data.scalar.value, length);
	if (r == 0)
		r = (a->data.scalar.length > b->data.scalar.length) -
		    (a->data.scalar.length < b->data.scalar.length);
	return r;
}

static int compare_keys_then_places(const void *left, const void *right)
{
	const yaml_node_t *a = *(yaml_node_t *const *)left, *b = *(yaml_node_t *const *)right;
	int r = compare_keys(left, right);
	if (r == 0)
		r = (a->start_mark.index > b->start_mark.index) -
		    (a->start_mark.index < b->start_mark.index);
	return r;
}

/* Sorted, so that a file of nothing but keys costs no more than n log n. */
int node_check_duplicates(struct reader *reader, const yaml_node_t *mapping)
{
	const yaml_node_pair_t *start = mapping->data.mapping.pairs.start;
	size_t count = 0, size = (size_t)(mapping->data.mapping.pairs.top - start);
	if (size < 2)
		return 0;
	_cleanup_(freep) yaml_node_t **keys = calloc(size, sizeof(yaml_node_t *));
	if (!keys)
		return -ENOMEM;
	for (size_t i = 0; i < size; i++) {
		yaml_node_t *key = node_at(reader, start[i].key);
		if (key->type == YAML_SCALAR_NODE)
			keys[count++] = key;
	}
	qsort(keys, count, sizeof(yaml_node_t *), compare_keys_then_places);
	int r = 0;
	for (size_t i = 1, first = 0; r == 0 && i < count; i++) {
		char quote[QUOTED_SIZE];
		if (compare_keys(&keys[first], &keys[i]) != 0) {
			first = i;
			continue;
		}
		struct mark mark = node_mark(reader, keys[first]);
		r = problem_add(reader, node_mark(reader, keys[i]),
		        "duplicate key %s: it stands already in line %u, column %u; keep one",
		        quoted((const char *)keys[i]->data.scalar.value, quote), mark.line,
		        mark.column);
	}
	return r;
}
