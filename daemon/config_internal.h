/*
 * What the parts of the configuration share: the reader that fills a struct config, and the list of
 * what is wrong. Functions of a reader return 0 also when they found an error in the file and
 * listed it; negative is -ENOMEM alone.
 */
#ifndef QUIESCED_CONFIG_INTERNAL_H
#define QUIESCED_CONFIG_INTERNAL_H

#include <yaml.h>

#include "daemon/config.h"
#include "daemon/config_schema.h"
#include "lib/macro.h"

#define CONFIG_FILE_MAX    (1024 * 1024)
#define CONFIG_DEPTH_MAX   32
#define CONFIG_NODES_MAX   100000
#define CONFIG_ALIASES_MAX 10000
#define CONFIG_STRING_MAX  (128 * 1024 - 1) /* Linux hands a program no longer string */
#define QUOTED_SIZE        64
#define SHOWN_SIZE         192

struct config_file {
	struct config_file *next; /* the one that was read before */
	unsigned number;
	char name[];
};

/* Where the keys of a target stand, for checks over several of them. */
struct source {
	struct mark *keys;  /* one per row of the schema; line 0: not said */
	struct mark *after; /* one per name in `after` */
};

struct problem {
	unsigned file, line, column;
	bool warning;
	size_t sequence;
	char *text;
};

struct reader {
	struct config *config;
	struct source source;          /* of the keys outside of workers */
	struct source *worker_sources; /* parallel to config->workers */
	size_t worker_capacity;
	struct problem *problems;
	size_t problem_count, problem_capacity, error_count;
	struct config_file *file;  /* the one being read */
	yaml_document_t *document; /* of it */
	bool incomplete;           /* a file could not be read: a missing name may stand there */
};

/* One value on its way from the file to its field. */
struct setting {
	const struct schema_key *key;
	const char *shown; /* "workers.ticker.stop.signal" */
	void *target;      /* the struct config or struct worker_config */
	struct source *source;
};

/* config_problems.c */
QS_MUST_CHECK int problem_add(struct reader *reader, struct mark mark, const char *format, ...)
        _printf_(3, 4);
QS_MUST_CHECK int warning_add(struct reader *reader, struct mark mark, const char *format, ...)
        _printf_(3, 4);
QS_MUST_CHECK int problems_join(struct reader *reader, struct config_errors *ret_errors);
void problems_done(struct reader *reader);
/* 'text', cut and without control characters. */
char *quoted(const char *text, char buffer[static QUOTED_SIZE]);

/* config_yaml.c, config_nodes.c */
/* 1: loaded; 0: it is not what we read, and listed. */
QS_MUST_CHECK int yaml_load(
        struct reader *reader, const char *text, size_t size, yaml_document_t *ret_document);
struct mark yaml_mark(const struct reader *reader, yaml_mark_t mark);
struct mark node_mark(const struct reader *reader, const yaml_node_t *node);
yaml_node_t *node_at(const struct reader *reader, int index);
bool node_is_null(const yaml_node_t *node);
const char *node_kind(const yaml_node_t *node);
/* 1: a scalar without NUL bytes and tags, `*ret_text` lives as long as the document. */
QS_MUST_CHECK int node_text(struct reader *reader, const char *shown, const char *expected,
        const yaml_node_t *node, const char **ret_text);
/* 1: a mapping or a sequence, as `type` says. */
QS_MUST_CHECK int node_collection(struct reader *reader, const char *shown, const char *expected,
        const yaml_node_t *node, yaml_node_type_t type);
QS_MUST_CHECK int node_check_duplicates(struct reader *reader, const yaml_node_t *mapping);

/* config_values.c, config_lists.c, config_tree.c, config_credential.c */
QS_MUST_CHECK int value_read(
        struct reader *reader, const struct setting *setting, const yaml_node_t *node);
QS_MUST_CHECK int value_default(const struct schema_key *key, void *target);
const char *value_expects(enum value_type type);
char *value_range(const struct schema_key *key, char *buffer, size_t size);
QS_MUST_CHECK int list_read(
        struct reader *reader, const struct setting *setting, const yaml_node_t *node);
QS_MUST_CHECK int tree_read(
        struct reader *reader, const struct setting *setting, const yaml_node_t *node);
QS_MUST_CHECK int number_parse(const char *text, uint64_t *ret_number);
/* 1: `*ret_text` is malloc'ed and has every ${credential:NAME} in its place. */
QS_MUST_CHECK int credential_expand(struct reader *reader, const char *shown,
        const yaml_node_t *node, const char *text, char **ret_text);

/* config_values_http.c, config_lists_http.c */
bool is_http_token(const char *text);
QS_MUST_CHECK int parse_method(const struct schema_key *key, const char *text, void *target);
QS_MUST_CHECK int parse_pointer(const struct schema_key *key, const char *text, void *target);
QS_MUST_CHECK int parse_percent(const struct schema_key *key, const char *text, void *target);
QS_MUST_CHECK int parse_media_type(const struct schema_key *key, const char *text, void *target);
QS_MUST_CHECK int list_read_http(
        struct reader *reader, const struct setting *setting, const yaml_node_t *node);
void http_headers_free(struct http_header_config *headers);

/* config_http.c */
void http_config_done(struct http_config *http);
void call_config_done(struct call_config *call);
bool http_config_same(const struct http_config *a, const struct http_config *b);
bool call_config_same(const struct call_config *a, const struct call_config *b);

/* config_files.c: as much of a file as a configuration may have and one byte more; the *.yaml of a
 * directory by name, NULL-ended. Errors are those of the system. */
QS_MUST_CHECK int config_load_file(const char *name, char **ret_text, size_t *ret_size);
QS_MUST_CHECK int config_list_directory(const char *path, char ***ret_files);

/* config_check.c, config_check_http.c, config_after.c: what no key can tell by itself. */
QS_MUST_CHECK int config_check(struct reader *reader);
QS_MUST_CHECK int config_check_http(
        struct reader *reader, struct worker_config *worker, const struct source *source);
QS_MUST_CHECK int config_check_names(struct reader *reader);
struct mark source_mark(const struct source *source, const char *path);

/* config.c */
void worker_config_done(struct worker_config *worker);
void strings_free(char **strings);
void strings_freep(char ***strings);
bool same_text(const char *a, const char *b);
bool same_strings(char *const *a, char *const *b);

/* Like config_read, of one text in memory. */
QS_MUST_CHECK int config_read_text(const char *name, const char *text, size_t size,
        struct config **ret_config, struct config_errors *ret_errors);

#endif
