/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_OPS_PLAN_H
#define SHALE_OPS_PLAN_H

/*
 * The tree that an import is going to make, in memory: names and inodes, told
 * apart, so that hard links and replaced names are right by construction.
 * About 160 bytes a file and its name.  Both are known by number; pointers to
 * them hold until the next one is added.  Not thread-safe.
 *
 * A later entry goes over an earlier one: directories merge, anything else is
 * replaced with all that lies below it.
 *
 * The plan of a layer (struct shale_import_opts, `layer`) speaks only of what
 * the layer does to the image below: a name that is not in the plan is as it
 * was there, unless its directory is opaque; of a name that is hidden, the
 * image below has nothing to say.
 */

#include "layers/base/buf.h"
#include "layers/ops/arrival.h"

#define SHALE_PLAN_NONE UINT32_MAX
#define SHALE_PLAN_ROOT 0 /* the name of the root */

/* What is known of a regular file's content. */
enum shale_plan_content {
	SHALE_PLAN_EMPTY,  /* nothing to read */
	SHALE_PLAN_UNREAD, /* in a directory, not read yet */
	SHALE_PLAN_PACKED, /* the packer has it under attr.ino */
	SHALE_PLAN_SAME,   /* as in the parent image */
};

struct shale_plan_inode {
	struct shale_attr attr; /* ino 0: no number yet */
	uint64_t base;          /* the parent image's inode that it carries on;
				 * 0: it is new */
	uint64_t target;        /* offsets in the plan's strings; a
				 * directory's: `redirect` bytes */
	uint64_t xattrs;
	uint32_t xattr_len;
	uint32_t names;    /* live names */
	uint32_t name;     /* the first of them */
	uint16_t source;   /* who is asked for the content */
	uint16_t redirect; /* a layer's directory: which lower one it carries
			    * on, if not the one of its own path */
	uint8_t content;   /* enum shale_plan_content */
	bool implied;      /* a directory that no entry spoke of */
	bool opaque;       /* a layer's directory: nothing lower shows in it */
	bool said;         /* emitted: with which result */
	bool differs;      /* … from the parent's inode */
};

struct shale_plan_name {
	uint64_t text; /* offset in the plan's strings */
	uint32_t parent;
	uint32_t inode; /* SHALE_PLAN_NONE: taken away */
	uint32_t child, sibling;
	uint32_t hash;
	uint16_t source; /* who spoke of it last */
	uint8_t len;
	bool hidden; /* what a lower layer has under this name is gone */
};

struct shale_plan {
	struct shale_buf inodes, names, strings;
	uint32_t *table; /* names by parent and text */
	size_t slots;
	uint16_t source;      /* the number of the one whose entries come now */
	uint64_t last_xattrs; /* the list kept last: neighbours often share */
	uint32_t last_xattr_len;
};

/* A plan with a root directory that no entry spoke of yet. */
int shale_plan_init(struct shale_plan *plan, struct shale_err *err);
void shale_plan_release(struct shale_plan *plan);

struct shale_plan_inode *shale_plan_inode(const struct shale_plan *plan,
					  uint32_t inode);
struct shale_plan_name *shale_plan_name(const struct shale_plan *plan,
					uint32_t name);
uint32_t shale_plan_inodes(const struct shale_plan *plan);

/* The text of a name; not ended by a NUL. */
const char *shale_plan_text(const struct shale_plan *plan, uint32_t name);
const void *shale_plan_string(const struct shale_plan *plan, uint64_t offset);

/* A live name below a directory's name, or SHALE_PLAN_NONE. */
uint32_t shale_plan_child(const struct shale_plan *plan, uint32_t dir,
			  const char *text, size_t len);
/* The same, also when it was taken away. */
uint32_t shale_plan_slot(const struct shale_plan *plan, uint32_t dir,
			 const char *text, size_t len);
/* A live name by path. */
uint32_t shale_plan_find(const struct shale_plan *plan, const char *path,
			 size_t len);

/*
 * Put an entry (not a link) in its place.  Directories that are missing above
 * it are made: 0755, root's, with the entry's mtime.  `*name` is its name, and
 * shale_plan_name(…)->inode the new inode (a directory that was there stays,
 * with the entry's attributes).
 *
 * A file or symlink of an earlier source gives way to a directory above it.
 *
 * -ENOTDIR: something above it is a file or a symlink of the same source.
 */
int shale_plan_add(struct shale_plan *plan, const struct shale_arrival *entry,
		   uint32_t *name, struct shale_err *err);

/* Make the entry's path a name of `inode` (not a directory's). */
int shale_plan_link(struct shale_plan *plan, const struct shale_arrival *entry,
		    uint32_t inode, uint32_t *name, struct shale_err *err);

/* An inode without a name, for shale_plan_link(): of the image below. */
int shale_plan_adopt(struct shale_plan *plan, const struct shale_arrival *entry,
		     uint32_t *inode, struct shale_err *err);

/* A directory's attributes become the entry's. */
int shale_plan_restate(struct shale_plan *plan, uint32_t inode,
		       const struct shale_arrival *entry,
		       struct shale_err *err);

/* Take a name away, and all that lies below it. */
int shale_plan_remove(struct shale_plan *plan, uint32_t name,
		      struct shale_err *err);

/*
 * What the current source hides of earlier ones and of lower layers: `name` in
 * the directory that holds the entry's path, or all in it.  What the same
 * source put there stays, whichever came first.  That directory is made if it
 * is not there.
 */
int shale_plan_hide(struct shale_plan *plan, const struct shale_arrival *entry,
		    const char *name, size_t len, struct shale_err *err);
int shale_plan_hide_all(struct shale_plan *plan,
			const struct shale_arrival *entry,
			struct shale_err *err);
/* All that earlier sources have in a directory, which is opaque from now on. */
int shale_plan_hide_below(struct shale_plan *plan, uint32_t dir,
			  struct shale_err *err);

/* A directory carries on the lower one that `to` names; `len` is not 0. */
int shale_plan_redirect(struct shale_plan *plan, uint32_t inode, const char *to,
			uint16_t len, struct shale_err *err);

/*
 * All live names in walk order: a directory before what is in it, names of one
 * directory by their bytes.  The array is the caller's to free.
 */
int shale_plan_order(const struct shale_plan *plan, uint32_t **order, size_t *n,
		     struct shale_err *err);

/* Set `out` to the path of a name ("" for the root), with a NUL behind it. */
int shale_plan_path(const struct shale_plan *plan, uint32_t name,
		    struct shale_buf *out, struct shale_err *err);

/* Set nlink of every live inode. */
void shale_plan_count_links(struct shale_plan *plan);

#endif
