/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_MOUNT_SYNTH_IMPL_H
#define SHALE_MOUNT_SYNTH_IMPL_H

/*
 * Private to synth.c (a table) and synth_file.c (its numbers in a file).
 */

#include "fs/mount/synth.h"

#include <stdatomic.h>
#include <stddef.h>

struct shale_synth {
	atomic_int refs;
	const struct shale_synth *old; /* while it is built */
	struct timespec mtime;         /* of directories */
	uint64_t next_ino;
	struct shale_synth_node **nodes; /* by (parent, ino) once sealed */
	size_t n, cap;
	struct shale_synth_node **by_ino; /* sealed: next_ino pointers */
	struct shale_synth_node **hash;   /* of (parent, name), open */
	size_t hash_size;                 /* a power of two */
};

/*
 * Add a node below `parent`; its number is the one it had before, if any, or
 * the next.  NULL: no memory.
 */
struct shale_synth_node *shale_synth_put(struct shale_synth *s, uint64_t parent,
					 const char *name, size_t len,
					 enum shale_synth_kind kind,
					 const char *target);

#endif
