/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_TESTS_LIVE_RIG_IMAGE_H
#define SHALE_TESTS_LIVE_RIG_IMAGE_H

/*
 * The images of a rig, by number; each is one tree blob in memory.
 */

#include "layers/blob/tree_build.h"
#include "tests/unit/live-rig.h"

/* The entries of a directory, without "." and "..": for a listing with `plus`.
 */
struct rig_listed {
	struct shale_buf names; /* each with its NUL */
	struct shale_buf nodes;
};
bool rig_collect(void *arg, const char *name, size_t len,
		 const struct shale_node *node, uint64_t next);

/* Of what was built; of all that the live tree has now. */
unsigned rig_image_add(struct rig *rig, struct shale_tree_build *build,
		       uint64_t next_ino);
unsigned rig_image_pack(struct rig *rig);

unsigned rig_image_find(struct rig *rig, const struct shale_rec_image *which);
/* With its index. */
struct shale_image *rig_image_open(struct rig *rig, unsigned i);

/* For struct shale_live_opts, with the rig as `arg`. */
int rig_open_image(void *arg, const struct shale_rec_image *which,
		   struct shale_image **out, struct shale_err *err);
int rig_open_indexed(void *arg, const struct shale_rec_image *which,
		     struct shale_image **out, struct shale_err *err);

#endif
