/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/blob/table.h"

#include "layers/base/buf.h"
#include "layers/base/cleanup.h"
#include "layers/base/io.h"
#include "layers/blob/table_disk.h"

#include <string.h>

struct shale_table_writer {
	int fd;
	const struct shale_table_kind *kind;
	struct shale_disk_table header; /* sections and fields, as they come */
	unsigned current;               /* section; kind->sections: none yet */
	uint64_t count;                 /* records in it */
	uint64_t at;                    /* next byte of the body, absolute */
	struct shale_buf sums;          /* le64 for each full block */
	size_t fill;
	uint8_t block[SHALE_TABLE_BLOCK];
};

int shale_table_writer_new(struct shale_table_writer **out, int fd,
			   const struct shale_table_kind *kind,
			   struct shale_err *err)
{
	struct shale_table_writer *w = calloc(1, sizeof(*w));
	if (!w)
		return shale_err_set(err, ENOMEM, "write %s", kind->noun);

	w->fd = fd;
	w->kind = kind;
	w->current = kind->sections;
	w->at = SHALE_TABLE_BODY;
	memcpy(w->header.magic, kind->magic, sizeof(w->header.magic));
	w->header.version = le16_make(kind->version);
	w->header.sections = le16_make((uint16_t)kind->sections);
	w->header.header_size = le32_make(SHALE_TABLE_HEADER);
	w->header.body_off = le64_make(SHALE_TABLE_BODY);
	for (unsigned i = 0; i < kind->sections; i++)
		w->header.section[i].record_size =
			le32_make(kind->record_size[i]);
	*out = w;
	return 0;
}

void shale_table_writer_free(struct shale_table_writer *w)
{
	if (!w)
		return;
	shale_buf_release(&w->sums);
	free(w);
}

static int flush_block(struct shale_table_writer *w, struct shale_err *err)
{
	struct le64 sum = le64_make(shale_xxh64(w->block, w->fill));
	if (shale_buf_append(&w->sums, &sum, sizeof(sum)) < 0)
		return shale_err_set(err, ENOMEM, "write %s", w->kind->noun);

	uint64_t off = w->at - w->fill;
	size_t len = w->fill;
	w->fill = 0;
	return shale_pwrite_full(w->fd, w->block, len, off, w->kind->noun, err);
}

static int put(struct shale_table_writer *w, const void *data, uint64_t len,
	       struct shale_err *err)
{
	const uint8_t *from = data;

	while (len) {
		size_t n = sizeof(w->block) - w->fill;
		if (n > len)
			n = (size_t)len;
		memcpy(w->block + w->fill, from, n);
		w->fill += n;
		w->at += n;
		from += n;
		len -= n;
		if (w->fill == sizeof(w->block)) {
			int r = flush_block(w, err);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

static int pad(struct shale_table_writer *w, struct shale_err *err)
{
	static const uint8_t zeros[SHALE_TABLE_ALIGN];

	return put(w, zeros, -w->at % SHALE_TABLE_ALIGN, err);
}

static void end_section(struct shale_table_writer *w)
{
	if (w->current < w->kind->sections && w->count)
		w->header.section[w->current].count = le64_make(w->count);
	w->count = 0;
}

int shale_table_writer_begin(struct shale_table_writer *w, unsigned section,
			     struct shale_err *err)
{
	assert(section < w->kind->sections);
	assert(le64_get(w->header.section[section].count) == 0);

	end_section(w);
	w->current = section;
	return pad(w, err);
}

int shale_table_writer_add(struct shale_table_writer *w, const void *records,
			   uint64_t n, struct shale_err *err)
{
	assert(w->current < w->kind->sections);

	if (n == 0)
		return 0;
	if (w->count == 0)
		w->header.section[w->current].off = le64_make(w->at);
	w->count += n;
	return put(w, records, n * w->kind->record_size[w->current], err);
}

uint64_t shale_table_writer_count(const struct shale_table_writer *w)
{
	return w->count;
}

void shale_table_writer_field(struct shale_table_writer *w, unsigned field,
			      uint64_t value)
{
	assert(field < SHALE_TABLE_FIELDS);
	w->header.field[field] = le64_make(value);
}

/* The header comes last: a file that was cut short has none. */
static int write_header(struct shale_table_writer *w, struct shale_err *err)
{
	uint8_t head[SHALE_TABLE_BODY] = {0};
	struct shale_disk_table *h = &w->header;

	h->sums_off = le64_make(w->at);
	h->blocks = le64_make(w->sums.len / sizeof(struct le64));
	h->file_size = le64_make(w->at + w->sums.len);
	h->sums_hash = le64_make(shale_xxh64(w->sums.data, w->sums.len));
	h->hash = le64_make(
		shale_xxh64(h, offsetof(struct shale_disk_table, hash)));
	memcpy(head, h, sizeof(*h));
	return shale_pwrite_full(w->fd, head, sizeof(head), 0, w->kind->noun,
				 err);
}

int shale_table_writer_finish(struct shale_table_writer *w,
			      struct shale_digest *digest, uint64_t *size,
			      struct shale_err *err)
{
	end_section(w);
	int r = pad(w, err);
	if (r == 0 && w->fill)
		r = flush_block(w, err);
	if (r == 0)
		r = shale_pwrite_full(w->fd, w->sums.data, w->sums.len, w->at,
				      w->kind->noun, err);
	if (r == 0)
		r = write_header(w, err);
	uint64_t length = w->at + w->sums.len;
	if (r == 0 && digest)
		r = shale_sha256_fd(w->fd, digest, &length, err);
	if (r == 0 && size)
		*size = length;
	return r;
}
