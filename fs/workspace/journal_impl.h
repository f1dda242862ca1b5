/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_WORKSPACE_JOURNAL_IMPL_H
#define SHALE_WORKSPACE_JOURNAL_IMPL_H

/*
 * What journal.c (a journal at work), journal_map.c (records without a system
 * call), journal_open.c (finding it) and journal_renew.c (after it failed)
 * share.
 */

#include "fs/workspace/journal.h"
#include "layers/base/map.h"

#include <pthread.h>

enum { SHALE_SEGMENT_NAME = 8 + 16 + 1 };

struct shale_segment {
	uint64_t start;
	int fd;
};

struct shale_journal {
	int dirfd;
	pthread_mutex_t lock; /* all below */
	pthread_cond_t synced;
	struct shale_segment *seg; /* oldest first; the last is appended to */
	size_t n, cap;
	uint64_t end;       /* behind the last record */
	uint64_t allocated; /* up to here there is space in the last segment */
	uint64_t zeroed;    /* up to here zeros lie ahead of the end */
	uint64_t durable;   /* up to here it is on disk */
	uint64_t dropped;   /* what lies below is not needed any more */
	bool syncing;       /* some thread is in fdatasync */
	bool new_names;     /* segments were made since the directory's fsync */
	int failed; /* -errno of what ended it: it takes no change any more */
	struct shale_buf scratch; /* the record being written */
	struct shale_map map;     /* a window of the last segment; or nothing */
	uint64_t mapped;          /* position of its first byte */
	bool never_map;           /* a store there failed */
};

void shale_segment_name(char name[SHALE_SEGMENT_NAME], uint64_t start);

/*
 * A flush failed, and the kernel may call clean what it dropped: leave a note,
 * the file `journal.failed`, for the process that opens the journal next.
 */
void shale_journal_note_failed(struct shale_journal *journal);

/*
 * After a kill: if there is such a note, write what was read from position
 * `from` on into new files, durably.  Writing it over the old ones would not
 * do: ext4 may leave blocks that it could not write the first time unwritten.
 */
int shale_journal_renew(struct shale_journal *journal, uint64_t from,
			struct shale_err *err);

/*
 * Store the record in `scratch` at the end through a mapping: it is in the page
 * cache then, as if it had been written.  False: it has to be written; what is
 * there may be a part of it.
 */
bool shale_journal_store(struct shale_journal *journal);
void shale_journal_unmap(struct shale_journal *journal);

/* Add a segment behind the others; owns `fd` from then on. */
int shale_journal_add(struct shale_journal *journal, uint64_t start, int fd);

#endif
