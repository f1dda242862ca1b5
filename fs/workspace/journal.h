/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_WORKSPACE_JOURNAL_H
#define SHALE_WORKSPACE_JOURNAL_H

/*
 * The journal of a workspace: records appended to segment files (bytes in
 * journal_disk.h).  Thread-safe.  An append is one write; a write that fails is
 * taken back, and if that fails too, or a flush fails, the journal has *failed*:
 * it refuses appends with that error, because nobody knows any more what is on
 * disk.
 *
 * Space is allocated ahead, so a full disk shows before anything is written.  A
 * file `reserve` holds space back: appends that may use it (deletions, marks)
 * free it first.
 */

#include "fs/workspace/segment.h"

struct shale_journal;

/* Make the first, empty segment, durably.  A journal that is not empty:
 * -EEXIST.
 */
int shale_journal_make(int dirfd, struct shale_err *err);

/*
 * Open the journal in `dirfd` (borrowed), reading all records from position
 * `from` on.  Where the first record is not valid, the journal ends; it is
 * damage (-EUCLEAN) if there are valid records behind and either the machine
 * has been up since (`power_cut` is false), or they prove that the place was on
 * disk.  No journal, or none with that position: -EUCLEAN too.
 */
int shale_journal_open(struct shale_journal **out, int dirfd, uint64_t from,
		       bool power_cut, shale_record_fn *fn, void *arg,
		       struct shale_err *err);
void shale_journal_close(struct shale_journal *journal);

/*
 * Append a record; its positions are filled in.  `reserve`: it may use the
 * reserve.  -ENOSPC, -EDQUOT, -EIO.
 *
 * One that follows a write (segment.h) may be stored through a mapping: that
 * survives a kill as a write does, for it is the same page of the page cache;
 * and of a page that cannot be had, a write is tried, which tells why.  What
 * stores do not tell is that the file system takes no writes any more: the one
 * before has found it well.
 */
int shale_journal_append(struct shale_journal *journal,
			 struct shale_record *record, bool reserve,
			 struct shale_err *err);

/*
 * Have the first flush of the segment cost what those behind it do: it would
 * have to make the file's extents, size and name durable.
 */
void shale_journal_prepare(struct shale_journal *journal);

/* Make it durable up to `pos`.  Concurrent calls share one flush. */
int shale_journal_sync(struct shale_journal *journal, uint64_t pos,
		       struct shale_err *err);

/*
 * Read the records between two positions where records begin.  `from` must not
 * be dropped meanwhile.  -EUCLEAN if they are not all there.
 */
int shale_journal_read(struct shale_journal *journal, uint64_t from,
		       uint64_t to, shale_record_fn *fn, void *arg,
		       struct shale_err *err);

/* Remove segments that lie below `pos`. */
void shale_journal_drop(struct shale_journal *journal, uint64_t pos);

/* Give the reserve to the file system; false if it was gone already. */
bool shale_journal_free_reserve(struct shale_journal *journal);
/* Take it back, if there is space. */
void shale_journal_keep_reserve(struct shale_journal *journal);

uint64_t shale_journal_end(struct shale_journal *journal);
uint64_t shale_journal_bytes(struct shale_journal *journal);

#endif
