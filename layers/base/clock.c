/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/base/clock.h"

enum { NS = 1000000000 }; /* a second */

uint64_t shale_clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS + (uint64_t)now.tv_nsec;
}

struct timespec shale_clock_in(uint64_t ns)
{
	uint64_t then = shale_clock_ns() + ns;

	return (struct timespec){
		.tv_sec = (time_t)(then / NS),
		.tv_nsec = (long)(then % NS),
	};
}

void shale_clock_pause(unsigned ms)
{
	const struct timespec pause = {
		.tv_sec = ms / 1000,
		.tv_nsec = (long)(ms % 1000) * 1000000,
	};

	nanosleep(&pause, NULL);
}

void shale_clock_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
}

int shale_time_order(const struct timespec *a, const struct timespec *b)
{
	if (a->tv_sec != b->tv_sec)
		return a->tv_sec < b->tv_sec ? -1 : 1;
	return (a->tv_nsec > b->tv_nsec) - (a->tv_nsec < b->tv_nsec);
}
