/* One character of UTF-8 at a time, for all that shows foreign bytes to people or puts them into
 * JSON. Pure. */
#ifndef QS_UTF8_H
#define QS_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/*
 * The length of the well-formed character that `data` begins with: 1 to 4. 0: it begins with none.
 * -1: the end of the data cuts off what may still become one.
 */
int qs_utf8_next(const char *data, size_t size);

/* Whether a well-formed character steers terminals instead of being shown: C0 with tab, DEL, C1. */
bool qs_utf8_is_control(const char *character);

/*
 * The length of the longest prefix of at most `limit` bytes that ends at a character's edge; where
 * there are no characters, `limit`.
 */
size_t qs_utf8_cut(const char *text, size_t size, size_t limit);

#endif
