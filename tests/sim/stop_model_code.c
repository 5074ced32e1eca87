/*
 * The code of the stop event itself, with the model's steps in place of atomics, locks and
 * descriptors. Whatever stop.c includes comes first, so that only its own lines are changed.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <quiesce/clock.h>
#include <quiesce/stop.h>

#include "lib/alloc.h"
#include "lib/eventfd.h"
#include "lib/list.h"
#include "lib/macro.h"
#include "tests/sim/model.h"

#undef atomic_load_explicit
#undef atomic_store_explicit
#undef atomic_fetch_add_explicit
#undef atomic_exchange_explicit
#undef atomic_compare_exchange_strong
#undef atomic_compare_exchange_weak_explicit

#define atomic_load_explicit(object, order) (model_access(object, false), *(object))
#define atomic_store_explicit(object, value, order) \
	(model_access(object, true), (void)(*(object) = (value)))
#define atomic_fetch_add_explicit(object, value, order) \
	(model_access(object, true), (void)(*(object) += (value)))
#define atomic_exchange_explicit(object, value, order)      \
	({                                                  \
		model_access(object, true);                 \
		__typeof__(*(object) + 0) _was = *(object); \
		*(object) = (value);                        \
		_was;                                       \
	})
#define atomic_compare_exchange_strong(object, expected, value) \
	({                                                      \
		model_access(object, true);                     \
		bool _same = *(object) == *(expected);          \
		if (_same)                                      \
			*(object) = (value);                    \
		else                                            \
			*(expected) = *(object);                \
		_same;                                          \
	})
#define atomic_compare_exchange_weak_explicit(object, expected, value, success, failure) \
	atomic_compare_exchange_strong(object, expected, value)

#define pthread_mutex_lock(mutex)      model_lock(mutex)
#define pthread_mutex_unlock(mutex)    model_unlock(mutex)
#define pthread_cond_wait(cond, mutex) model_cond_wait(cond, mutex)
#define pthread_cond_broadcast(cond)   model_cond_broadcast(cond)
#define pthread_self()                 model_self()
#define sched_yield()                  (model_yield(), 0)
#define eventfd(count, flags)          model_eventfd((unsigned)(count))
#define eventfd_raise(fd)              model_raise(fd)
#define eventfd_lower(fd)              model_lower(fd)
#define qs_malloc(size)                model_malloc(size)
#define qs_calloc(count, size)         model_calloc(count, size)
#define qs_free(memory)                model_free(memory)
#define qs_freep                       model_freep

static inline void model_freep(void *pointer)
{
	model_free(*(void **)pointer);
}

#include "lib/stop.c"
