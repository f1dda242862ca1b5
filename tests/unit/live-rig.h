/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_TESTS_LIVE_RIG_H
#define SHALE_TESTS_LIVE_RIG_H

/*
 * A live tree on a workspace, with real images below it: an image is made by
 * walking the live tree and packing all that is there.  Any failure fails the
 * test.
 */

#include "fs/live/live.h"

enum { RIG_IMAGES = 64 };

struct rig {
	int dirfd; /* blobs/, tmp/, workspaces/ */
	struct shale_blobs *blobs;
	struct shale_chunks *chunks;
	struct {
		struct shale_rec_image which;
		int fd; /* of the one tree blob */
	} image[RIG_IMAGES];
	unsigned images;
	unsigned mounted; /* image below the live tree */
	struct shale_workspace *ws;
	struct shale_handles *handles;
	struct shale_image *base;
	struct shale_live *live;
	struct shale_live_opts opts;
	struct shale_err err;
};

/* An empty image, mounted with a new workspace. */
struct rig *rig_new(void);
void rig_free(struct rig *rig);

/*
 * The same over an image with
 *
 * d/      a ("alpha"), b ("beta"), s/x ("deep")
 * e/      (empty)
 * f       "file", also named g
 * l       -> target
 */
struct rig *rig_sample(void);

/* Unmount and mount again, on what the workspace is based on now; `crash`: as
 * if the process had died, but for what is in memory. */
void rig_remount(struct rig *rig);
/* Its two halves. */
void rig_leave(struct rig *rig);
void rig_return(struct rig *rig);
int rig_try_return(struct rig *rig, struct shale_err *err);

/* Freeze; the image of what there is at that moment is made, not recorded. */
struct rig_commit {
	uint32_t frozen;
	unsigned image;
};
struct rig_commit rig_freeze(struct rig *rig);
void rig_committed(struct rig *rig, const struct rig_commit *c);
void rig_commit(struct rig *rig); /* both */

/* Shorthands, by path from the root or inode; they fail the test. */
extern const struct shale_caller rig_caller;
uint64_t rig_ino(struct rig *rig, const char *path); /* 0: there is none */
struct shale_node rig_stat(struct rig *rig, const char *path);
uint64_t rig_make(struct rig *rig, const char *path, uint32_t mode);
uint64_t rig_file(struct rig *rig, const char *path, const char *text);
void rig_write(struct rig *rig, const char *path, uint64_t off,
	       const char *text);
void rig_truncate(struct rig *rig, const char *path, uint64_t size);
int rig_unlink(struct rig *rig, const char *path);
int rig_rmdir(struct rig *rig, const char *path);
int rig_rename(struct rig *rig, const char *from, const char *to,
	       unsigned flags);
int rig_link(struct rig *rig, const char *from, const char *to);
/* Content as a string that stays until the next call. */
const char *rig_text(struct rig *rig, const char *path);
/* "a b c/ d@", in the order of names; until the next call. */
const char *rig_list(struct rig *rig, const char *path);

#endif
