/* How each kind of wait is come to, and ended well. */
#include "tests/unit/fiber_wait_kinds.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <quiesce/event.h>
#include <quiesce/mailbox.h>
#include <quiesce/process.h>
#include <quiesce/semaphore.h>

#include "tests/unit/fiber_world.h"

struct scene scene;

/* --- sleep --- */

static void nothing(void)
{
}

static int wait_sleep(qs_task *self, uint64_t deadline)
{
	return qs_sleep(self, deadline == QS_FOREVER ? world_now() + QS_HOUR : deadline);
}

/* --- descriptors --- */

static void set_up_pipe(void)
{
	ck_assert_int_eq(pipe2(scene.fds, O_CLOEXEC | O_NONBLOCK), 0);
}

static void tear_down_pipe(void)
{
	close(scene.fds[0]);
	close(scene.fds[1]);
}

static void write_byte(void)
{
	ck_assert_int_eq(write(scene.fds[1], "x", 1), 1);
}

static int wait_readable(qs_task *self, uint64_t deadline)
{
	int r = qs_wait_fd(self, scene.fds[0], QS_FD_READABLE, deadline);

	return r == (int)QS_FD_READABLE ? 0 : r;
}

static int wait_reply(qs_task *self, uint64_t deadline)
{
	int r = qs_wait_fd(self, scene.fds[0], QS_FD_READABLE | QS_FD_IN_FLIGHT, deadline);

	return r == (int)QS_FD_READABLE ? 0 : r;
}

static void set_up_full_pipe(void)
{
	char page[4096] = { 0 };

	set_up_pipe();
	while (write(scene.fds[1], page, sizeof(page)) > 0)
		;
}

static void drain_pipe(void)
{
	char page[4096];

	while (read(scene.fds[0], page, sizeof(page)) > 0)
		;
}

static int wait_writable(qs_task *self, uint64_t deadline)
{
	int r = qs_wait_fd(self, scene.fds[1], QS_FD_WRITABLE, deadline);

	return r == (int)QS_FD_WRITABLE ? 0 : r;
}

/* --- stop events, events, semaphores --- */

static void set_up_stop(void)
{
	ck_assert_int_eq(qs_stop_new(NULL, &scene.stop), 0);
}

static void tear_down_stop(void)
{
	qs_stop_free(scene.stop);
}

static int wait_stop(qs_task *self, uint64_t deadline)
{
	return qs_wait_stop(self, scene.stop, deadline);
}

static void set_stop(void)
{
	const struct qs_stop_reason reason = { .cause = QS_CAUSE_API };

	ck_assert_int_eq(qs_stop_set(scene.stop, &reason), 1);
}

static void set_up_event(void)
{
	ck_assert_int_eq(qs_event_new(&scene.event), 0);
}

static void tear_down_event(void)
{
	qs_event_free(scene.event);
}

static int wait_event(qs_task *self, uint64_t deadline)
{
	return qs_event_wait(self, scene.event, deadline);
}

static void set_event(void)
{
	qs_event_set(scene.event);
}

static void set_up_semaphore(void)
{
	ck_assert_int_eq(qs_semaphore_new(0, &scene.semaphore), 0);
}

static void tear_down_semaphore(void)
{
	qs_semaphore_free(scene.semaphore);
}

int wait_semaphore(qs_task *self, uint64_t deadline)
{
	return qs_semaphore_acquire(self, scene.semaphore, deadline);
}

static void release(void)
{
	qs_semaphore_release(scene.semaphore);
}

/* --- mailboxes --- */

static char first_message[] = "first", message_sent[] = "message", second_message[] = "second";

static void count_dropped(void *message, void *arg)
{
	(void)message;
	++*(unsigned *)arg;
}

static void set_up_mailbox(void)
{
	const struct qs_mailbox_options options = { .drop = count_dropped, .arg = &scene.dropped };

	ck_assert_int_eq(qs_mailbox_new(&world.root, &options, &scene.mailbox), 0);
}

static void set_up_full_mailbox(void)
{
	set_up_mailbox();
	ck_assert_int_eq(qs_mailbox_post(scene.mailbox, first_message), 0);
}

static void tear_down_mailbox(void)
{
	qs_mailbox_close(scene.mailbox);
	qs_mailbox_remove_sender(scene.mailbox);
}

static int wait_receive(qs_task *self, uint64_t deadline)
{
	void *message = NULL;
	int r = qs_mailbox_receive(self, scene.mailbox, deadline, &message);

	if (r == 0)
		ck_assert_ptr_eq(message, message_sent);
	return r;
}

static void post(void)
{
	ck_assert_int_eq(qs_mailbox_post(scene.mailbox, message_sent), 0);
}

int wait_send(qs_task *self, uint64_t deadline)
{
	return qs_mailbox_send(self, scene.mailbox, second_message, deadline);
}

static int receive_one(qs_task *self, void *arg)
{
	void *message;

	(void)arg;
	return qs_mailbox_receive(self, scene.mailbox, QS_FOREVER, &message);
}

static void take_first(void)
{
	world_send_off(scene.other, receive_one, NULL);
	world_settle();
}

/* --- joins --- */

static int wait_at_gate(qs_task *self, void *arg)
{
	(void)arg;
	return qs_event_wait(self, scene.gate, QS_FOREVER);
}

static void set_up_children(void)
{
	ck_assert_int_eq(qs_event_new(&scene.gate), 0);
	for (int i = 0; i < 2; i++)
		scene.tasks[i] = world_spawn(scene.other, wait_at_gate, NULL);
}

static void open_gate(void)
{
	qs_event_set(scene.gate);
}

static void tear_down_children(void)
{
	open_gate();
	world_settle();
	for (int i = 0; i < 2; i++)
		if (scene.tasks[i])
			(void)world_result(scene.tasks[i]);
	qs_event_free(scene.gate);
}

static int wait_task(qs_task *self, uint64_t deadline)
{
	struct qs_result result;
	int r = qs_task_join(self, scene.tasks[0], deadline, &result);

	if (r == 0) {
		ck_assert_int_eq(result.verdict, QS_VERDICT_FINISHED);
		scene.tasks[0] = NULL;
	}
	return r;
}

static int wait_all(qs_task *self, uint64_t deadline)
{
	return qs_join_all(self, scene.tasks, 2, deadline, NULL);
}

static int wait_first(qs_task *self, uint64_t deadline)
{
	int r = qs_join_first(self, scene.tasks, 2, deadline, NULL);

	return r == 1 ? 0 : r;
}

static int wait_group(qs_task *self, uint64_t deadline)
{
	return qs_group_join(self, scene.other, deadline, NULL);
}

/* --- a child process --- */

static void set_up_process(void)
{
	static char shell[] = "sh", option[] = "-c", script[] = "while :; do sleep 60; done";
	char *argv[] = { shell, option, script, NULL };
	const struct qs_program program = { .argv = argv, .stop_signal = SIGKILL };

	ck_assert_int_eq(qs_spawn_process(scene.other, NULL, &program, &scene.tasks[0]), 0);
}

static void stop_process(void)
{
	qs_task_ask(scene.tasks[0], QS_CAUSE_API, QS_FOREVER);
}

static int wait_process(qs_task *self, uint64_t deadline)
{
	struct qs_result result;
	int r = qs_task_join(self, scene.tasks[0], deadline, &result);

	if (r == 0) {
		ck_assert_int_eq(result.outcome.type, QS_OUTCOME_SIGNAL);
		ck_assert_int_eq(result.outcome.value, SIGKILL);
		scene.tasks[0] = NULL;
	}
	return r;
}

static void tear_down_process(void)
{
	struct qs_result result;

	if (!scene.tasks[0])
		return;
	stop_process();
	while (qs_task_result(scene.tasks[0], &result) == -EINPROGRESS)
		(void)qs_loop_turn(world.loop, true);
}

/* --- HTTP --- */

static int keep_call(qs_http_call *call)
{
	static char transfer;

	ck_assert_ptr_null(scene.call);
	call->transfer = &transfer;
	scene.call = call;
	qs_http_call_reached(call, QS_HTTP_WAITING);
	return 0;
}

static void forget_call(qs_http_call *call)
{
	ck_assert_ptr_eq(scene.call, call);
	scene.call = NULL;
}

static void resume_call(qs_http_call *call)
{
	(void)call;
	ck_abort_msg("nothing was paused");
}

static void free_client(struct qs_http *http)
{
	qs_http_done(http);
}

static void set_up_http(void)
{
	static const struct qs_http_driver driver = {
		.add = keep_call,
		.resume = resume_call,
		.drop = forget_call,
		.free = free_client,
	};

	scene.http = (struct qs_http){ .driver = &driver, .loop = world.loop };
	ck_assert_int_eq(qs_http_init(&scene.http, &(struct qs_http_options){ 0 }), 0);
}

/* Nothing of a request that was given up may be left with the driver. */
static void tear_down_http(void)
{
	world_settle();
	ck_assert_ptr_null(scene.call);
	ck_assert_uint_eq(scene.http.active_count, 0);
	qs_http_free(&scene.http);
}

/* Who has given up has nobody left to be answered. */
static void answer_head(void)
{
	if (!scene.call)
		return;
	qs_http_call_status(scene.call, 200);
	ck_assert_int_eq(qs_http_call_header(scene.call, "A", 1, "b", 1), 0);
	ck_assert_int_eq(qs_http_call_head(scene.call), 0);
}

static void answer(void)
{
	qs_http_call *call = scene.call;

	if (!call)
		return;
	answer_head();
	ck_assert_int_eq(qs_http_call_data(call, "body", 4), 0);
	scene.call = NULL;
	call->transfer = NULL;
	qs_http_call_over(call, 0);
}

static const struct qs_http_request request = { .url = "http://api.example/" };

static int wait_answer(qs_task *self, uint64_t deadline)
{
	struct qs_http_response response;
	int r = qs_http_perform(self, &scene.http, &request, deadline, &response);

	ck_assert_int_eq(response.status, r == 0 ? 200 : 0);
	ck_assert_str_eq(response.body, r == 0 ? "body" : "");
	ck_assert_str_eq(response.host, "api.example");
	qs_http_response_done(&response);
	return r;
}

static int wait_head(qs_task *self, uint64_t deadline)
{
	struct qs_http_response response;
	qs_http_stream *stream;
	int r = qs_http_open(self, &scene.http, &request, deadline, &response, &stream);

	ck_assert_int_eq(response.status, r == 0 ? 200 : 0);
	qs_http_response_done(&response);
	return r;
}

static qs_http_stream *stream_of_others;

static int begin_stream(qs_http_call *call, const struct qs_http_response *response, void *arg)
{
	(void)response;
	(void)arg;
	return qs_http_stream_new(call, &stream_of_others);
}

static int no_data(qs_http_call *call, const void *data, size_t size, void *arg)
{
	(void)call, (void)data, (void)size, (void)arg;
	return -EIO;
}

static void set_up_stream(void)
{
	const struct qs_http_handlers handlers = { .head = begin_stream, .data = no_data };
	qs_http_call *call;

	set_up_http();
	ck_assert_int_eq(
	        qs_http_start(&scene.http, &request, QS_FOREVER, &handlers, NULL, &call), 0);
	world_settle();
	answer_head();
}

static void tear_down_stream(void)
{
	qs_http_close(stream_of_others);
	tear_down_http();
}

static int wait_bytes(qs_task *self, uint64_t deadline)
{
	char buffer[16];
	ssize_t size = qs_http_read(self, stream_of_others, buffer, sizeof(buffer), deadline);

	return size == 4 ? 0 : (int)size;
}

static void answer_data(void)
{
	ck_assert_int_eq(qs_http_call_data(scene.call, "body", 4), 0);
}

const struct kind kinds[KINDS] = {
	{ "sleep", true, false, nothing, wait_sleep, NULL, nothing },
	{ "readable", true, false, set_up_pipe, wait_readable, write_byte, tear_down_pipe },
	{ "reply", false, false, set_up_pipe, wait_reply, write_byte, tear_down_pipe },
	{ "writable", false, false, set_up_full_pipe, wait_writable, drain_pipe, tear_down_pipe },
	{ "stop event", true, false, set_up_stop, wait_stop, set_stop, tear_down_stop },
	{ "event", true, false, set_up_event, wait_event, set_event, tear_down_event },
	{ "semaphore", true, false, set_up_semaphore, wait_semaphore, release,
	        tear_down_semaphore },
	{ "receive", true, false, set_up_mailbox, wait_receive, post, tear_down_mailbox },
	{ "send", false, false, set_up_full_mailbox, wait_send, take_first, tear_down_mailbox },
	{ "join", false, false, set_up_children, wait_task, open_gate, tear_down_children },
	{ "join all", false, false, set_up_children, wait_all, open_gate, tear_down_children },
	{ "join first", false, false, set_up_children, wait_first, open_gate, tear_down_children },
	{ "join group", false, false, set_up_children, wait_group, open_gate, tear_down_children },
	{ "HTTP answer", false, false, set_up_http, wait_answer, answer, tear_down_http },
	{ "HTTP head", false, false, set_up_http, wait_head, answer_head, tear_down_http },
	{ "HTTP stream", false, false, set_up_stream, wait_bytes, answer_data, tear_down_stream },
	{ "process", false, true, set_up_process, wait_process, stop_process, tear_down_process },
};
