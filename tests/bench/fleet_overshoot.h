/* How long after its deadline a process with somebody who would not end is gone. */
#ifndef QUIESCE_FLEET_OVERSHOOT_H
#define QUIESCE_FLEET_OVERSHOOT_H

/* `who` is spin, stuck or dawdle. Prints a line; returns an exit status, 2 for somebody unknown. */
int measure_overshoot(const char *who, unsigned rounds);

#endif
