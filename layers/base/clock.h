/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_BASE_CLOCK_H
#define SHALE_BASE_CLOCK_H

/*
 * The clock that only goes forward (CLOCK_MONOTONIC), for how long something
 * takes and how long a thread waits: nobody who sets the date changes either.
 * And the order of two times of day.  Any thread.
 */

#include <pthread.h>
#include <stdint.h>
#include <time.h>

/* Nanoseconds since some moment before this process: only differences mean
 * something, also between processes of one boot. */
uint64_t shale_clock_ns(void);

/* The moment in `ns` nanoseconds, for pthread_cond_timedwait() with a condition
 * of shale_clock_cond_init(). */
struct timespec shale_clock_in(uint64_t ns);

/* Sleep for `ms` milliseconds, or until a signal comes. */
void shale_clock_pause(unsigned ms);

/* A condition variable whose moments are of this clock. */
void shale_clock_cond_init(pthread_cond_t *cond);

/* -1, 0, 1: `a` is before `b`, the same, after it.  Both are normalised. */
int shale_time_order(const struct timespec *a, const struct timespec *b);

#endif
