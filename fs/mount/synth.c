/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/mount/synth_impl.h"

#include "layers/base/cleanup.h"
#include "layers/base/hash.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

static void free_node(struct shale_synth_node *node)
{
	if (!node)
		return;
	free(node->name);
	free(node->target);
	free(node);
}

void shale_synth_unref(struct shale_synth *s)
{
	if (!s || atomic_fetch_sub(&s->refs, 1) != 1)
		return;
	for (size_t i = 0; i < s->n; i++)
		free_node(s->nodes[i]);
	free(s->nodes);
	free(s->by_ino);
	free(s->hash);
	free(s);
}

struct shale_synth *shale_synth_ref(struct shale_synth *s)
{
	atomic_fetch_add(&s->refs, 1);
	return s;
}

static size_t slot_of(const struct shale_synth *s, uint64_t parent,
		      const char *name, size_t len)
{
	uint64_t h = shale_xxh64(name, len) ^ parent * 0x9e3779b97f4a7c15u;
	return (size_t)(h ^ h >> 32) & (s->hash_size - 1);
}

const struct shale_synth_node *shale_synth_lookup(const struct shale_synth *s,
						  uint64_t dir,
						  const char *name, size_t len)
{
	for (size_t i = slot_of(s, dir, name, len); s->hash[i];
	     i = (i + 1) & (s->hash_size - 1)) {
		const struct shale_synth_node *node = s->hash[i];
		if (node->parent == dir && strlen(node->name) == len &&
		    memcmp(node->name, name, len) == 0)
			return node;
	}
	return NULL;
}

static void hash_node(struct shale_synth *s, struct shale_synth_node *node)
{
	size_t i = slot_of(s, node->parent, node->name, strlen(node->name));
	while (s->hash[i])
		i = (i + 1) & (s->hash_size - 1);
	s->hash[i] = node;
}

/* Room for one more node: the hash stays at most half full. */
static int grow(struct shale_synth *s)
{
	if (s->n < s->cap)
		return 0;
	size_t cap = s->cap ? s->cap * 2 : 64;
	void *nodes = realloc(s->nodes, cap * sizeof(*s->nodes));
	if (!nodes)
		return -ENOMEM;
	s->nodes = nodes;
	void *hash = calloc(cap * 2, sizeof(*s->hash));
	if (!hash)
		return -ENOMEM;
	free(s->hash);
	s->hash = hash;
	s->hash_size = cap * 2;
	s->cap = cap;
	for (size_t i = 0; i < s->n; i++)
		hash_node(s, s->nodes[i]);
	return 0;
}

/* The kernel keeps a link's target, so another target is another link. */
static bool is_same(const struct shale_synth_node *was,
		    enum shale_synth_kind kind, const char *target)
{
	return was && was->kind == kind &&
	       (!target || (was->target && !strcmp(was->target, target)));
}

struct shale_synth_node *shale_synth_put(struct shale_synth *s, uint64_t parent,
					 const char *name, size_t len,
					 enum shale_synth_kind kind,
					 const char *target)
{
	if (grow(s) < 0)
		return NULL;
	struct shale_synth_node *node = calloc(1, sizeof(*node));
	if (!node)
		return NULL;
	node->name = strndup(name, len);
	if (!node->name) {
		free(node);
		return NULL;
	}
	const struct shale_synth_node *was =
		s->old ? shale_synth_lookup(s->old, parent, name, len) : NULL;
	node->parent = parent;
	node->kind = kind;
	node->mtime = s->mtime;
	node->ino = is_same(was, kind, target) ? was->ino : s->next_ino++;
	s->nodes[s->n++] = node;
	hash_node(s, node);
	return node;
}

int shale_synth_new(struct shale_synth **out, const struct shale_synth *old,
		    const struct timespec *mtime)
{
	struct shale_synth *s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	atomic_init(&s->refs, 1);
	s->old = old;
	s->mtime = *mtime;
	s->next_ino = old ? old->next_ino : SHALE_SYNTH_ROOT + 1;

	/* The root's own entry: nobody looks up an empty name. */
	struct shale_synth_node *root = shale_synth_put(
		s, SHALE_SYNTH_ROOT, "", 0, SHALE_SYNTH_DIR, NULL);
	if (!root) {
		shale_synth_unref(s);
		return -ENOMEM;
	}
	root->ino = SHALE_SYNTH_ROOT;
	*out = s;
	return 0;
}

/* The child `name`, made as a directory if it is not there. */
static struct shale_synth_node *step(struct shale_synth *s, uint64_t dir,
				     const char *name, size_t len)
{
	struct shale_synth_node *node =
		(struct shale_synth_node *)shale_synth_lookup(s, dir, name,
							      len);
	return node ? node
		    : shale_synth_put(s, dir, name, len, SHALE_SYNTH_DIR, NULL);
}

int shale_synth_add(struct shale_synth *s, const char *path,
		    enum shale_synth_kind kind, const char *target,
		    uint32_t tree, const struct timespec *mtime)
{
	uint64_t dir = SHALE_SYNTH_ROOT;
	const char *slash;

	for (; (slash = strchr(path, '/')); path = slash + 1) {
		struct shale_synth_node *node =
			step(s, dir, path, (size_t)(slash - path));
		if (!node)
			return -ENOMEM;
		if (node->kind != SHALE_SYNTH_DIR)
			return 0;
		dir = node->ino;
	}
	if (shale_synth_lookup(s, dir, path, strlen(path)))
		return 0;

	struct shale_synth_node *node =
		shale_synth_put(s, dir, path, strlen(path), kind, target);
	if (!node)
		return -ENOMEM;
	node->tree = tree;
	node->mtime = *mtime;
	node->target = target ? strdup(target) : NULL;
	return target && !node->target ? -ENOMEM : 0;
}

static int by_parent(const void *a, const void *b)
{
	const struct shale_synth_node *x = *(void *const *)a,
				      *y = *(void *const *)b;
	if (x->parent != y->parent)
		return x->parent < y->parent ? -1 : 1;
	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

int shale_synth_seal(struct shale_synth *s)
{
	s->by_ino = calloc(s->next_ino, sizeof(struct shale_synth_node *));
	if (!s->by_ino)
		return -ENOMEM;
	for (size_t i = 0; i < s->n; i++)
		s->by_ino[s->nodes[i]->ino] = s->nodes[i];
	for (size_t i = 0; i < s->n; i++) {
		const struct shale_synth_node *node = s->nodes[i];
		if (node->kind != SHALE_SYNTH_LINK &&
		    node->ino != SHALE_SYNTH_ROOT)
			s->by_ino[node->parent]->subdirs++;
	}
	qsort(s->nodes, s->n, sizeof(struct shale_synth_node *), by_parent);
	s->old = NULL;
	return 0;
}

const struct shale_synth_node *shale_synth_get(const struct shale_synth *s,
					       uint64_t ino)
{
	return ino < s->next_ino ? s->by_ino[ino] : NULL;
}

const struct shale_synth_node *shale_synth_next(const struct shale_synth *s,
						uint64_t dir, uint64_t after)
{
	size_t low = 0, high = s->n;

	if (after < SHALE_SYNTH_ROOT)
		after = SHALE_SYNTH_ROOT; /* not the root itself */
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		const struct shale_synth_node *node = s->nodes[mid];
		if (node->parent < dir ||
		    (node->parent == dir && node->ino <= after))
			low = mid + 1;
		else
			high = mid;
	}
	return low < s->n && s->nodes[low]->parent == dir ? s->nodes[low]
							  : NULL;
}

/* The way from the root to a node. */
static int put_way(const struct shale_synth *s,
		   const struct shale_synth_node *node, struct shale_buf *out)
{
	enum { DEPTH = 64 }; /* a repository's name has slashes, but few */
	const struct shale_synth_node *way[DEPTH];
	size_t n = 0;
	int r = 0;

	for (; node->ino != SHALE_SYNTH_ROOT; node = s->by_ino[node->parent]) {
		if (n == DEPTH)
			return -ENOENT;
		way[n++] = node;
	}
	while (n && r == 0)
		r = shale_buf_printf(out, "/%s", way[--n]->name);
	return r;
}

int shale_synth_path(const struct shale_synth *s, uint32_t tree,
		     struct shale_buf *out)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->nodes[i]->kind == SHALE_SYNTH_TREE &&
		    s->nodes[i]->tree == tree)
			return put_way(s, s->nodes[i], out);
	return -ENOENT;
}
