/*
 * What systemd passes on is read by libsystemd. What goes back to it is sent by ourselves:
 * sd_notify waits for as long as the manager does not read, which a shutdown that has to be over by
 * a deadline, and a guard that watches a stuck loop, cannot afford.
 */
#include "lib/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>

#include <quiesce/clock.h>
#include <systemd/sd-daemon.h>

#include "lib/macro.h"
#include "lib/utf8.h"

#define STATUS_MAX    512
#define MESSAGE_MAX   (STATUS_MAX + 64)
#define PATIENCE_USEC 5000

/* --- what comes from the manager --- */

static void make_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);
	if (flags >= 0)
		(void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

/* "DEVICE:INODE" of the stream that was connected to standard error; it may have been redirected
 * since. */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat status;
	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
	       fstat(STDERR_FILENO, &status) == 0 && status.st_dev == (dev_t)device &&
	       status.st_ino == (ino_t)inode;
}

static const char *manager_path(void)
{
	const char *path = getenv("NOTIFY_SOCKET");
	return path && (path[0] == '/' || path[0] == '@') && path[1] != '\0' ? path : NULL;
}

void qs_notify_init(struct qs_notify *notify)
{
	uint64_t usec = 0;
	int watched = sd_watchdog_enabled(0, &usec);
	int passed = sd_listen_fds(0);
	*notify = (struct qs_notify){
		.watchdog = watched > 0 && usec < QS_FOREVER / QS_USEC ? usec * QS_USEC : 0,
		.listen_fds = MAX(passed, 0),
		.managed = manager_path() != NULL,
		.journal = stderr_is_journal(),
	};
	for (int i = 0; i < notify->listen_fds; i++)
		make_nonblocking(SD_LISTEN_FDS_START + i);
}

char *qs_notify_fd_name(int index, char *buffer, size_t size)
{
	const char *name = getenv("LISTEN_FDNAMES");
	for (; name && index > 0; index--) {
		name = strchr(name, ':');
		name = name ? name + 1 : NULL;
	}
	snprintf(buffer, size, "%.*s", name ? (int)strcspn(name, ":") : 0, name ? name : "");
	return buffer;
}

/* --- what goes to the manager --- */

static int connect_to(const char *path, int fd)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t length = strlen(path);
	if (length >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, length);
	if (path[0] == '@')
		address.sun_path[0] = '\0';
	socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
	return connect(fd, (const struct sockaddr *)&address, size) < 0 ? -errno : 0;
}

static int tell(const char *message, bool patient)
{
	const char *path = manager_path();
	if (!path)
		return 0;
	_cleanup_(closep) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	int r = connect_to(path, fd);
	if (r < 0)
		return r;
	const struct timeval patience = { .tv_usec = PATIENCE_USEC };
	if (patient && setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0)
		return -errno;
	ssize_t sent;
	do
		sent = send(
		        fd, message, strlen(message), MSG_NOSIGNAL | (patient ? 0 : MSG_DONTWAIT));
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

/* A newline in it would begin a field of its own. */
static void sanitise(char *text)
{
	text[qs_utf8_cut(text, strlen(text), STATUS_MAX - 1)] = '\0';
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = ' ';
}

static int tell_status(const char *state, const char *status, bool patient)
{
	char text[STATUS_MAX + 1] = "", message[MESSAGE_MAX];
	if (status)
		snprintf(text, sizeof(text), "%s", status);
	sanitise(text);
	snprintf(message, sizeof(message), "%s%s%s", state, status ? "STATUS=" : "", text);
	return tell(message, patient);
}

int qs_notify_ready(const char *status)
{
	return tell_status("READY=1\n", status, true);
}

int qs_notify_status(const char *status)
{
	return tell_status("", status, false);
}

int qs_notify_reloading(void)
{
	char message[MESSAGE_MAX];
	snprintf(message, sizeof(message), "RELOADING=1\nMONOTONIC_USEC=%ju",
	        (uintmax_t)(qs_time_now() / QS_USEC));
	return tell(message, true);
}

int qs_notify_stopping(const char *status)
{
	return tell_status("STOPPING=1\n", status, true);
}

int qs_notify_extend(uint64_t span)
{
	char message[MESSAGE_MAX];
	snprintf(message, sizeof(message), "EXTEND_TIMEOUT_USEC=%ju", (uintmax_t)(span / QS_USEC));
	return tell(message, false);
}

int qs_notify_watchdog(void)
{
	return tell("WATCHDOG=1", false);
}
