/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_OPS_GC_H
#define SHALE_OPS_GC_H

/*
 * Free what nothing refers to any more.  Safe beside commands that run:
 * docs/architecture.md has the argument, in numbered invariants (G1 to G7).
 *
 * Roots are the entries of index.json (foreign ones too, with all that they
 * name), what leases of living processes say, and what the caller adds
 * (workspaces, mounts).  Prepared merges are a cache: one whose trees are all
 * needed is kept with its blob, others go.
 */

#include "layers/store/version.h"

/* Takes one root; `who` needs it, for messages. */
typedef int shale_gc_add(void *to, const struct shale_digest *manifest,
			 const char *who, struct shale_err *err);

enum shale_gc_kind {
	SHALE_GC_BLOB,
	SHALE_GC_TMP,   /* left by a process that died */
	SHALE_GC_INDEX, /* of trees that are not needed */
	SHALE_GC_MERGE, /* prepared, of trees that are not needed */
};
enum { SHALE_GC_KINDS = SHALE_GC_MERGE + 1 };

struct shale_gc_opts {
	bool dry_run; /* change nothing at all; tell what would go */
	/*
	 * Add all roots that this library does not know.  Asked several times,
	 * with the store's lock held (not in a dry run).
	 */
	int (*roots)(void *arg, shale_gc_add *add, void *to,
		     struct shale_err *err);
	/* Something was freed, or would be. */
	void (*freed)(void *arg, enum shale_gc_kind kind, const char *name,
		      uint64_t bytes);
	bool (*going)(void *arg); /* true: stop */
	void *arg;
};

struct shale_gc_count {
	uint64_t n, bytes;
};

struct shale_gc_result {
	struct shale_gc_count freed[SHALE_GC_KINDS];
	struct shale_gc_count young; /* garbage or not: a command runs that is
				      * older, and may be about to name it */
	struct shale_gc_count kept;  /* blobs that are needed */
	uint64_t leases;             /* of dead processes */
};

/*
 * -EUCLEAN: what a root needs cannot be told, so nothing was removed; -EINTR:
 * what was removed until then was garbage.
 */
int shale_gc(struct shale_store *store, const struct shale_gc_opts *opts,
	     struct shale_gc_result *result, struct shale_err *err);

#endif
