/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_STORE_STORE_H
#define SHALE_STORE_STORE_H

/*
 * A store: a directory that is an OCI image layout plus caches and workspaces
 * (docs/format.md 9).
 *
 *     oci-layout  index.json  blobs/sha256/…
 *     indexes/     merged trees (cache)        compact/   prepared merges
 *     workspaces/  uppers                      mounts/    state of mounts
 *     tmp/         files that become blobs     lock
 *
 * Several processes may use one store.  What changes index.json holds the lock
 * for the read-change-replace; a lock belongs to a living process (flock), not
 * to a name.  A struct shale_store may be used by several threads.
 */

#include "layers/blob/blobs.h"
#include "layers/index/image.h"

struct shale_store;

/*
 * Open the store at `path`.  `create`: make it if it is not there (0700, its
 * files 0600).  -ENODATA: there is none.
 */
int shale_store_open(struct shale_store **out, const char *path, bool create,
		     struct shale_err *err);
void shale_store_close(struct shale_store *store);
SHALE_DEFINE_CLEANUP(store, struct shale_store *, shale_store_close);
#define cleanup_store SHALE_CLEANUP(shale_cleanup_store)

const char *shale_store_path(const struct shale_store *store); /* absolute */
int shale_store_dirfd(const struct shale_store *store);
struct shale_blobs *shale_store_blobs(struct shale_store *store);

/*
 * Reader of chunks, made at first use.  `cache` bytes are kept decompressed;
 * the first caller's value counts.
 */
int shale_store_chunks(struct shale_store *store, size_t cache,
		       struct shale_chunks **out, struct shale_err *err);

/* Does `r` say that the store may only be read (-EROFS, -EACCES, -EPERM)? */
bool shale_store_read_only(int r);
/* Or that it cannot be written, that or since it is full (-ENOSPC, -EDQUOT)? */
bool shale_store_unwritable(int r);

/* Default path: $SHALE_STORE, /var/lib/shale for root, else
 * $XDG_DATA_HOME/shale.  Freshly allocated, NULL: no memory or no home. */
char *shale_store_default_path(void);

/*
 * Leases: a file that protects images from gc while a process lives.  Commands
 * take one before they use blobs that nobody names yet.  The lease ends with
 * the descriptor; shale_lease_end() takes its file away too, which gc does for
 * those who could not.
 */
int shale_store_lease(struct shale_store *store, int *fd,
		      struct shale_err *err);
void shale_lease_end(int *fd);

#define cleanup_lease __attribute__((cleanup(shale_lease_end)))

#endif
