/* Files are written under another name and renamed; the directory is one run's at a time. */
#include "daemon/ctl/batch_output.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <unistd.h>

#include "daemon/ctl/client.h"
#include "daemon/ctl/render.h"
#include "lib/macro.h"

#define ABOUT  ".batch.json"
#define FAILED "failed.jsonl"

/* --- files --- */

static int write_all(int fd, const char *data, size_t size)
{
	while (size > 0) {
		ssize_t n = write(fd, data, size);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			data += n;
			size -= (size_t)n;
		}
	}
	return 0;
}

static int sync_file(int fd)
{
	while (fsync(fd) < 0)
		if (errno != EINTR)
			return errno == EINVAL || errno == EROFS ? 0 : -errno;
	return 0;
}

static int write_file(int directory, const char *name, const void *data, size_t size)
{
	char temporary[BATCH_NAME_SIZE + 32];
	int fd, r;

	snprintf(temporary, sizeof(temporary), ".%s.tmp", name);
	fd = openat(directory, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd < 0)
		return -errno;
	r = write_all(fd, data, size);
	if (r == 0)
		r = sync_file(fd);
	if (close(fd) < 0 && r == 0 && errno != EINTR)
		r = -errno;
	if (r == 0 && renameat(directory, temporary, directory, name) < 0)
		r = -errno;
	if (r < 0)
		(void)unlinkat(directory, temporary, 0);
	return r;
}

/* --- answers --- */

static const char *extension_of(const char *type)
{
	static const struct {
		const char *type, *extension;
	} known[] = {
		{ "application/json", "json" },
		{ "application/x-ndjson", "jsonl" },
		{ "application/pdf", "pdf" },
		{ "application/xml", "xml" },
		{ "application/zip", "zip" },
		{ "audio/mpeg", "mp3" },
		{ "audio/ogg", "ogg" },
		{ "audio/wav", "wav" },
		{ "image/gif", "gif" },
		{ "image/jpeg", "jpg" },
		{ "image/png", "png" },
		{ "image/svg+xml", "svg" },
		{ "image/webp", "webp" },
		{ "text/csv", "csv" },
		{ "text/event-stream", "events" },
		{ "text/html", "html" },
		{ "text/plain", "txt" },
		{ "text/xml", "xml" },
		{ "video/mp4", "mp4" },
	};
	size_t size = strcspn(type, "; ");

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strlen(known[i].type) == size && strncasecmp(known[i].type, type, size) == 0)
			return known[i].extension;
	return size > 5 && strncasecmp(type + size - 5, "+json", 5) == 0 ? "json" : "bin";
}

int batch_output_save(const struct batch_output *output, const char *name, const char *type,
        const void *data, size_t size)
{
	char file[BATCH_NAME_SIZE + 8];

	snprintf(file, sizeof(file), "%s.%s", name, extension_of(type));
	return write_file(output->fd, file, data, size);
}

int batch_output_fail(struct batch_output *output, const struct batch_line *line, json_t *problem)
{
	_cleanup_(json_freep) json_t *entry = json_pack("{s:I, s:s, s:O}", "line",
	        (json_int_t)line->number, "name", line->name, "problem", problem);
	_cleanup_(freep) char *text = entry ? json_dumps(entry, JSON_COMPACT) : NULL;
	off_t before = lseek(output->failed_fd, 0, SEEK_END);
	size_t size;
	int r;

	if (!text)
		return -ENOMEM;
	size = strlen(text);
	text[size] = '\n'; /* in the place of the NUL: it is no text from here on */
	r = write_all(output->failed_fd, text, size + 1);
	if (r < 0 && before >= 0)
		(void)!ftruncate(output->failed_fd, before);
	return r;
}

/* --- the directory --- */

static enum ctl_status tell(const char *path, const char *what, int error)
{
	ctl_complain("%s%s%s: %s", path, *what ? "/" : "", what, strerror(-error));
	return CTL_FAILURE;
}

static int open_directory(struct batch_output *output)
{
	if (mkdir(output->path, 0777) < 0 && errno != EEXIST)
		return -errno;
	output->fd = open(output->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (output->fd < 0)
		return -errno;
	return flock(output->fd, LOCK_EX | LOCK_NB) < 0 ? -errno : 0;
}

/* An answer, or what an answer that was never finished has left. Returns 1 for the former. */
static int look_at(struct batch_output *output, const char *file, bool own)
{
	char name[NAME_MAX + 1];
	size_t size = strlen(file);
	unsigned before;
	char *dot;
	int r;

	if (*file == '.') {
		if (own && size > 4 && strcmp(file + size - 4, ".tmp") == 0)
			(void)unlinkat(output->fd, file, 0);
		return 0;
	}
	if (strcmp(file, FAILED) == 0)
		return 0;
	snprintf(name, sizeof(name), "%s", file);
	dot = strrchr(name, '.');
	if (dot)
		*dot = '\0';
	r = batch_names_mark(&output->names, name, NAME_ANSWERED, &before);
	return r < 0 ? r : 1;
}

/* How many answers there are. In a directory that is a batch's own it cleans up. */
static int64_t look_through(struct batch_output *output, bool own)
{
	int fd = fcntl(output->fd, F_DUPFD_CLOEXEC, 3), r = 0;
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	int64_t count = 0;

	if (!directory) {
		r = -errno;
		if (fd >= 0)
			close(fd);
		return r;
	}
	while (r >= 0 && (entry = readdir(directory))) {
		r = look_at(output, entry->d_name, own);
		count += r > 0;
	}
	closedir(directory);
	return r < 0 ? r : count;
}

/* The failures of the run before are all tried again, so the file begins anew. */
static int open_failed(struct batch_output *output)
{
	char buffer[65536];
	ssize_t n;

	output->failed_fd =
	        openat(output->fd, FAILED, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (output->failed_fd < 0)
		return -errno;
	while ((n = read(output->failed_fd, buffer, sizeof(buffer))) > 0)
		for (ssize_t i = 0; i < n; i++)
			output->failed_before += buffer[i] == '\n';
	return n < 0 || ftruncate(output->failed_fd, 0) < 0 ? -errno : 0;
}

/* --- which batch it is of --- */

static json_t *read_about(const struct batch_output *output)
{
	int fd = openat(output->fd, ABOUT, O_RDONLY | O_CLOEXEC);
	json_t *about = fd < 0 ? NULL : json_loadfd(fd, 0, NULL);

	if (fd >= 0)
		close(fd);
	return about;
}

static int write_about(
        const struct batch_output *output, const char *worker, const struct batch_input *input)
{
	_cleanup_(json_freep) json_t *about = json_pack("{s:i, s:s, s:s, s:I}", "version", 1,
	        "worker", worker, "sha256", input->digest, "lines", (json_int_t)input->lines);
	_cleanup_(freep) char *text = about ? json_dumps(about, JSON_INDENT(2)) : NULL;

	return text ? write_file(output->fd, ABOUT, text, strlen(text)) : -ENOMEM;
}

/* NULL: it is this batch, as it was. */
static const char *find_difference(
        const json_t *about, int64_t answers, const char *worker, const struct batch_input *input)
{
	if (!about)
		return answers > 0 ? "there are files in it, and none says of which batch" : NULL;
	if (strcmp(field_text(about, "worker"), worker) != 0)
		return "its answers are another worker's";
	if (strcmp(field_text(about, "sha256"), input->digest) != 0)
		return "the file of the batch has changed since: what is answered may be other "
		       "lines";
	return NULL;
}

static enum ctl_status settle(struct batch_output *output, const struct options *options,
        const char *worker, const struct batch_input *input)
{
	_cleanup_(json_freep) json_t *about = read_about(output);
	int64_t answers = look_through(output, about != NULL);
	const char *difference;
	int r;

	if (answers < 0)
		return tell(output->path, "", (int)answers);
	difference = find_difference(about, answers, worker, input);
	if (difference && !options->force) {
		ctl_complain("%s: %s; take another directory, or --force to go on in it",
		        output->path, difference);
		return CTL_REFUSED;
	}
	if (!about || difference) {
		r = write_about(output, worker, input);
		if (r < 0)
			return tell(output->path, ABOUT, r);
	}
	r = open_failed(output);
	return r < 0 ? tell(output->path, FAILED, r) : CTL_OK;
}

enum ctl_status batch_output_open(struct batch_output *output, const struct options *options,
        const char *worker, const struct batch_input *input)
{
	int r;

	*output = (struct batch_output){ .path = options->out, .fd = -1, .failed_fd = -1 };
	r = open_directory(output);
	if (r == -EWOULDBLOCK) {
		ctl_complain("%s: another run is at work there", output->path);
		return CTL_REFUSED;
	}
	return r < 0 ? tell(output->path, "", r) : settle(output, options, worker, input);
}

void batch_output_close(struct batch_output *output)
{
	if (output->failed_fd >= 0)
		close(output->failed_fd);
	if (output->fd >= 0)
		close(output->fd);
	batch_names_done(&output->names);
}
