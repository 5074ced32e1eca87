/* Files and the directory of files, before anybody looks at what is in them. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config_internal.h"

/* As much of a file as a configuration may have, and one byte more. */
int config_load_file(const char *name, char **ret_text, size_t *ret_size)
{
	_cleanup_(closep) int fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return -errno;
	_cleanup_(freep) char *text = malloc(CONFIG_FILE_MAX + 1);
	if (!text)
		return -ENOMEM;
	size_t size = 0;
	while (size <= CONFIG_FILE_MAX) {
		ssize_t r = read(fd, text + size, CONFIG_FILE_MAX + 1 - size);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		if (r == 0)
			break;
		size += (size_t)r;
	}
	*ret_text = TAKE(text, NULL);
	*ret_size = size;
	return 0;
}

static void closedirp(DIR **directory)
{
	if (*directory)
		(void)closedir(*directory);
}

struct names {
	char **items;
	size_t count, capacity;
};

static void names_done(struct names *names)
{
	strings_free(names->items);
}

/* Room for one more and the NULL at the end. */
static int names_reserve(struct names *names)
{
	if (names->count + 2 <= names->capacity)
		return 0;
	size_t capacity = MAX(names->capacity * 2, 8);
	char **items = realloc(names->items, capacity * sizeof(char *));
	if (!items)
		return -ENOMEM;
	items[names->count] = NULL;
	names->items = items;
	names->capacity = capacity;
	return 0;
}

static int names_append(struct names *names, const char *directory, const char *name)
{
	int r = names_reserve(names);
	if (r < 0)
		return r;
	size_t size = strlen(directory) + strlen(name) + 2;
	char *path = malloc(size);
	if (!path)
		return -ENOMEM;
	(void)snprintf(path, size, "%s/%s", directory, name);
	names->items[names->count++] = path;
	names->items[names->count] = NULL;
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool is_our_file(const char *name)
{
	size_t length = strlen(name);
	return name[0] != '.' && length > 5 && strcmp(name + length - 5, ".yaml") == 0;
}

int config_list_directory(const char *path, char ***ret_files)
{
	_cleanup_(closedirp) DIR *directory = opendir(path);
	if (!directory)
		return -errno;
	_cleanup_(names_done) struct names names = { 0 };
	int r = names_reserve(&names);
	while (r == 0) {
		errno = 0;
		const struct dirent *entry = readdir(directory);
		if (!entry && errno != 0)
			return -errno;
		if (!entry)
			break;
		if (is_our_file(entry->d_name))
			r = names_append(&names, path, entry->d_name);
	}
	if (r < 0)
		return r;
	if (names.count > 1)
		qsort(names.items, names.count, sizeof(char *), compare_names);
	*ret_files = TAKE(names.items, NULL);
	return 0;
}
