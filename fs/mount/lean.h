/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_MOUNT_LEAN_H
#define SHALE_MOUNT_LEAN_H

/*
 * Lean listings: entries of files that hold a name, a number and a type, and
 * no inode.  A kernel makes an inode and a name of each entry that has one,
 * which is most of what a listing costs it, and which who asks for names alone
 * never uses.  Who looks at a file that came without has to look it up, which
 * costs ten times as much, and no file without can be pushed (push.h).  So it
 * depends on who lists, and nobody says so: a kernel that has an inode is silent
 * when it is looked at.  Hence *probes*: now and then a listing leaves out the
 * inode of one file.
 *
 *     files listed since the last probe >= EVERY: one in the next directory
 *     TRUST probes, and EVERY files more, and nobody looked: lean from here on
 *     somebody looked at a probe, or at a file of a lean listing, or read from
 *     the start of a file: all listings hold inodes, and all count anew
 *
 * So who lists less than some thousand files gets nothing lean; no pipe and no
 * command line holds the names of as many (`find | xargs cat`).  But who lists
 * all, and reads all later, comes too late: a mount asks for that (-o lean).  A directory that
 * is begun goes on as it began, however large it is.  Directories are no files
 * here: they always have an inode, since who walks enters them.
 *
 * The kernel keeps listings.  When files of lean ones are looked at after all,
 * DROP of them, it is told to forget those that it has, so that who comes
 * there next is given inodes; and twice as many probes are asked for from then
 * on.  So a mount whose listings are looked at later ends up without lean ones.
 *
 * Readers are told apart by the number of their thread, which only those have
 * that the daemon can see; the others are given inodes.  Thread-safe; nothing
 * waits.  Knows nothing of FUSE.
 */

#include "layers/base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum {
	SHALE_LEAN_EVERY = 1024,   /* files from one probe to the next */
	SHALE_LEAN_TRUST = 7,      /* probes that nobody looked at, at first */
	SHALE_LEAN_DROP = 32,      /* looks, until listings are dropped */
	SHALE_LEAN_READERS = 8,    /* that are remembered */
	SHALE_LEAN_DIRS = 1 << 15, /* listed lean at a time */
};

struct shale_lean;

/* Have the kernel forget a listing.  Called by a worker; may wait for requests
 * to be answered. */
typedef void shale_lean_drop_fn(void *arg, uint64_t dir);

int shale_lean_new(struct shale_lean **out, struct shale_err *err);
void shale_lean_free(struct shale_lean *l);

/* Drop with `fn` from now on; NULL: no more, and none is under way. */
void shale_lean_to(struct shale_lean *l, shale_lean_drop_fn *fn, void *arg);

/* What a listing is to hold of files. */
struct shale_lean_plan {
	bool lean;  /* no inode of any … */
	bool probe; /* … or of one */
};

/*
 * Thread `reader` lists `dir` from offset `off` on.  NULL for `l`, here and
 * below: every file has an inode.
 */
struct shale_lean_plan shale_lean_begin(struct shale_lean *l, uint32_t reader,
					uint64_t dir, uint64_t off);
/* It was given `files` files; the inode of `probe` was left out, if not 0. */
void shale_lean_end(struct shale_lean *l, uint32_t reader, uint64_t files,
		    uint64_t probe);

/* Somebody looked up file `id` in `dir`. */
void shale_lean_looked(struct shale_lean *l, uint64_t dir, uint64_t id);
/* Somebody reads from the start of a file. */
void shale_lean_read(struct shale_lean *l);

#endif
