/*
 * Values of any shape, kept as JSON: a module's configuration is its own business. What is plain is
 * what it looks like (null, true, 12, 0.5), what is quoted is a text. An alias is the tree that it
 * stands for once more, so the size that comes out is bounded, not only the one that goes in.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "daemon/config_internal.h"

#define TREE_SIZE_MAX  (96 * 1024)
#define TREE_NODES_MAX 20000

struct tree {
	struct reader *reader;
	const struct setting *setting;
	size_t nodes, bytes;
};

/* Like all readers of values: 1 with a new reference, 0 when a problem was listed, or -ENOMEM. */
static int convert(struct tree *tree, const yaml_node_t *node, unsigned depth, json_t **ret_json);

static int too_large(struct tree *tree, const yaml_node_t *node)
{
	return problem_add(tree->reader, node_mark(tree->reader, node),
	        "%s: more than 96KiB or too deep, aliases counted: put it into a file and hand "
	        "over "
	        "its name",
	        tree->setting->shown);
}

static int done(json_t *json, json_t **ret_json)
{
	if (!json)
		return -ENOMEM;
	*ret_json = json;
	return 1;
}

/* As JSON writes them, with a plus allowed; 010 is a text, since nobody agrees on what it is. */
static bool is_number(const char *text, bool *ret_real)
{
	size_t sign = *text == '-' || *text == '+', digits = strspn(text + sign, "0123456789");
	const char *at = text + sign + digits;
	if (digits == 0 || (digits > 1 && text[sign] == '0'))
		return false;
	*ret_real = *at != 0;
	if (*at == '.') {
		digits = strspn(++at, "0123456789");
		if (digits == 0)
			return false;
		at += digits;
	}
	if (*at == 'e' || *at == 'E') {
		at += at[1] == '-' || at[1] == '+' ? 2 : 1;
		digits = strspn(at, "0123456789");
		if (digits == 0)
			return false;
		at += digits;
	}
	return *at == 0;
}

/* NULL: it is a text, or none was left; the latter is what `errno` says. */
static json_t *plain(const char *text)
{
	bool real;
	errno = 0;
	if (strcmp(text, "true") == 0 || strcmp(text, "True") == 0 || strcmp(text, "TRUE") == 0)
		return json_true();
	if (strcmp(text, "false") == 0 || strcmp(text, "False") == 0 || strcmp(text, "FALSE") == 0)
		return json_false();
	if (!is_number(text, &real))
		return NULL;
	if (!real) {
		long long integer = strtoll(text, NULL, 10);
		if (errno == 0)
			return json_integer(integer);
	}
	errno = 0;
	double number = strtod(text, NULL);
	json_t *json = errno == 0 ? json_real(number) : NULL;
	errno = 0;
	return json;
}

static int convert_scalar(struct tree *tree, const yaml_node_t *node, json_t **ret_json)
{
	_cleanup_(freep) char *expanded = NULL;
	const char *text;
	if (node_is_null(node))
		return done(json_null(), ret_json);
	int r = node_text(tree->reader, tree->setting->shown, "a value", node, &text);
	if (r <= 0)
		return r;
	if (node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE) {
		json_t *json = plain(text);
		if (json)
			return done(json, ret_json);
	}
	r = credential_expand(tree->reader, tree->setting->shown, node, text, &expanded);
	if (r <= 0)
		return r;
	tree->bytes += strlen(expanded);
	if (tree->bytes > TREE_SIZE_MAX)
		return too_large(tree, node);
	json_t *json = json_string(expanded);
	if (!json)
		return problem_add(tree->reader, node_mark(tree->reader, node),
		        "%s: is no UTF-8: JSON can say nothing else", tree->setting->shown);
	return done(json, ret_json);
}

static int convert_list(
        struct tree *tree, const yaml_node_t *node, unsigned depth, json_t **ret_json)
{
	json_t *list = json_array(), *item = NULL;
	const yaml_node_item_t *at = node->data.sequence.items.start;
	int r = list ? 1 : -ENOMEM;
	for (; r > 0 && at < node->data.sequence.items.top; at++) {
		r = convert(tree, node_at(tree->reader, *at), depth + 1, &item);
		if (r > 0 && json_array_append_new(list, item) < 0)
			r = -ENOMEM;
	}
	if (r > 0)
		return done(list, ret_json);
	json_decref(list);
	return r;
}

static int convert_pair(
        struct tree *tree, const yaml_node_pair_t *pair, unsigned depth, json_t *object)
{
	const char *key;
	json_t *value = NULL;
	int r = node_text(tree->reader, tree->setting->shown, "a key",
	        node_at(tree->reader, pair->key), &key);
	if (r > 0)
		r = convert(tree, node_at(tree->reader, pair->value), depth + 1, &value);
	if (r > 0 && json_object_set_new(object, key, value) < 0)
		r = -ENOMEM;
	return r;
}

static int convert_mapping(
        struct tree *tree, const yaml_node_t *node, unsigned depth, json_t **ret_json)
{
	json_t *object = json_object();
	const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
	int r = object ? node_check_duplicates(tree->reader, node) : -ENOMEM;
	for (r = r < 0 ? r : 1; r > 0 && pair < node->data.mapping.pairs.top; pair++)
		r = convert_pair(tree, pair, depth, object);
	if (r > 0)
		return done(object, ret_json);
	json_decref(object);
	return r;
}

static int convert(struct tree *tree, const yaml_node_t *node, unsigned depth, json_t **ret_json)
{
	if (depth > CONFIG_DEPTH_MAX || ++tree->nodes > TREE_NODES_MAX)
		return too_large(tree, node);
	if (node->type == YAML_SCALAR_NODE)
		return convert_scalar(tree, node, ret_json);
	int r = node_collection(tree->reader, tree->setting->shown, "", node, node->type);
	if (r <= 0)
		return r;
	return node->type == YAML_SEQUENCE_NODE ? convert_list(tree, node, depth, ret_json)
	                                        : convert_mapping(tree, node, depth, ret_json);
}

int tree_read(struct reader *reader, const struct setting *setting, const yaml_node_t *node)
{
	struct tree tree = { reader, setting, 0, 0 };
	char **field = (char **)(void *)((char *)setting->target + setting->key->offset);
	json_t *json = NULL;
	int r = convert(&tree, node, 0, &json);
	if (r <= 0)
		return r;
	char *text = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);
	json_decref(json);
	if (!text)
		return -ENOMEM;
	if (strlen(text) > TREE_SIZE_MAX) {
		free(text);
		return too_large(&tree, node);
	}
	free(*field);
	*field = text;
	return 0;
}
