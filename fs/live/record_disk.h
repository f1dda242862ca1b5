/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_LIVE_RECORD_DISK_H
#define SHALE_LIVE_RECORD_DISK_H

/*
 * Bytes of the values of a workspace's database; fs/live/record.h says what
 * they mean.  Keys: a letter, then the numbers named there, big-endian (inode,
 * directory, region and cookie 8 bytes, epoch and image 4), then the name.
 */

#include "layers/base/bytes.h"

struct shale_disk_state {
	struct le64 next_ino;  /* +0x00 */
	struct le32 epoch;     /* +0x08  at least 1 */
	struct le32 committed; /* +0x0c  below epoch */
	struct le32 last;      /* +0x10 */
	struct le32 pinned;    /* +0x14  at most last */
};                             /* +0x18 */
static_assert(sizeof(struct shale_disk_state) == 0x18, "record S");

/* G: a count, and that many digests of 32 bytes. */
struct shale_disk_manifests {
	struct le32 n; /* +0x00  1 to 32 */
};
static_assert(sizeof(struct shale_disk_manifests) == 0x04, "record G");

struct shale_disk_time {
	struct le64 sec;  /* +0x00  two's complement */
	struct le32 nsec; /* +0x08  below 10^9 */
};
static_assert(sizeof(struct shale_disk_time) == 0x0c, "time");

struct shale_disk_attr {
	struct le32 epoch;            /* +0x00 */
	struct le32 born;             /* +0x04 */
	struct le32 mode;             /* +0x08 */
	struct le32 uid;              /* +0x0c */
	struct le32 gid;              /* +0x10 */
	struct le32 nlink;            /* +0x14 */
	struct le32 rdev_major;       /* +0x18 */
	struct le32 rdev_minor;       /* +0x1c */
	struct shale_disk_time mtime; /* +0x20 */
	struct shale_disk_time ctime; /* +0x2c */
	struct shale_disk_time atime; /* +0x38 */
	struct le64 parent;           /* +0x44  0 unless a directory */
	struct le64 next_cookie;      /* +0x4c  below 2^62 */
};                                    /* +0x54 */
static_assert(sizeof(struct shale_disk_attr) == 0x54, "record I");

/* C: this head, then the files, then the ranges. */
struct shale_disk_content_head {
	struct le32 epoch;    /* +0x00 */
	struct le32 n_files;  /* +0x04  up to 64 */
	struct le64 size;     /* +0x08  up to 2^63-1 */
	struct le64 present;  /* +0x10 */
	struct le32 n_ranges; /* +0x18 */
};                            /* +0x1c */
static_assert(sizeof(struct shale_disk_content_head) == 0x1c, "record C");

struct shale_disk_file {
	struct le32 epoch; /* +0x00  falling */
	struct le64 limit; /* +0x04  at most size; or SHALE_DISK_LENT */
};
static_assert(sizeof(struct shale_disk_file) == 0x0c, "record C, file");

/* A limit of the only data file, if there is no range: it is lent. */
#define SHALE_DISK_LENT UINT64_MAX

struct shale_disk_range {
	struct le64 off;   /* +0x00 */
	struct le64 len;   /* +0x08  at least 1 */
	struct le64 ino;   /* +0x10 */
	struct le64 src;   /* +0x18 */
	struct le32 image; /* +0x20 */
	struct le32 epoch; /* +0x24 */
};                         /* +0x28 */
static_assert(sizeof(struct shale_disk_range) == 0x28, "record C, range");

struct shale_disk_name {
	struct le32 epoch;  /* +0x00 */
	struct le32 born;   /* +0x04 */
	struct le64 ino;    /* +0x08 */
	struct le64 cookie; /* +0x10 */
	uint8_t type;       /* +0x18  0 exactly if ino is */
};
static_assert(sizeof(struct shale_disk_name) == 0x19, "record N");

/* X: an epoch, then the list (docs/format.md 3.9). */
struct shale_disk_xattrs {
	struct le32 epoch; /* +0x00 */
};
static_assert(sizeof(struct shale_disk_xattrs) == 0x04, "record X");

#endif
