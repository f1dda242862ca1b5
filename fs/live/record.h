/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_LIVE_RECORD_H
#define SHALE_LIVE_RECORD_H

/*
 * What a workspace's database holds: the delta.  Keys are a letter and
 * big-endian numbers, so that they sort by inode; values are little-endian
 * records.  One decoder each, which checks everything; both the live tree and
 * the committing process use them.
 *
 *   S                      the workspace: next inode, epochs, last image
 *   G image                an image that contents refer to: its manifests
 *   I ino                  attributes
 *   C ino                  where the content of a regular file lies
 *   M ino epoch region     which blocks of a data file count
 *   X ino                  all xattrs (only if they differ from the base's)
 *   T ino                  target of a symlink that is new
 *   N dir name             a name that was added, changed or deleted
 *   R dir cookie           names added to a directory, in order of readdir
 *   O ino                  an inode without a name that may still be open
 *   D                      everything is being discarded
 *
 * No record: as in the base.  Every record carries the epoch of its last
 * change; the next layer is the records of epochs after the last committed one.
 */

#include "layers/base/buf.h"
#include "layers/base/err.h"
#include "layers/base/hash.h"

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

enum {
	SHALE_BLOCK = 4096,         /* bytes of a block */
	SHALE_REGION_BLOCKS = 1024, /* blocks of one map record */
	SHALE_REGION_BYTES = SHALE_REGION_BLOCKS / 8,
	SHALE_KEY_MAX = 1 + 8 + 255,
};

struct shale_key {
	uint8_t b[SHALE_KEY_MAX];
	size_t len;
};

struct shale_key shale_key_state(void);
struct shale_key shale_key_image(uint32_t image);
struct shale_key shale_key_attr(uint64_t ino);
struct shale_key shale_key_content(uint64_t ino);
struct shale_key shale_key_map(uint64_t ino, uint32_t epoch, uint64_t region);
struct shale_key shale_key_xattrs(uint64_t ino);
struct shale_key shale_key_target(uint64_t ino);
struct shale_key shale_key_name(uint64_t dir, const char *name, size_t len);
struct shale_key shale_key_cookie(uint64_t dir, uint64_t cookie);
struct shale_key shale_key_orphan(uint64_t ino);
struct shale_key shale_key_discard(void);

/* Take a key apart again.  -EUCLEAN if it is not one of that letter. */
int shale_key_ino(const struct shale_buf *key, char letter, uint64_t *ino);
int shale_key_map_parts(const struct shale_buf *key, uint64_t *ino,
			uint32_t *epoch, uint64_t *region);
int shale_key_name_parts(const struct shale_buf *key, uint64_t *dir,
			 const char **name, size_t *len);
int shale_key_cookie_parts(const struct shale_buf *key, uint64_t *dir,
			   uint64_t *cookie);

/* S */
struct shale_rec_state {
	uint64_t next_ino;
	uint32_t epoch;     /* of changes made now; the first is 1 */
	uint32_t committed; /* all of these and older are in image `last` */
	uint32_t last;      /* image number of the last commit; 0: the base */
	uint32_t pinned;    /* image number whose index the mount serves */
};

/* G: the manifests of an image or stack, bottom first. */
struct shale_rec_image {
	uint32_t n;
	struct shale_digest manifest[32];
};

/* I */
struct shale_rec_attr {
	uint32_t epoch;
	uint32_t mode; /* 0: the inode is gone */
	uint32_t uid, gid, nlink;
	uint32_t rdev_major, rdev_minor;
	struct timespec mtime, ctime, atime;
	uint64_t parent;      /* directories */
	uint64_t next_cookie; /* directories: counter of added names */
	uint32_t born;        /* epoch in which it got its first name; 0: the
			       * base has it; SHALE_UNBORN: none yet */
};
#define SHALE_UNBORN UINT32_MAX

/*
 * C: content of a regular file.  Levels from the newest down: data files, each
 * with the blocks that its map names, showing what is below up to its `limit`;
 * at the bottom the ranges; what nothing covers is zeros.  Holes are punched
 * and files cut by clearing bits and cutting ranges on all levels, so:
 *
 *   - ranges and limits end at or before `size`; no block beyond it counts;
 *   - a file whose epoch is not the workspace's is sealed: never written again;
 *   - what shows of a range with an epoch <= state.committed is, for an inode
 *     with attr.born <= state.committed, what image state.last has at the same
 *     offset of the same inode, whatever image the range names: it is
 * unchanged. All else is new: blocks of files, ranges of later epochs, and what
 * nothing covers (a hole).  Of an inode with attr.born > state.committed all is
 * new, whatever the epochs say.
 *
 * While it is lent (fs/live/lend.h) there is one data file and no range, and
 * size and blocks are the data file's own, as the host's file system has them;
 * what the record and the maps say is what they were when it was lent.
 *
 * No C record: the base's content, or empty for an inode that the base lacks.
 */
enum { SHALE_CONTENT_FILES = 64 };
struct shale_rec_file {
	uint32_t epoch;
	uint64_t limit; /* bytes: lower levels show through below this */
};
struct shale_rec_range {
	uint64_t off, len; /* in this file; sorted, disjoint */
	uint32_t image;    /* G */
	uint32_t epoch; /* in which it was put here; 0: own content of the base
			 */
	uint64_t ino;   /* there */
	uint64_t src;   /* offset there */
};
struct shale_rec_content {
	uint32_t epoch; /* of the last change of size or data */
	uint64_t size;
	uint64_t present; /* bits set in the maps of all its files */
	uint32_t n_files;
	bool lent; /* see below */
	struct shale_rec_file file[SHALE_CONTENT_FILES]; /* newest first */
	uint32_t n_ranges;
	struct shale_rec_range *ranges; /* owned */
};
void shale_rec_content_release(struct shale_rec_content *c);

/*
 * M: SHALE_REGION_BYTES bytes; bit (n % 8) of byte (n / 8) is block n of the
 * region, block number region * SHALE_REGION_BLOCKS + n of the file.  A region
 * without a record has none.
 */

/* T: the bytes of the target, 1 to SHALE_TARGET_MAX.  R: those of the name.
 * O, D: no bytes. */

/* N */
struct shale_rec_name {
	uint32_t epoch;
	uint64_t ino;    /* 0: deleted */
	uint8_t type;    /* S_IFMT >> 12; 0: deleted */
	uint32_t born;   /* epoch in which the name was made; 0: the base has
			  * it.  Kept by a tombstone: no image may have it */
	uint64_t cookie; /* its directory offset; >= SHALE_COOKIE_ADDED: has an
			  * R record */
};
#define SHALE_COOKIE_ADDED (UINT64_C(1) << 40)

/* X: an epoch and the encoded list (layers/blob/tree.h). */
struct shale_rec_xattrs {
	uint32_t epoch;
	const void *list; /* points into the value decoded from */
	uint32_t len;
};

int shale_rec_state_decode(const struct shale_buf *v,
			   struct shale_rec_state *out, struct shale_err *err);
int shale_rec_state_encode(const struct shale_rec_state *in,
			   struct shale_buf *v);
int shale_rec_image_decode(const struct shale_buf *v,
			   struct shale_rec_image *out, struct shale_err *err);
int shale_rec_image_encode(const struct shale_rec_image *in,
			   struct shale_buf *v);
int shale_rec_attr_decode(const struct shale_buf *v, struct shale_rec_attr *out,
			  struct shale_err *err);
int shale_rec_attr_encode(const struct shale_rec_attr *in, struct shale_buf *v);
int shale_rec_content_decode(const struct shale_buf *v,
			     struct shale_rec_content *out,
			     struct shale_err *err);
int shale_rec_content_encode(const struct shale_rec_content *in,
			     struct shale_buf *v);
int shale_rec_name_decode(const struct shale_buf *v, struct shale_rec_name *out,
			  struct shale_err *err);
int shale_rec_name_encode(const struct shale_rec_name *in, struct shale_buf *v);
int shale_rec_xattrs_decode(const struct shale_buf *v,
			    struct shale_rec_xattrs *out,
			    struct shale_err *err);
int shale_rec_xattrs_encode(const struct shale_rec_xattrs *in,
			    struct shale_buf *v);

#endif
