/* What bench-daemon measures of calls. */
#ifndef BENCH_CALLS_H
#define BENCH_CALLS_H

int bench_backoff(int n);
int bench_cached(int seconds);

#endif
