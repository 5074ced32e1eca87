/* The stop event, for who polls so often that a call is too much. */
#ifndef QS_LIB_STOP_H
#define QS_LIB_STOP_H

#include <stdatomic.h>
#include <stdint.h>

#include <quiesce/stop.h>

/* How many events of its tree have been set so far: 0 means that none is. As long as the tree. */
const _Atomic uint64_t *qs_stop_sets(const qs_stop *stop);

#endif
