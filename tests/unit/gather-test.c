/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data blobs in a long chain: how many there are, what is copied, and that all
 * content of all versions stays readable, whatever happens to the process that
 * merges.
 */
#include "layers/blob/pack.h"
#include "layers/store/compact.h"
#include "layers/store/compact_file.h"
#include "tests/lib/check.h"
#include "tests/unit/stored.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* --------------------------------------------------------------- choosing */

enum { BLOBS = 4096 };

/* Versions that add data blobs of these sizes, all named by one tree. */
static void simulate(const char *name, uint64_t (*size)(int i), int versions,
		     uint64_t base)
{
	static struct shale_build_use blob[BLOBS];
	uint64_t given = base, copied = 0, total = base;
	size_t n = 1, most = 0;

	blob[0] = (struct shale_build_use){.size = base, .live = base};
	for (int i = 0; i < versions; i++) {
		blob[n++] = (struct shale_build_use){.size = size(i),
						     .live = size(i)};
		given += size(i);
		total += size(i);
		if (i % 4)
			continue;
		for (size_t k = 0; k < n; k++)
			blob[k].move = true;
		shale_compact_choose_data(blob, n, total);
		struct shale_build_use sum = {0};
		size_t kept = 0;
		for (size_t k = 0; k < n; k++) {
			if (blob[k].move)
				sum.live = sum.size += blob[k].live;
			else
				blob[kept++] = blob[k];
		}
		copied += sum.size;
		n = kept;
		if (sum.size)
			blob[n++] = sum;
		most = n > most ? n : most;
	}
	if (most > SHALE_DATA_MAX / 2 || copied / 8 > given)
		shale_test_fail(__FILE__, __LINE__,
				"%s on %llu: %zu blobs, %.1f copies", name,
				(unsigned long long)base, most,
				(double)copied / (double)given);
}

static uint64_t tiny(int i)
{
	(void)i;
	return 5000;
}

static uint64_t medium(int i)
{
	(void)i;
	return 10 << 20;
}

static uint64_t mixed(int i)
{
	return UINT64_C(4096) << (i * 2654435761u >> 27);
}

static uint64_t rising(int i)
{
	return UINT64_C(1) << (10 + i % 30);
}

TEST(a_chain_has_few_data_blobs_and_a_byte_is_copied_a_few_times)
{
	for (uint64_t base = 4096; base < UINT64_C(1) << 42; base <<= 8) {
		simulate("tiny", tiny, 3000, base);
		simulate("medium", medium, 3000, base);
		simulate("mixed", mixed, 3000, base);
		simulate("rising", rising, 3000, base);
	}
}

TEST(a_large_blob_that_is_alive_is_never_copied)
{
	struct shale_build_use use[40];
	uint64_t total = 0;

	memset(use, 0, sizeof(use));

	for (size_t i = 0; i < 40; i++) {
		use[i].size = use[i].live = i ? 1000000 : 1 << 30;
		use[i].move = true;
		total += use[i].size;
	}
	shale_compact_choose_data(use, 40, total);
	CHECK(!use[0].move);
	for (size_t i = 1; i < 40; i++)
		CHECK(use[i].move);
}

TEST(what_is_mostly_dead_is_left_behind)
{
	struct shale_build_use use[3] = {
		{.size = 1 << 30, .live = 1 << 28, .move = true},
		{.size = 1 << 30, .live = 1 << 28}, /* another tree names it */
		{.size = 1 << 30, .live = 1 << 29, .move = true}};
	shale_compact_choose_data(use, 3, UINT64_C(3) << 30);
	CHECK(use[0].move);
	CHECK(!use[1].move);
	CHECK(!use[2].move);
}

TEST(too_many_data_blobs_merge_the_whole_chain)
{
	/* each twice as large as the one on it: no tree asks for a merge */
	struct shale_layer_desc chain[8];
	size_t first, end;
	for (size_t i = 0; i < 8; i++)
		chain[i].size = UINT64_C(1) << (40 - 2 * i);
	CHECK(!shale_compact_choose(chain, 8, SHALE_DATA_MAX / 2, &first,
				    &end));
	CHECK(shale_compact_choose(chain, 8, SHALE_DATA_MAX, &first, &end));
	CHECK_INT(first, 0);
	CHECK_INT(end, 8);
}

/* ------------------------------------------------------------------ a model */

enum { FILES = 16, VERSIONS = 120, LARGEST = 40000 };

/* Content of each file: what its seed makes.  0: none. */
struct model {
	uint32_t seed[FILES];
};

static size_t make_content(uint32_t seed, uint8_t *out)
{
	size_t len = seed ? 1 + seed * 2654435761u % LARGEST : 0;
	uint32_t x = seed;
	for (size_t i = 0; i < len; i++) {
		x = x * 1664525 + 1013904223;
		out[i] = (uint8_t)(1 + (x >> 26));
	}
	return len;
}

static void fill(struct shale_pack *pack, struct shale_tree_build *b, int file,
		 uint32_t seed, bool fresh)
{
	static uint8_t data[LARGEST];
	struct shale_err err;
	char name[16];
	size_t len = make_content(seed, data);
	struct shale_inode in = {.attr = {.ino = (uint64_t)file + 2,
					  .mode = S_IFREG | 0644,
					  .nlink = 1,
					  .size = len},
				 .content = SHALE_CONTENT_REPLACED};

	snprintf(name, sizeof(name), "file%d", file);
	CHECK_OK(shale_tree_build_inode(b, &in, &err));
	struct shale_dirent d = {.dir = 1,
				 .ino = in.attr.ino,
				 .name = name,
				 .name_len = (uint16_t)strlen(name),
				 .type = S_IFREG >> 12};
	if (fresh)
		CHECK_OK(shale_tree_build_dirent(b, &d, &err));
	CHECK_OK(shale_pack_begin(pack, in.attr.ino, &err));
	CHECK_OK(shale_pack_write(pack, data, len, &err));
	CHECK_OK(shale_pack_end(pack, &err));
}

/* A version that gives some files these seeds; how much of it was new. */
static struct shale_version *commit(struct shale_store *s,
				    const struct shale_version *parent,
				    struct model *m, const uint32_t *seed,
				    uint64_t *new_chunks)
{
	struct shale_err err;
	struct shale_version *v = calloc(1, sizeof(*v)), *read;
	struct shale_image *lower = NULL;
	struct shale_chunks *chunks;
	struct shale_pack *pack;
	struct shale_pack_stats stats;
	struct shale_blob_tmp data;
	uint64_t size;
	size_t below = 0;

	CHECK(v);
	if (parent) {
		CHECK_OK(shale_compact_use(s, parent, &v->trees, &below, &err));
		CHECK_OK(shale_compact_open(s, v->trees, below, &lower, &err));
	}
	struct shale_pack_opts opts = {.codec = SHALE_CODEC_DEFAULT,
				       .threads = 1,
				       .lower = lower ? lower->trees : NULL,
				       .n_lower = below};
	struct shale_tree_build *b = stored_begin();
	CHECK_OK(shale_store_chunks(s, 1 << 20, &chunks, &err));
	CHECK_OK(shale_pack_new(&pack, shale_store_blobs(s), chunks, b, &opts,
				&err));
	if (!parent)
		stored_root(b);
	for (int i = 0; i < FILES; i++) {
		if (!seed[i])
			continue;
		fill(pack, b, i, seed[i], !m->seed[i]);
		m->seed[i] = seed[i];
	}
	CHECK_OK(shale_pack_finish(pack, &data, &size, &stats, &err));
	if (data.fd >= 0) {
		CHECK_OK(shale_blobs_publish(shale_store_blobs(s), &data, 1,
					     &err));
		close(data.fd);
	}
	shale_pack_free(pack);
	shale_image_close(lower);
	*new_chunks = stats.new_chunks;
	v->trees = reallocarray(v->trees, below + 1, sizeof(*v->trees));
	CHECK(v->trees);
	v->trees[below] = stored_end(s, b, FILES + 2);
	v->n_trees = below + 1;
	CHECK_OK(shale_version_list_data(s, v, &err));
	v->description.next_ino = FILES + 2;
	v->description.has_parent = parent != NULL;
	if (parent)
		v->description.parent = parent->digest;
	CHECK_OK(shale_store_publish(s, v, "chain", NULL, true, &err));
	CHECK_OK(shale_store_version(s, &v->digest, &read, &err));
	shale_version_free(v);
	return read;
}

/* Read all of a version. */
static void compare(struct shale_store *s, const struct shale_version *v,
		    const struct model *m)
{
	static uint8_t want[LARGEST], got[LARGEST + 1];
	struct shale_err err;
	struct shale_image *image;

	CHECK_OK(shale_store_open_trees(s, v, &image, &err));
	for (int i = 0; i < FILES; i++) {
		size_t n, len = make_content(m->seed[i], want);
		if (!len)
			continue;
		CHECK_OK(shale_image_read(image, (uint64_t)i + 2, 0, got,
					  sizeof(got), &n, &err));
		CHECK_INT(n, len);
		CHECK_MEM(got, want, len);
	}
	for (size_t i = 0; i < v->n_data; i++)
		CHECK(shale_blobs_has(shale_store_blobs(s),
				      &v->data[i].digest));
	shale_image_close(image);
}

/* In a process that may be killed half way. */
static void prepare(struct shale_store *s, const struct shale_version *v)
{
	bool killed = shale_test_random() % 2;
	useconds_t when = (useconds_t)(shale_test_random() % 4000);
	struct shale_err err;

	if (!killed) {
		CHECK_OK(shale_compact_prepare(s, v, &err));
		return;
	}
	pid_t pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		(void)shale_compact_prepare(s, v, NULL);
		_exit(0);
	}
	usleep(when);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* A few files get content that is new, or that some file has already. */
static void draw(const struct model *m, uint32_t seed[FILES])
{
	memset(seed, 0, FILES * sizeof(*seed));
	for (int k = 0; k < 1 + (int)(shale_test_random() % 3); k++) {
		size_t from = shale_test_random() % FILES;
		size_t to = shale_test_random() % FILES;
		seed[to] = shale_test_random() % 3 && m->seed[from]
				   ? m->seed[from]
				   : 1 + (uint32_t)shale_test_random() % 100000;
	}
}

TEST(every_version_of_a_merged_chain_stays_readable_whatever_is_killed)
{
	struct shale_store *s = stored_new();
	static struct shale_version *v[VERSIONS];
	static struct model at[VERSIONS];
	struct model m = {{0}};
	uint32_t seed[FILES];
	uint64_t new_chunks;

	for (int i = 0; i < VERSIONS; i++) {
		draw(&m, seed);
		v[i] = commit(s, i ? v[i - 1] : NULL, &m, seed, &new_chunks);
		at[i] = m;
		CHECK(v[i]->n_trees <= SHALE_TREES_MAX + 8);
		CHECK(v[i]->n_data <= 64);
		prepare(s, v[i]);
		compare(s, v[i], &at[i]);
	}
	for (int i = 0; i < VERSIONS; i++) {
		compare(s, v[i], &at[i]);
		shale_version_free(v[i]);
	}
	shale_store_close(s);
}

TEST(content_that_merged_layers_hold_is_not_stored_again)
{
	struct shale_store *s = stored_new();
	struct shale_err err;
	struct model m = {{0}};
	struct shale_version *v = NULL;
	uint32_t seed[FILES] = {0};
	uint64_t new_chunks;
	size_t most = 0;

	for (int i = 0; i < 40; i++) {
		memset(seed, 0, sizeof(seed));
		seed[i % FILES] = 1000 + (uint32_t)i;
		struct shale_version *next =
			commit(s, v, &m, seed, &new_chunks);
		CHECK(new_chunks > 0);
		shale_version_free(v);
		v = next;
		most = v->n_data > most ? v->n_data : most;
		CHECK_OK(shale_compact_prepare(s, v, &err));
	}
	CHECK(most < 20);
	/* each file gets the content of its neighbour */
	for (int i = 0; i < FILES; i++)
		seed[i] = m.seed[(i + 1) % FILES];
	size_t data = v->n_data;
	struct shale_version *next = commit(s, v, &m, seed, &new_chunks);
	CHECK_INT(new_chunks, 0);
	CHECK(next->n_data <= data);
	compare(s, next, &m);
	shale_version_free(next);
	shale_version_free(v);
	shale_store_close(s);
}

/* ---------------------------------------------------------------- prepared */

static int damage_data(void *arg, const char *name,
		       const struct shale_compact_file *f)
{
	char hex[SHALE_DIGEST_HEX + 1], path[100];
	(void)name;
	if (!f->has_data)
		return 0;
	shale_hex(hex, f->data.digest.b, sizeof(f->data.digest.b));
	snprintf(path, sizeof(path), "blobs/sha256/%s", hex);
	return unlinkat(shale_store_dirfd(arg), path, 0) < 0 ? -errno : 1;
}

TEST(a_merge_whose_data_blob_is_gone_is_not_used)
{
	struct shale_store *s = stored_new();
	struct shale_err err;
	struct model m = {{0}};
	struct shale_version *v = NULL;
	uint64_t new_chunks;
	int gone = 0;

	for (int i = 0; i < 30 && !gone; i++) {
		uint32_t seed[FILES] = {0};
		seed[i % FILES] = 7000 + (uint32_t)i;
		struct shale_version *next =
			commit(s, v, &m, seed, &new_chunks);
		shale_version_free(v);
		v = next;
		CHECK_OK(shale_compact_prepare(s, v, &err));
		gone = shale_compact_each(s, damage_data, s, &err);
	}
	CHECK_INT(gone, 1);
	struct shale_layer_desc *trees;
	size_t n;
	CHECK_OK(shale_compact_use(s, v, &trees, &n, &err));
	CHECK_INT(n, v->n_trees);
	free(trees);
	compare(s, v, &m);
	shale_version_free(v);
	shale_store_close(s);
}

TEST(a_damaged_data_blob_stays_named_and_does_not_spread)
{
	struct shale_store *s = stored_new();
	struct shale_err err;
	struct model m = {{0}};
	struct shale_version *v[20];
	uint64_t new_chunks;
	char hex[SHALE_DIGEST_HEX + 1], path[100];

	for (int i = 0; i < 20; i++) {
		uint32_t seed[FILES] = {0};
		seed[i % FILES] = 9000 + (uint32_t)i;
		v[i] = commit(s, i ? v[i - 1] : NULL, &m, seed, &new_chunks);
	}
	struct shale_digest bad = v[19]->data[7].digest;
	shale_hex(hex, bad.b, sizeof(bad.b));
	snprintf(path, sizeof(path), "blobs/sha256/%s", hex);
	int fd = openat(shale_store_dirfd(s), path, O_RDWR);
	CHECK(fd >= 0 && pwrite(fd, "damage", 6, 100) == 6);
	close(fd);

	CHECK_OK(shale_compact_prepare(s, v[19], &err));
	uint32_t seed[FILES] = {[0] = 1};
	struct shale_version *next = commit(s, v[19], &m, seed, &new_chunks);
	CHECK(next->n_data < 10);
	bool named = false;
	for (size_t i = 0; i < next->n_data; i++)
		named = named ||
			shale_digest_equal(&next->data[i].digest, &bad);
	CHECK(named);
	shale_version_free(next);
	for (int i = 0; i < 20; i++)
		shale_version_free(v[i]);
	shale_store_close(s);
}
