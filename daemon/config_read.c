/*
 * Reads files into one struct config: walks the tree of each along the schema, lists what does not
 * fit, and goes on. Later files add workers and replace settings key by key.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config_internal.h"

#define WORKER_SECTION  "workers.NAME"
#define WORKER_NAME_MAX 63

/* A mapping on the way down: where it stands in the schema, in errors, and what it fills. */
struct place {
	const char *section, *shown;
	void *target;
	struct source *source;
};

static int read_section(
        struct reader *reader, const struct place *place, const yaml_node_t *mapping);

static void source_done(struct source *source)
{
	free(source->keys);
	free(source->after);
	*source = (struct source){ 0 };
}

static int source_init(struct source *source)
{
	source->keys = calloc(schema_count(), sizeof(*source->keys));
	return source->keys ? 0 : -ENOMEM;
}

/* Every default of the keys below `section`: "" is all outside of workers. */
static int set_defaults(bool of_worker, void *target)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < schema_count(); i++)
		if ((strncmp(schema_row(i)->path, WORKER_SECTION, strlen(WORKER_SECTION)) == 0) ==
		        of_worker)
			r = value_default(schema_row(i), target);
	return r;
}

static int worker_init(struct worker_config *worker, const char *name, struct mark mark)
{
	*worker = (struct worker_config){ .mark = mark, .umask = -1 };
	worker->name = strdup(name);
	worker->after = calloc(1, sizeof(char *));
	worker->environment = calloc(1, sizeof(char *));
	worker->http.headers = calloc(1, sizeof(*worker->http.headers));
	worker->call.cache_headers = calloc(1, sizeof(char *));
	if (!worker->name || !worker->after || !worker->environment || !worker->http.headers ||
	        !worker->call.cache_headers)
		return -ENOMEM;
	return set_defaults(true, worker);
}

/* Takes both over when it succeeds. */
static int worker_append(struct reader *reader, struct worker_config *worker, struct source *source)
{
	struct config *config = reader->config;
	if (config->worker_count == reader->worker_capacity) {
		size_t capacity = MAX(reader->worker_capacity * 2, 8);
		struct worker_config *workers =
		        realloc(config->workers, capacity * sizeof(*workers));
		if (!workers)
			return -ENOMEM;
		config->workers = workers;
		struct source *sources =
		        realloc(reader->worker_sources, capacity * sizeof(*sources));
		if (!sources)
			return -ENOMEM;
		reader->worker_sources = sources;
		reader->worker_capacity = capacity;
	}
	reader->worker_sources[config->worker_count] = TAKE(*source, (struct source){ 0 });
	config->workers[config->worker_count++] = TAKE(*worker, (struct worker_config){ 0 });
	return 0;
}

static bool is_worker_name(const char *name)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	                              "0123456789_.@-";
	size_t length = strspn(name, letters);
	return length > 0 && length <= WORKER_NAME_MAX && name[length] == 0 &&
	       !strchr("_.@-", name[0]);
}

static int read_worker(struct reader *reader, const yaml_node_t *key, const yaml_node_t *node)
{
	_cleanup_(worker_config_done) struct worker_config worker = { 0 };
	_cleanup_(source_done) struct source source = { 0 };
	char quote[QUOTED_SIZE], shown[SHOWN_SIZE];
	const char *name;
	int r = node_text(reader, "workers", "the name of a worker", key, &name);
	if (r <= 0)
		return r;
	struct mark mark = node_mark(reader, key);
	if (!is_worker_name(name))
		return problem_add(reader, mark,
		        "%s is no name of a worker: a letter or digit, then letters, digits and "
		        "_.@-, 63 at most",
		        quoted(name, quote));
	(void)snprintf(shown, sizeof(shown), "workers.%s", name);
	if (node->type != YAML_MAPPING_NODE)
		return problem_add(reader, mark,
		        "%s: expected a mapping such as {exec: [/usr/bin/program]}, not %s", shown,
		        node_kind(node));
	r = worker_init(&worker, name, mark);
	if (r == 0)
		r = source_init(&source);
	if (r < 0)
		return r;
	const struct place place = { WORKER_SECTION, shown, &worker, &source };
	r = read_section(reader, &place, node);
	return r < 0 ? r : worker_append(reader, &worker, &source);
}

static int read_workers(struct reader *reader, const yaml_node_t *key, const yaml_node_t *mapping)
{
	if (node_is_null(mapping))
		return 0;
	if (mapping->type != YAML_MAPPING_NODE)
		return problem_add(reader, node_mark(reader, key),
		        "workers: expected a mapping of names to workers, not %s",
		        node_kind(mapping));
	const yaml_node_pair_t *pair = mapping->data.mapping.pairs.start;
	int r = 0;
	for (; r == 0 && pair < mapping->data.mapping.pairs.top; pair++)
		r = read_worker(reader, node_at(reader, pair->key), node_at(reader, pair->value));
	return r;
}

/* Whether it fits: what is known does. */
static bool join_path(const char *section, const char *name, char path[static SHOWN_SIZE])
{
	size_t before = strlen(section), length = strlen(name);
	path[0] = 0;
	if (before + length + 2 > SHOWN_SIZE)
		return false;
	char *end = stpcpy(path, section);
	if (before > 0)
		*end++ = '.';
	memcpy(end, name, length + 1);
	return true;
}

static int report_unknown(
        struct reader *reader, const struct place *place, const yaml_node_t *key, const char *name)
{
	char quote[QUOTED_SIZE], suggestion[512];
	const char *where = place->shown[0] ? place->shown : NULL;
	return problem_add(reader, node_mark(reader, key), "%s%sunknown key %s: %s",
	        where ? where : "", where ? ": " : "", quoted(name, quote),
	        schema_suggest(place->section, name, suggestion, sizeof(suggestion)));
}

static int read_key(struct reader *reader, const struct place *place, const char *path,
        const yaml_node_t *key, const yaml_node_t *node)
{
	char shown[SHOWN_SIZE];
	const char *name = strrchr(path, '.') ? strrchr(path, '.') + 1 : path;
	const struct schema_key *row = schema_find(path);
	struct mark mark = node_mark(reader, key);
	(void)join_path(place->shown, name, shown);
	if (row) {
		place->source->keys[schema_index(row)] = mark;
		if (row->type == VALUE_REFUSED)
			return problem_add(
			        reader, mark, "%s: '%s' is refused: %s", shown, name, row->help);
		/* Only one that is written, and only where it is a value like others. */
		bool absent = node_is_null(node) &&
		              (row->type != VALUE_JSON || node->data.scalar.length == 0);
		if (absent)
			return problem_add(reader, mark,
			        "%s: has no value: expected %s; or leave the key out", shown,
			        value_expects(row->type));
		const struct setting setting = { row, shown, place->target, place->source };
		return value_read(reader, &setting, node);
	}
	if (node_is_null(node))
		return problem_add(reader, mark,
		        "%s: has no value: expected a mapping of keys; or leave it out", shown);
	const struct place below = { path, shown, place->target, place->source };
	return read_section(reader, &below, node);
}

static int read_pair(struct reader *reader, const struct place *place, const yaml_node_t *key,
        const yaml_node_t *node)
{
	char path[SHOWN_SIZE];
	const char *name, *where = place->shown[0] ? place->shown : "the file";
	int r = node_text(reader, where, "a key", key, &name);
	if (r <= 0)
		return r;
	bool fits = join_path(place->section, name, path) && !strchr(name, '.');
	if (fits && strcmp(path, "workers") == 0)
		return read_workers(reader, key, node);
	if (!fits || (!schema_find(path) && !schema_has_section(path)))
		return report_unknown(reader, place, key, name);
	return read_key(reader, place, path, key, node);
}

static int read_section(
        struct reader *reader, const struct place *place, const yaml_node_t *mapping)
{
	const char *where = place->shown[0] ? place->shown : "the file";
	int r = node_collection(reader, where, "a mapping of keys", mapping, YAML_MAPPING_NODE);
	if (r <= 0)
		return r;
	r = node_check_duplicates(reader, mapping);
	const yaml_node_pair_t *pair = mapping->data.mapping.pairs.start;
	for (; r == 0 && pair < mapping->data.mapping.pairs.top; pair++)
		r = read_pair(
		        reader, place, node_at(reader, pair->key), node_at(reader, pair->value));
	return r;
}

static int begin_file(struct reader *reader, const char *name)
{
	struct config_file *file = malloc(sizeof(*file) + strlen(name) + 1);
	if (!file)
		return -ENOMEM;
	file->next = reader->config->files;
	file->number = file->next ? file->next->number + 1 : 1;
	strcpy(file->name, name);
	reader->config->files = reader->file = file;
	return 0;
}

static int read_text(struct reader *reader, const char *text, size_t size)
{
	yaml_document_t document;
	int r = yaml_load(reader, text, size, &document);
	if (r <= 0) {
		reader->incomplete = true;
		return r;
	}
	reader->document = &document;
	const yaml_node_t *root = yaml_document_get_root_node(&document);
	const struct place place = { "", "", reader->config, &reader->source };
	r = root && !node_is_null(root) ? read_section(reader, &place, root) : 0;
	reader->document = NULL;
	yaml_document_delete(&document);
	return r;
}

static int read_file(struct reader *reader, const char *name)
{
	_cleanup_(freep) char *text = NULL;
	size_t size = 0;
	int r = begin_file(reader, name);
	if (r < 0)
		return r;
	struct mark mark = { reader->file->name, 1, 1 };
	r = config_load_file(name, &text, &size);
	if (r == -ENOMEM)
		return r;
	if (r == 0 && size <= CONFIG_FILE_MAX)
		return read_text(reader, text, size);
	reader->incomplete = true;
	if (r == 0)
		return problem_add(reader, mark,
		        "larger than 1MiB, the most that is read: split it up into conf.d");
	return problem_add(reader, mark, "cannot be read: %s", strerror(-r));
}

/* One that does not exist is an empty one. */
static int read_directory(struct reader *reader, const char *path)
{
	_cleanup_(strings_freep) char **names = NULL;
	int r = config_list_directory(path, &names);
	if (r == -ENOENT)
		return 0;
	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		reader->incomplete = true;
		int added = begin_file(reader, path);
		return added < 0 ? added
		                 : problem_add(reader, (struct mark){ reader->file->name, 1, 1 },
		                           "cannot be read: %s", strerror(-r));
	}
	for (size_t i = 0; r == 0 && names[i]; i++)
		r = read_file(reader, names[i]);
	return r;
}

static void reader_done(struct reader *reader)
{
	for (size_t i = 0; reader->config && i < reader->config->worker_count; i++)
		source_done(&reader->worker_sources[i]);
	free(reader->worker_sources);
	source_done(&reader->source);
	problems_done(reader);
	config_free(reader->config);
}

static int reader_init(struct reader *reader)
{
	reader->config = calloc(1, sizeof(*reader->config));
	if (!reader->config)
		return -ENOMEM;
	int r = source_init(&reader->source);
	return r < 0 ? r : set_defaults(false, reader->config);
}

static int finish(
        struct reader *reader, struct config **ret_config, struct config_errors *ret_errors)
{
	int r = config_check(reader);
	if (r == 0)
		r = problems_join(reader, ret_errors);
	if (r < 0)
		return r;
	if (reader->error_count > 0)
		return -EBADMSG;
	for (size_t i = 0; i < reader->config->worker_count; i++)
		source_done(&reader->worker_sources[i]);
	*ret_config = TAKE(reader->config, NULL);
	return 0;
}

int config_read(const char *file, const char *directory, struct config **ret_config,
        struct config_errors *ret_errors)
{
	_cleanup_(reader_done) struct reader reader = { 0 };
	int r = reader_init(&reader);
	if (r == 0)
		r = read_file(&reader, file);
	if (r == 0 && directory)
		r = read_directory(&reader, directory);
	return r < 0 ? r : finish(&reader, ret_config, ret_errors);
}

int config_read_text(const char *name, const char *text, size_t size, struct config **ret_config,
        struct config_errors *ret_errors)
{
	_cleanup_(reader_done) struct reader reader = { 0 };
	int r = reader_init(&reader);
	if (r == 0)
		r = begin_file(&reader, name);
	if (r == 0)
		r = read_text(&reader, text, size);
	return r < 0 ? r : finish(&reader, ret_config, ret_errors);
}
