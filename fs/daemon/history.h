/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_DAEMON_HISTORY_H
#define SHALE_DAEMON_HISTORY_H

/*
 * The top of a history mount, made from the store's list of versions:
 *
 *     REPO/by-id/<12 digits>    the version's tree
 *     REPO/by-tag/TAG           -> ../by-id/…
 *     REPO/by-time/TIME         -> ../by-id/…, RFC 3339 in UTC
 *     REPO/latest               -> by-id/…
 *
 * without REPO/ when only one repository is shown.  Made again when index.json
 * has changed.  All numbers are written to files of the state directory before
 * the kernel hears of them (`trees`, fs/daemon/trees.h; `names`,
 * fs/mount/synth.h), so that another daemon can take over.
 */

#include "fs/mount/forest.h"
#include "layers/store/version.h"

struct shale_history;

/* `repo` may be NULL.  `state` is a directory.  -ENOKEY: no such repository,
 * which is no error of a `takeover`. */
int shale_history_new(struct shale_history **out, struct shale_store *store,
		      const char *repo, int state, bool takeover,
		      struct shale_err *err);
void shale_history_free(struct shale_history *h);

/* For struct shale_forest_opts; `arg` is the history. */
int shale_history_top(void *arg, struct shale_synth **out,
		      struct shale_err *err);

/* Manifest of a tree number.  -ESTALE. */
int shale_history_tree(struct shale_history *h, uint32_t tree,
		       struct shale_digest *out);

#endif
