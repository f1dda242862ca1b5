/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_DAEMON_HELPER_H
#define SHALE_DAEMON_HELPER_H

#include <stdbool.h>

/*
 * shalefs as the helper of mount(8), for lines of fstab with the type
 * fuse.shalefs:
 *
 *     shalefs REF DIR [-o OPTIONS]                 as mount.fuse3 calls it
 *     mount.fuse.shalefs REF DIR [-sfnv] [-o …]    as mount(8) does, by a link
 *
 * It becomes `shale mount`.
 */

/* Was it called like that, and not as a daemon? */
bool shale_helper_asked(int argc, char **argv);

/* Returns only when that fails: the exit code. */
int shale_helper_run(int argc, char **argv);

/*
 * mount.fuse3 adds "dev" and "suid" at the end of root's options unless fstab
 * says otherwise.  Nobody has asked for these: cut them off.
 */
void shale_helper_cut_added(char *options);

#endif
