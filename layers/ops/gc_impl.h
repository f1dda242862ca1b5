/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_OPS_GC_IMPL_H
#define SHALE_OPS_GC_IMPL_H

#include "layers/ops/gc.h"
#include "layers/ops/keyset.h"
#include "layers/store/lease.h"

/*
 * What is needed: the first 8 bytes of each digest.  Two digests that begin
 * alike keep each other, which does no harm.  Only grows: what was needed once
 * in this run is not removed by it.
 */
struct shale_gc_marks {
	struct shale_store *store;
	struct shale_keyset blobs;     /* needed */
	struct shale_keyset documents; /* of those, read and followed */
	struct shale_leases leases;    /* the living ones */
	uint64_t dead_leases;
	bool keep_dead;
};

void shale_gc_marks_release(struct shale_gc_marks *marks);
bool shale_gc_marked(const struct shale_gc_marks *marks,
		     const struct shale_digest *digest);

/* Mark what is needed now. */
int shale_gc_mark(struct shale_gc_marks *marks,
		  const struct shale_gc_opts *opts, struct shale_err *err);
/*
 * May it go?  Not when a living lease is as old as it or older: whoever has
 * that lease may have made it.
 */
bool shale_gc_is_young(const struct shale_gc_marks *marks,
		       const struct timespec *time);

/* What a document needs: its config, layers, manifests, subject.  Pure. */
int shale_gc_follow(const void *text, size_t len,
		    int (*each)(void *arg, const struct shale_digest *digest,
				bool is_document),
		    void *arg, struct shale_err *err);

/* The parts of a run. */
struct shale_gc {
	struct shale_store *store;
	const struct shale_gc_opts *opts;
	struct shale_gc_marks marks;
	struct timespec started;
	struct shale_gc_result result;
};
void shale_gc_freed(struct shale_gc *gc, enum shale_gc_kind kind,
		    const char *name, uint64_t bytes);
/* Mark the blobs of merges that are of use; the others go. */
int shale_gc_merges(struct shale_gc *gc, struct shale_err *err);
int shale_gc_indexes(struct shale_gc *gc, struct shale_err *err);
int shale_gc_tmp(struct shale_gc *gc, struct shale_err *err);

#endif
