/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/blob/table.h"

#include "layers/base/cleanup.h"
#include "layers/base/map.h"
#include "layers/blob/table_disk.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

struct section {
	uint64_t off;
	uint64_t count;
	uint64_t size; /* of a record */
};

/* Another copy of a file that is damaged. */
struct backup {
	struct shale_table_spare spare;
	pthread_mutex_t lock;
	_Atomic(struct shale_table *) table;
	bool tried;
};

struct shale_table {
	struct shale_map map;
	const struct shale_table_kind *kind;
	struct backup *backup; /* NULL: there can be none */
	char *name;
	const char *noun;
	unsigned sections;
	struct section section[SHALE_TABLE_SECTIONS];
	uint64_t field[SHALE_TABLE_FIELDS];
	uint64_t body_end; /* where the checksum table begins */
	uint64_t blocks;
	_Atomic uint64_t *good; /* a bit a block: its checksum held */
};

SHALE_DEFINE_CLEANUP(table, struct shale_table *, shale_table_close);

static int damaged(const struct shale_table *t, const char *what,
		   struct shale_err *err)
{
	return shale_err_say(err, EUCLEAN, "%s %s is damaged: %s", t->noun,
			     t->name, what);
}

static bool all_zero(const uint8_t *data, uint64_t len)
{
	for (uint64_t i = 0; i < len; i++)
		if (data[i])
			return false;
	return true;
}

int shale_table_intact(const struct shale_table *t, struct shale_err *err)
{
	if (__builtin_expect(shale_map_poisoned(&t->map), 0))
		return shale_err_say(err, EUCLEAN, "%s %s cannot be read",
				     t->noun, t->name);
	return 0;
}

/* ----------------------------------------------------------------- open */

/* What is wrong with the header's frame (all but sections), or NULL. */
static const char *frame_fault(const struct shale_disk_table *disk,
			       uint64_t file_size)
{
	uint64_t sums_off = le64_get(disk->sums_off);
	uint64_t blocks = le64_get(disk->blocks);

	if (le32_get(disk->header_size) != SHALE_TABLE_HEADER ||
	    le64_get(disk->body_off) != SHALE_TABLE_BODY)
		return "unknown header layout";
	if (le64_get(disk->file_size) != file_size)
		return "the file's size is not what its header says";
	if (sums_off < SHALE_TABLE_BODY || sums_off > file_size ||
	    sums_off % SHALE_TABLE_ALIGN)
		return "checksum table outside the file";
	uint64_t body = sums_off - SHALE_TABLE_BODY;
	if (blocks != body / SHALE_TABLE_BLOCK + !!(body % SHALE_TABLE_BLOCK) ||
	    file_size - sums_off != blocks * sizeof(struct le64))
		return "wrong number of blocks";
	if (!all_zero(disk->reserved, sizeof(disk->reserved)))
		return "reserved bytes are not zero";
	return NULL;
}

static const char *decode_section(struct section *out,
				  const struct shale_disk_section *disk,
				  uint32_t record_size, uint64_t body_end)
{
	uint64_t off = le64_get(disk->off), bytes;
	uint64_t count = le64_get(disk->count);

	if (le32_get(disk->record_size) != record_size)
		return "a section's records have another size";
	if (le32_get(disk->reserved))
		return "reserved bytes are not zero";
	if (count == 0 && off != 0)
		return "an empty section has an offset";
	if (count && (off < SHALE_TABLE_BODY || off > body_end ||
		      off % SHALE_TABLE_ALIGN ||
		      __builtin_mul_overflow(count, record_size, &bytes) ||
		      bytes > body_end - off))
		return "a section lies outside the body";
	*out = (struct section){off, count, record_size};
	return NULL;
}

/* Bytes that a section takes up in the body, its padding included. */
static uint64_t extent_of(const struct section *s)
{
	return (s->count * s->size + SHALE_TABLE_ALIGN - 1) /
	       SHALE_TABLE_ALIGN * SHALE_TABLE_ALIGN;
}

/* The sections, padded, cover the body exactly once. */
static bool layout_holds(const struct shale_table *t)
{
	uint64_t left = t->body_end - SHALE_TABLE_BODY;

	for (unsigned i = 0; i < t->sections; i++) {
		const struct section *a = &t->section[i];
		if (extent_of(a) > left)
			return false;
		left -= extent_of(a);
		for (unsigned j = 0; j < i; j++) {
			const struct section *b = &t->section[j];
			if (a->count && b->count &&
			    a->off < b->off + extent_of(b) &&
			    b->off < a->off + extent_of(a))
				return false;
		}
	}
	return left == 0;
}

static int decode_sections(struct shale_table *t,
			   const struct shale_disk_table *disk,
			   const struct shale_table_kind *kind,
			   struct shale_err *err)
{
	static const struct shale_disk_section unused;

	if (le16_get(disk->sections) != kind->sections)
		return damaged(t, "wrong number of sections", err);
	t->sections = kind->sections;
	for (unsigned i = 0; i < SHALE_TABLE_SECTIONS; i++) {
		const struct shale_disk_section *s = &disk->section[i];
		if (i < kind->sections) {
			const char *fault = decode_section(&t->section[i], s,
							   kind->record_size[i],
							   t->body_end);
			if (fault)
				return damaged(t, fault, err);
		} else if (memcmp(s, &unused, sizeof(unused)) != 0) {
			return damaged(t, "an unused section is not zero", err);
		}
	}
	if (!layout_holds(t))
		return damaged(t, "sections overlap or leave gaps", err);
	return 0;
}

static int decode_header(struct shale_table *t,
			 const struct shale_table_kind *kind,
			 struct shale_err *err)
{
	struct shale_disk_table disk;

	if (t->map.size < SHALE_TABLE_BODY)
		return damaged(t, "the file is too short", err);
	memcpy(&disk, t->map.data, sizeof(disk));
	int r = shale_table_intact(t, err);
	if (r < 0)
		return r;

	if (memcmp(disk.magic, kind->magic, sizeof(disk.magic)) != 0)
		return shale_err_say(err, EUCLEAN, "%s is not a %s", t->name,
				     kind->noun);
	if (shale_xxh64(&disk, offsetof(struct shale_disk_table, hash)) !=
	    le64_get(disk.hash))
		return damaged(t, "its header's checksum does not hold", err);
	if (le16_get(disk.version) > kind->version)
		return shale_err_say(err, EPROTONOSUPPORT,
				     "%s %s was written by a newer Shale "
				     "(format %u; this one reads up to %u)",
				     kind->noun, t->name,
				     le16_get(disk.version), kind->version);
	if (le16_get(disk.version) != kind->version)
		return damaged(t, "unknown version", err);
	const char *fault = frame_fault(&disk, t->map.size);
	if (fault)
		return damaged(t, fault, err);

	t->body_end = le64_get(disk.sums_off);
	t->blocks = le64_get(disk.blocks);
	for (unsigned i = 0; i < SHALE_TABLE_FIELDS; i++)
		t->field[i] = le64_get(disk.field[i]);
	if (shale_xxh64(t->map.data + t->body_end, t->map.size - t->body_end) !=
	    le64_get(disk.sums_hash))
		return damaged(t, "its checksum table does not hold", err);
	return decode_sections(t, &disk, kind, err);
}

int shale_table_open(struct shale_table **out, int fd,
		     const struct shale_table_kind *kind, const char *name,
		     struct shale_err *err)
{
	SHALE_CLEANUP(shale_cleanup_table)
	struct shale_table *t = calloc(1, sizeof(*t));
	if (!t || !(t->name = strdup(name)))
		return shale_err_set(err, ENOMEM, "open %s %s", kind->noun,
				     name);
	t->noun = kind->noun;
	t->kind = kind;
	int r = shale_map_open(&t->map, fd, name, err);
	if (r < 0)
		return r;
	r = decode_header(t, kind, err);
	if (r < 0)
		return r;
	t->good = calloc(t->blocks / 64 + 1, sizeof(*t->good));
	if (!t->good)
		return shale_err_set(err, ENOMEM, "open %s %s", kind->noun,
				     name);
	r = shale_table_intact(t, err);
	if (r < 0)
		return r;
	*out = steal_ptr(&t);
	return 0;
}

void shale_table_close(struct shale_table *t)
{
	if (!t)
		return;
	if (t->backup) {
		shale_table_close(atomic_load(&t->backup->table));
		t->backup->spare.release(t->backup->spare.arg);
		pthread_mutex_destroy(&t->backup->lock);
		free(t->backup);
	}
	shale_map_close(&t->map);
	free((void *)t->good);
	free(t->name);
	free(t);
}

void shale_table_relax(const struct shale_table *t)
{
	shale_map_relax(&t->map);
}

const char *shale_table_name(const struct shale_table *t)
{
	return t->name;
}

uint64_t shale_table_size(const struct shale_table *t)
{
	return t->map.size;
}

uint64_t shale_table_count(const struct shale_table *t, unsigned section)
{
	return section < t->sections ? t->section[section].count : 0;
}

uint64_t shale_table_field(const struct shale_table *t, unsigned field)
{
	return field < SHALE_TABLE_FIELDS ? t->field[field] : 0;
}

/* ------------------------------------------------------------- records */

/* Compare a block with its checksum, and remember when it holds. */
static __attribute__((noinline, cold)) int
check_block(const struct shale_table *t, uint64_t block, struct shale_err *err)
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
	struct backup *backup = t->backup;
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
	const struct section *s = &t->section[section];
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
		int r = check_block(t, block, err);
		if (r < 0)
			return get_backup(t, section, first, n, out, r, err);
	}
	*out = t->map.data + off;
	return shale_table_intact(t, err);
}

int shale_table_verify(const struct shale_table *t, struct shale_err *err)
{
	for (uint64_t block = 0; block < t->blocks; block++) {
		int r = check_block(t, block, err);
		if (r < 0)
			return r;
	}
	if (!all_zero(t->map.data + SHALE_TABLE_HEADER,
		      SHALE_TABLE_BODY - SHALE_TABLE_HEADER))
		return damaged(t, "bytes behind the header are not zero", err);

	for (unsigned i = 0; i < t->sections; i++) {
		const struct section *s = &t->section[i];
		uint64_t used = s->count * s->size;
		if (!all_zero(t->map.data + s->off + used, extent_of(s) - used))
			return damaged(t, "padding is not zero", err);
	}
	return shale_table_intact(t, err);
}
