/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_MOUNT_STANDING_H
#define SHALE_MOUNT_STANDING_H

/*
 * What the process that asks is, beyond the user and group that a request
 * names: as /proc/PID/status of proc(5) has it.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * May it keep a file setgid that belongs to group `gid`: is that among its
 * further groups, or has it CAP_FSETID?  One that has ended may not.
 */
bool shale_standing_keeps_setgid(pid_t pid, uint32_t gid);

/* The same of a text.  What it does not say is not so. */
bool shale_standing_of(const char *status, uint32_t gid);

#endif
