/* Where the daemon's files are: flags beat the environment, which beats the file, which beats
 * defaults. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/control.h"
#include "daemon/daemon_internal.h"
#include "daemon/log.h"

#define CONFIG_FILE      "/etc/quiesced/quiesced.yaml"
#define CONFIG_DIRECTORY "/etc/quiesced/conf.d"
#define FIRST_PASSED_FD  3

static const char *first_of(const char *a, const char *b, const char *c)
{
	return a ? a : b ? b : c;
}

static const char *variable(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

char *daemon_socket_path(const struct daemon *daemon, char *buffer, size_t size)
{
	const char *said = first_of(daemon->options.control_socket, variable("QUIESCED_SOCKET"),
	        daemon->config->control_socket);
	const char *runtime = variable("RUNTIME_DIRECTORY"), *session = variable("XDG_RUNTIME_DIR");

	if (said)
		snprintf(buffer, size, "%s", said);
	else if (runtime)
		snprintf(buffer, size, "%.*s/control.sock", (int)strcspn(runtime, ":"), runtime);
	else if (geteuid() == 0 || !session)
		snprintf(buffer, size, "/run/quiesced/control.sock");
	else
		snprintf(buffer, size, "%s/quiesced/control.sock", session);
	return buffer;
}

char *daemon_state_path(const struct daemon *daemon, char *buffer, size_t size)
{
	const char *passed = variable("STATE_DIRECTORY"), *own = variable("XDG_STATE_HOME");
	const char *home = variable("HOME");

	if (daemon->options.state_directory)
		snprintf(buffer, size, "%s", daemon->options.state_directory);
	else if (passed)
		snprintf(buffer, size, "%.*s", (int)strcspn(passed, ":"), passed);
	else if (daemon->config->state_directory)
		snprintf(buffer, size, "%s", daemon->config->state_directory);
	else if (geteuid() == 0 || (!own && !home))
		snprintf(buffer, size, "/var/lib/quiesced");
	else if (own)
		snprintf(buffer, size, "%s/quiesced", own);
	else
		snprintf(buffer, size, "%s/.local/state/quiesced", home);
	return buffer;
}

int daemon_read_config(const struct daemon_options *options, struct config **ret_config,
        struct config_errors *ret_errors)
{
	if (options->config_file)
		return config_read(options->config_file, NULL, ret_config, ret_errors);
	return config_read(CONFIG_FILE, CONFIG_DIRECTORY, ret_config, ret_errors);
}

void daemon_log_lines(enum log_level level, const char *text)
{
	while (text && *text) {
		size_t length = strcspn(text, "\n");

		log_event(level, &(struct log_fields){ 0 }, "%.*s", (int)length, text);
		text += length + (text[length] == '\n');
	}
}

int daemon_start_log(const struct daemon *daemon, const char *warnings)
{
	const struct log_options options = { .journal = daemon->notify.journal,
		.fd = STDERR_FILENO,
		.level = daemon->config->log_level,
		.max_line = daemon->config->log_max_line };

	log_set_bodies(daemon->config->log_bodies);
	int r = log_init(&options);
	if (r < 0)
		log_error("cannot set up the log: %s", strerror(-r));
	daemon_log_lines(LOG_LEVEL_WARNING, warnings);
	return r;
}

static void look_for_unclean_end(struct daemon *daemon)
{
	char when[QS_WALL_TEXT_SIZE] = "";
	int64_t pid = 0;
	uint64_t started_usec = 0;

	int r = state_find_unclean(&daemon->state, &pid, &started_usec);
	if (r < 0)
		log_warning("cannot look at how the last run ended: %s", strerror(-r));
	if (r > 0)
		log_event(LOG_LEVEL_WARNING, &(struct log_fields){ .event = LOG_UNCLEAN },
		        "the run that began %s (pid %lld) ended without a report",
		        started_usec ? qs_clock_format_wall(started_usec, when) : "earlier",
		        (long long)pid);
}

int daemon_open_state(struct daemon *daemon)
{
	char path[4096];

	int r = state_open(&daemon->state, daemon_state_path(daemon, path, sizeof(path)));
	if (r == -EWOULDBLOCK)
		log_error("state directory %s: another daemon uses it; give this one its own with "
		          "--state-dir",
		        path);
	else if (r < 0)
		log_error("state directory %s: %s; choose another with --state-dir", path,
		        strerror(-r));
	else
		look_for_unclean_end(daemon);
	return r;
}

/* Only the last component is made, and only where it is ours to make: below a runtime directory. */
static int make_parent(const char *path)
{
	_cleanup_(freep) char *parent = strdup(path);
	char *slash = parent ? strrchr(parent, '/') : NULL;

	if (!slash || slash == parent)
		return 0;
	*slash = '\0';
	return mkdir(parent, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

int daemon_open_control(struct daemon *daemon)
{
	char path[4096];
	bool passed = daemon->notify.listen_fds > 0;
	struct control_options options = {
		.path = passed ? NULL : daemon_socket_path(daemon, path, sizeof(path)),
		.group = daemon->config->control_group,
		.listen_fd = passed ? FIRST_PASSED_FD : -1,
	};

	int parent = passed ? 0 : make_parent(path);
	int r = control_new(daemon, &options, &daemon->control);
	/* That there is no directory is for a reason. */
	if (r == -ENOENT && parent < 0)
		r = parent;
	if (r == -EADDRINUSE)
		log_error("control socket %s: another daemon answers there; give this one its own "
		          "with "
		          "--control-socket",
		        options.path);
	else if (r < 0)
		log_error(
		        "control socket %s: %s", passed ? "passed by systemd" : path, strerror(-r));
	return r;
}

char *daemon_describe_control(const struct daemon *daemon, char *buffer, size_t size)
{
	char path[4096];

	if (daemon->notify.listen_fds > 0)
		snprintf(buffer, size, ", control socket from systemd");
	else
		snprintf(buffer, size, ", control socket %.120s",
		        daemon_socket_path(daemon, path, sizeof(path)));
	return buffer;
}
