/* The host of a URL. What the rest of it is worth, libcurl says. */
#include "lib/http_url.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#define HOST_MAX 255
#define PORT_MAX (sizeof(":65535") - 1)

static bool is_printable(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text <= ' ' || *text == 0x7f)
			return false;
	return true;
}

/* What follows the scheme; NULL: it is none of ours. */
static const char *after_scheme(const char *text, bool *ret_is_https)
{
	if (strncasecmp(text, "http://", 7) == 0) {
		*ret_is_https = false;
		return text + 7;
	}
	if (strncasecmp(text, "https://", 8) == 0) {
		*ret_is_https = true;
		return text + 8;
	}
	return NULL;
}

/* From "@" on, if there is one: before it are the user and the password. */
static const char *after_user(const char *authority, size_t *size)
{
	const char *at = memrchr(authority, '@', *size);

	if (!at)
		return authority;
	*size -= (size_t)(at + 1 - authority);
	return at + 1;
}

/* The size of the host, in brackets if it is an address of IPv6; 0: it is none. */
static size_t host_size(const char *text, size_t size)
{
	const char *end;

	if (size > 0 && text[0] == '[') {
		end = memchr(text, ']', size);
		return end && end > text + 1 ? (size_t)(end + 1 - text) : 0;
	}
	end = memchr(text, ':', size);
	return end ? (size_t)(end - text) : size;
}

/* "", ":", or ":" and a number up to 65535: -1 if it is none of these, 0 for the first two. */
static int parse_port(const char *text, size_t size)
{
	int port = 0;

	if (size == 0)
		return 0;
	if (text[0] != ':' || size > PORT_MAX)
		return -1;
	for (size_t i = 1; i < size; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -1;
		port = 10 * port + (text[i] - '0');
		if (port > 65535)
			return -1;
	}
	return port;
}

int qs_http_url_parse(const char *text, struct qs_http_url *ret_url)
{
	const char *authority;
	size_t size, host;
	bool is_https;
	int port;

	authority = after_scheme(text, &is_https);
	if (!authority)
		return -EPROTONOSUPPORT;
	if (!is_printable(text))
		return -EINVAL;
	size = strcspn(authority, "/?#");
	/* Some take it for a slash. */
	if (memchr(authority, '\\', size))
		return -EINVAL;
	authority = after_user(authority, &size);
	host = host_size(authority, size);
	if (host == 0 || host > HOST_MAX - PORT_MAX)
		return -EINVAL;
	port = parse_port(authority + host, size - host);
	if (port < 0)
		return -EINVAL;
	if (port == 0 || port == (is_https ? 443 : 80))
		size = host;
	*ret_url = (struct qs_http_url){ is_https, authority, size };
	return 0;
}
