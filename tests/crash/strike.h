/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_TESTS_CRASH_STRIKE_H
#define SHALE_TESTS_CRASH_STRIKE_H

/* What is done to a command at the call that was chosen. */

#include "tests/crash/call.h"

enum strike {
	STRIKE_NONE,      /* only count */
	STRIKE_KILL,      /* SIGKILL before the call */
	STRIKE_TORN,      /* half of a write is done, then SIGKILL */
	STRIKE_LOSE,      /* SIGKILL, and what was not synced turns to zeros */
	STRIKE_INT,       /* SIGINT to the process group, the call is done */
	STRIKE_FAIL,      /* a write ends half way, what follows fails */
	STRIKE_MEANWHILE, /* another command runs, the call waits for it */
};

/* Kill all descendants of this process, threads and all, and see them gone. */
void strike_kill_all(void);

/*
 * Do half of what a write or pwrite is about to do, in its place.  How many
 * bytes were written; 0: it is no such call, or too short.
 */
size_t strike_half(const struct seccomp_notif *req, const struct call *call);

/*
 * Start `command` with the shell, and wait for it so many milliseconds: one
 * that waits for what the struck process holds ends only when that goes on.
 * Returns the process, or 0 when it has ended, with its status in `*status`.
 */
pid_t strike_meanwhile(const char *command, unsigned long ms, int *status);

#endif
