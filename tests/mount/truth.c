/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Overlay truth: the same random operations on a Shale mount and on a plain
 * directory; every result and, now and then, both whole trees are compared.
 *
 *     truth MOUNT PLAIN SEED OPERATIONS HOOK
 *
 * HOOK is a program called as `HOOK fresh` (both directories as at the start),
 * `HOOK remount` and `HOOK commit` (commit, and compare a mount of the new
 * version with MOUNT); it exits 0 if all is well.  On a difference the sequence
 * is shortened by leaving parts out, and printed.
 */
#include "tests/mount/truth.h"
#include "layers/base/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct truth_side mount_side, plain_side;
static const char *hook;
static uint64_t seed;
static char why[1200];

static int call_hook(const char *what)
{
	char command[1024];
	snprintf(command, sizeof(command), "%s %s >&2", hook, what);
	truth_detach(&mount_side);
	truth_detach(&plain_side);
	int status = system(command);
	int r = truth_attach(&mount_side);
	if (r == 0)
		r = truth_attach(&plain_side);
	if (status == 0 && r == 0)
		return 0;
	snprintf(why, sizeof(why), "%s failed: status %d, %s", what, status,
		 strerror(-r));
	return 1;
}

/* 1: a difference, in `why`. */
static int step(uint64_t number)
{
	struct truth_op op;
	truth_make(&op, seed, number);
	if (op.kind == OP_COMPARE)
		return truth_compare(&mount_side, &plain_side, why);
	if (op.kind == OP_REMOUNT)
		return call_hook("remount");
	if (op.kind == OP_COMMIT)
		return call_hook("commit");

	uint64_t got_hash, want_hash;
	long got = truth_do(&mount_side, &op, &got_hash);
	long want = truth_do(&plain_side, &op, &want_hash);
	if (got == want && got_hash == want_hash)
		return 0;
	char words[500];
	truth_say(&op, words);
	snprintf(why, sizeof(why), "%s: result %ld (%s), should be %ld (%s)%s",
		 words, got, got < 0 ? strerror((int)-got) : "-", want,
		 want < 0 ? strerror((int)-want) : "-",
		 got == want ? "; what was seen differs" : "");
	return 1;
}

/* Run these operations from a fresh start; 1: a difference. */
static int run(const uint64_t *numbers, size_t n, size_t *at)
{
	if (call_hook("fresh"))
		return 1;
	for (size_t i = 0; i < n; i++) {
		*at = i;
		if (step(numbers[i]))
			return 1;
	}
	*at = n;
	return truth_compare(&mount_side, &plain_side, why);
}

/* Leave out ever smaller parts as long as a difference remains (after
 * Zeller's ddmin); at most `tries` runs. */
static size_t shorten(uint64_t *numbers, size_t n, int tries)
{
	uint64_t *attempt = malloc(n * sizeof(*attempt));
	for (size_t part = n / 2; part; part = part > 1 ? part / 2 : 0) {
		for (size_t from = 0; from < n && tries > 0;) {
			size_t len = n - from < part ? n - from : part, at = 0;
			memcpy(attempt, numbers, from * sizeof(*attempt));
			memcpy(attempt + from, numbers + from + len,
			       (n - from - len) * sizeof(*attempt));
			tries--;
			if (run(attempt, n - len, &at)) {
				n -= len;
				n = at < n ? at + 1 : n;
				memcpy(numbers, attempt, n * sizeof(*attempt));
			} else {
				from += len;
			}
		}
	}
	free(attempt);
	return n;
}

int main(int argc, char **argv)
{
	if (argc != 6) {
		fprintf(stderr, "usage: truth MOUNT PLAIN SEED OPS HOOK\n");
		return 2;
	}
	mount_side = (struct truth_side){.path = argv[1], .root = -1};
	plain_side = (struct truth_side){.path = argv[2], .root = -1};
	for (int i = 0; i < TRUTH_SLOTS; i++)
		mount_side.fd[i] = plain_side.fd[i] = -1;
	seed = strtoull(argv[3], NULL, 0);
	size_t n = strtoull(argv[4], NULL, 0), at;
	hook = argv[5];

	cleanup_free uint64_t *numbers = calloc(n + 1, sizeof(*numbers));
	for (size_t i = 0; i < n; i++)
		numbers[i] = i;
	if (!run(numbers, n, &at)) {
		printf("# %zu operations, seed %llu: no difference\n", n,
		       (unsigned long long)seed);
		return 0;
	}
	printf("# seed %llu, operation %zu: %s\n", (unsigned long long)seed, at,
	       why);

	n = at < n ? at + 1 : n;
	n = shorten(numbers, n, 300);
	run(numbers, n, &at);
	printf("# shortened to %zu operations: %s\n", n, why);
	for (size_t i = 0; i < n; i++) {
		struct truth_op op;
		char words[500];
		truth_make(&op, seed, numbers[i]);
		truth_say(&op, words);
		printf("#   %s\n", words);
	}
	return 1;
}
