/* A shared object that says what it was built for, and has nothing to run. */
#include <quiesce/module.h>

QS_MODULE;
