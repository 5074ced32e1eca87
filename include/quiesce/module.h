/*
 * A module: a shared object that the daemon runs for a worker (`module:` in quiesced.yaml), in a
 * host process of its own. What it links against is libquiesce alone:
 *
 *     QS_MODULE;
 *
 *     int quiesce_module_main(qs_runtime *runtime, const char *config)
 *     {
 *             return qs_spawn_fiber(qs_root(runtime), NULL, work, NULL, NULL);
 *     }
 *
 *     cc -shared -fPIC -o work.so work.c $(pkg-config --cflags --libs quiesce)
 *
 * The host runs the loop, hears the stop, and tells the daemon of all tasks. The module has ended
 * when its last task has.
 */
#ifndef QUIESCE_MODULE_H
#define QUIESCE_MODULE_H

#include <quiesce/export.h>
#include <quiesce/runtime.h>

QS_BEGIN_DECLS

/* Goes up when a module that was built before would not work any more. */
#define QS_MODULE_ABI 1U

/* Each module has it once, at file scope: what it was built for. Others are not loaded. */
#define QS_MODULE const unsigned quiesce_module_abi = QS_MODULE_ABI

QS_EXPORT extern const unsigned quiesce_module_abi;

/*
 * The one entry point, for the module to define; called once, in the runtime's thread. It spawns
 * into qs_root (or below) and returns; blocking here delays the stop. `config` is the worker's
 * `module.config` as JSON ("{}" without), good until the process ends. 0 or more: it runs. A
 * negative errno: it cannot, and nothing runs.
 */
QS_EXPORT int quiesce_module_main(qs_runtime *runtime, const char *config);

QS_END_DECLS

#endif
