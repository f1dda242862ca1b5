/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_LIVE_TOLD_H
#define SHALE_LIVE_TOLD_H

/*
 * Whose attributes were told since they last changed, and to whom.
 *
 * Who caches attributes above the live tree may get an answer after he has
 * learnt of a change that is newer than it, and keep it for the present state.
 * So what is told of a node is noted before its records are read, and asked for
 * when they have changed: if it was told, answers of before may be on their
 * way, and the change says so (struct shale_stale).  Who notes after that reads
 * the new records.
 *
 * A thread that asks has taken in the answer when it comes with a change: what
 * only itself was told makes nothing stale.  So neither is anything for one
 * that looks before each change, as a kernel does that checks permissions, nor
 * for who changes what nobody asks for.
 *
 * A slot knows one of the nodes that share it; the others count as told, so
 * that they are called stale too often.  So do all at first: a daemon before
 * may have told them.  Any thread.
 */

#include <stdbool.h>
#include <stdint.h>

enum { SHALE_TOLD_SLOTS = 1 << 13 };

struct shale_told {
	/* A node, and the only thread that was told of it since it changed (0:
	 * none); or 0. */
	_Atomic uint64_t slot[SHALE_TOLD_SLOTS];
};

/* Attributes of `ino` are about to be read for a thread (0: it is not known).
 */
void shale_told_note(struct shale_told *t, uint64_t ino, uint32_t asker);

/*
 * They have changed, as a thread asked for (0: it is not known): was another
 * one told since the last change?
 */
bool shale_told_take(struct shale_told *t, uint64_t ino, uint32_t changer);

#endif
