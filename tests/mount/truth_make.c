/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/mount/truth.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct {
	const char *name;
	unsigned weight;
} kinds[OP_KINDS] = {
	[OP_CREATE] = {"create", 40},
	[OP_WRITE] = {"write", 60},
	[OP_APPEND] = {"append", 20},
	[OP_READ] = {"read", 30},
	[OP_TRUNCATE] = {"truncate", 30},
	[OP_PUNCH] = {"punch", 20},
	[OP_ZERO] = {"zero-range", 10},
	[OP_ALLOCATE] = {"allocate", 8},
	[OP_MKDIR] = {"mkdir", 30},
	[OP_RMDIR] = {"rmdir", 20},
	[OP_UNLINK] = {"unlink", 40},
	[OP_RENAME] = {"rename", 60},
	[OP_NOREPLACE] = {"rename-noreplace", 10},
	[OP_EXCHANGE] = {"exchange", 15},
	[OP_LINK] = {"link", 25},
	[OP_SYMLINK] = {"symlink", 12},
	[OP_MKNOD] = {"mknod", 6},
	[OP_CHMOD] = {"chmod", 20},
	[OP_CHOWN] = {"chown", 12},
	[OP_UTIMENS] = {"utimens", 15},
	[OP_SETXATTR] = {"setxattr", 20},
	[OP_REMOVEXATTR] = {"removexattr", 10},
	[OP_GETXATTR] = {"getxattr", 10},
	[OP_MMAP] = {"mmap-write", 25},
	[OP_COPY] = {"copy-range", 25},
	[OP_OPEN] = {"open", 25},
	[OP_FD_WRITE] = {"fd-write", 20},
	[OP_FD_READ] = {"fd-read", 15},
	[OP_FD_TRUNCATE] = {"fd-truncate", 10},
	[OP_FD_STAT] = {"fd-stat", 10},
	[OP_FD_CHMOD] = {"fd-chmod", 6},
	[OP_CLOSE] = {"close", 15},
	[OP_READDIR] = {"readdir", 20},
	[OP_READLINK] = {"readlink", 6},
	[OP_FSYNC] = {"fsync", 4},
	[OP_MKTREE] = {"mktree", 4},
	[OP_RMTREE] = {"rmtree", 5},
	[OP_COMPARE] = {"compare", 3},
	[OP_REMOUNT] = {"remount", 1},
	[OP_COMMIT] = {"commit", 1},
};

uint64_t truth_random(uint64_t *state) /* splitmix64 */
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* A path of one to four parts out of few names, so that operations meet. */
static void make_path(char *out, uint64_t *state)
{
	uint64_t r = truth_random(state);
	int depth = (int)(r % 4);
	r >>= 4;
	size_t n = 0;
	for (int i = 0; i < depth; i++, r >>= 3)
		n += (size_t)snprintf(out + n, 200 - n, "d%u/",
				      (unsigned)(r % 4));
	if (r % 3 == 0)
		snprintf(out + n, 200 - n, "d%u", (unsigned)(r >> 8) % 4);
	else
		snprintf(out + n, 200 - n, "f%u", (unsigned)(r >> 8) % 8);
}

void truth_make(struct truth_op *op, uint64_t seed, uint64_t n)
{
	uint64_t state = seed * UINT64_C(0x100000001b3) + n;
	unsigned total = 0;
	for (int i = 0; i < OP_KINDS; i++)
		total += kinds[i].weight;

	unsigned pick = (unsigned)(truth_random(&state) % total);
	int kind = 0;
	while (pick >= kinds[kind].weight)
		pick -= kinds[kind++].weight;

	memset(op, 0, sizeof(*op));
	op->kind = (enum truth_kind)kind;
	make_path(op->a, &state);
	make_path(op->b, &state);
	uint64_t r = truth_random(&state);
	op->off = truth_random(&state) % TRUTH_MAX_SIZE;
	op->len = truth_random(&state) % TRUTH_MAX_IO + 1;
	if (r % 3 == 0) { /* whole blocks */
		op->off &= ~UINT64_C(4095);
		op->len = (op->len + 4095) & ~UINT64_C(4095);
	} else if (r % 3 == 1) {
		op->len = op->len % 300 + 1;
	}
	if (r % 5 == 0)
		op->off %= 9000;
	op->value = (uint32_t)truth_random(&state);
	op->slot = (int)(truth_random(&state) % TRUTH_SLOTS);
}

void truth_say(const struct truth_op *op, char *out)
{
	snprintf(out, 500, "%s %s -> %s off=%llu len=%llu value=%u slot=%d",
		 kinds[op->kind].name, op->a, op->b,
		 (unsigned long long)op->off, (unsigned long long)op->len,
		 op->value, op->slot);
}
