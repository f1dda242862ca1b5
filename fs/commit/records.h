/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_COMMIT_RECORDS_H
#define SHALE_COMMIT_RECORDS_H

/*
 * A workspace's records, read from a snapshot: beside the daemon, of its own
 * database (nobody has it mounted), or a commit's; and the names among them, in
 * memory, by place and by inode.
 */

#include "fs/live/record.h"
#include "fs/workspace/workspace.h"

struct shale_records_name {
	uint64_t dir, ino; /* ino 0: deleted */
	const char *name;  /* owned by the delta */
	uint16_t len;
	uint8_t type; /* S_IFMT >> 12 */
	uint32_t epoch;
};

struct shale_records {
	struct shale_snapshot *snapshot;
	struct shale_snapshot *own; /* opened here, or NULL */
	struct shale_workspace *ws;
	struct shale_workspace_info info;
	struct shale_rec_state state;
	bool untouched;                   /* never mounted: no records */
	struct shale_records_name *names; /* by (dir, name) */
	const struct shale_records_name **by_ino; /* those with an ino */
	size_t n, n_by_ino;
};

int shale_records_open(struct shale_records *d, int store_dirfd,
		       const char *name, bool mounted, struct shale_err *err);
/* Read a snapshot that stays the caller's; `info` is not filled in. */
int shale_records_take(struct shale_records *d, struct shale_snapshot *snapshot,
		       struct shale_err *err);
void shale_records_close(struct shale_records *d);

/* Image number `n` of the workspace (0: what it was made from). */
int shale_records_image(const struct shale_records *d, uint32_t n,
			struct shale_rec_image *out, struct shale_err *err);

/*
 * Call `fn` for every record whose key begins with `letter`, in order of keys,
 * until it returns anything but 0, which is returned.
 */
typedef int shale_records_fn(void *arg, const struct shale_buf *key,
			     const struct shale_buf *value,
			     struct shale_err *err);
int shale_records_each(const struct shale_records *d, char letter,
		       shale_records_fn *fn, void *arg, struct shale_err *err);

/* Read all names into memory. */
int shale_records_load_names(struct shale_records *d, struct shale_err *err);

/* The record of a place, or NULL: as in the base. */
const struct shale_records_name *
shale_records_find(const struct shale_records *d, uint64_t dir,
		   const char *name, size_t len);
/* Records of a directory: [*first, *first + n); returns n. */
size_t shale_records_dir(const struct shale_records *d, uint64_t dir,
			 size_t *first);
/* Names of an inode among the records; returns how many. */
size_t shale_records_of(const struct shale_records *d, uint64_t ino,
			const struct shale_records_name *const **first);

#endif
