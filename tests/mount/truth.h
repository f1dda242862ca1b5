/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_TESTS_TRUTH_H
#define SHALE_TESTS_TRUTH_H

/*
 * Random operations for the overlay-truth test: made from a seed, done on a
 * directory, described in words.
 */

#include <stddef.h>
#include <stdint.h>

enum truth_kind {
	OP_CREATE, OP_WRITE, OP_APPEND, OP_READ, OP_TRUNCATE, OP_PUNCH,
	OP_ZERO, OP_ALLOCATE, OP_MKDIR, OP_RMDIR, OP_UNLINK, OP_RENAME,
	OP_NOREPLACE, OP_EXCHANGE, OP_LINK, OP_SYMLINK, OP_MKNOD, OP_CHMOD,
	OP_CHOWN, OP_UTIMENS, OP_SETXATTR, OP_REMOVEXATTR, OP_GETXATTR,
	OP_MMAP, OP_COPY, OP_OPEN, OP_FD_WRITE, OP_FD_READ, OP_FD_TRUNCATE,
	OP_FD_STAT, OP_FD_CHMOD, OP_CLOSE, OP_READDIR, OP_READLINK, OP_FSYNC,
	OP_MKTREE, OP_RMTREE, OP_COMPARE, OP_REMOUNT, OP_COMMIT, OP_KINDS,
};

struct truth_op {
	enum truth_kind kind;
	char a[200], b[200]; /* paths */
	uint64_t off, len;
	uint32_t value; /* mode, owner, seed of the data … */
	int slot;       /* of an open file */
};

enum {
	TRUTH_SLOTS = 6,
	TRUTH_MAX_IO = 96 << 10,    /* bytes of one operation */
	TRUTH_MAX_SIZE = 600 << 10, /* where it begins, at most */
};

/* One of the two directories. */
struct truth_side {
	const char *path;
	int root; /* descriptor; -1 while unmounted */
	int fd[TRUTH_SLOTS];
};

/* The next number after `state`. */
uint64_t truth_random(uint64_t *state);

/* Operation number `n` of a run with this seed. */
void truth_make(struct truth_op *op, uint64_t seed, uint64_t n);

/* Do it.  Returns a result (>= 0) or -errno; `hash` is of what was seen. */
long truth_do(struct truth_side *side, const struct truth_op *op,
	      uint64_t *hash);

/* In words, into `out` (500 bytes). */
void truth_say(const struct truth_op *op, char *out);

/* Open the root, forget slots; close all. */
int truth_attach(struct truth_side *side);
void truth_detach(struct truth_side *side);

/*
 * Compare both trees: types, modes, owners, link counts and groups, sizes,
 * targets, xattrs, contents.  Says the first difference in `why` (1000 bytes)
 * and returns 1; 0 when equal.
 */
int truth_compare(const struct truth_side *a, const struct truth_side *b,
		  char *why);

/*
 * Call `fn` for each path that differs, in order of paths, with what differs
 * first of it, until it returns other than 0; returns that.
 */
int truth_differences(const struct truth_side *a, const struct truth_side *b,
		      int (*fn)(void *arg, const char *path, const char *why),
		      void *arg);

#endif
