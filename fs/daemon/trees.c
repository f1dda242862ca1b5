/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/daemon/trees.h"

#include "fs/mount/forest.h"
#include "layers/base/buf.h"
#include "layers/base/cleanup.h"
#include "layers/base/io.h"

#include <fcntl.h>
#include <search.h>
#include <stdio.h>
#include <string.h>

enum { FILE_LIMIT = 1 << 30 };

struct numbered {
	struct shale_digest digest;
	uint32_t tree;
};

struct shale_trees {
	int fd;
	void *by_digest;           /* tsearch(3) of struct numbered */
	struct shale_buf pointers; /* to them, by tree number - 1 */
};

static int compare_digests(const void *a, const void *b)
{
	const struct numbered *x = a, *y = b;
	return memcmp(x->digest.b, y->digest.b, sizeof(x->digest.b));
}

static void keep(void *node)
{
	(void)node;
}

static uint32_t count(const struct shale_trees *t)
{
	return (uint32_t)(t->pointers.len / sizeof(struct numbered *));
}

void shale_trees_close(struct shale_trees *t)
{
	if (!t)
		return;
	tdestroy(t->by_digest, keep);
	struct numbered **trees = (struct numbered **)t->pointers.data;
	for (size_t i = 0; i < count(t); i++)
		free(trees[i]);
	shale_buf_release(&t->pointers);
	if (t->fd >= 0)
		close(t->fd);
	free(t);
}
SHALE_DEFINE_CLEANUP(trees, struct shale_trees *, shale_trees_close);

int shale_trees_digest(const struct shale_trees *t, uint32_t tree,
		       struct shale_digest *out)
{
	struct numbered *const *trees = (void *)t->pointers.data;

	if (tree < 1 || tree > count(t))
		return -ESTALE;
	*out = trees[tree - 1]->digest;
	return 0;
}

static int add(struct shale_trees *t, const struct numbered *tree,
	       struct shale_err *err)
{
	struct numbered *node = malloc(sizeof(*node));

	if (!node || shale_buf_append(&t->pointers, &node, sizeof(node)) < 0) {
		free(node);
		return shale_err_set(err, ENOMEM, "list versions");
	}
	*node = *tree;
	if (!tsearch(node, &t->by_digest, compare_digests))
		return shale_err_set(err, ENOMEM, "list versions");
	return 0;
}

int shale_trees_number(struct shale_trees *t, const struct shale_digest *digest,
		       uint32_t *out, struct shale_err *err)
{
	struct numbered key = {.digest = *digest, .tree = count(t) + 1};
	char line[SHALE_DIGEST_STR + 16], text[SHALE_DIGEST_STR];

	struct numbered *const *found =
		tfind(&key, &t->by_digest, compare_digests);
	if (found) {
		*out = (*found)->tree;
		return 0;
	}
	if (key.tree > SHALE_TREE_MAX)
		return shale_err_say(err, EOVERFLOW, "too many versions");
	snprintf(line, sizeof(line), "%u %s\n", key.tree,
		 shale_digest_str(digest, text));
	int r = shale_file_append(t->fd, line, strlen(line), "trees", err);
	if (r == 0)
		r = add(t, &key, err);
	if (r == 0)
		*out = key.tree;
	return r;
}

/* "7 sha256:…": the next tree.  Returns its length; 0: it is torn, and nobody
 * heard of it. */
static int take_line(struct shale_trees *t, const char *line,
		     struct shale_err *err)
{
	struct numbered tree = {.tree = count(t) + 1};
	char text[SHALE_DIGEST_STR], number[16];
	size_t len = strcspn(line, "\n");
	int n = snprintf(number, sizeof(number), "%u ", tree.tree);

	if (!line[len])
		return 0;
	if (tree.tree > SHALE_TREE_MAX || strncmp(line, number, (size_t)n) ||
	    len - (size_t)n != sizeof(text) - 1)
		return shale_err_say(err, EUCLEAN, "'trees' is damaged at %u",
				     tree.tree);
	memcpy(text, line + n, sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	if (shale_digest_parse(text, &tree.digest) < 0)
		return shale_err_say(err, EUCLEAN, "'trees' is damaged at %u",
				     tree.tree);
	int r = add(t, &tree, err);
	return r < 0 ? r : (int)len + 1;
}

static int load(struct shale_trees *t, int state, struct shale_err *err)
{
	cleanup_buf struct shale_buf text = {0};
	int r = shale_read_file(state, "trees", FILE_LIMIT, &text, err);
	const char *start = r == 0 ? shale_buf_str(&text) : NULL, *at = start;

	if (r < 0 || !start)
		return r < 0 ? r : shale_err_set(err, ENOMEM, "list versions");
	while ((r = take_line(t, at, err)) > 0)
		at += r;
	if (r == 0 && ftruncate(t->fd, at - start) < 0)
		r = shale_err_set(err, errno, "cut off 'trees'");
	return r;
}

int shale_trees_open(struct shale_trees **out, int state, bool takeover,
		     struct shale_err *err)
{
	SHALE_CLEANUP(shale_cleanup_trees)
	struct shale_trees *t = calloc(1, sizeof(*t));
	if (!t)
		return shale_err_set(err, ENOMEM, "list versions");
	t->fd = openat(state, "trees",
		       O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC |
			       (takeover ? 0 : O_TRUNC),
		       0600);
	if (t->fd < 0)
		return shale_err_set(err, errno, "list versions");
	int r = takeover ? load(t, state, err) : 0;
	if (r == 0)
		*out = steal_ptr(&t);
	return r;
}
