/*
 * Any text as a URL: what is shown of it is a part of it and without what may be secret; and it is
 * the host to which libcurl would go.
 */
#include <curl/curl.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/http_url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

static bool is_plain(const char *text, size_t size)
{
	static const char letters[] = "0123456789abcdefghijklmnopqrstuvwxyz"
	                              "ABCDEFGHIJKLMNOPQRSTUVWXYZ-.";

	return strspn(text, letters) >= size;
}

/* Addresses have other spellings, and libcurl shows another one; names have one. */
static void compare(const char *text, const struct qs_http_url *url)
{
	const char *colon = memchr(url->shown, ':', url->shown_size);
	size_t size = colon ? (size_t)(colon - url->shown) : url->shown_size;
	char *host = NULL;
	CURLU *theirs;

	if (!is_plain(url->shown, size) || strspn(url->shown, "0123456789.xX") >= 1)
		return;
	theirs = curl_url();
	require(theirs);
	if (curl_url_set(theirs, CURLUPART_URL, text, CURLU_PATH_AS_IS) == CURLUE_OK) {
		require(curl_url_get(theirs, CURLUPART_HOST, &host, 0) == CURLUE_OK);
		require(strlen(host) == size && strncasecmp(host, url->shown, size) == 0);
	}
	curl_free(host);
	curl_url_cleanup(theirs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct qs_http_url url = { .shown_size = 4711 };
	char *text = strndup((const char *)data, size);
	int r;

	require(text);
	r = qs_http_url_parse(text, &url);
	if (r < 0) {
		require((r == -EINVAL || r == -EPROTONOSUPPORT) && url.shown_size == 4711);
	} else {
		require(url.shown >= text && url.shown + url.shown_size <= text + strlen(text));
		require(url.shown_size > 0 && url.shown_size < 256);
		for (const char *at = "@/?#\\ "; *at; at++)
			require(!memchr(url.shown, *at, url.shown_size));
		compare(text, &url);
	}
	free(text);
	return 0;
}
