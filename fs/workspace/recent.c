/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/workspace/recent.h"

#include "fs/workspace/ops.h"

#include "layers/base/hash.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
	LEVELS = 12, /* 4^12 keys before searches get longer */
	BUCKETS = 1 << 16,
	DROP_AT_ONCE = 128,
};

/*
 * One allocation: the node, its tower, key, value.  A change of a key replaces
 * its node.  All nodes also stand in a hash table, because most questions are
 * for one key, and in a list by position of their last change.
 */
struct shale_recent_node {
	struct shale_recent_node *older, *newer, *same_bucket;
	uint64_t pos;
	uint32_t hash;
	uint8_t *key; /* value_len bytes of value follow the key */
	uint32_t value_len;
	uint16_t key_len;
	uint8_t levels;
	bool deleted;
	struct shale_recent_node *next[];
};

struct shale_recent {
	pthread_rwlock_t lock;
	uint64_t random;
	struct shale_recent_node *head[LEVELS];
	struct shale_recent_node *oldest, *newest;
	size_t bytes; /* of all keys and values */
	struct shale_recent_node *bucket[BUCKETS];
};

static size_t bytes_of(const struct shale_recent_node *node)
{
	return (size_t)node->key_len + node->value_len;
}

int shale_key_compare(const void *a, size_t a_len, const void *b, size_t b_len)
{
	int c = memcmp(a, b, a_len < b_len ? a_len : b_len);
	return c ? c : (a_len > b_len) - (a_len < b_len);
}

struct shale_recent *shale_recent_new(void)
{
	struct shale_recent *recent = calloc(1, sizeof(*recent));
	if (!recent)
		return NULL;

	/* Readers that never pause must not keep a commit out. */
	pthread_rwlockattr_t attr;
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(
		&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&recent->lock, &attr);
	pthread_rwlockattr_destroy(&attr);
	recent->random = 0x9e3779b97f4a7c15u;
	return recent;
}

void shale_recent_free(struct shale_recent *recent)
{
	if (!recent)
		return;
	while (recent->oldest) {
		struct shale_recent_node *node = recent->oldest;
		recent->oldest = node->newer;
		free(node);
	}
	pthread_rwlock_destroy(&recent->lock);
	free(recent);
}

/* ------------------------------------------------------------- changing */

/* One more level with a chance of 1 in 4 (xorshift64). */
static unsigned random_levels(struct shale_recent *recent)
{
	uint64_t x = recent->random;
	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	recent->random = x;

	unsigned levels = 1;
	while (levels < LEVELS && (x & 3) == 0) {
		levels++;
		x >>= 2;
	}
	return levels;
}

static struct shale_recent_node *make_node(unsigned levels,
					   const struct shale_op *op)
{
	size_t tower = levels * sizeof(struct shale_recent_node *);
	struct shale_recent_node *node =
		malloc(sizeof(*node) + tower + op->key_len + op->value_len);
	if (!node)
		return NULL;
	*node = (struct shale_recent_node){
		.key = (uint8_t *)node + sizeof(*node) + tower,
		.hash = (uint32_t)shale_xxh64(op->key, op->key_len),
		.key_len = (uint16_t)op->key_len,
		.value_len = (uint32_t)op->value_len,
		.levels = (uint8_t)levels,
		.deleted = !op->put,
	};
	memcpy(node->key, op->key, op->key_len);
	if (op->value_len)
		memcpy(node->key + op->key_len, op->value, op->value_len);
	return node;
}

int shale_recent_prepare(struct shale_recent *recent, const uint8_t *ops,
			 size_t len, struct shale_recent_node **out)
{
	struct shale_recent_node *first = NULL, **link = &first;
	struct shale_op op;
	int r;

	while ((r = shale_ops_next(&ops, &len, &op)) > 0) {
		*link = make_node(random_levels(recent), &op);
		if (!*link) {
			r = -ENOMEM;
			break;
		}
		link = &(*link)->newer;
	}
	if (r < 0) {
		shale_recent_abandon(first);
		return r;
	}
	*out = first;
	return 0;
}

void shale_recent_abandon(struct shale_recent_node *node)
{
	while (node) {
		struct shale_recent_node *next = node->newer;
		free(node);
		node = next;
	}
}

/*
 * The first node >= key; `links` (may be NULL) are the pointers, one a level,
 * that lead to it or past where it would stand.
 */
static struct shale_recent_node *find(struct shale_recent *recent,
				      const void *key, size_t key_len,
				      struct shale_recent_node **links[LEVELS])
{
	struct shale_recent_node **tower = recent->head, *node = NULL;
	struct shale_recent_node *not_less = NULL;

	for (int level = LEVELS - 1; level >= 0; level--) {
		/* What stopped the level above stops this one too. */
		while ((node = tower[level]) && node != not_less &&
		       shale_key_compare(node->key, node->key_len, key,
					 key_len) < 0)
			tower = node->next;
		not_less = node;
		if (links)
			links[level] = &tower[level];
	}
	return node;
}

static void list_remove(struct shale_recent *recent,
			struct shale_recent_node *node)
{
	*(node->older ? &node->older->newer : &recent->oldest) = node->newer;
	*(node->newer ? &node->newer->older : &recent->newest) = node->older;
}

static void list_append(struct shale_recent *recent,
			struct shale_recent_node *node)
{
	node->older = recent->newest;
	node->newer = NULL;
	*(node->older ? &node->older->newer : &recent->oldest) = node;
	recent->newest = node;
}

static struct shale_recent_node **bucket_of(struct shale_recent *recent,
					    uint32_t hash)
{
	return &recent->bucket[hash % BUCKETS];
}

/* The node of a key; NULL. */
static struct shale_recent_node *lookup(struct shale_recent *recent,
					uint32_t hash, const void *key,
					size_t key_len)
{
	struct shale_recent_node *node = *bucket_of(recent, hash);

	while (node &&
	       (node->hash != hash ||
		shale_key_compare(node->key, node->key_len, key, key_len) != 0))
		node = node->same_bucket;
	return node;
}

static void bucket_remove(struct shale_recent *recent,
			  struct shale_recent_node *node)
{
	struct shale_recent_node **link = bucket_of(recent, node->hash);
	while (*link != node)
		link = &(*link)->same_bucket;
	*link = node->same_bucket;
}

static void bucket_add(struct shale_recent *recent,
		       struct shale_recent_node *node)
{
	struct shale_recent_node **bucket = bucket_of(recent, node->hash);
	node->same_bucket = *bucket;
	*bucket = node;
}

/* Take a node out of everything; `links` lead to it. */
static void unlink_node(struct shale_recent *recent,
			struct shale_recent_node *node,
			struct shale_recent_node **links[LEVELS])
{
	for (unsigned i = 0; i < node->levels; i++)
		*links[i] = node->next[i];
	list_remove(recent, node);
	bucket_remove(recent, node);
	recent->bytes -= bytes_of(node);
}

/*
 * A key that changes again and again (an inode that is written, a directory in
 * which names are made) keeps its node: no search.  Nobody reads meanwhile.
 */
static bool overwrite(struct shale_recent *recent,
		      struct shale_recent_node *old,
		      const struct shale_recent_node *node)
{
	if (old->value_len != node->value_len)
		return false;
	memcpy(old->key + old->key_len, node->key + node->key_len,
	       node->value_len);
	old->deleted = node->deleted;
	old->pos = node->pos;
	list_remove(recent, old);
	list_append(recent, old);
	return true;
}

static void insert(struct shale_recent *recent, struct shale_recent_node *node)
{
	struct shale_recent_node **links[LEVELS];
	struct shale_recent_node *old =
		lookup(recent, node->hash, node->key, node->key_len);

	if (old && overwrite(recent, old, node)) {
		free(node);
		return;
	}
	find(recent, node->key, node->key_len, links);
	if (old) {
		unlink_node(recent, old, links);
		free(old);
	}
	for (unsigned i = 0; i < node->levels; i++) {
		node->next[i] = *links[i];
		*links[i] = node;
	}
	list_append(recent, node);
	bucket_add(recent, node);
	recent->bytes += bytes_of(node);
}

void shale_recent_insert(struct shale_recent *recent,
			 struct shale_recent_node *node, uint64_t pos)
{
	pthread_rwlock_wrlock(&recent->lock);
	while (node) {
		struct shale_recent_node *next = node->newer;
		node->pos = pos;
		insert(recent, node);
		node = next;
	}
	pthread_rwlock_unlock(&recent->lock);
}

void shale_recent_drop(struct shale_recent *recent, uint64_t pos)
{
	struct shale_recent_node **links[LEVELS];
	bool more = true;

	while (more) {
		pthread_rwlock_wrlock(&recent->lock);
		for (int i = 0; i < DROP_AT_ONCE && more; i++) {
			struct shale_recent_node *node = recent->oldest;
			more = node && node->pos <= pos;
			if (!more)
				break;
			find(recent, node->key, node->key_len, links);
			unlink_node(recent, node, links);
			free(node);
		}
		pthread_rwlock_unlock(&recent->lock);
	}
}

/* -------------------------------------------------------------- reading */

static int answer(const struct shale_recent_node *node, struct shale_buf *value)
{
	if (node->deleted)
		return SHALE_RECENT_DELETED;
	if (value) {
		value->len = 0;
		if (shale_buf_append(value, node->key + node->key_len,
				     node->value_len) < 0)
			return -ENOMEM;
	}
	return SHALE_RECENT_VALUE;
}

int shale_recent_get(struct shale_recent *recent, const void *key,
		     size_t key_len, struct shale_buf *value)
{
	uint32_t hash = (uint32_t)shale_xxh64(key, key_len);
	int r = SHALE_RECENT_UNKNOWN;

	pthread_rwlock_rdlock(&recent->lock);
	struct shale_recent_node *node = lookup(recent, hash, key, key_len);
	if (node)
		r = answer(node, value);
	pthread_rwlock_unlock(&recent->lock);
	return r;
}

int shale_recent_next(struct shale_recent *recent, const void *from,
		      size_t from_len, struct shale_buf *key,
		      struct shale_buf *value)
{
	int r = SHALE_RECENT_UNKNOWN;

	pthread_rwlock_rdlock(&recent->lock);
	struct shale_recent_node *node = find(recent, from, from_len, NULL);
	if (node) {
		key->len = 0;
		r = answer(node, value);
		if (shale_buf_append(key, node->key, node->key_len) < 0)
			r = -ENOMEM;
	}
	pthread_rwlock_unlock(&recent->lock);
	return r;
}

size_t shale_recent_bytes(struct shale_recent *recent)
{
	pthread_rwlock_rdlock(&recent->lock);
	size_t bytes = recent->bytes;
	pthread_rwlock_unlock(&recent->lock);
	return bytes;
}

int shale_recent_each(struct shale_recent *recent, shale_recent_fn *fn,
		      void *arg)
{
	int r = 0;

	pthread_rwlock_rdlock(&recent->lock);
	for (const struct shale_recent_node *node = recent->head[0]; node && !r;
	     node = node->next[0]) {
		const struct shale_op op = {
			.put = !node->deleted,
			.key = node->key,
			.key_len = node->key_len,
			.value = node->key + node->key_len,
			.value_len = node->value_len,
		};
		r = fn(arg, &op);
	}
	pthread_rwlock_unlock(&recent->lock);
	return r;
}
