/* Runtimes and other threads: who may speak to one from outside, and that nothing is left of it. */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <quiesce/clock.h>
#include <quiesce/fiber.h>
#include <quiesce/runtime.h>
#include <quiesce/step.h>
#include <quiesce/thread.h>

#include "lib/macro.h"
#include "lib/runtime.h"
#include "tests/unit/budget.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

#define CYCLES  50
#define WARM_UP 10 /* cycles until caches of the C library are full */
#define FIBERS  500
#define STEPS   490
#define THREADS 10

/* --- every allocation of the process is counted, those of the C library too --- */

static _Atomic long allocations;

#ifndef SANITIZED
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void __libc_free(void *memory);

QS_EXPORT void *malloc(size_t size)
{
	void *memory = __libc_malloc(size);

	allocations += memory != NULL;
	return memory;
}

QS_EXPORT void *calloc(size_t count, size_t size)
{
	void *memory = __libc_calloc(count, size);

	allocations += memory != NULL;
	return memory;
}

QS_EXPORT void *realloc(void *memory, size_t size)
{
	void *moved = __libc_realloc(memory, size);

	allocations += !memory && moved;
	return moved;
}

QS_EXPORT void free(void *memory)
{
	allocations -= memory != NULL;
	__libc_free(memory);
}
#endif

static const struct qs_runtime_options quiet = { .keep_quiet = true };

static qs_runtime *make(const struct qs_runtime_options *options)
{
	qs_runtime *runtime;

	ck_assert_int_eq(qs_runtime_new_with(options, &runtime), 0);
	return runtime;
}

static int sleep_for_ever(qs_task *self, void *arg)
{
	(void)arg;
	return qs_sleep(self, QS_FOREVER);
}

static int wait_as_step(qs_task *self, void *arg, unsigned why)
{
	(void)self;
	(void)arg;
	return why & QS_STEP_STOP ? QS_STEP_DONE : QS_STEP_WAIT;
}

static int wait_in_thread(qs_task *self, void *arg)
{
	(void)arg;
	return qs_thread_wait(self, QS_FOREVER);
}

static void spawn_sleeper(qs_runtime *runtime)
{
	ck_assert_int_eq(qs_spawn_fiber(qs_root(runtime), NULL, sleep_for_ever, NULL, NULL), 0);
}

static void shut_down_later(void *arg)
{
	ck_assert_int_eq(qs_shutdown(arg, "a post"), 0);
}

/* --- from outside --- */

#define POSTERS      4
#define POSTS        2000
#define POSTS_IN_ALL (POSTERS * POSTS)

struct poster {
	pthread_t thread;
	qs_runtime *runtime;
	unsigned posted, run; /* the second by the loop */
};

static unsigned runs;

struct post {
	struct poster *poster;
	unsigned number;
};

static void take_post(void *arg)
{
	struct post *post = arg;

	ck_assert_uint_eq(post->number, post->poster->run++);
	free(post);
	runs++;
}

static void *post_many(void *arg)
{
	struct poster *poster = arg;

	for (; poster->posted < POSTS; poster->posted++) {
		struct post *post = malloc(sizeof(*post));

		*post = (struct post){ poster, poster->posted };
		ck_assert_int_eq(qs_post(poster->runtime, take_post, post), 0);
	}
	return NULL;
}

static int wait_for_posts(qs_task *self, void *arg)
{
	(void)arg;
	while (runs < POSTS_IN_ALL)
		(void)qs_sleep(self, qs_in(self, QS_MSEC));
	return 0;
}

START_TEST(posts_of_several_threads_all_run_each_in_its_order)
{
	_cleanup_(qs_runtime_freep) qs_runtime *runtime = make(&quiet);
	struct poster posters[POSTERS] = { 0 };

	ck_assert_int_eq(qs_spawn_fiber(qs_root(runtime), NULL, wait_for_posts, NULL, NULL), 0);
	for (int i = 0; i < POSTERS; i++) {
		posters[i].runtime = runtime;
		ck_assert_int_eq(
		        pthread_create(&posters[i].thread, NULL, post_many, &posters[i]), 0);
	}
	ck_assert_int_eq(qs_run(runtime), 0);
	for (int i = 0; i < POSTERS; i++) {
		ck_assert_int_eq(pthread_join(posters[i].thread, NULL), 0);
		ck_assert_uint_eq(posters[i].run, POSTS);
	}
}
END_TEST

static void *shut_down_from_outside(void *arg)
{
	ck_assert_int_eq(qs_shutdown(arg, "another thread"), 0);
	return NULL;
}

START_TEST(a_shutdown_may_come_from_any_thread)
{
	_cleanup_(qs_runtime_freep) qs_runtime *runtime = make(&quiet);
	pthread_t threads[POSTERS];

	spawn_sleeper(runtime);
	for (int i = 0; i < POSTERS; i++)
		ck_assert_int_eq(
		        pthread_create(&threads[i], NULL, shut_down_from_outside, runtime), 0);
	int status = qs_run(runtime);
	/* How far the requests have pushed the phase is a matter of luck. */
	ck_assert(status == 0 || status == 150 || status == 151);
	for (int i = 0; i < POSTERS; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
}
END_TEST

struct neighbour {
	pthread_t thread;
	pthread_barrier_t *made;
	qs_runtime *runtime;
	bool stopped;
	int status;
	unsigned laps;
};

static int run_laps(qs_task *self, void *arg)
{
	struct neighbour *neighbour = arg;

	while (!qs_stopping(self) && neighbour->laps < 1000) {
		neighbour->laps++;
		(void)qs_yield(self);
	}
	return 0;
}

static int yield_as_step(qs_task *self, void *arg, unsigned why)
{
	(void)arg;
	if (!(why & QS_STEP_FIRST))
		return QS_STEP_DONE;
	qs_step_again(self, 0);
	return QS_STEP_WAIT;
}

static void *live_beside(void *arg)
{
	const struct qs_runtime_options options = { .keep_quiet = true, .keep_signals = true };
	struct neighbour *neighbour = arg;

	neighbour->runtime = make(&options);
	pthread_barrier_wait(neighbour->made);
	for (int i = 0; i < 10; i++)
		ck_assert_int_eq(qs_spawn_fiber(qs_root(neighbour->runtime), NULL,
		                         neighbour->stopped ? sleep_for_ever : run_laps, arg, NULL),
		        0);
	ck_assert_int_eq(qs_spawn_step(qs_root(neighbour->runtime), NULL,
	                         neighbour->stopped ? wait_as_step : yield_as_step, NULL, NULL),
	        0);
	if (neighbour->stopped)
		ck_assert_int_eq(
		        qs_post(neighbour->runtime, shut_down_later, neighbour->runtime), 0);
	neighbour->status = qs_run(neighbour->runtime);
	qs_runtime_free(neighbour->runtime);
	return NULL;
}

START_TEST(two_runtimes_in_two_threads_know_nothing_of_each_other)
{
	pthread_barrier_t made;
	struct neighbour one = { .made = &made, .stopped = true }, other = { .made = &made };

	ck_assert_int_eq(pthread_barrier_init(&made, NULL, 2), 0);
	ck_assert_int_eq(pthread_create(&one.thread, NULL, live_beside, &one), 0);
	ck_assert_int_eq(pthread_create(&other.thread, NULL, live_beside, &other), 0);
	ck_assert_int_eq(pthread_join(one.thread, NULL), 0);
	ck_assert_int_eq(pthread_join(other.thread, NULL), 0);
	ck_assert_int_eq(one.status, 0);
	ck_assert_int_eq(other.status, 0);
	ck_assert_uint_eq(other.laps, 1000);
	pthread_barrier_destroy(&made);
}
END_TEST

/* --- what is left --- */

struct state {
	int descriptors, threads, mappings;
	long allocations;
};

static int count_lines(const char *path)
{
	FILE *file = fopen(path, "re");
	int count = 0, c;

	ck_assert_ptr_nonnull(file);
	while ((c = getc(file)) != EOF)
		count += c == '\n';
	fclose(file);
	return count;
}

static int count_threads(void)
{
	DIR *directory = opendir("/proc/self/task");
	int count = 0;

	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

static struct state look(void)
{
	return (struct state){ .descriptors = open_descriptors(),
		.threads = count_threads(),
		.mappings = count_lines("/proc/self/maps"),
		.allocations = allocations };
}

static int wait_for_call(qs_task *self, void *arg)
{
	return qs_call_blocking(self, NULL, wait_in_thread, arg, QS_FOREVER);
}

static void one_cycle(void)
{
	qs_runtime *runtime = make(&quiet);
	qs_group *root = qs_root(runtime);

	for (int i = 0; i < FIBERS; i++)
		spawn_sleeper(runtime);
	for (int i = 0; i < STEPS; i++)
		ck_assert_int_eq(qs_spawn_step(root, NULL, wait_as_step, NULL, NULL), 0);
	for (int i = 0; i < THREADS / 2; i++) {
		ck_assert_int_eq(qs_spawn_thread(root, NULL, wait_in_thread, NULL, NULL), 0);
		ck_assert_int_eq(qs_spawn_fiber(root, NULL, wait_for_call, NULL, NULL), 0);
	}
	ck_assert_uint_eq(qs_live(runtime), FIBERS + STEPS + THREADS);
	ck_assert_int_eq(qs_post(runtime, shut_down_later, runtime), 0);
	ck_assert_int_eq(qs_run(runtime), 0);
	qs_runtime_free(runtime);
}

START_TEST(fifty_runtimes_with_a_thousand_tasks_leave_nothing)
{
	struct state before = { 0 }, after;

	/* An arena for each thread would come and go as the C library likes. */
	mallopt(M_ARENA_MAX, 1);
	for (int i = 0; i < CYCLES; i++) {
		if (i == WARM_UP)
			before = look();
		one_cycle();
	}
	after = look();
	ck_assert_int_eq(after.descriptors, before.descriptors);
	ck_assert_int_eq(after.threads, before.threads);
	/* The C library keeps some stacks of threads, now more of them and now fewer. */
#ifndef SANITIZED
	ck_assert_int_lt(after.mappings, before.mappings + CYCLES / 4);
#endif
	ck_assert_int_lt(after.allocations, before.allocations + CYCLES / 4);
}
END_TEST

START_TEST(wherever_memory_ends_nothing_is_left_of_a_runtime)
{
	qs_runtime *runtime;
	int r = -ENOMEM, descriptors = 0, rounds = 0;

	for (; r < 0; rounds++) {
		if (rounds == 1)
			descriptors = open_descriptors();
		budget = rounds;
		r = qs_runtime_new_with(&quiet, &runtime);
		budget = -1;
		ck_assert(r == 0 || r == -ENOMEM);
		if (r < 0 && rounds >= 1)
			ck_assert_int_eq(open_descriptors(), descriptors);
	}
	ck_assert_int_gt(rounds, 10);
	qs_runtime_free(runtime);
}
END_TEST

static TCase *tests_from_outside(void)
{
	TCase *tcase = tcase_create("outside");

	tcase_add_test(tcase, posts_of_several_threads_all_run_each_in_its_order);
	tcase_add_test(tcase, a_shutdown_may_come_from_any_thread);
	tcase_add_test(tcase, two_runtimes_in_two_threads_know_nothing_of_each_other);
	return tcase;
}

static TCase *tests_of_what_is_left(void)
{
	TCase *tcase = tcase_create("left");

	tcase_set_timeout(tcase, 100);
	tcase_add_test(tcase, fifty_runtimes_with_a_thousand_tasks_leave_nothing);
	tcase_add_test(tcase, wherever_memory_ends_nothing_is_left_of_a_runtime);
	return tcase;
}

int main(void)
{
	Suite *suite = suite_create("runtime_threads");
	SRunner *runner;
	int failed;

	suite_add_tcase(suite, tests_from_outside());
	suite_add_tcase(suite, tests_of_what_is_left());
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
