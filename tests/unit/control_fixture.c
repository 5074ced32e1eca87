/* A daemon's parts put together by hand, and clients as blunt as one needs. */
#include "tests/unit/control_fixture.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/un.h>

#include "daemon/log.h"

static const char fixture_workers[] =
        "workers:\n"
        "  steady: { exec: [sleep, '1000'] }\n"
        "  deaf: { exec: [sh, -c, \"trap '' TERM; echo up; while :; do sleep 1000; done\"] }\n"
        "  crash: { exec: [/nonexistent/program], essential: false }\n"
        "  brief: { when: once, exec: [sh, -c, 'exit 0'] }\n";

struct daemon served;
char directory[64], socket_path[96];
static pthread_t server_thread;
static size_t descriptors_before;
size_t clients_open;

size_t count_descriptors(void)
{
	DIR *open_ones = opendir("/proc/self/fd");
	size_t count = 0;

	while (readdir(open_ones))
		count++;
	closedir(open_ones);
	return count;
}

/* --- in the loop --- */

struct errand {
	void (*fn)(void *arg);
	void *arg;
	sem_t done;
};

static void run_errand(void *arg)
{
	struct errand *errand = arg;

	errand->fn(errand->arg);
	sem_post(&errand->done);
}

void in_loop(void (*fn)(void *arg), void *arg)
{
	struct errand errand = { .fn = fn, .arg = arg };

	sem_init(&errand.done, 0, 0);
	ck_assert_int_eq(qs_loop_post(served.loop, run_errand, &errand), 0);
	while (sem_wait(&errand.done) < 0)
		;
	sem_destroy(&errand.done);
}

void read_count(void *arg)
{
	*(unsigned *)arg = control_connections(served.control);
}

void await_connections(unsigned wanted)
{
	uint64_t deadline = qs_time_add(qs_time_now(), PATIENCE * QS_SEC);
	unsigned count;

	do {
		in_loop(read_count, &count);
	} while (count != wanted && qs_time_now() < deadline);
	ck_assert_uint_eq(count, wanted);
}

static void leave_loop(_unused_ void *arg)
{
	qs_loop_leave(served.loop);
}

static void *serve(_unused_ void *arg)
{
	qs_loop_run(served.loop);
	return NULL;
}

/* --- the server --- */

static void fixture_changed(_unused_ void *arg)
{
	control_consider(served.control);
}

static void fixture_readiness(_unused_ void *arg, _unused_ bool ready)
{
}

static void fixture_hold(_unused_ void *arg, bool held)
{
	fleet_hold(&served.fleet, held);
}

static void fixture_phase(_unused_ void *arg, _unused_ enum qs_phase phase)
{
	control_consider(served.control);
}

void write_file(const char *name, const char *text)
{
	FILE *out = fopen(name, "w");

	ck_assert_ptr_nonnull(out);
	ck_assert_int_ge(fputs(text, out), 0);
	ck_assert_int_eq(fclose(out), 0);
}

static void start_workers(void)
{
	const struct fleet_hooks hooks = { .readiness = fixture_readiness,
		.changed = fixture_changed };
	struct config_errors errors = { 0 };
	struct config *config = NULL;
	char file[96];

	snprintf(file, sizeof(file), "%s/q.yaml", directory);
	write_file(file, fixture_workers);
	ck_assert_int_eq(config_read(file, NULL, &config, &errors), 0);
	config_errors_done(&errors);
	ck_assert_int_eq(qs_reaper_new(&served.context,
	                         &(struct qs_reaper_options){ .subreaper = true }, &served.reaper),
	        0);
	ck_assert_int_eq(fleet_init(&served.fleet, &served.context, &served.root, served.reaper,
	                         &served.events, config, &hooks),
	        0);
	served.config = config;
	fleet_start(&served.fleet);
}

void start_server(const struct control_limits *limits)
{
	const struct qs_coordinator_hooks hooks = { .hold = fixture_hold, .phase = fixture_phase };
	const struct shutdown_plan plan = { 0, QS_SEC, QS_SEC, QS_SEC };
	struct control_options options = { .listen_fd = -1 };
	sigset_t child;

	log_set_level(LOG_LEVEL_ERROR);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	ck_assert_int_eq(pthread_sigmask(SIG_BLOCK, &child, NULL), 0);
	(void)signal(SIGPIPE, SIG_IGN);
	descriptors_before = count_descriptors();
	snprintf(directory, sizeof(directory), "/tmp/control-test.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	ck_assert_int_eq(chmod(directory, 0755), 0);
	snprintf(socket_path, sizeof(socket_path), "%s/s", directory);
	qs_clock_init(&served.clock);
	ck_assert_int_eq(qs_loop_new(&served.clock, &served.loop), 0);
	ck_assert_int_eq(qs_ledger_new(&served.ledger), 0);
	qs_context_init(&served.context, served.loop, served.ledger);
	qs_group_init(&served.root, &served.context, NULL);
	ck_assert_int_eq(qs_coordinator_init(&served.coordinator, &served.root, &plan, &hooks), 0);
	events_init(&served.events);
	ck_assert_int_eq(state_open(&served.state, directory), 0);
	served.started_at = qs_time_now();
	start_workers();
	options.path = socket_path;
	if (limits)
		options.limits = *limits;
	ck_assert_int_eq(control_new(&served, &options, &served.control), 0);
	ck_assert_int_eq(pthread_create(&server_thread, NULL, serve, NULL), 0);
}

void stop_thread(void)
{
	ck_assert_int_eq(qs_loop_post(served.loop, leave_loop, NULL), 0);
	ck_assert_int_eq(pthread_join(server_thread, NULL), 0);
}

/* Afterwards everything is as it was before. */
void stop_parts(void)
{
	char command[160];

	control_close(served.control, qs_time_add(qs_time_now(), QS_SEC));
	ck_assert_int_ne(access(socket_path, F_OK), 0);
	control_free(TAKE(served.control, NULL));
	fleet_hold(&served.fleet, true);
	qs_group_kill(&served.root, QS_CAUSE_SHUTDOWN);
	while (served.root.live > 0)
		(void)qs_loop_turn(served.loop, true);
	fleet_done(&served.fleet);
	qs_reaper_free(served.reaper);
	qs_coordinator_done(&served.coordinator);
	qs_ledger_free(served.ledger);
	qs_loop_free(served.loop);
	state_close(&served.state);
	ck_assert_uint_eq(count_descriptors(), descriptors_before + clients_open);
	snprintf(command, sizeof(command), "rm -r %s", directory);
	ck_assert_int_eq(system(command), 0);
}

void stop_server(void)
{
	stop_thread();
	stop_parts();
}

/* --- clients --- */

int dial_from(const char *own_path)
{
	const struct timeval patience = { .tv_sec = PATIENCE };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	if (own_path) {
		snprintf(address.sun_path, sizeof(address.sun_path), "%s", own_path);
		ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	}
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", socket_path);
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)), 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

int dial(void)
{
	return dial_from(NULL);
}

void say(int fd, const char *text)
{
	size_t size = strlen(text);

	ck_assert_int_eq(send(fd, text, size, MSG_NOSIGNAL), (ssize_t)size);
}

char heard[HEARD_MAX];
size_t heard_size;

bool hear(int fd, const char *until)
{
	heard_size = 0;
	heard[0] = '\0';
	while (heard_size < sizeof(heard) - 1) {
		if (until && strstr(heard, until))
			return true;
		ssize_t n =
		        recv(fd, heard + heard_size, until ? 1 : sizeof(heard) - 1 - heard_size, 0);
		if (n < 0)
			ck_assert_msg(
			        errno == ECONNRESET || errno == EPIPE, "recv: %s", strerror(errno));
		if (n <= 0)
			break;
		heard_size += (size_t)n;
		heard[heard_size] = '\0';
	}
	return !until;
}

int status_heard(void)
{
	int status = 0;

	return sscanf(heard, "HTTP/1.%*d %d", &status) == 1 ? status : 0;
}

const char *body_heard(void)
{
	const char *end = strstr(heard, "\r\n\r\n");

	return end ? end + 4 : "";
}

/* One request on a connection of its own; the status, and all that came in `heard`. */
int ask(const char *line)
{
	char text[512];
	int fd = dial();

	snprintf(text, sizeof(text), "%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
	        line);
	say(fd, text);
	ck_assert(hear(fd, NULL));
	close(fd);
	return status_heard();
}

/* Waits until the other side has closed, without reading. */
bool was_cut(int fd)
{
	struct pollfd poll_fd = { .fd = fd };

	return poll(&poll_fd, 1, PATIENCE * 1000) == 1 && (poll_fd.revents & POLLHUP);
}
