/* The paths whose answers take their time: trickles, streams, and what unpacks to a lot. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <quiesce/clock.h>

#include "tests/http/server.h"

/* /trickle?every=MS&size=N&piece=BYTES: a byte at a time */
static void run_trickle(struct connection *connection)
{
	const struct query *query = &connection->request.query;
	uint64_t size = asked_size(connection, 1000);

	answer_head(connection, 200, "text/plain", size);
	answer_bytes(connection, size);
	connection->answer.every = query_span(query, "every", QS_SEC);
	connection->answer.piece = (size_t)query_number(query, "piece", 1);
}

/* /slowhead?every=MS: the head a byte at a time */
static void run_slow_head(struct connection *connection)
{
	answer_text(connection, 200, "text/plain", "slow\n");
	connection->answer.head_every = query_span(&connection->request.query, "every", QS_SEC);
}

/* /chunks?size=N&piece=BYTES&every=MS&cut: chunked; with `cut` it hangs up before the last chunk */
static void run_chunks(struct connection *connection)
{
	const struct query *query = &connection->request.query;

	answer_head(connection, 200, query_text(query, "type", "text/plain"), UINT64_MAX);
	connection->answer.left = asked_size(connection, 1000);
	connection->answer.piece = (size_t)query_number(query, "piece", 100);
	connection->answer.every = query_span(query, "every", 0);
	connection->answer.cut = query_has(query, "cut");
	connection->answer.end = connection->answer.cut ? END_CLOSE : END_KEEP;
	connection->answer.produce = produce_chunks;
}

/* --- events --- */

static void add_event(struct connection *connection)
{
	const struct query *query = &connection->request.query;
	struct buffer *body = &connection->answer.body;
	uint64_t size = query_number(query, "size", 20), number = ++connection->answer.position;
	bool lines = strstr(query_text(query, "type", ""), "ndjson") != NULL;

	buffer_addf(body,
	        lines ? "{\"event\": %" PRIu64 ", \"data\": \"" : "id: %" PRIu64 "\ndata: ",
	        number);
	for (uint64_t i = 0; i < size; i++)
		buffer_add(body, &"abcdefghijklmnopqrstuvwxyz"[i % 26], 1);
	buffer_addf(body, lines ? "\"}\n" : "\n\n");
	add_chunk(connection, buffer_front(body), buffer_size(body));
	buffer_take(body, buffer_size(body));
}

/* `left` 0: without end. */
static enum produced produce_events(struct connection *connection)
{
	struct answer *answer = &connection->answer;

	if (answer->left > 0 && answer->position == answer->left) {
		if (!answer->cut)
			add_chunk(connection, "", 0);
		return PRODUCED_ALL;
	}
	add_event(connection);
	return PRODUCED_MORE;
}

/* /stream?events=N&every=MS&size=N&type=T&cut: N events of that size, for ever with 0; as lines of
 * JSON with a type that says ndjson */
static void run_stream(struct connection *connection)
{
	const struct query *query = &connection->request.query;

	answer_head(connection, 200, query_text(query, "type", "text/event-stream"), UINT64_MAX);
	connection->answer.delay = query_span(query, "delay", 0);
	connection->answer.left = query_number(query, "events", 0);
	connection->answer.every = query_span(query, "every", 0);
	connection->answer.cut = query_has(query, "cut");
	connection->answer.end = connection->answer.cut ? END_CLOSE : END_KEEP;
	connection->answer.produce = produce_events;
}

/* --- gzip --- */

static void release_gzip(struct answer *answer)
{
	(void)deflateEnd(answer->state);
	free(answer->state);
}

/* The next of what zeros are packed to. */
static enum produced produce_gzip(struct connection *connection)
{
	static Bytef zeros[256 << 10];
	struct answer *answer = &connection->answer;
	z_stream *stream = answer->state;
	uInt size = (uInt)MIN(answer->left, sizeof(zeros));
	Bytef packed[16384];
	bool last = size == answer->left;
	int r;

	stream->next_in = zeros;
	stream->avail_in = size;
	do {
		stream->next_out = packed;
		stream->avail_out = sizeof(packed);
		r = deflate(stream, last ? Z_FINISH : Z_NO_FLUSH);
		if (stream->avail_out < sizeof(packed))
			add_chunk(connection, (char *)packed, sizeof(packed) - stream->avail_out);
	} while (r == Z_OK && (stream->avail_in > 0 || stream->avail_out == 0 || last));
	answer->left -= size;
	if (!last)
		return PRODUCED_MORE;
	add_chunk(connection, "", 0);
	return PRODUCED_ALL;
}

/* /gzip?size=N: N zeros, packed about a thousandfold */
static void run_gzip(struct connection *connection)
{
	z_stream *stream = need(calloc(1, sizeof(*stream)));

	need(deflateInit2(stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK ? stream
	                                                                                 : NULL);
	answer_head(connection, 200, "application/octet-stream", UINT64_MAX);
	answer_headerf(connection, "Content-Encoding: gzip");
	connection->answer.state = stream;
	connection->answer.release = release_gzip;
	connection->answer.left = asked_size(connection, 10 << 20);
	connection->answer.produce = produce_gzip;
}

const struct route stream_routes[] = {
	{ "/chunks", run_chunks },
	{ "/gzip", run_gzip },
	{ "/slowhead", run_slow_head },
	{ "/stream", run_stream },
	{ "/trickle", run_trickle },
	{ 0 },
};
