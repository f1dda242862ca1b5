/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/blob/table_impl.h"

#include "layers/base/cleanup.h"

#include <stdlib.h>
#include <string.h>

static void want_blocks(const struct shale_table *t, uint64_t from, uint64_t to)
{
	uint64_t start = SHALE_TABLE_BODY + from * SHALE_TABLE_BLOCK;
	uint64_t stop = SHALE_TABLE_BODY + to * SHALE_TABLE_BLOCK;

	shale_map_want(&t->map, start,
		       (stop < t->body_end ? stop : t->body_end) - start);
}

/*
 * Who goes through a section from block to block has the kernel read ahead of
 * him, further with every step.  Of any other block just that is read: a fault
 * would bring what lies around it as well, and wait for all of that, which is
 * as much as the disk's read-ahead (8 MiB on some).
 */
static void look_ahead(const struct shale_table *t, unsigned section,
		       uint64_t block)
{
	const struct shale_table_section *s = &t->section[section];
	struct shale_table_front *f = &t->fronts[section];
	uint64_t last = atomic_load_explicit(&f->last, memory_order_relaxed);
	unsigned run = atomic_load_explicit(&f->run, memory_order_relaxed);

	run = block > last && block - last <= SHALE_TABLE_NEAR ? run + 1 : 0;
	atomic_store_explicit(&f->last, block, memory_order_relaxed);
	atomic_store_explicit(&f->run, run, memory_order_relaxed);
	if (run == 0) {
		want_blocks(t, block, block + 1);
		return;
	}
	uint64_t window = run < 4 ? 4u << run : SHALE_TABLE_AHEAD;
	uint64_t end = (s->off + shale_table_extent(s) - 1 - SHALE_TABLE_BODY) /
			       SHALE_TABLE_BLOCK +
		       1;
	uint64_t from = atomic_load_explicit(&f->asked, memory_order_relaxed);
	uint64_t to = block + 1 + window < end ? block + 1 + window : end;
	from = from > block ? from : block + 1;
	if (from >= to || (to < end && to - from < window / 2))
		return;
	atomic_store_explicit(&f->asked, to, memory_order_relaxed);
	want_blocks(t, from, to);
}

__attribute__((noinline, cold)) int
shale_table_check(const struct shale_table *t, uint64_t block,
		  struct shale_err *err)
{
	uint64_t off = SHALE_TABLE_BODY + block * SHALE_TABLE_BLOCK;
	uint64_t len = t->body_end - off;
	if (len > SHALE_TABLE_BLOCK)
		len = SHALE_TABLE_BLOCK;

	struct le64 want;
	memcpy(&want, t->map.data + t->body_end + block * sizeof(want),
	       sizeof(want));
	uint64_t got = shale_xxh64(t->map.data + off, len);
	int r = shale_table_intact(t, err);
	if (r < 0)
		return r;
	if (got != le64_get(want))
		return shale_err_say(err, EUCLEAN,
				     "%s %s is damaged: the checksum of block "
				     "%llu (bytes %llu to %llu) does not hold",
				     t->noun, t->name,
				     (unsigned long long)block,
				     (unsigned long long)off,
				     (unsigned long long)(off + len));
	/* The bytes are in the file for all threads alike: no ordering. */
	atomic_fetch_or_explicit(&t->good[block / 64],
				 UINT64_C(1) << block % 64,
				 memory_order_relaxed);
	return 0;
}

static __attribute__((noinline, cold)) int
out_of_bounds(const struct shale_table *t, unsigned section, uint64_t first,
	      uint64_t n, struct shale_err *err)
{
	return shale_err_say(
		err, EUCLEAN,
		"%s %s is damaged: records %llu + %llu of section %u, "
		"which has %llu",
		t->noun, t->name, (unsigned long long)first,
		(unsigned long long)n, section,
		(unsigned long long)shale_table_count(t, section));
}

/* --------------------------------------------------------------- backup */

int shale_table_set_spare(struct shale_table *t,
			  const struct shale_table_spare *spare,
			  struct shale_err *err)
{
	t->backup = calloc(1, sizeof(*t->backup));
	if (!t->backup)
		return shale_err_set(err, ENOMEM, "open %s %s", t->noun,
				     t->name);
	t->backup->spare = *spare;
	pthread_mutex_init(&t->backup->lock, NULL);
	return 0;
}

/* Is it the same file, as far as the checksum of all checksums tells? */
static bool same_file(const struct shale_table *a, const struct shale_table *b)
{
	return a->map.size == b->map.size && a->blocks == b->blocks &&
	       memcmp(a->map.data + a->body_end, b->map.data + b->body_end,
		      a->blocks * sizeof(struct le64)) == 0;
}

static struct shale_table *open_backup(const struct shale_table *t)
{
	struct shale_table *copy = NULL;
	cleanup_fd int fd = -1;

	if (t->backup->spare.open(t->backup->spare.arg, &fd, NULL) < 0 ||
	    shale_table_open(&copy, fd, t->kind, t->name, NULL) < 0)
		return NULL;
	if (same_file(t, copy))
		return copy;
	shale_table_close(copy);
	return NULL;
}

/* Read damaged blocks from the backup, if one can be had; else `r`. */
static __attribute__((noinline, cold)) int
get_backup(const struct shale_table *t, unsigned section, uint64_t first,
	   uint64_t n, const void **out, int r, struct shale_err *err)
{
	struct shale_table_backup *backup = t->backup;
	if (!backup)
		return r;

	pthread_mutex_lock(&backup->lock);
	if (!backup->tried)
		atomic_store(&backup->table, open_backup(t));
	backup->tried = true;
	pthread_mutex_unlock(&backup->lock);

	const struct shale_table *copy = atomic_load(&backup->table);
	return copy ? shale_table_get(copy, section, first, n, out, err) : r;
}

int shale_table_get(const struct shale_table *t, unsigned section,
		    uint64_t first, uint64_t n, const void **out,
		    struct shale_err *err)
{
	if (section >= t->sections)
		return out_of_bounds(t, section, first, n, err);
	const struct shale_table_section *s = &t->section[section];
	if (first > s->count || n > s->count - first)
		return out_of_bounds(t, section, first, n, err);
	if (n == 0) {
		*out = t->map.data;
		return 0;
	}

	uint64_t off = s->off + first * s->size;
	uint64_t block = (off - SHALE_TABLE_BODY) / SHALE_TABLE_BLOCK;
	uint64_t last =
		(off + n * s->size - 1 - SHALE_TABLE_BODY) / SHALE_TABLE_BLOCK;
	for (; block <= last; block++) {
		uint64_t word = atomic_load_explicit(&t->good[block / 64],
						     memory_order_relaxed);
		if (__builtin_expect(word >> block % 64 & 1, 1))
			continue;
		look_ahead(t, section, block);
		int r = shale_table_check(t, block, err);
		if (r < 0)
			return get_backup(t, section, first, n, out, r, err);
	}
	*out = t->map.data + off;
	return shale_table_intact(t, err);
}
