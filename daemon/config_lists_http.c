/* Templates, headers and statuses: what of a request is more than one plain value. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "daemon/config_internal.h"
#include "daemon/template.h"

#define TEMPLATE_PROBLEM 320

/* What a credential is looked up for. */
struct place_of_text {
	struct reader *reader;
	const char *shown;
	const yaml_node_t *node;
};

static int resolve_credential(void *arg, const char *text, char **ret_text)
{
	const struct place_of_text *place = arg;
	return credential_expand(place->reader, place->shown, place->node, text, ret_text);
}

/* 1; 0: it is wrong, and listed. */
static int read_template(struct reader *reader, const char *shown, const yaml_node_t *node,
        struct template **ret_template)
{
	struct place_of_text place = { reader, shown, node };
	const struct template_credentials credentials = { resolve_credential, &place };
	char problem[TEMPLATE_PROBLEM];
	const char *text;
	int r = node_text(reader, shown, "a text", node, &text);
	if (r > 0)
		r = template_parse(text, &credentials, ret_template, problem, sizeof(problem));
	if (r == -EINVAL)
		return problem_add(reader, node_mark(reader, node), "%s: %s", shown, problem);
	return r;
}

static int read_template_value(
        struct reader *reader, const struct setting *setting, const yaml_node_t *node)
{
	struct template **field =
	        (struct template **)(void *)((char *)setting->target + setting->key->offset);
	struct template *template = NULL;
	int r = read_template(reader, setting->shown, node, &template);
	if (r <= 0)
		return r;
	template_free(*field);
	*field = template;
	return 0;
}

/* --- headers --- */

void http_headers_free(struct http_header_config *headers)
{
	for (struct http_header_config *header = headers; header && header->name; header++) {
		free(header->name);
		template_free(header->value);
	}
	free(headers);
}

static void http_headers_freep(struct http_header_config **headers)
{
	http_headers_free(*headers);
}

/* NULL: anybody may set it. */
static const char *why_header_is_refused(const char *name)
{
	static const struct {
		const char *name, *why;
	} ours[] = {
		{ "Host", "it comes from the URL" },
		{ "Content-Length", "it comes from the body" },
		{ "Transfer-Encoding", "how a body is sent is not for headers to say" },
		{ "Connection", "connections are quiesced's own business" },
		{ "Keep-Alive", "connections are quiesced's own business" },
		{ "Proxy-Connection", "connections are quiesced's own business" },
		{ "Upgrade", "connections are quiesced's own business" },
		{ "TE", "connections are quiesced's own business" },
		{ "Trailer", "there are none" },
		{ "Expect", "connections are quiesced's own business" },
		{ "Accept-Encoding", "http.compressed says whether answers may be compressed" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
		if (strcasecmp(ours[i].name, name) == 0)
			return ours[i].why;
	return NULL;
}

/* 1: it may be set; `headers` are those before it. */
static int check_header(struct reader *reader, const struct setting *setting,
        const yaml_node_t *key, const struct http_header_config *headers)
{
	const char *name;
	char quote[QUOTED_SIZE];
	int r = node_text(reader, setting->shown, "the name of a header", key, &name);
	if (r <= 0)
		return r;
	struct mark mark = node_mark(reader, key);
	quoted(name, quote);
	if (!is_http_token(name))
		return problem_add(reader, mark,
		        "%s: %s is no name of a header: letters, digits and -, such as "
		        "Authorization",
		        setting->shown, quote);
	const char *why = why_header_is_refused(name);
	if (why)
		return problem_add(
		        reader, mark, "%s: %s is refused: %s", setting->shown, quote, why);
	for (; headers->name; headers++)
		if (strcasecmp(headers->name, name) == 0)
			return problem_add(reader, mark,
			        "%s: %s stands there already, and the case of letters does not "
			        "matter: keep one",
			        setting->shown, quote);
	return 1;
}

static int read_header(struct reader *reader, const struct setting *setting,
        const yaml_node_pair_t *pair, struct http_header_config *headers)
{
	const yaml_node_t *key = node_at(reader, pair->key), *node = node_at(reader, pair->value);
	struct http_header_config header = { 0 };
	char shown[SHOWN_SIZE];
	int r = check_header(reader, setting, key, headers);
	if (r <= 0)
		return r;
	const char *name = (const char *)key->data.scalar.value;
	(void)snprintf(shown, sizeof(shown), "%.100s.%.80s", setting->shown, name);
	if (node_is_null(node))
		return problem_add(reader, node_mark(reader, key),
		        "%s: has no value: write \"\" for an empty one", shown);
	r = read_template(reader, shown, node, &header.value);
	if (r <= 0)
		return r;
	header.name = strdup(name);
	if (!header.name) {
		template_free(header.value);
		return -ENOMEM;
	}
	while (headers->name)
		headers++;
	*headers = header;
	return 0;
}

static int read_headers(
        struct reader *reader, const struct setting *setting, const yaml_node_t *node)
{
	struct worker_config *worker = setting->target;
	const char *expects = value_expects(VALUE_HEADERS);
	int r = node_collection(reader, setting->shown, expects, node, YAML_MAPPING_NODE);
	if (r <= 0)
		return r;
	r = node_check_duplicates(reader, node);
	const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
	size_t count = (size_t)(node->data.mapping.pairs.top - pair);
	_cleanup_(http_headers_freep) struct http_header_config *headers =
	        calloc(count + 1, sizeof(*headers));
	if (!headers)
		return -ENOMEM;
	for (; r == 0 && pair < node->data.mapping.pairs.top; pair++)
		r = read_header(reader, setting, pair, headers);
	if (r < 0)
		return r;
	http_headers_free(worker->http.headers);
	worker->http.headers = TAKE(headers, NULL);
	return 0;
}

/* --- lists --- */

static int read_header_names(
        struct reader *reader, const struct setting *setting, const yaml_node_t *node)
{
	char ***field = (char ***)(void *)((char *)setting->target + setting->key->offset);
	const char *expects = value_expects(VALUE_HEADER_NAMES);
	int r = node_collection(reader, setting->shown, expects, node, YAML_SEQUENCE_NODE);
	if (r <= 0)
		return r;
	const yaml_node_item_t *item = node->data.sequence.items.start;
	size_t count = (size_t)(node->data.sequence.items.top - item), used = 0;
	_cleanup_(strings_freep) char **names = calloc(count + 1, sizeof(char *));
	if (!names)
		return -ENOMEM;
	for (; item < node->data.sequence.items.top; item++) {
		const char *text, *wanted = "the name of a header";
		char quote[QUOTED_SIZE];
		r = node_text(reader, setting->shown, wanted, node_at(reader, *item), &text);
		if (r > 0 && !is_http_token(text))
			r = problem_add(reader, node_mark(reader, node_at(reader, *item)),
			        "%s: expected %s, not %s", setting->shown, wanted,
			        quoted(text, quote));
		else if (r > 0 && (names[used++] = strdup(text)) == NULL)
			r = -ENOMEM;
		if (r < 0)
			return r;
	}
	strings_free(*field);
	*field = TAKE(names, NULL);
	return 0;
}

static int read_http_statuses(
        struct reader *reader, const struct setting *setting, const yaml_node_t *node)
{
	int **field = (int **)(void *)((char *)setting->target + setting->key->offset);
	const char *expects = value_expects(VALUE_HTTP_STATUSES);
	int r = node_collection(reader, setting->shown, expects, node, YAML_SEQUENCE_NODE);
	if (r <= 0)
		return r;
	const yaml_node_item_t *item = node->data.sequence.items.start;
	size_t count = (size_t)(node->data.sequence.items.top - item), used = 0;
	_cleanup_(freep) int *statuses = calloc(count + 1, sizeof(*statuses));
	if (!statuses)
		return -ENOMEM;
	for (; item < node->data.sequence.items.top; item++) {
		const char *text, *wanted = "a status from 100 to 599";
		char quote[QUOTED_SIZE];
		uint64_t status;
		r = node_text(reader, setting->shown, wanted, node_at(reader, *item), &text);
		if (r > 0 && (number_parse(text, &status) < 0 || status < 100 || status > 599))
			r = problem_add(reader, node_mark(reader, node_at(reader, *item)),
			        "%s: expected %s, not %s", setting->shown, wanted,
			        quoted(text, quote));
		else if (r > 0)
			statuses[used++] = (int)status;
		if (r < 0)
			return r;
	}
	free(*field);
	*field = TAKE(statuses, NULL);
	return 0;
}

int list_read_http(struct reader *reader, const struct setting *setting, const yaml_node_t *node)
{
	enum value_type type = setting->key->type;
	if (type == VALUE_TEMPLATE)
		return read_template_value(reader, setting, node);
	if (type == VALUE_HEADERS)
		return read_headers(reader, setting, node);
	if (type == VALUE_HEADER_NAMES)
		return read_header_names(reader, setting, node);
	return read_http_statuses(reader, setting, node);
}
