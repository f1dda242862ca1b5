/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_LIVE_RESUME_H
#define SHALE_LIVE_RESUME_H

#include "fs/live/impl.h"

/* Read the state; a new workspace gets one, based on `which`.  -ESTALE: it is
 * based on other images. */
int shale_resume_state(struct shale_live *live,
		       const struct shale_rec_image *which,
		       struct shale_err *err);

/*
 * The base is the last committed image now: records that it holds are dropped.
 * A crash in between is no harm: the next open goes on.
 */
int shale_resume_rebase(struct shale_live *live, struct shale_err *err);

/* Read through the records once: which inodes have any, and the counts. */
int shale_resume_count(struct shale_live *live, struct shale_err *err);

/*
 * Let go of images that no record names any more.  To be called when all that
 * was read is applied: what a power cut could bring back must stay.
 */
int shale_resume_images(struct shale_live *live, struct shale_err *err);

/* Remove data files that no record names. */
int shale_resume_sweep(struct shale_live *live, struct shale_err *err);

#endif
