/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_MOUNT_STANDING_H
#define SHALE_MOUNT_STANDING_H

/*
 * What the process that asks is, beyond the user and group that a request
 * names: as /proc/PID/status of proc(5) has it.  (A kernel that shows other
 * owners in some mounts, Linux 6.12, names them only where something is made.)
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * May it keep a file setgid that belongs to group `gid`: is that its group, or
 * among its further ones, or has it CAP_FSETID?  One that has ended may not.
 */
bool shale_standing_keeps_setgid(pid_t pid, uint32_t gid);

/* Is it root, for file systems?  As this process numbers users: another user
 * namespace's root is none.  One that has ended is not. */
bool shale_standing_is_root(pid_t pid);

/* The same of a text.  What it does not say is not so. */
bool shale_standing_of(const char *status, uint32_t gid);
bool shale_standing_of_root(const char *status);

#endif
