/* The paths that answer badly, or not at all. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tests/http/server.h"

/* Announces one size and sends another. */
static void announce(struct connection *connection, uint64_t announced, uint64_t sent, enum end end)
{
	answer_head(connection, 200, "text/plain", announced);
	answer_bytes(connection, sent);
	connection->answer.end = end;
}

/* /drop: hangs up without a word */
static void run_drop(struct connection *connection)
{
	connection->answer.end = END_CLOSE;
}

static void run_reset(struct connection *connection)
{
	connection->answer.end = END_RESET;
}

/* /half?size=N: N announced, half of it sent, then it hangs up */
static void run_half(struct connection *connection)
{
	uint64_t size = asked_size(connection, 1000);

	announce(connection, size, size / 2, END_CLOSE);
}

/* /halfclose: the same, but it goes on listening */
static void run_half_close(struct connection *connection)
{
	uint64_t size = asked_size(connection, 1000);

	announce(connection, size, size / 2, END_HALF);
}

/* /short?size=N: ten bytes more announced than come, and the connection stays */
static void run_short(struct connection *connection)
{
	uint64_t size = asked_size(connection, 1000);

	announce(connection, size + 10, size, END_HANG);
}

/* /long?size=N: ten bytes more come than announced, and the connection stays */
static void run_long(struct connection *connection)
{
	uint64_t size = asked_size(connection, 1000);

	announce(connection, size, size + 10, END_KEEP);
}

/* /silent: hears the request and never says anything */
static void run_silent(struct connection *connection)
{
	connection->answer.end = END_HANG;
}

/* /garbage: no HTTP */
static void run_garbage(struct connection *connection)
{
	static const char text[] = "\x16\x03\x01 this is no HTTP\n\n\r\n\r\n";

	buffer_add(&connection->answer.body, text, sizeof(text) - 1);
	connection->answer.produce = produce_ready;
	connection->answer.end = END_CLOSE;
}

/* /badlength: a Content-Length that is no number */
static void run_bad_length(struct connection *connection)
{
	answer_headerf(connection, "HTTP/1.1 200 OK");
	answer_headerf(connection, "Content-Length: many");
	connection->answer.end = END_CLOSE;
}

/* /bigheader?size=N: a header of N bytes, in lines of 500 */
static void run_big_header(struct connection *connection)
{
	uint64_t size = asked_size(connection, 1 << 20);
	char filler[490];

	memset(filler, 'x', sizeof(filler));
	answer_text(connection, 200, "text/plain", "big\n");
	for (uint64_t sent = 0; sent < size; sent += 500)
		answer_headerf(connection, "X-%06" PRIu64 ": %.*s", sent / 500, (int)sizeof(filler),
		        filler);
}

/* --- faults --- */

/* The same for the same seed, id and attempt. */
static enum outcome draw(const struct query *query, const char *id, unsigned attempt)
{
	uint64_t hash;
	char text[256];

	snprintf(text, sizeof(text), "%s/%u", id, attempt);
	hash = tally_hash(query_number(query, "seed", 0), text);
	if (attempt > query_number(query, "most", UINT32_MAX) ||
	        hash % 10000 >= 100 * query_number(query, "percent", 10))
		return OUTCOME_OK;
	return OUTCOME_SLOW + (enum outcome)(hash / 10000 % (OUTCOME_COUNT - OUTCOME_SLOW));
}

/*
 * /faults?percent=10&seed=S&id=X&slow=SPAN&most=N: of a hundred requests so many come to grief, in
 * one of the ways of enum outcome; the first N of an id at most. What an id was answered is shown
 * by /counters?ids. "slow" ends well, after the span.
 */
static void run_faults(struct connection *connection)
{
	const struct query *query = &connection->request.query;
	const char *id = query_text(query, "id", "");
	struct tally_entry *entry = tally_find(&connection->server->faults, id);
	enum outcome outcome = draw(query, id, ++entry->count);
	char text[320];

	entry->outcomes[outcome]++;
	switch (outcome) {
	case OUTCOME_DROP:
		run_drop(connection);
		return;
	case OUTCOME_RESET:
		run_reset(connection);
		return;
	case OUTCOME_SHORT:
		run_half(connection);
		return;
	case OUTCOME_500:
	case OUTCOME_503:
		answer_text(connection, outcome == OUTCOME_500 ? 500 : 503, "text/plain", "bad\n");
		return;
	case OUTCOME_SLOW:
		connection->answer.delay = query_span(query, "slow", 1000000000);
		break;
	case OUTCOME_OK:
	case OUTCOME_COUNT:
		break;
	}
	snprintf(text, sizeof(text), "{\"id\": \"%.200s\", \"attempt\": %u}\n", id, entry->count);
	answer_text(connection, 200, "application/json", text);
}

const struct route broken_routes[] = {
	{ "/badlength", run_bad_length },
	{ "/bigheader", run_big_header },
	{ "/drop", run_drop },
	{ "/faults", run_faults },
	{ "/garbage", run_garbage },
	{ "/half", run_half },
	{ "/halfclose", run_half_close },
	{ "/long", run_long },
	{ "/reset", run_reset },
	{ "/short", run_short },
	{ "/silent", run_silent },
	{ 0 },
};
