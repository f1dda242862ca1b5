/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_BLOB_FDS_H
#define SHALE_BLOB_FDS_H

/*
 * A bounded cache of open blob files, by digest; the one used longest ago
 * makes room.  Thread-safe.
 */

#include "layers/base/hash.h"

#define SHALE_FDS_MAX 64

struct shale_fds;
struct shale_fd;

struct shale_fds *shale_fds_new(void); /* NULL: no memory */
void shale_fds_free(struct shale_fds *fds);

/*
 * The descriptor of a blob that is open, held until shale_fds_release(*held).
 * -1 when it is not.
 */
int shale_fds_take(struct shale_fds *fds, const struct shale_digest *digest,
		   struct shale_fd **held);

/*
 * Keep `fd`, held.  NULL when all that is kept is in use: the caller closes
 * `fd` itself.
 */
struct shale_fd *shale_fds_put(struct shale_fds *fds,
			       const struct shale_digest *digest, int fd);
void shale_fds_release(struct shale_fds *fds, struct shale_fd *held);

/* Find this blob no more; who holds it goes on. */
void shale_fds_forget(struct shale_fds *fds, const struct shale_digest *digest);

#endif
