/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/blob/table.h"

#include "layers/base/cleanup.h"
#include "layers/blob/table_impl.h"

#include <string.h>

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

static const char *decode_section(struct shale_table_section *out,
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
	*out = (struct shale_table_section){off, count, record_size};
	return NULL;
}

/* The sections, padded, cover the body exactly once. */
static bool layout_holds(const struct shale_table *t)
{
	uint64_t left = t->body_end - SHALE_TABLE_BODY;

	for (unsigned i = 0; i < t->sections; i++) {
		const struct shale_table_section *a = &t->section[i];
		if (shale_table_extent(a) > left)
			return false;
		left -= shale_table_extent(a);
		for (unsigned j = 0; j < i; j++) {
			const struct shale_table_section *b = &t->section[j];
			if (a->count && b->count &&
			    a->off < b->off + shale_table_extent(b) &&
			    b->off < a->off + shale_table_extent(a))
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
	/* Just that: a fault reads what is around it, too. */
	shale_map_want(&t->map, 0, sizeof(disk));
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
	shale_map_want(&t->map, t->body_end, t->map.size - t->body_end);
	if (shale_xxh64(t->map.data + t->body_end, t->map.size - t->body_end) !=
	    le64_get(disk.sums_hash))
		return damaged(t, "its checksum table does not hold", err);
	return decode_sections(t, &disk, kind, err);
}

int shale_table_open(struct shale_table **out, int fd,
		     const struct shale_table_kind *kind, const char *name,
		     struct shale_err *err)
{
	cleanup_table struct shale_table *t = calloc(1, sizeof(*t));
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
	t->fronts = calloc(t->sections, sizeof(*t->fronts));
	if (!t->good || !t->fronts)
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
	free(t->fronts);
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

int shale_table_verify(const struct shale_table *t, struct shale_err *err)
{
	for (uint64_t block = 0; block < t->blocks; block++) {
		int r = shale_table_check(t, block, err);
		if (r < 0)
			return r;
	}
	if (!all_zero(t->map.data + SHALE_TABLE_HEADER,
		      SHALE_TABLE_BODY - SHALE_TABLE_HEADER))
		return damaged(t, "bytes behind the header are not zero", err);

	for (unsigned i = 0; i < t->sections; i++) {
		const struct shale_table_section *s = &t->section[i];
		uint64_t used = s->count * s->size;
		if (!all_zero(t->map.data + s->off + used,
			      shale_table_extent(s) - used))
			return damaged(t, "padding is not zero", err);
	}
	return shale_table_intact(t, err);
}
