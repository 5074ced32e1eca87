/* All of libquiesce. What each part is for stands at the top of its header. */
#ifndef QUIESCE_QUIESCE_H
#define QUIESCE_QUIESCE_H

#include <quiesce/clock.h>
#include <quiesce/event.h>
#include <quiesce/fiber.h>
#include <quiesce/group.h>
#include <quiesce/inspect.h>
#include <quiesce/mailbox.h>
#include <quiesce/process.h>
#include <quiesce/runtime.h>
#include <quiesce/semaphore.h>
#include <quiesce/sim.h>
#include <quiesce/step.h>
#include <quiesce/stop.h>
#include <quiesce/supervisor.h>
#include <quiesce/task.h>
#include <quiesce/thread.h>
#include <quiesce/words.h>

#endif
