/* The command line of quiescectl. */
#ifndef QUIESCECTL_OPTIONS_H
#define QUIESCECTL_OPTIONS_H

#include <quiesce/export.h>

#include "daemon/ctl/ctl.h"

/* Fills in the options; pointers are into argv. -EINVAL: it is wrong, and has been told. */
QS_MUST_CHECK int options_parse(int argc, char **argv, struct options *ret_options);

#endif
