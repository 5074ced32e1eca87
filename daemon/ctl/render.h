/*
 * What stands in the daemon's JSON, as people read it. A field that is missing or of another type
 * than expected is "", 0 or nothing: an older or newer daemon can be looked at too.
 */
#ifndef QUIESCECTL_RENDER_H
#define QUIESCECTL_RENDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "daemon/ctl/style.h"

#define SPAN_TEXT_SIZE 48

const char *field_text(const json_t *object, const char *key);    /* "" */
double field_number(const json_t *object, const char *key);       /* 0 */
uint64_t field_unsigned(const json_t *object, const char *key);   /* 0 */
uint64_t field_wall_usec(const json_t *object, const char *key);  /* 0: none */
const json_t *field_array(const json_t *object, const char *key); /* NULL */

/* An RFC 3339 text in microseconds since 1970; 0: it is none. */
uint64_t wall_usec_parse(const char *text);

/* "12ms", "3.2s", "1min 30s", "2h 5min", "3d 4h": two units at most. Returns `buffer`. */
char *span_text(double seconds, char buffer[static SPAN_TEXT_SIZE]);

/* How long ago, or how far ahead, in one unit: "12s", "3min". "" for 0. Returns `buffer`. */
char *age_text(uint64_t wall_usec, char buffer[static SPAN_TEXT_SIZE]);
char *ahead_text(uint64_t wall_usec, char buffer[static SPAN_TEXT_SIZE]);

/* In local time, "" for 0. Returns `buffer`. */
char *clock_text(uint64_t wall_usec, bool date, char *buffer, size_t size);

enum tone state_tone(const char *state);
enum tone verdict_tone(const char *verdict);
enum tone phase_tone(const char *phase);
const char *state_symbol(const struct style *style, const char *state);

/* "3 stopped, 1 killed": the numbers of an object that are not 0, in its order. malloc'ed; NULL: no
 * memory. */
char *counts_text(const json_t *counts);

/* Appends to a text of a fixed size, with a separator if something stands there already. */
void text_join(char *text, size_t size, const char *separator, const char *format, ...)
        __attribute__((__format__(__printf__, 4, 5)));

#endif
