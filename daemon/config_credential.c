/*
 * ${credential:NAME} becomes the content of $CREDENTIALS_DIRECTORY/NAME. Errors name the
 * credential and never show what is in it.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config_internal.h"

#define OPENING "${credential:"

/* A text that grows; what it held is wiped, for it may be secret. */
struct secret {
	char *data;
	size_t length, capacity;
};

static void secret_done(struct secret *secret)
{
	if (secret->data)
		explicit_bzero(secret->data, secret->capacity);
	free(secret->data);
	*secret = (struct secret){ 0 };
}

static int secret_append(struct secret *secret, const char *data, size_t size)
{
	if (size >= secret->capacity - secret->length) {
		struct secret larger = { .capacity = (secret->length + size + 1) * 2 };
		larger.data = malloc(larger.capacity);
		if (!larger.data)
			return -ENOMEM;
		if (secret->length > 0)
			memcpy(larger.data, secret->data, secret->length);
		larger.length = secret->length;
		secret_done(secret);
		*secret = larger;
	}
	memcpy(secret->data + secret->length, data, size);
	secret->length += size;
	secret->data[secret->length] = 0;
	return 0;
}

static bool is_credential_name(const char *name)
{
	return name[0] != 0 && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
	       !strchr(name, '/');
}

/* Appends the file without its last newline. A negative errno of the file, -EILSEQ for a NUL. */
static int append_file(struct secret *secret, const char *path)
{
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	char chunk[4096];
	size_t before = secret->length;
	ssize_t size = fd < 0 ? -1 : 1;
	int r = fd < 0 ? -errno : 0;
	while (r == 0 && size > 0 && secret->length <= 2 * CONFIG_STRING_MAX) {
		size = read(fd, chunk, sizeof(chunk));
		if (size < 0 && errno == EINTR)
			size = 1;
		else if (size < 0)
			r = -errno;
		else
			r = secret_append(secret, chunk, (size_t)size);
	}
	explicit_bzero(chunk, sizeof(chunk));
	if (r == 0 && strlen(secret->data) != secret->length)
		r = -EILSEQ;
	if (r == 0 && secret->length > before && secret->data[secret->length - 1] == '\n')
		secret->data[--secret->length] = 0;
	return r;
}

/* 1: appended. */
static int append_credential(struct reader *reader, const char *shown, struct mark mark,
        const char *name, struct secret *secret)
{
	const char *directory = getenv("CREDENTIALS_DIRECTORY");
	char quote[QUOTED_SIZE], path[PATH_MAX];
	quoted(name, quote);
	if (!is_credential_name(name))
		return problem_add(reader, mark,
		        "%s: %s is no name of a credential: write the name of a file, without /",
		        shown, quote);
	if (!directory || directory[0] == 0)
		return problem_add(reader, mark,
		        "%s: the credential %s is missing: $CREDENTIALS_DIRECTORY is not set; add "
		        "LoadCredential= to the service",
		        shown, quote);
	int length = snprintf(path, sizeof(path), "%s/%s", directory, name);
	int r = length < 0 || (size_t)length >= sizeof(path) ? -ENAMETOOLONG
	                                                     : append_file(secret, path);
	if (r == -ENOMEM)
		return r;
	if (r == -EILSEQ)
		return problem_add(reader, mark,
		        "%s: the credential %s contains a NUL byte: no program can be given that",
		        shown, quote);
	if (r < 0)
		return problem_add(reader, mark,
		        "%s: the credential %s cannot be read: %s; add LoadCredential= to the "
		        "service",
		        shown, quote, strerror(-r));
	return 1;
}

int credential_expand(struct reader *reader, const char *shown, const yaml_node_t *node,
        const char *text, char **ret_text)
{
	_cleanup_(secret_done) struct secret secret = { 0 };
	struct mark mark = node_mark(reader, node);
	const char *from = text, *found;
	while ((found = strstr(from, OPENING)) != NULL) {
		const char *name = found + strlen(OPENING), *end = strchr(name, '}');
		/* $${credential: stands for ${credential: itself. */
		bool escaped = found > from && found[-1] == '$';
		size_t literal = (size_t)(found - from) - escaped;
		int r = secret_append(&secret, from, literal);
		if (r == 0 && escaped)
			r = secret_append(&secret, OPENING, strlen(OPENING));
		if (r < 0)
			return r;
		from = name;
		if (escaped)
			continue;
		if (!end)
			return problem_add(reader, mark,
			        "%s: " OPENING " has no end: write " OPENING "NAME}", shown);
		_cleanup_(freep) char *copy = strndup(name, (size_t)(end - name));
		if (!copy)
			return -ENOMEM;
		r = append_credential(reader, shown, mark, copy, &secret);
		if (r <= 0)
			return r;
		from = end + 1;
		if (secret.length > CONFIG_STRING_MAX)
			break;
	}
	int r = secret_append(&secret, from, strlen(from));
	if (r < 0)
		return r;
	*ret_text = TAKE(secret.data, NULL);
	return 1;
}
