/* The whole macro dialect: clean-up attributes, container_of and small arithmetic. */
#ifndef QS_MACRO_H
#define QS_MACRO_H

#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include <quiesce/export.h>

#define _cleanup_(function)   __attribute__((cleanup(function)))
#define _printf_(text, first) __attribute__((__format__(__printf__, text, first)))
#define _unused_              __attribute__((unused))

/* For libquiesce-http too, which is built along with us and knows our structs. For nobody else. */
#define QS_SIBLING __attribute__((visibility("default")))

#define ARRAY_SIZE(array)                   (sizeof(array) / sizeof((array)[0]))
#define container_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))
#define MIN(a, b)                           ((a) < (b) ? (a) : (b))
#define MAX(a, b)                           ((a) > (b) ? (a) : (b))

/* Takes the value out of a variable and leaves `empty` there: hands ownership on. */
#define TAKE(variable, empty)                             \
	({                                                \
		__typeof__(variable) _taken = (variable); \
		(variable) = (empty);                     \
		_taken;                                   \
	})

#define CACHE_LINE 64

/*
 * Asks for lines of the cache that will be written. A macro: a function that does nothing else has
 * no effect in the eyes of gcc, which leaves out calls to it.
 */
#define PREFETCH_LINES(first, count)                                      \
	do {                                                              \
		const char *_line = (const char *)(first);                \
                                                                          \
		for (int _i = 0; _i < (count); _i++, _line += CACHE_LINE) \
			__builtin_prefetch(_line, 1);                     \
	} while (0)

static inline void freep(void *pointer)
{
	free(*(void **)pointer);
}

static inline void closep(const int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
}

#endif
