/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_BLOB_TABLE_H
#define SHALE_BLOB_TABLE_H

/*
 * A table file: a header, up to SHALE_TABLE_SECTIONS sections of fixed-size
 * records (record size 1: plain bytes), and a checksum for every 64 KiB block.
 * Tree blobs and indexes are table files (docs/format.md 2).
 *
 * Reading maps the file and checks a block at its first touch: callers get
 * good bytes or -EUCLEAN.  Opening looks at the header and the checksum table
 * only.  Any number of threads may read one table.
 */

#include "layers/base/cleanup.h"
#include "layers/base/err.h"
#include "layers/base/hash.h"

#include <stddef.h>
#include <stdint.h>

enum {
	SHALE_TABLE_SECTIONS = 16,
	SHALE_TABLE_FIELDS = 8, /* 64-bit fields for the kind's own use */
	SHALE_TABLE_BLOCK = 65536,
};

/* What kind of table file: its magic and version, checked at open. */
struct shale_table_kind {
	char magic[9]; /* 8 characters and NUL */
	uint16_t version;
	unsigned sections;                          /* how many it has */
	uint32_t record_size[SHALE_TABLE_SECTIONS]; /* bytes each */
	const char *noun; /* for messages: "tree blob" */
};

/* ------------------------------------------------------------- reading */

struct shale_table;

/*
 * Open the table file `fd` (may be closed afterwards).  `name` is copied for
 * messages.  Returns 0; -EUCLEAN (damaged, or not of this kind);
 * -EPROTONOSUPPORT (newer version).
 */
int shale_table_open(struct shale_table **out, int fd,
		     const struct shale_table_kind *kind, const char *name,
		     struct shale_err *err);
void shale_table_close(struct shale_table *t);
SHALE_DEFINE_CLEANUP(table, struct shale_table *, shale_table_close);
#define cleanup_table SHALE_CLEANUP(shale_cleanup_table)

const char *shale_table_name(const struct shale_table *t);
uint64_t shale_table_size(const struct shale_table *t); /* file bytes */

/* Records in a section. */
uint64_t shale_table_count(const struct shale_table *t, unsigned section);

/* One of the kind's own 64-bit header fields. */
uint64_t shale_table_field(const struct shale_table *t, unsigned field);

/*
 * Records [first, first + n) of a section, checked, in `*out` (good until the
 * table is closed).  Counts and offsets may come from hostile bytes: out of
 * bounds is -EUCLEAN, as is a block whose checksum does not hold or whose page
 * cannot be read.  n may be 0.
 */
int shale_table_get(const struct shale_table *t, unsigned section,
		    uint64_t first, uint64_t n, const void **out,
		    struct shale_err *err);

/*
 * Pages may become unreadable after their block was checked; they then read as
 * zeros.  Whoever took bytes out of the map asks here before believing them.
 * Returns 0, or -EUCLEAN.
 */
int shale_table_intact(const struct shale_table *t, struct shale_err *err);

/* Let go of what is in memory; it is read again when it is needed. */
void shale_table_relax(const struct shale_table *t);

/*
 * Where another copy of the same file can be had.  For caches, which can be
 * made again byte for byte: when a block's checksum does not hold, `open` is
 * asked once for a descriptor of such a copy (it may take long; other readers
 * of damaged blocks wait), and damaged blocks are read from there.  `release`
 * is called when the table is closed.  To be set before others use the table.
 */
struct shale_table_spare {
	int (*open)(void *arg, int *fd, struct shale_err *err);
	void (*release)(void *arg);
	void *arg;
};
int shale_table_set_spare(struct shale_table *t,
			  const struct shale_table_spare *spare,
			  struct shale_err *err);

/* Check every block and that nothing lies outside the sections. */
int shale_table_verify(const struct shale_table *t, struct shale_err *err);

/* ------------------------------------------------------------- writing */

struct shale_table_writer;

/*
 * Write a table file to `fd` (empty, read-write, stays the caller's).  Sections
 * are written one after another, in any order; those never begun are empty.
 */
int shale_table_writer_new(struct shale_table_writer **out, int fd,
			   const struct shale_table_kind *kind,
			   struct shale_err *err);
void shale_table_writer_free(struct shale_table_writer *w);
SHALE_DEFINE_CLEANUP(table_writer, struct shale_table_writer *,
		     shale_table_writer_free);
#define cleanup_table_writer SHALE_CLEANUP(shale_cleanup_table_writer)

/* Begin `section`, ending the one before. */
int shale_table_writer_begin(struct shale_table_writer *w, unsigned section,
			     struct shale_err *err);
/* Append `n` records to the section begun last. */
int shale_table_writer_add(struct shale_table_writer *w, const void *records,
			   uint64_t n, struct shale_err *err);
/* Records (bytes, for record size 1) in the section begun last. */
uint64_t shale_table_writer_count(const struct shale_table_writer *w);

/* Set one of the kind's own header fields. */
void shale_table_writer_field(struct shale_table_writer *w, unsigned field,
			      uint64_t value);

/*
 * End the last section, checksum everything, write the header.  Does not
 * fsync.  `*digest` (may be NULL) gets the SHA-256 of the file, `*size` (may be
 * NULL) its length.
 */
int shale_table_writer_finish(struct shale_table_writer *w,
			      struct shale_digest *digest, uint64_t *size,
			      struct shale_err *err);

#endif
