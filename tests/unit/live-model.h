/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_TESTS_LIVE_MODEL_H
#define SHALE_TESTS_LIVE_MODEL_H

/*
 * The simplest file system that there is, arrays in memory, beside a live tree
 * (live-model-test.c), what is done to both (live-model-ops.c), and the two
 * kinds of discard (live-model-discard.c).
 */

#include "tests/unit/live-rig.h"

enum { NODES = 400, NAMES = 12, MAX_SIZE = 90000 };

struct node {
	uint64_t ino; /* 0: free */
	uint32_t mode, nlink;
	uint8_t *data;
	uint64_t size;
	int parent;       /* directories */
	int child[NAMES]; /* by name; 0: none */
	uint64_t cookie[NAMES];
	char xattr;
	uint64_t handle; /* 0: not open */
	bool unnamed;    /* it never had a name */
};

struct model {
	struct rig *rig;
	struct node node[NODES]; /* 1 is the root */
	/* Of the image of the last commit, and of the one under way. */
	struct node last[NODES], taken[NODES];
	struct rig_commit pending;
	bool frozen;
};

uint64_t pick(uint64_t n);
const char *name_of(int i);
int free_node(struct model *m);
void drop(struct node *n);

/* All that has a name, nothing of it open. */
void copy_nodes(struct node *to, const struct node *from);

/* Call `fn` for each record of that letter. */
void recount(struct model *m, char letter,
	     void (*fn)(const struct shale_buf *value, uint64_t *sum,
			uint32_t committed),
	     uint64_t *sum, uint32_t committed);

/* Operations, on both. */
void do_make(struct model *m);
void do_remove(struct model *m);
void do_link(struct model *m);
void do_rename(struct model *m);
void do_open(struct model *m);
void do_tmpfile(struct model *m);
void do_release(struct model *m);
void do_write(struct model *m);
void do_truncate(struct model *m);
void do_fallocate(struct model *m);
void do_copy(struct model *m);
void do_commit(struct model *m);
void do_remount(struct model *m);
void do_xattr(struct model *m);
void do_discard(struct model *m);
void do_discard_path(struct model *m);

#endif
