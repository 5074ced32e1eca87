/*
 * The names of workers: each once, `after` names only those that exist, and nobody waits for
 * himself, not by way of others either. Nothing here recurses: there may be very many.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config_internal.h"

#define CIRCLE_TEXT_MAX 512

static int compare_workers(const void *left, const void *right)
{
	const struct worker_config *a = *(struct worker_config *const *)left;
	const struct worker_config *b = *(struct worker_config *const *)right;
	int r = strcmp(a->name, b->name);
	/* Both are of one array, in the order of the files. */
	return r != 0 ? r : (a > b) - (a < b);
}

static int compare_name(const void *name, const void *worker)
{
	return strcmp(name, (*(struct worker_config *const *)worker)->name);
}

static int report_duplicates(
        struct reader *reader, struct worker_config *const *sorted, size_t count)
{
	int r = 0;
	for (size_t i = 1, first = 0; r == 0 && i < count; i++) {
		struct mark mark = sorted[first]->mark;
		if (strcmp(sorted[first]->name, sorted[i]->name) != 0)
			first = i;
		else
			r = problem_add(reader, sorted[i]->mark,
			        "worker '%s' is there already, at %s:%u:%u: give one of them "
			        "another name",
			        sorted[i]->name, mark.file, mark.line, mark.column);
	}
	return r;
}

/* The names of `after` as indices, workers in a row; SIZE_MAX ends each. */
struct graph {
	size_t count;
	size_t *first; /* per worker, into `edges` */
	size_t *edges;
};

static void graph_done(struct graph *graph)
{
	free(graph->first);
	free(graph->edges);
}

static size_t count_names(const struct config *config)
{
	size_t count = 0;
	for (size_t i = 0; i < config->worker_count; i++)
		for (char **name = config->workers[i].after; *name; name++)
			count++;
	return count;
}

/* What a name in `after` leads to; SIZE_MAX after having told that it leads nowhere. */
static int resolve(struct reader *reader, struct worker_config *const *sorted, size_t i,
        size_t position, size_t *ret_index)
{
	const struct config *config = reader->config;
	const struct worker_config *worker = &config->workers[i];
	const char *name = worker->after[position];
	struct mark mark = reader->worker_sources[i].after[position];
	struct worker_config *const *found = bsearch(
	        name, sorted, config->worker_count, sizeof(struct worker_config *), compare_name);
	char quote[QUOTED_SIZE];
	*ret_index = SIZE_MAX;
	if (!found && reader->incomplete)
		return 0;
	if (!found)
		return problem_add(reader, mark,
		        "workers.%s.after: there is no worker %s: name one of this configuration",
		        worker->name, quoted(name, quote));
	if (strcmp(name, worker->name) == 0)
		return problem_add(reader, mark,
		        "workers.%s.after: it cannot wait for itself: leave it out", worker->name);
	*ret_index = (size_t)(*found - config->workers);
	return 0;
}

static int graph_init(
        struct graph *graph, struct reader *reader, struct worker_config *const *sorted)
{
	const struct config *config = reader->config;
	size_t used = 0;
	graph->count = config->worker_count;
	graph->first = calloc(graph->count, sizeof(*graph->first));
	graph->edges = calloc(graph->count + count_names(config), sizeof(*graph->edges));
	if (!graph->first || !graph->edges)
		return -ENOMEM;
	for (size_t i = 0; i < graph->count; i++) {
		graph->first[i] = used;
		for (size_t j = 0; config->workers[i].after[j]; j++) {
			size_t index;
			int r = resolve(reader, sorted, i, j, &index);
			if (r < 0)
				return r;
			if (index != SIZE_MAX)
				graph->edges[used++] = index;
		}
		graph->edges[used++] = SIZE_MAX;
	}
	return 0;
}

/* Where `worker` names `next`. */
static struct mark edge_mark(const struct reader *reader, size_t worker, size_t next)
{
	const struct config *config = reader->config;
	size_t i = 0;
	while (strcmp(config->workers[worker].after[i], config->workers[next].name) != 0)
		i++;
	return reader->worker_sources[worker].after[i];
}

/* Told from the worker on that stands first in the files; of a large circle only the beginning. */
static int report_circle(struct reader *reader, const size_t *circle, size_t length)
{
	const struct worker_config *workers = reader->config->workers;
	char text[CIRCLE_TEXT_MAX];
	size_t start = 0, used = 0, i = 0;
	for (size_t j = 1; j < length; j++)
		if (circle[j] < circle[start])
			start = j;
	for (; i < length && used + 80 < sizeof(text); i++) {
		int r = snprintf(text + used, sizeof(text) - used, "%s -> ",
		        workers[circle[(start + i) % length]].name);
		used += r > 0 ? (size_t)r : 0;
	}
	return problem_add(reader, edge_mark(reader, circle[start], circle[(start + 1) % length]),
	        "workers.%s.after: a circle, so that none could ever start: %s%s%s; take one of "
	        "them away",
	        workers[circle[start]].name, text, i < length ? "... -> " : "",
	        workers[circle[start]].name);
}

enum colour { UNSEEN, ON_PATH, DONE };

/* Follows `after` from one worker, depth first; each edge back to the path closes a circle. */
static int walk_from(struct reader *reader, const struct graph *graph, size_t from,
        unsigned char *colours, size_t *path)
{
	size_t depth = 0;
	int r = 0;
	path[depth++] = from;
	colours[from] = ON_PATH;
	while (r == 0 && depth > 0) {
		size_t here = path[depth - 1], next = graph->edges[graph->first[here]];
		if (next == SIZE_MAX) {
			colours[here] = DONE;
			depth--;
			continue;
		}
		graph->first[here]++;
		if (colours[next] == UNSEEN) {
			colours[next] = ON_PATH;
			path[depth++] = next;
		} else if (colours[next] == ON_PATH) {
			size_t start = depth - 1;
			while (path[start] != next)
				start--;
			r = report_circle(reader, path + start, depth - start);
		}
	}
	return r;
}

static int report_circles(struct reader *reader, const struct graph *graph)
{
	_cleanup_(freep) unsigned char *colours = calloc(graph->count, 1);
	_cleanup_(freep) size_t *path = calloc(graph->count, sizeof(*path));
	int r = colours && path ? 0 : -ENOMEM;
	for (size_t i = 0; r == 0 && i < graph->count; i++)
		if (colours[i] == UNSEEN)
			r = walk_from(reader, graph, i, colours, path);
	return r;
}

int config_check_names(struct reader *reader)
{
	const struct config *config = reader->config;
	size_t count = config->worker_count;
	if (count == 0)
		return 0;
	_cleanup_(graph_done) struct graph graph = { 0 };
	_cleanup_(freep) struct worker_config **sorted = calloc(count, sizeof(*sorted));
	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		sorted[i] = &config->workers[i];
	qsort(sorted, count, sizeof(*sorted), compare_workers);
	int r = report_duplicates(reader, sorted, count);
	if (r == 0)
		r = graph_init(&graph, reader, sorted);
	return r < 0 ? r : report_circles(reader, &graph);
}
