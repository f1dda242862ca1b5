/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_TESTS_CRASH_CALL_H
#define SHALE_TESTS_CRASH_CALL_H

/*
 * The system calls that change a file system or read files, and what one of
 * them is about to do: read out of a process that stands still before it.
 */

#include <limits.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Kinds of calls, bits. */
enum {
	CALL_WRITE = 1, /* content: write, allocate, copy */
	CALL_MAKE = 2,  /* a name appears: create, mkdir, link, symlink */
	CALL_RENAME = 4,
	CALL_REMOVE = 8, /* unlink, rmdir */
	CALL_SYNC = 16,  /* fsync, fdatasync, syncfs, msync */
	CALL_ATTR = 32,  /* mode, owner, times, xattrs */
	CALL_SIZE = 64,  /* truncate */
	CALL_ALL = 127,  /* that change something */
	CALL_READ = 128, /* a file, a directory: only where it is asked for */
};

/* A call that is watched.  Argument numbers are -1 where there is none. */
struct call_kind {
	int nr;
	const char *name;
	unsigned kind;
	int fd;        /* descriptor of the file */
	int dir, path; /* or directory and name below it; dir -1: the cwd */
	int flags;     /* of open: changes something only with O_CREAT… */
};
extern const struct call_kind call_kinds[];
extern const size_t call_kinds_n;

/* Flags with which open makes or empties a file. */
enum { CALL_OPEN_FLAGS = 0100 | 01000 | 020000000 };

struct call {
	const struct call_kind *kind;
	pid_t thread, process;
	int fd;              /* in the process; -1: by path */
	char path[PATH_MAX]; /* absolute; "" where unknown */
	char from[PATH_MAX]; /* of a rename */
};

/* What `req` is about to do.  False: no call of ours, or the process is gone.
 */
bool call_read(const struct seccomp_notif *req, struct call *out);

/* "write,rename" or "all" (which is without "read") as bits; 0: a word that is
 * no kind. */
unsigned call_kinds_parse(const char *words);
/* The word for one kind, by its bit's number; NULL behind the last. */
const char *call_kind_word(unsigned bit);

/* A copy of a descriptor of the process that stands still.  -1. */
int call_take_fd(const struct call *call);

/*
 * The file behind it, opened anew: locks of the process are its own, so that
 * they end with it.  -1.
 */
int call_open_file(const struct call *call, int flags);

/* Bytes of the process's memory; how many could be read. */
size_t call_memory(pid_t process, uint64_t at, void *data, size_t len);

#endif
