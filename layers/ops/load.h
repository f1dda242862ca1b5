/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_OPS_LOAD_H
#define SHALE_OPS_LOAD_H

/* The parts of shale_load(): reading the file (archive_load.c), and what comes
 * after it has been read (load.c). */

#include "layers/ops/load_blobs.h"
#include "layers/ops/save.h"

struct shale_loading {
	struct shale_load_blobs blobs;
	struct shale_buf layout, index; /* the documents; empty: none came */
	struct shale_buf copies;        /* struct shale_digest: of versions/ */
	bool docker;                    /* it has a manifest.json */
};

void shale_loading_release(struct shale_loading *loading);

/*
 * The file has been read: find its versions, see that they are complete,
 * publish.
 */
int shale_load_take(struct shale_loading *loading, bool force,
		    struct shale_loaded *out, struct shale_err *err);

#endif
