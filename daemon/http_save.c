/*
 * An answer becomes a file by way of a temporary one in the same directory, and a rename. Who reads
 * the file sees the old answer or the new one.
 */
#include "daemon/http_save.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <quiesce/fiber.h>

/* A fiber that yields goes on in the same turn a few hundred times: that makes 4 MiB a turn. */
#define PORTION (16U * 1024)

/* Mode of a file that anybody may read; the umask takes away what it takes away. */
#define MODE 0644

void http_save_done(struct http_save *save)
{
	if (save->fd >= 0)
		(void)close(TAKE(save->fd, -1));
	if (save->temporary[0])
		(void)unlinkat(save->directory_fd, save->temporary, 0);
	save->temporary[0] = '\0';
	if (save->directory_fd >= 0)
		(void)close(TAKE(save->directory_fd, -1));
}

/* The directory that the path is in. */
static int open_directory(const struct http_save_plan *plan)
{
	const char *slash = strrchr(plan->path, '/');
	char path[PATH_MAX];
	int length = slash ? (int)(slash - plan->path) + 1 : 0;
	int written = plan->path[0] == '/' || !plan->directory
	                      ? snprintf(path, sizeof(path), "./%.*s", length, plan->path)
	                      : snprintf(path, sizeof(path), "%s/%.*s", plan->directory, length,
	                                plan->path);

	if (written < 0 || (size_t)written >= sizeof(path))
		return -ENAMETOOLONG;
	const char *from = plan->path[0] == '/' ? path + 2 : path;
	int fd = open(from, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static const char *name_of(const struct http_save_plan *plan)
{
	const char *slash = strrchr(plan->path, '/');

	return slash ? slash + 1 : plan->path;
}

/* What a daemon that was killed has left behind is in nobody's way. */
static int create(struct http_save *save, const struct http_save_plan *plan)
{
	int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	char name[sizeof(save->temporary)];

	snprintf(name, sizeof(name), ".%.200s.%" PRIu64 ".tmp", name_of(plan), plan->id);
	if (unlinkat(save->directory_fd, name, 0) < 0 && errno != ENOENT)
		return -errno;
	save->fd = openat(save->directory_fd, name, flags, MODE);
	if (save->fd < 0)
		return -errno;
	memcpy(save->temporary, name, sizeof(name));
	return 0;
}

static int write_all(qs_task *self, int fd, const char *data, size_t size)
{
	int r = 0;

	while (r == 0 && size > 0) {
		ssize_t written = write(fd, data, MIN(size, (size_t)PORTION));
		if (written < 0 && errno != EINTR)
			return -errno;
		data += MAX(written, 0);
		size -= (size_t)MAX(written, 0);
		if (size > 0)
			r = qs_yield(self);
	}
	return r;
}

static int replace(struct http_save *save, const struct http_save_plan *plan)
{
	/* Some file systems tell only now that there was no room. */
	if (close(TAKE(save->fd, -1)) < 0)
		return -errno;
	if (renameat(save->directory_fd, save->temporary, save->directory_fd, name_of(plan)) < 0)
		return -errno;
	save->temporary[0] = '\0';
	return 0;
}

static int fail(const struct http_save_plan *plan, int error, char *problem, size_t size)
{
	if (error != -ECANCELED)
		snprintf(problem, size, "cannot save to %.150s: %s", plan->path, strerror(-error));
	return error;
}

int http_save(qs_task *self, struct http_save *save, const struct http_save_plan *plan,
        char *problem, size_t problem_size)
{
	int r = open_directory(plan);

	if (r < 0)
		return fail(plan, r, problem, problem_size);
	save->directory_fd = r;
	r = create(save, plan);
	if (r == 0)
		r = write_all(self, save->fd, plan->data, plan->size);
	if (r == 0)
		r = replace(save, plan);
	http_save_done(save);
	return r < 0 ? fail(plan, r, problem, problem_size) : 0;
}
