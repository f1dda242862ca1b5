/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_STORE_LEASE_H
#define SHALE_STORE_LEASE_H

/*
 * Leases as gc sees them.  A lease is a file in leases/ on which a living
 * process holds a flock; what it says is a row of manifest digests (32 bytes
 * each) that must stay although nothing names them.  Blobs that became blobs
 * after the oldest living lease was taken must stay too: somebody may be about
 * to name them.
 */

#include "layers/store/store.h"

#include <time.h>

/* Have an image stay while this lease (shale_store_lease()) lives. */
int shale_lease_add(int fd, const struct shale_digest *manifest,
		    struct shale_err *err);

/*
 * Taking or extending a lease gave this error: may a command that only reads go
 * on without?  Where the store cannot be written nobody removes anything
 * either; and on a full disk what is there can be read nonetheless.  If so,
 * `err` is made empty.
 */
bool shale_lease_may_lack(int r, struct shale_err *err);

struct shale_leases {
	bool any;
	struct timespec oldest; /* when the oldest living lease was taken */
	struct shale_digest *images;
	size_t n;
};

/*
 * The living leases but `own` (-1: none).  With `dead`, files of dead ones are
 * counted there and, unless `keep_dead`, removed.
 */
int shale_leases_look(struct shale_store *store, int own, bool keep_dead,
		      struct shale_leases *out, size_t *dead,
		      struct shale_err *err);
/* The same; dead ones are removed. */
int shale_leases_read(struct shale_store *store, int own,
		      struct shale_leases *out, struct shale_err *err);
void shale_leases_release(struct shale_leases *leases);

#endif
