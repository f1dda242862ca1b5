/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_TESTS_LIVE_LEND_H
#define SHALE_TESTS_LIVE_LEND_H

/*
 * A live tree that lends its files to a kernel, which is a few descriptors.  Any
 * failure fails the test.
 */

#include "tests/unit/live-rig.h"

enum { IDS = 16 };

/* What the kernel was given, and calls by 1 to IDS - 1. */
struct kernel {
	int fd[IDS]; /* 0: nothing */
	uint32_t n;
	int refuses;      /* errno */
	uint64_t changed; /* it was told of that one last */
};
extern struct kernel kernel;
extern const struct shale_live_lender lender;

/* A new tree whose files are lent. */
struct rig *lending(void);

/* Somebody's open of a file, as the kernel has it. */
struct file {
	struct rig *rig;
	uint64_t handle;
	uint32_t id; /* 0: by way of us */
	int fd;
};
struct file open_file(struct rig *rig, const char *path, bool writes);
void close_file(struct file *f);

/* Open a data file as the kernel does for somebody who opens the file. */
int kernel_file(uint32_t id, int flags);

/* How many files are lent; bytes in data files. */
uint32_t lent(struct rig *rig);
uint64_t data_bytes(struct rig *rig);

/* Where SEEK_DATA or SEEK_HOLE leads, or -errno. */
int seek(struct rig *rig, const char *path, uint64_t off, int whence);

/* One of the clock that the host stamps with. */
void pause_a_tick(void);

#endif
