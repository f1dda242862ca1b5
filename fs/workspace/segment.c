/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/workspace/segment.h"

#include "fs/workspace/journal_disk.h"
#include "fs/workspace/ops.h"
#include "fs/workspace/pieces.h"
#include "layers/base/cleanup.h"
#include "layers/base/hash.h"

enum {
	HEADER = sizeof(struct shale_disk_record),
	SUM = sizeof(struct le64), /* the checksum covers what follows it */
	MAGIC = offsetof(struct shale_disk_record, magic),
	WINDOW = 1 << 20,
};

int shale_record_encode(const struct shale_record *record,
			struct shale_buf *out)
{
	struct shale_disk_record disk = {
		.magic = le32_make(SHALE_JOURNAL_MAGIC),
		.len = le32_make((uint32_t)(HEADER + record->len)),
		.type = le16_make((uint16_t)record->type),
		.thread = le32_make(record->thread),
		.position = le64_make(record->start),
		.durable = le64_make(record->durable),
		.connection = le64_make(record->connection),
		.unique = le64_make(record->unique),
	};
	if (shale_buf_reserve(out, HEADER + record->len) < 0)
		return -ENOMEM;

	uint8_t *at = out->data + out->len;
	shale_buf_append(out, &disk, HEADER);
	shale_buf_append(out, record->body, record->len);
	disk.sum = le64_make(shale_xxh64(at + SUM, HEADER + record->len - SUM));
	memcpy(at, &disk.sum, SUM);
	return 0;
}

static int check_pieces(const uint8_t *data, size_t len)
{
	struct shale_data_piece piece;
	uint64_t ino;

	int r = shale_pieces_open(&data, &len, &ino);
	if (r < 0)
		return r;
	while ((r = shale_pieces_next(&data, &len, &piece)) > 0)
		;
	return r;
}

static int check_body(const struct shale_record *record)
{
	if (record->type == SHALE_JOURNAL_MARK ||
	    record->type == SHALE_JOURNAL_NAMES)
		return record->len == 8 ? 0 : -EUCLEAN;
	if (record->type == SHALE_JOURNAL_FSYNC)
		return record->len % 8 == 0 ? 0 : -EUCLEAN;
	if (record->type == SHALE_JOURNAL_DATA)
		return check_pieces(record->body, record->len);
	if (record->type != SHALE_JOURNAL_BATCH)
		return -EUCLEAN;

	const uint8_t *data = record->body;
	size_t len = record->len;
	struct shale_op op;
	int r;
	while ((r = shale_ops_next(&data, &len, &op)) > 0)
		;
	return r;
}

int shale_record_decode(const uint8_t *data, size_t len, uint64_t at,
			struct shale_record *out, size_t *need)
{
	struct shale_disk_record disk;

	*need = HEADER;
	if (len < HEADER)
		return -EAGAIN;
	memcpy(&disk, data, HEADER);
	size_t total = le32_get(disk.len);
	if (le32_get(disk.magic) != SHALE_JOURNAL_MAGIC || total < HEADER ||
	    total > SHALE_JOURNAL_RECORD_MAX || le16_get(disk.reserved) ||
	    le64_get(disk.position) != at || at > INT64_MAX)
		return -EUCLEAN;
	*need = total;
	if (len < total)
		return -EAGAIN;

	if (shale_xxh64(data + SUM, total - SUM) != le64_get(disk.sum))
		return -EUCLEAN;
	struct shale_record record = {
		.type = le16_get(disk.type),
		.thread = le32_get(disk.thread),
		.start = at,
		.end = at + total,
		.durable = le64_get(disk.durable),
		.connection = le64_get(disk.connection),
		.unique = le64_get(disk.unique),
		.body = data + HEADER,
		.len = total - HEADER,
	};
	if (check_body(&record) < 0)
		return -EUCLEAN;
	*out = record;
	return 0;
}

/* A stretch of a file in memory. */
struct window {
	int fd;
	struct shale_buf buf;
	uint64_t off; /* of buf.data[0] in the file */
};

/* Have `want` bytes from `off` on in the window, fewer at the file's end. */
static int window_at(struct window *w, uint64_t off, size_t want,
		     const uint8_t **data, size_t *len, struct shale_err *err)
{
	if (off < w->off || off + want > w->off + w->buf.len) {
		size_t size = want > WINDOW ? want : WINDOW;
		w->off = off;
		w->buf.len = 0;
		if (shale_buf_reserve(&w->buf, size) < 0)
			return shale_err_set(err, ENOMEM, "read journal");
		while (w->buf.len < size) {
			ssize_t n = pread(w->fd, w->buf.data + w->buf.len,
					  size - w->buf.len,
					  (off_t)(off + w->buf.len));
			if (n < 0 && errno == EINTR)
				continue;
			if (n < 0)
				return shale_err_set(err, errno,
						     "read journal");
			if (n == 0)
				break;
			w->buf.len += (size_t)n;
		}
	}
	*data = w->buf.data + (off - w->off);
	*len = w->buf.len - (size_t)(off - w->off);
	return 0;
}

static void window_release(struct window *w)
{
	shale_buf_release(&w->buf);
}

/* The record at position `at`: 1, 0 if there is no valid one, or -errno. */
static int record_at(struct window *w, uint64_t start, uint64_t at,
		     struct shale_record *record, struct shale_err *err)
{
	const uint8_t *data = NULL;
	size_t len = 0, need = HEADER;

	for (int i = 0; i < 3; i++) {
		int r = window_at(w, at - start, need, &data, &len, err);
		if (r < 0)
			return r;
		if (len < need)
			return 0;
		r = shale_record_decode(data, len, at, record, &need);
		if (r != -EAGAIN)
			return r == 0;
	}
	return 0;
}

int shale_segment_read(int fd, uint64_t start, uint64_t from, uint64_t to,
		       shale_record_fn *fn, void *arg, uint64_t *end,
		       struct shale_err *err)
{
	SHALE_CLEANUP(window_release) struct window w = {.fd = fd};
	uint64_t at = from;
	struct shale_record record;
	int r;

	while (at < to && (r = record_at(&w, start, at, &record, err)) != 0) {
		if (r < 0)
			return r;
		if (record.end > to)
			break;
		r = fn ? fn(arg, &record, err) : 0;
		if (r)
			return r;
		at = record.end;
	}
	*end = at;
	return 0;
}

int shale_segment_more(int fd, uint64_t start, uint64_t from, uint64_t durable,
		       bool *more, struct shale_err *err)
{
	static const uint8_t magic[4] = {'S', 'H', 'L', 'J'};
	SHALE_CLEANUP(window_release) struct window w = {.fd = fd};
	uint64_t at = from;
	struct shale_record record;

	for (*more = false;; at++) {
		const uint8_t *data = NULL, *hit;
		size_t len = 0;
		int r = window_at(&w, at - start, WINDOW, &data, &len, err);
		if (r < 0)
			return r;
		if (len < HEADER)
			return 0;
		hit = memmem(data + MAGIC, len - MAGIC, magic, sizeof(magic));
		if (!hit) {
			at += len - MAGIC - sizeof(magic);
			continue;
		}
		at += (uint64_t)(hit - data) - MAGIC;
		r = record_at(&w, start, at, &record, err);
		if (r < 0)
			return r;
		if (r && record.durable >= durable) {
			*more = true;
			return 0;
		}
	}
}
