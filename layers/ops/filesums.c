/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/filesums.h"

#include "layers/base/bytes.h"
#include "layers/base/cleanup.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

/* 5 MiB of table: 64 Ki contents, each in one of four places. */
enum { SETS = 1 << 14, WAYS = 4, PIECE = 1 << 20 };

enum state { FREE, BUSY, KNOWN };

struct slot {
	struct shale_digest key; /* of the chunks that the content is made of */
	struct shale_digest sum;
	uint64_t size;
	enum state state;
};

struct shale_filesums {
	const struct shale_image *image;
	bool (*cancelled)(void *arg);
	void *arg;
	struct slot *slots;
	pthread_mutex_t lock; /* of the slots */
	pthread_cond_t told;  /* a busy slot is busy no more */
	atomic_uint_least64_t bytes, read;
};

int shale_filesums_new(struct shale_filesums **out,
		       const struct shale_image *image,
		       bool (*cancelled)(void *arg), void *arg,
		       struct shale_err *err)
{
	struct shale_filesums *s = calloc(1, sizeof(*s));
	if (s)
		s->slots = calloc((size_t)SETS * WAYS, sizeof(*s->slots));
	if (!s || !s->slots) {
		free(s);
		return shale_err_set(err, ENOMEM, "sums of files");
	}
	s->image = image;
	s->cancelled = cancelled;
	s->arg = arg;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->told, NULL);
	*out = s;
	return 0;
}

void shale_filesums_free(struct shale_filesums *sums)
{
	if (!sums)
		return;
	pthread_cond_destroy(&sums->told);
	pthread_mutex_destroy(&sums->lock);
	free(sums->slots);
	free(sums);
}

void shale_filesums_bytes(const struct shale_filesums *sums, uint64_t *told,
			  uint64_t *read)
{
	*told = atomic_load(&sums->bytes);
	*read = atomic_load(&sums->read);
}

/* ------------------------------------------------------------------- keys */

/* What a piece is made of: parts of chunks, named by their stored bytes. */
static int add_piece(struct shale_sha256 *sha, const struct shale_piece *piece,
		     struct shale_err *err)
{
	struct {
		struct le64 off, len;
		struct shale_digest chunk;
	} part = {0};
	uint64_t left = piece->len, off = piece->chunk_off;

	if (!piece->tree) {
		part.len = le64_make(left);
		shale_sha256_update(sha, &part, sizeof(part));
		return 0;
	}
	for (uint64_t n = piece->chunk; left > 0; n++) {
		struct shale_chunk chunk;
		int r = shale_tree_chunk(piece->tree, n, &chunk, err);
		if (r < 0)
			return r;
		uint64_t len = chunk.len - off < left ? chunk.len - off : left;
		part.off = le64_make(off);
		part.len = le64_make(len);
		part.chunk = chunk.sha256;
		shale_sha256_update(sha, &part, sizeof(part));
		left -= len;
		off = 0;
	}
	return 0;
}

/*
 * Equal for files whose contents are the same parts of the same chunks.  The
 * stored bytes' own digest stands for a chunk, so no two contents share a key.
 */
static int key_of(const struct shale_content *content, struct shale_digest *out,
		  struct shale_err *err)
{
	cleanup_sha256 struct shale_sha256 *sha = shale_sha256_new();
	struct shale_piece piece;
	int r = sha ? 0 : shale_err_set(err, ENOMEM, "sums of files");

	for (uint64_t off = 0; r == 0 && off < content->size;) {
		r = shale_content_piece(content, off, content->size - off,
					&piece, err);
		if (r == 0)
			r = add_piece(sha, &piece, err);
		off += r == 0 ? piece.len : 0;
	}
	if (r == 0)
		shale_sha256_final(sha, out);
	return r;
}

/* ------------------------------------------------------------------ table */

static struct slot *set_of(const struct shale_filesums *sums,
			   const struct shale_digest *key)
{
	return &sums->slots[(key->b[0] | (key->b[1] & 63) << 8) * WAYS];
}

/*
 * The slot of `key`: KNOWN, or BUSY for the caller, who is to compute the sum.
 * NULL: there is no room for it.  Locked.
 */
static struct slot *take(struct shale_filesums *sums,
			 const struct shale_digest *key, uint64_t size)
{
	struct slot *set = set_of(sums, key), *room = NULL;

	for (int i = 0; i < WAYS; i++) {
		struct slot *s = &set[i];
		if (s->state != FREE && !memcmp(&s->key, key, sizeof(*key))) {
			if (s->state == KNOWN)
				return s;
			pthread_cond_wait(&sums->told, &sums->lock);
			return take(sums, key, size);
		}
		if (s->state != BUSY && (!room || s->size < room->size))
			room = s;
	}
	if (!room || room->size > size)
		return NULL;
	*room = (struct slot){.key = *key, .size = size, .state = BUSY};
	return room;
}

static int compute(struct shale_filesums *sums,
		   const struct shale_content *content,
		   struct shale_digest *out, struct shale_err *err)
{
	cleanup_sha256 struct shale_sha256 *sha = shale_sha256_new();
	size_t len = content->size < PIECE ? (size_t)content->size : PIECE, got;
	cleanup_free uint8_t *data = malloc(len ? len : 1);
	if (!sha || !data)
		return shale_err_set(err, ENOMEM, "sums of files");

	for (uint64_t off = 0; off < content->size; off += got) {
		if (sums->cancelled && sums->cancelled(sums->arg))
			return shale_err_say(err, EINTR, "interrupted");
		int r = shale_content_read(content, sums->image->chunks, off,
					   data, len, &got, err);
		if (r < 0)
			return r;
		if (got == 0)
			return shale_err_say(err, EUCLEAN,
					     "the content ends early");
		shale_sha256_update(sha, data, got);
		atomic_fetch_add(&sums->bytes, got);
		atomic_fetch_add(&sums->read, got);
	}
	shale_sha256_final(sha, out);
	return 0;
}

int shale_filesums_of(struct shale_filesums *sums, uint64_t ino,
		      struct shale_digest *out, struct shale_err *err)
{
	struct shale_content content;
	struct shale_digest key;

	int r = shale_image_content(sums->image, ino, &content, err);
	if (r == 0)
		r = key_of(&content, &key, err);
	if (r < 0)
		return r;

	pthread_mutex_lock(&sums->lock);
	struct slot *slot = take(sums, &key, content.size);
	bool known = slot && slot->state == KNOWN;
	if (known)
		*out = slot->sum;
	pthread_mutex_unlock(&sums->lock);
	if (known) {
		atomic_fetch_add(&sums->bytes, content.size);
		return 0;
	}

	r = compute(sums, &content, out, err);
	if (!slot)
		return r;
	pthread_mutex_lock(&sums->lock);
	slot->state = r == 0 ? KNOWN : FREE;
	if (r == 0)
		slot->sum = *out;
	else
		slot->size = 0;
	pthread_cond_broadcast(&sums->told);
	pthread_mutex_unlock(&sums->lock);
	return r;
}
