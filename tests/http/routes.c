/* Which path is whose, and /counters: what was asked of the server, and how that went. */
#include <string.h>
#include <strings.h>

#include <jansson.h>

#include "tests/http/server.h"

static uint64_t count_faults(const struct server *server, enum outcome outcome)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < server->faults.capacity; i++)
		sum += server->faults.entries[i].outcomes[outcome];
	return sum;
}

static json_t *tell_entry(const struct tally_entry *entry)
{
	json_t *object = json_object();

	for (enum outcome i = 0; i < OUTCOME_COUNT; i++)
		if (entry->outcomes[i] > 0)
			json_object_set_new(
			        object, outcome_name(i), json_integer(entry->outcomes[i]));
	return object;
}

static json_t *tell_ids(const struct tally *tally)
{
	json_t *object = json_object();

	for (size_t i = 0; i < tally->capacity; i++)
		if (tally->entries[i].key)
			json_object_set_new(
			        object, tally->entries[i].key, tell_entry(&tally->entries[i]));
	return object;
}

static json_t *tell_paths(const struct tally *paths)
{
	json_t *object = json_object();

	for (size_t i = 0; i < paths->capacity; i++)
		if (paths->entries[i].key)
			json_object_set_new(object, paths->entries[i].key,
			        json_integer(paths->entries[i].count));
	return object;
}

/* {"requests", …, "faults": {"ok", "drop", …}, "paths": {PATH: requests}, "ids"?} */
static json_t *tell_counters(const struct server *server, bool ids)
{
	const struct counters *counters = &server->counters;
	json_t *faults = json_object();
	json_t *answer = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "requests",
	        (json_int_t)counters->requests, "accepted", (json_int_t)counters->accepted, "open",
	        (json_int_t)counters->open, "in_flight", (json_int_t)counters->in_flight, "cut",
	        (json_int_t)counters->cut, "sent", (json_int_t)counters->sent, "silent",
	        (json_int_t)counters->silent, "faults", faults, "paths",
	        tell_paths(&server->paths));

	for (enum outcome i = 0; i < OUTCOME_COUNT; i++)
		json_object_set_new(
		        faults, outcome_name(i), json_integer((json_int_t)count_faults(server, i)));
	if (ids)
		json_object_set_new(answer, "ids", tell_ids(&server->faults));
	return answer;
}

static bool condition_holds(const struct query *query, const json_t *counters)
{
	const char *name = query_text(query, "until", NULL), *is = query_text(query, "is", NULL);
	uint64_t value;

	if (!name)
		return true;
	value = (uint64_t)json_integer_value(json_object_get(counters, name));
	return is ? value == query_number(query, "is", 0)
	          : value >= query_number(query, "least", 1);
}

static enum produced produce_counters(struct connection *connection)
{
	const struct query *query = &connection->request.query;
	json_t *counters = tell_counters(connection->server, query_has(query, "ids"));
	enum produced produced = PRODUCED_LATER;

	if (condition_holds(query, counters)) {
		char *text = need(json_dumps(counters, 0));
		answer_text(connection, 200, "application/json", text);
		buffer_add(&connection->answer.head, "\r\n", 2);
		free(text);
		produced = PRODUCED_MORE;
	}
	json_decref(counters);
	return produced;
}

/*
 * /counters?ids&until=NAME&is=N or &least=N: answered when that holds. Who asks for them is not
 * counted, nor is the connection.
 */
static void run_counters(struct connection *connection)
{
	struct counters *counters = &connection->server->counters;

	counters->requests--;
	counters->in_flight--;
	if (!connection->observer) {
		counters->open--;
		counters->accepted--;
	}
	connection->observer = true;
	connection->answer.produce = produce_counters;
}

static void run_not_found(struct connection *connection)
{
	answer_text(connection, 404, "text/plain", "there is no such path\n");
}

static void run_like_daemon(struct connection *connection);

static const struct route own_routes[] = {
	{ "/counters", run_counters },
	{ "/v1/workers/", run_like_daemon },
	{ 0 },
};

static const struct route *find_in(const struct route *route, const char *path)
{
	for (; route->path; route++) {
		size_t length = strlen(route->path);
		if (strcmp(route->path, path) == 0 ||
		        (route->path[length - 1] == '/' && strncmp(route->path, path, length) == 0))
			return route;
	}
	return NULL;
}

void route_run(struct connection *connection)
{
	static const struct route *const tables[] = { own_routes, good_routes, broken_routes,
		stream_routes };
	const char *path = connection->request.path;
	const struct route *route = NULL;

	for (size_t i = 0; !route && i < ARRAY_SIZE(tables); i++)
		route = find_in(tables[i], path);
	if (!route || route->run != run_counters)
		tally_find(&connection->server->paths, route ? route->path : "other")->count++;
	(route ? route->run : run_not_found)(connection);
}

/*
 * /v1/workers/NAME, and POST /v1/workers/NAME/call: as the daemon would, but what a call is
 * answered stands in its payload, {"path": "/answer?..."}. There is no worker of the name "none".
 */
static void run_like_daemon(struct connection *connection)
{
	struct request *request = &connection->request;
	json_t *payload = json_loadb(request->body, request->body_size, 0, NULL);
	const char *path = json_string_value(json_object_get(payload, "path"));

	if (strncmp(request->path, "/v1/workers/none", 16) == 0) {
		answer_text(connection, 404, "application/problem+json",
		        "{\"detail\": \"there is no worker none\"}");
	} else if (strcmp(request->method, "POST") == 0 && path) {
		request_redirect(request, path);
		route_run(connection);
	} else {
		answer_text(connection, 200, "application/json", "{\"name\": \"api\"}");
	}
	json_decref(payload);
}
