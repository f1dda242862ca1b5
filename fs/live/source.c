/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/live/source.h"

#include "fs/live/readahead.h"
#include "layers/base/cleanup.h"

#include <pthread.h>
#include <string.h>

enum { KEPT = 64 };
#define UNKNOWN UINT64_MAX

struct opened {
	struct opened *next;
	uint32_t number;
	struct shale_image *image;
};

struct kept {
	uint64_t ino; /* 0: free */
	uint32_t number;
	struct shale_chunks *chunks;
	uint64_t data; /* bytes that are not holes; UNKNOWN */
	struct shale_content content;
};

struct shale_source {
	struct shale_db *db;
	const struct shale_image *base;
	uint32_t pinned;
	struct shale_live_opts opts;
	struct shale_readahead *readahead;

	pthread_mutex_t open_lock; /* one image is opened at a time */
	struct opened *opened;
	pthread_mutex_t kept_lock;
	struct kept kept[KEPT];
};

int shale_source_new(struct shale_source **out, struct shale_db *db,
		     const struct shale_image *base,
		     const struct shale_live_opts *opts, struct shale_err *err)
{
	cleanup_free struct shale_source *s = calloc(1, sizeof(*s));
	if (!s)
		return shale_err_set(err, ENOMEM, "open the live tree");
	s->db = db;
	s->base = base;
	if (opts)
		s->opts = *opts;
	int r = s->opts.no_ahead ? 0
				 : shale_readahead_new(&s->readahead, 0, err);
	if (r < 0)
		return r;
	pthread_mutex_init(&s->open_lock, NULL);
	pthread_mutex_init(&s->kept_lock, NULL);
	*out = steal_ptr(&s);
	return 0;
}

void shale_source_free(struct shale_source *s)
{
	if (!s)
		return;
	shale_readahead_free(s->readahead);
	while (s->opened) {
		struct opened *o = s->opened;
		s->opened = o->next;
		shale_image_close(o->image);
		free(o);
	}
	pthread_mutex_destroy(&s->open_lock);
	pthread_mutex_destroy(&s->kept_lock);
	free(s);
}

void shale_source_pin(struct shale_source *s, uint32_t number)
{
	s->pinned = number;
}

static int open_image(struct shale_source *s, uint32_t number,
		      const struct shale_image **out, struct shale_err *err)
{
	cleanup_buf struct shale_buf value = {0};
	struct shale_key key = shale_key_image(number);
	struct shale_rec_image which;

	if (!s->opts.open_image)
		return -EIO;
	int r = shale_db_get(s->db, key.b, key.len, &value, err);
	if (r == 0)
		r = shale_rec_image_decode(&value, &which, err);
	if (r < 0)
		return r == -ENOENT ? -EUCLEAN : r;
	cleanup_free struct opened *o = calloc(1, sizeof(*o));
	if (!o)
		return -ENOMEM;
	o->number = number;
	r = s->opts.open_image(s->opts.arg, &which, &o->image, err);
	if (r < 0)
		return r == -ENOENT || r == -ENOKEY ? -EIO : r;
	*out = o->image;
	o->next = s->opened;
	s->opened = steal_ptr(&o);
	return 0;
}

static int find_image(struct shale_source *s, uint32_t number,
		      const struct shale_image **out, struct shale_err *err)
{
	int r = -ENOENT;

	if (number == s->pinned) {
		*out = s->base;
		return 0;
	}
	pthread_mutex_lock(&s->open_lock);
	for (struct opened *o = s->opened; o; o = o->next) {
		if (o->number == number) {
			*out = o->image;
			r = 0;
			break;
		}
	}
	if (r == -ENOENT)
		r = open_image(s, number, out, err);
	pthread_mutex_unlock(&s->open_lock);
	return r;
}

/* Only the levels in use: a whole one is large. */
static void copy_content(struct shale_content *to,
			 const struct shale_content *from)
{
	memcpy(to, from,
	       offsetof(struct shale_content, level) +
		       from->n * sizeof(from->level[0]));
}

int shale_source_content(struct shale_source *s, uint32_t number, uint64_t ino,
			 struct shale_content *out,
			 struct shale_chunks **chunks, struct shale_err *err)
{
	struct kept *kept = &s->kept[(ino ^ number) % KEPT];
	const struct shale_image *image;

	pthread_mutex_lock(&s->kept_lock);
	bool found = kept->ino == ino && kept->number == number;
	if (found) {
		copy_content(out, &kept->content);
		*chunks = kept->chunks;
	}
	pthread_mutex_unlock(&s->kept_lock);
	if (found)
		return 0;

	int r = find_image(s, number, &image, err);
	if (r == 0)
		r = shale_image_content(image, ino, out, err);
	if (r < 0)
		return r;
	*chunks = image->chunks;
	pthread_mutex_lock(&s->kept_lock);
	kept->ino = ino;
	kept->number = number;
	kept->chunks = image->chunks;
	kept->data = UNKNOWN;
	copy_content(&kept->content, out);
	pthread_mutex_unlock(&s->kept_lock);
	return 0;
}

/* What is kept of a whole file, unless `data` is to be.  UNKNOWN */
static uint64_t kept_data(struct shale_source *s, uint32_t number, uint64_t ino,
			  uint64_t data)
{
	struct kept *kept = &s->kept[(ino ^ number) % KEPT];

	pthread_mutex_lock(&s->kept_lock);
	if (kept->ino == ino && kept->number == number) {
		if (data == UNKNOWN)
			data = kept->data;
		else
			kept->data = data;
	}
	pthread_mutex_unlock(&s->kept_lock);
	return data;
}

uint64_t shale_source_data(struct shale_source *s, uint32_t number,
			   uint64_t ino, uint64_t off, uint64_t len)
{
	struct shale_content content;
	struct shale_chunks *chunks;

	if (shale_source_content(s, number, ino, &content, &chunks, NULL) < 0)
		return len;
	bool whole = off == 0 && len >= content.size;
	uint64_t data = whole ? kept_data(s, number, ino, UNKNOWN) : UNKNOWN;
	if (data != UNKNOWN)
		return data;
	data = shale_content_data(&content, off, len, SHALE_DATA_STEPS);
	return whole ? kept_data(s, number, ino, data) : data;
}

int shale_source_read(struct shale_source *s, uint32_t number, uint64_t ino,
		      uint64_t off, void *data, size_t len,
		      struct shale_err *err)
{
	struct shale_content content;
	struct shale_chunks *chunks;
	size_t got;

	int r = shale_source_content(s, number, ino, &content, &chunks, err);
	if (r < 0)
		return r;
	shale_readahead_note(s->readahead, ino ^ (uint64_t)number << 40,
			     &content, chunks, off, len);
	r = shale_content_read(&content, chunks, off, data, len, &got, err);
	if (r < 0)
		return r;
	memset((uint8_t *)data + got, 0, len - got);
	return 0;
}
