/* The report of a shutdown, as people read it. */
#ifndef QUIESCECTL_REPORT_H
#define QUIESCECTL_REPORT_H

#include <jansson.h>

#include "daemon/ctl/style.h"

/* One line to standard output. */
void report_print_summary(const struct style *style, const json_t *report);

#endif
