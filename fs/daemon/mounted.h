/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_DAEMON_MOUNTED_H
#define SHALE_DAEMON_MOUNTED_H

/*
 * What a daemon has mounted: one image, the history of a store, or a workspace
 * over its base.
 */

#include "fs/daemon/daemon.h"

/*
 * Open what d->info names, and note there what is really mounted (a workspace's
 * base) and served from (its indexes, which the state directory keeps from
 * then on).  shale_daemon_close() closes it, also after an error.  -EINVAL:
 * the workspace is based on another image than was named.
 */
int shale_mounted_open(struct shale_daemon *d, struct shale_err *err);

/* Set d->label: "sales:v1 (sha256:0123456789ab) on '/mnt'"; NULL without
 * memory. */
void shale_mounted_label(struct shale_daemon *d);

#endif
