/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_BLOB_PACK_IMPL_H
#define SHALE_BLOB_PACK_IMPL_H

/*
 * The inside of the packer, for the pack_*.c files only.
 *
 *	pack_feed.c    feeder   bytes -> segments and holes -> chunks
 *	pack_follow.c  feeder   chunks that come as in a lower tree
 *	pack_place.c   feeder   what is a duplicate, what goes into a pack
 *	pack_job.c     workers  jobs: compress, or check a duplicate
 *	pack_write.c   writer   blob, chunks and extents, in order
 *	pack_find.c    any      reading candidates
 *
 * Jobs go through a ring, one slot each, in order: free -> (feeder) queued ->
 * (worker) done -> (writer) free.  A slot keeps its content until the feeder
 * takes it again, so:
 *
 *	1. A unit that is not written yet has its content in the ring, or it is
 *	   the open pack.  So nobody ever waits for a unit to be written.
 *	2. Only the feeder changes a job's content, so it may read the content
 *	   of any slot, whoever has the job.
 */

#include "layers/base/buf.h"
#include "layers/base/pool.h"
#include "layers/blob/data_write.h"
#include "layers/blob/pack.h"
#include "layers/blob/pack_seen.h"
#include "layers/chunk/cut.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
	SHALE_PACK_JOBS = 32,        /* so at most 8 MiB are in flight */
	SHALE_PACK_BLOCK = 4096,     /* holes are aligned to it */
	SHALE_PACK_WINDOW = 1 << 20, /* for what one call leaves … */
	SHALE_PACK_STEP = 64 << 10,  /* … and, bit by bit, the next brings */
	SHALE_PACK_NOTES = 512,      /* extents kept back for a job */
	SHALE_PACK_MEMBERS = 8192,   /* extents of one pack */
	SHALE_PACK_NO_UNIT = UINT32_MAX,
};

/*
 * What became of a unit: a chunk cut from a file, or a pack.  Units are
 * numbered in the order in which the feeder makes them.
 */
struct shale_pack_unit {
	enum {
		SHALE_UNIT_PENDING = 0,
		SHALE_UNIT_OWN,   /* stored at `off` of the new data blob */
		SHALE_UNIT_LOWER, /* part of chunk `lower_chunk` of a tree */
	} state : 8;
	enum shale_codec codec : 8; /* own */
	bool packed;    /* its extents carry hashes: it is part of a pack */
	uint8_t slot;   /* the job that has, or had, it */
	uint32_t chunk; /* its number in the tree under construction */
	uint32_t base;  /* where the unit begins in that chunk */
	uint32_t len;   /* content bytes of that chunk */
	union {
		struct {
			uint64_t off;
			uint32_t stored;
		};
		struct {
			uint32_t lower; /* in opts.lower */
			uint32_t lower_chunk;
		};
	};
};

/* A chunk of a lower tree. */
struct shale_pack_ref {
	bool given;
	uint32_t lower; /* in opts.lower */
	uint32_t chunk;
};

/* The extents of the file in a lower tree. */
struct shale_pack_row {
	uint64_t first, n;
};

/* A chunk that was cut. */
struct shale_pack_cut {
	const uint8_t *data;
	uint32_t len;
	uint64_t off; /* in the file */
	struct shale_hash128 hash;
	struct shale_pack_ref lower; /* one of that hash and length */
};

/* An extent to be said, in its turn. */
struct shale_pack_note {
	struct shale_extent extent; /* chunk: SHALE_HOLE, or not known yet */
	enum {
		SHALE_NOTE_BARE,  /* a hole or a clone, as it stands */
		SHALE_NOTE_UNIT,  /* chunk_off counts from the unit's start */
		SHALE_NOTE_CHUNK, /* in a chunk of another tree blob */
	} kind;
	uint32_t unit;
	bool packed;
	struct shale_hash128 hash; /* if packed, or if the unit turns out so */
	struct shale_chunk chunk;
};

/* An extent of a pack. */
struct shale_pack_member {
	struct shale_extent extent;
	struct shale_hash128 hash;
};

struct shale_pack_job {
	struct shale_pack *pack;
	enum { SHALE_JOB_FREE, SHALE_JOB_QUEUED, SHALE_JOB_DONE } state;
	enum { SHALE_JOB_CHUNK, SHALE_JOB_PACK, SHALE_JOB_NOTES } kind;
	uint32_t unit;
	struct shale_buf notes; /* to be said before the job's own extents */

	uint8_t *data; /* content, SHALE_CHUNK_LONGEST bytes of room */
	uint32_t len;
	struct shale_hash128 hash;
	struct shale_extent extent; /* of a chunk */
	struct shale_buf members;   /* of a pack */

	/* An earlier unit that may hold the same at `same_off`, and a chunk of
	 * a lower tree that may. */
	struct shale_pack_ref lower;
	bool maybe_same;
	struct shale_pack_unit same;
	uint32_t same_off;

	/* The worker's answer: `out` holds what to store, or `found` says where
	 * the content is already (and `found_chunk` which chunk of a lower tree
	 * that is). */
	enum {
		SHALE_FOUND_NOT,
		SHALE_FOUND_EARLIER,
		SHALE_FOUND_LOWER,
	} answer;
	struct shale_pack_unit found;
	struct shale_chunk found_chunk;
	uint8_t *out;
	uint32_t stored;
	enum shale_codec codec;
	struct shale_digest sha256;
};

struct shale_pack {
	struct shale_blobs *blobs;
	struct shale_chunks *chunks;
	struct shale_tree_build *build;
	struct shale_codec_choice codec;
	struct shale_tree **lower;
	size_t n_lower;

	struct shale_pool *pool;
	pthread_t writer;
	bool writer_runs;

	/* Under `lock`. */
	pthread_mutex_t lock;
	pthread_cond_t done;  /* a job is done, or the end */
	pthread_cond_t freed; /* a slot is free */
	struct shale_buf units;
	uint64_t fed, written; /* jobs */
	bool ending;
	struct shale_buf compressors; /* idle ones: pointers */
	int failed;                   /* first error of any thread */
	struct shale_err why;
	struct shale_pack_job jobs[SHALE_PACK_JOBS];

	/* The feeding thread's. */
	uint64_t ino;
	bool in_file, patch;
	bool cutting;               /* the segment is known not to be small */
	uint8_t *window;            /* bytes that a call left to the next one */
	const uint8_t *bytes;       /* the window, or a caller's own … */
	size_t head, tail;          /* … of which these are at work */
	size_t segment;             /* from head on: known not to be a hole */
	uint64_t offset;            /* of head, in the file */
	uint64_t hole, hole_len;    /* a hole that may go on */
	struct shale_pack_ref lead; /* the chunk that may come next … */
	struct shale_chunk led;     /* … which is this one */
	struct shale_pack_row *rows; /* one a lower tree … */
	uint64_t rows_of;            /* … of this inode; 0: none */
	uint64_t sought;             /* offset that was looked up in them */
	struct shale_pack_seen *seen;
	struct shale_buf notes; /* for the next job */
	uint32_t open_unit;     /* the open pack */
	uint8_t *open;          /* its content, SHALE_CHUNK_LONGEST of room */
	uint32_t open_len;
	struct shale_buf members; /* its extents */
	uint32_t recalled;        /* unit whose content `recall` holds */
	uint8_t *recall;
	uint8_t *scratch; /* SHALE_PACK_SMALL bytes */

	/* The writing thread's. */
	struct shale_data_write data; /* not begun: nothing stored yet */
	uint32_t own;                 /* number of the new blob */

	/* For progress. */
	_Atomic uint64_t content, stored, shared, followed, new_chunks;
};

/* ---------------------------------------------------------- pack_job.c */

/* The first error of any thread, or 0. */
int shale_pack_failed(struct shale_pack *pack, struct shale_err *err);
/* Note an error for all to see; the first one stays.  Returns `r`. */
int shale_pack_fail(struct shale_pack *pack, int r,
		    const struct shale_err *err);

/* Wait for a free slot and take it. */
int shale_pack_job_take(struct shale_pack *pack, struct shale_pack_job **out,
			struct shale_err *err);
/* Hand it on.  The notes so far go with it. */
void shale_pack_job_give(struct shale_pack *pack, struct shale_pack_job *job);

/* Number of a new unit. */
int shale_pack_unit_new(struct shale_pack *pack, uint32_t *unit,
			struct shale_err *err);
void shale_pack_unit_get(struct shale_pack *pack, uint32_t unit,
			 struct shale_pack_unit *out);
void shale_pack_unit_set(struct shale_pack *pack, uint32_t unit,
			 const struct shale_pack_unit *in);

/* ------------------------------------------------------- pack_follow.c */

/*
 * Content mostly comes again in the row in which a lower tree has its chunks:
 * behind one that was found there, the next one's hash is held against the
 * bytes that follow, which is much faster than to look for a cut in them.  Only
 * chunks that were cut off for what they are (or end the segment) are taken, so
 * the cuts are the same as without this, or those of who cut that row.  Where
 * none leads on, one of the same file may begin at the same place.
 *
 * Take the next chunk of `cut->data` (the `have` bytes of the segment that are
 * known; `end`: there are no more) if it is the one that the lead names: its
 * length, hash and place are set in `cut`.  False, and no lead any more, if it
 * is another one; what is not known yet is asked again when there is more.
 */
bool shale_pack_follow(struct shale_pack *pack, size_t have, bool end,
		       struct shale_pack_cut *cut);
/*
 * A chunk was cut that is not the one that might come: set its hash, and look
 * for one to follow.
 */
void shale_pack_lead(struct shale_pack *pack, struct shale_pack_cut *cut);

/* -------------------------------------------------------- pack_place.c */

/* A chunk that was cut, a small segment, an extent of another kind. */
int shale_pack_place_chunk(struct shale_pack *pack,
			   const struct shale_pack_cut *cut,
			   struct shale_err *err);
int shale_pack_place_small(struct shale_pack *pack, const uint8_t *data,
			   uint32_t len, uint64_t off, struct shale_err *err);
int shale_pack_place_note(struct shale_pack *pack,
			  const struct shale_pack_note *note,
			  struct shale_err *err);
/* End the open pack, and hand on all notes. */
int shale_pack_place_rest(struct shale_pack *pack, struct shale_err *err);

/* --------------------------------------------------------- pack_find.c */

/* Read `len` bytes at `off` of a unit that is written. */
int shale_pack_recall(struct shale_pack *pack,
		      const struct shale_pack_unit *unit, uint32_t off,
		      uint32_t len, uint8_t *out, struct shale_err *err);

/*
 * A chunk as a lower layer names it, in `out`, if one does, else itself: where
 * layers were merged, their chunks lie elsewhere than in what was merged, and
 * naming the old place would keep the old blob in the version.
 */
const struct shale_chunk *shale_pack_known(const struct shale_pack *pack,
					   const struct shale_chunk *chunk,
					   struct shale_chunk *out);
/*
 * Look for content in the lower trees, in `hint` first (may be NULL).
 * `scratch` has room for `len` bytes.  True: `found` says where, `chunk` which
 * chunk that is.
 */
bool shale_pack_find_lower(struct shale_pack *pack,
			   const struct shale_hash128 *hash,
			   const struct shale_pack_ref *hint,
			   const uint8_t *data, uint32_t len, uint8_t *scratch,
			   struct shale_pack_unit *found,
			   struct shale_chunk *chunk);

/* -------------------------------------------------------- pack_write.c */

/* The writing thread: until `ending` and all jobs are written. */
void *shale_pack_write_jobs(void *pack);

#endif
