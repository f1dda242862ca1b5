/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_WORKSPACE_HANDLES_H
#define SHALE_WORKSPACE_HANDLES_H

/*
 * The table of open handles: which inode each FUSE file handle is of.  The slot
 * number is the `fh`.  It lives in a MAP_SHARED file, so the next daemon on the
 * same connection inherits it.  Nothing that reads or writes needs it: it only
 * says whether somebody still holds an inode that has no name.
 *
 * A slot holds the key of the OPEN or CREATE that took it: taking it twice for
 * one request gives the same slot.  The high half of a slot number counts how
 * often its place was taken, so clearing it twice is harmless, also when
 * another open has the place since.  Thread-safe.
 */

#include "layers/base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct shale_handles;

/* File `handles` under `dirfd`; `fresh`: a new connection, no slot is taken. */
int shale_handles_open(struct shale_handles **out, int dirfd, bool fresh,
		       struct shale_err *err);
void shale_handles_close(struct shale_handles *handles);

/* Take a slot for `ino`; `unique` is the request's.  -ENFILE, -ENOMEM, -ENOSPC.
 */
int shale_handles_take(struct shale_handles *handles, uint64_t ino,
		       uint64_t unique, uint64_t *slot);
void shale_handles_clear(struct shale_handles *handles, uint64_t slot);

/*
 * What is to be known of a slot for as long as it is taken; 0 of a new one.
 * Nothing happens if it is free.
 */
enum {
	SHALE_HANDLE_WRITES = 1, /* it was opened for writing */
	SHALE_HANDLE_LENT = 2,   /* the kernel has the data file … */
	SHALE_HANDLE_LENT_AS = 2 /* … as the number from that bit on; 0: not
				  * any more */
};
void shale_handles_note(struct shale_handles *handles, uint64_t slot,
			uint32_t note);
/* How many slots have one of those bits?  Looks at all. */
uint32_t shale_handles_noted(struct shale_handles *handles, uint32_t bits);

/* Inode of a slot, 0 if it is free or there is none. */
uint64_t shale_handles_ino(struct shale_handles *handles, uint64_t slot);

/* Does any slot name this inode?  How many do? */
bool shale_handles_held(struct shale_handles *handles, uint64_t ino);
uint32_t shale_handles_count(struct shale_handles *handles, uint64_t ino);

/* The first note of a slot of this inode that has one of those bits; 0: none
 * has.  Looks at all. */
uint32_t shale_handles_find(struct shale_handles *handles, uint64_t ino,
			    uint32_t bits);

#endif
