/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_WORKSPACE_JOURNAL_DISK_H
#define SHALE_WORKSPACE_JOURNAL_DISK_H

/*
 * The journal of a workspace, byte by byte.
 *
 * Positions count the bytes of one endless journal from 0.  A segment is a file
 * `journal.<start>`, the position of its first byte as 16 lower-case hex
 * digits; it holds the journal's bytes from there to the start of the next
 * segment, or to the journal's end.  Records follow each other without gaps and
 * never span segments.  Bytes behind the journal's end mean nothing.
 *
 * A record is a header and a body:
 *   BATCH   operations, one after another, ending exactly with the record;
 *           applied as a whole, the last word on a key counts
 *   MARK    one le64, a position: all data files that batches up to there speak
 *           of were on disk before this record was written
 *   FSYNC   n times le64, inodes whose data files were on disk before this
 *           record was written
 *   NAMES   one le64, a position: of files that replaced others by rename in
 *           batches up to there, the data was on disk before this record was
 *           written, or in the journal, and an FSYNC, DATA or MARK before it
 *           says so
 *   DATA    one le64, an inode, and pieces of its data files, one by one,
 *           ending exactly with the record: whatever was written to them since
 *           they were last on disk is in this record and DATA records before
 *           it.  What a MARK or an FSYNC covers is not to be taken from them
 *           any more: the files may be newer
 */

#include "layers/base/bytes.h"

#define SHALE_JOURNAL_MAGIC 0x4a4c4853u /* "SHLJ" */

enum {
	SHALE_JOURNAL_BATCH = 1,
	SHALE_JOURNAL_MARK = 2,
	SHALE_JOURNAL_FSYNC = 3,
	SHALE_JOURNAL_NAMES = 4,
	SHALE_JOURNAL_DATA = 5,
};

enum {
	SHALE_JOURNAL_RECORD_MAX = (8 << 20) + 64, /* bytes, header included */
	SHALE_JOURNAL_SEGMENT = 16 << 20, /* a fuller segment is not appended */
};

struct shale_disk_record {
	struct le64 sum;        /* +0x00  XXH3-64 of all that follows */
	struct le32 magic;      /* +0x08  SHALE_JOURNAL_MAGIC */
	struct le32 len;        /* +0x0c  bytes of header and body */
	struct le16 type;       /* +0x10  SHALE_JOURNAL_* */
	struct le16 reserved;   /* +0x12  0 */
	struct le32 thread;     /* +0x14  tag of the thread that made it */
	struct le64 position;   /* +0x18  of this record's first byte */
	struct le64 durable;    /* +0x20  fsynced up to here when written */
	struct le64 connection; /* +0x28  request answered: FUSE connection */
	struct le64 unique;     /* +0x30  and its `unique`; 0, 0: none */
};                              /* +0x38 */
static_assert(sizeof(struct shale_disk_record) == 0x38, "docs/format.md 11.1");

enum { SHALE_OP_PUT = 1, SHALE_OP_DEL = 2 };

struct shale_disk_op {
	uint8_t kind;          /* +0x00  SHALE_OP_* */
	uint8_t reserved;      /* +0x01  0 */
	struct le16 key_len;   /* +0x02  1 to 400 */
	struct le32 value_len; /* +0x04  0 in a DEL */
};                             /* +0x08  the key, then the value */
static_assert(sizeof(struct shale_disk_op) == 0x08, "docs/format.md 11.1");

struct shale_disk_piece {
	struct le64 off;   /* +0x00  in the data file */
	struct le32 len;   /* +0x08  bytes that follow, at least 1 */
	struct le32 epoch; /* +0x0c  which of the inode's data files */
};                         /* +0x10 */
static_assert(sizeof(struct shale_disk_piece) == 0x10, "docs/format.md 11.1");

/*
 * The LMDB side, `db/`: the unnamed database.  A value is followed by the
 * XXH3-64, le64, of the value's bytes followed by the key's.  Keys that begin
 * with a zero byte are the database's own:
 *   00      struct shale_disk_applied
 *   00 01   struct shale_disk_result, one a thread, any order
 */
#define SHALE_DB_VERSION 1u

struct shale_disk_applied {
	struct le32 version;  /* +0x00  SHALE_DB_VERSION */
	struct le32 reserved; /* +0x04  0 */
	struct le64 applied;  /* +0x08  position up to which batches are here */
};                            /* +0x10 */
static_assert(sizeof(struct shale_disk_applied) == 0x10, "docs/format.md 11.2");

/* The last request that a thread journalled, at or before `applied`. */
struct shale_disk_result {
	struct le32 thread;     /* +0x00  as in the journal */
	struct le32 reserved;   /* +0x04  0 */
	struct le64 position;   /* +0x08  behind its batch */
	struct le64 connection; /* +0x10 */
	struct le64 unique;     /* +0x18 */
};                              /* +0x20 */
static_assert(sizeof(struct shale_disk_result) == 0x20, "docs/format.md 11.2");

#endif
