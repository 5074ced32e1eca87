/* What makes two calls the same, and which of them may share an answer at all. */
#include <string.h>
#include <strings.h>

#include <nettle/sha2.h>

#include "lib/gate.h"

const char *qs_gate_method(const struct qs_http_request *request)
{
	if (request->method)
		return request->method;
	return request->body ? "POST" : "GET";
}

/* What asks something. PUT, PATCH and DELETE change something, each time anew. */
bool qs_gate_may_share(const struct qs_http_request *request)
{
	static const char *const asking[] = { "GET", "HEAD", "OPTIONS", "POST" };
	const char *method = qs_gate_method(request);

	for (size_t i = 0; i < ARRAY_SIZE(asking); i++)
		if (strcmp(method, asking[i]) == 0)
			return request->url != NULL;
	return false;
}

/* A good answer, which is whole (not 206) and the last word (not 202). */
bool qs_gate_may_keep(const struct qs_http_response *response)
{
	return response->status >= 200 && response->status < 300 && response->status != 202 &&
	       response->status != 206;
}

/* --- the digest: of each part with its length, so that none runs into the next --- */

static void add(struct sha256_ctx *sha, const void *data, size_t size)
{
	uint64_t length = size;

	sha256_update(sha, sizeof(length), (const uint8_t *)&length);
	if (size > 0)
		sha256_update(sha, size, data);
}

static void add_header(struct sha256_ctx *sha, const struct qs_http_header *header)
{
	char name[256];
	size_t length = strlen(header->name);

	/* In small letters, a piece at a time. */
	add(sha, &length, sizeof(length));
	for (size_t at = 0; at < length; at += sizeof(name)) {
		size_t count = MIN(length - at, sizeof(name));

		for (size_t i = 0; i < count; i++) {
			char letter = header->name[at + i];

			name[i] = (char)(letter >= 'A' && letter <= 'Z' ? letter + 'a' - 'A'
			                                                : letter);
		}
		sha256_update(sha, count, (const uint8_t *)name);
	}
	add(sha, header->value, header->value ? strlen(header->value) : 0);
}

static bool counts(const qs_gate *gate, const struct qs_http_header *header)
{
	if (!gate->cache_headers)
		return true;
	for (char **name = gate->cache_headers; *name; name++)
		if (strcasecmp(*name, header->name) == 0)
			return true;
	return false;
}

struct qs_digest qs_gate_digest(const qs_gate *gate, const struct qs_http_request *request)
{
	const char *method = qs_gate_method(request);
	struct qs_digest digest;
	struct sha256_ctx sha;

	sha256_init(&sha);
	sha256_update(&sha, sizeof(gate->secret), gate->secret);
	add(&sha, method, strlen(method));
	add(&sha, request->url, strlen(request->url));
	add(&sha, request->body, request->body ? request->body_size : 0);
	for (const struct qs_http_header *at = request->headers; at && at->name; at++)
		if (counts(gate, at))
			add_header(&sha, at);
	sha256_digest(&sha, sizeof(digest.bytes), digest.bytes);
	return digest;
}

/* Not a digest at all, but as even where the table looks. */
struct qs_digest qs_gate_reader_digest(const struct qs_fiber *reader)
{
	const uint64_t address = (uintptr_t)reader;
	const uint64_t words[] = { address * UINT64_C(0x9e3779b97f4a7c15) >> 32, address };
	struct qs_digest digest = { { 0 } };

	memcpy(digest.bytes, words, sizeof(words));
	return digest;
}
