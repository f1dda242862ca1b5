/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_TESTS_CRASH_TRAP_H
#define SHALE_TESTS_CRASH_TRAP_H

/*
 * Have another process decide about every call of call_kinds: seccomp's user
 * notification (seccomp_unotify(2)).  Unlike a preloaded library it also sees
 * calls that a library makes itself, and all that children do.
 */

#include <sys/types.h>

/*
 * Fork; in the child run `argv` in a process group of its own, with every call
 * of these kinds (call.h) of it and of its children reported on `*listener`.
 * Returns the child; -errno where the kernel cannot.
 */
pid_t trap_run(char **argv, unsigned kinds, int *listener);

#endif
