/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/mount/forest.h"

#include "fs/mount/forest_impl.h"
#include "layers/base/cleanup.h"

#include <string.h>
#include <sys/stat.h>

enum { MAX_OPEN = 128 };

int shale_forest_single(struct shale_forest **out,
			const struct shale_image *image,
			const struct shale_reading *reading,
			struct shale_err *err)
{
	struct shale_forest *f = calloc(1, sizeof(*f));
	if (!f)
		return shale_err_set(err, ENOMEM, "serve an image");
	pthread_mutex_init(&f->lock, NULL);
	f->single = image;
	int r = reading->no_ahead ? 0
				  : shale_readahead_new(&f->readahead, 0, err);
	if (r == 0 && !reading->no_push)
		r = shale_push_new(&f->push, image, err);
	if (r == 0 && !reading->no_push)
		r = shale_fill_new(&f->fill, image, err);
	if (r < 0) {
		shale_forest_free(f);
		return r;
	}
	*out = f;
	return 0;
}

void shale_forest_push_to(struct shale_forest *f, shale_push_fn *fn, void *arg)
{
	if (f->push)
		shale_push_to(f->push, fn, arg);
	if (f->fill)
		shale_fill_to(f->fill, fn, arg);
}

int shale_forest_many(struct shale_forest **out,
		      const struct shale_forest_opts *opts,
		      struct shale_err *err)
{
	struct shale_forest *f = calloc(1, sizeof(*f));
	if (!f)
		return shale_err_set(err, ENOMEM, "serve versions");
	pthread_mutex_init(&f->lock, NULL);
	f->opts = *opts;
	*out = f;
	return 0;
}

static void close_tree(struct shale_forest_tree *tree)
{
	shale_image_close(tree->image);
	pthread_mutex_destroy(&tree->opening);
	free(tree);
}

void shale_forest_free(struct shale_forest *f)
{
	if (!f)
		return;
	while (f->trees) {
		struct shale_forest_tree *tree = f->trees;
		f->trees = tree->next;
		close_tree(tree);
	}
	shale_push_free(f->push);
	shale_fill_free(f->fill);
	shale_readahead_free(f->readahead);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

/* Close the tree that nobody has used for longest, if there are too many. */
static void shrink(struct shale_forest *f)
{
	struct shale_forest_tree **last = NULL;

	if (f->n_trees < MAX_OPEN)
		return;
	for (struct shale_forest_tree **p = &f->trees; *p; p = &(*p)->next)
		if ((*p)->users == 0)
			last = p;
	if (!last)
		return;
	struct shale_forest_tree *tree = *last;
	*last = tree->next;
	f->n_trees--;
	close_tree(tree);
}

/* The record of a tree, most recently used first; taken for one user. */
static struct shale_forest_tree *take_record(struct shale_forest *f,
					     uint32_t number)
{
	struct shale_forest_tree **p = &f->trees, *tree;

	pthread_mutex_lock(&f->lock);
	while (*p && (*p)->number != number)
		p = &(*p)->next;
	tree = *p;
	if (tree) {
		*p = tree->next;
	} else {
		shrink(f);
		tree = calloc(1, sizeof(*tree));
		if (tree) {
			tree->number = number;
			pthread_mutex_init(&tree->opening, NULL);
			f->n_trees++;
		}
	}
	if (tree) {
		tree->users++;
		tree->next = f->trees;
		f->trees = tree;
	}
	pthread_mutex_unlock(&f->lock);
	return tree;
}

void shale_forest_put(struct shale_forest *f, struct shale_forest_tree *tree)
{
	if (!tree)
		return;
	pthread_mutex_lock(&f->lock);
	tree->users--;
	pthread_mutex_unlock(&f->lock);
}

int shale_forest_get(struct shale_forest *f, uint32_t number,
		     struct shale_forest_tree **out,
		     const struct shale_image **image, struct shale_err *err)
{
	*out = NULL;
	if (f->single) {
		*image = f->single;
		return number == 0 ? 0 : -ESTALE;
	}
	struct shale_forest_tree *tree = take_record(f, number);
	if (!tree)
		return -ENOMEM;

	/* Those who want the same image wait for the one who opens it. */
	int r = 0;
	pthread_mutex_lock(&tree->opening);
	if (!tree->image)
		r = f->opts.open(f->opts.arg, number, &tree->image, err);
	pthread_mutex_unlock(&tree->opening);
	if (r < 0) {
		shale_forest_put(f, tree);
		return r;
	}
	*image = tree->image;
	*out = tree;
	return 0;
}

/* Is image `number` open now? */
static bool is_open(struct shale_forest *f, uint32_t number)
{
	bool found = false;
	pthread_mutex_lock(&f->lock);
	for (const struct shale_forest_tree *t = f->trees; t && !found;
	     t = t->next)
		found = t->number == number && t->image;
	pthread_mutex_unlock(&f->lock);
	return found;
}

/* ------------------------------------------------------- the made-up part */

static void fill_made_up(struct shale_forest_node *out,
			 const struct shale_synth_node *node)
{
	bool link = node->kind == SHALE_SYNTH_LINK;

	*out = (struct shale_forest_node){
		.id = node->kind == SHALE_SYNTH_TREE
			      ? shale_node_id(node->tree, 1)
			      : node->ino,
		.attr = {.ino = node->ino,
			 .mode = link ? S_IFLNK | 0777 : S_IFDIR | 0555,
			 .nlink = link ? 1 : 2 + node->subdirs,
			 .size = link ? strlen(node->target) : 0,
			 .mtime = node->mtime},
		.changes = true,
	};
}

static int made_up_node(struct shale_forest *f,
			const struct shale_synth_node *node,
			struct shale_forest_node *out, struct shale_err *err)
{
	if (!node)
		return -ENOENT;
	if (node->kind == SHALE_SYNTH_TREE) {
		int r = shale_forest_getattr(f, shale_node_id(node->tree, 1),
					     out, err);
		out->changes = true; /* the name, not what is below */
		return r;
	}
	fill_made_up(out, node);
	return 0;
}

int shale_forest_top_lookup(struct shale_forest *f, uint64_t dir,
			    const char *name, size_t len,
			    struct shale_forest_node *out,
			    struct shale_err *err)
{
	struct shale_synth *top;
	int r = f->opts.top(f->opts.arg, &top, err);
	if (r < 0)
		return r;
	const struct shale_synth_node *node = shale_synth_get(top, dir);
	if (!node)
		r = -ESTALE;
	else if (len == 1 && name[0] == '.')
		r = made_up_node(f, node, out, err);
	else if (len == 2 && name[0] == '.' && name[1] == '.')
		r = made_up_node(f, shale_synth_get(top, node->parent), out,
				 err);
	else
		r = made_up_node(f, shale_synth_lookup(top, dir, name, len),
				 out, err);
	shale_synth_unref(top);
	return r;
}

int shale_forest_top_getattr(struct shale_forest *f, uint64_t ino,
			     struct shale_forest_node *out,
			     struct shale_err *err)
{
	struct shale_synth *top;
	int r = f->opts.top(f->opts.arg, &top, err);
	if (r < 0)
		return r;
	const struct shale_synth_node *node = shale_synth_get(top, ino);
	if (node)
		fill_made_up(out, node);
	shale_synth_unref(top);
	return node ? 0 : -ESTALE;
}

int shale_forest_top_readlink(struct shale_forest *f, uint64_t ino,
			      struct shale_buf *out, struct shale_err *err)
{
	struct shale_synth *top;
	int r = f->opts.top(f->opts.arg, &top, err);
	if (r < 0)
		return r;
	const struct shale_synth_node *node = shale_synth_get(top, ino);
	if (!node)
		r = -ESTALE;
	else if (node->kind != SHALE_SYNTH_LINK)
		r = -EINVAL;
	else
		r = shale_buf_append(out, node->target, strlen(node->target));
	shale_synth_unref(top);
	return r;
}

/*
 * Offsets: 1 and 2 follow "." and "..", 3 + ino follows a child.  Numbers are
 * kept when the tree is refreshed, so a listing that goes on across a refresh
 * neither repeats nor loses a name.
 */
int shale_forest_top_readdir(struct shale_forest *f, uint64_t dir, uint64_t off,
			     bool plus, shale_forest_entry_fn *fn, void *arg,
			     struct shale_err *err)
{
	struct shale_forest_node out;
	struct shale_synth *top;
	int r = f->opts.top(f->opts.arg, &top, err);
	if (r < 0)
		return r;

	const struct shale_synth_node *self = shale_synth_get(top, dir), *node;
	bool room = self && self->kind == SHALE_SYNTH_DIR;
	if (!room)
		r = self ? -ENOTDIR : -ESTALE;
	if (room && off < 1) {
		fill_made_up(&out, self);
		room = fn(arg, ".", 1, &out, false, 1);
	}
	if (room && off < 2) {
		fill_made_up(&out, shale_synth_get(top, self->parent));
		room = fn(arg, "..", 2, &out, false, 2);
	}
	uint64_t after = off < 3 ? 0 : off - 3;
	while (room && (node = shale_synth_next(top, dir, after))) {
		bool filled = plus && (node->kind != SHALE_SYNTH_TREE ||
				       is_open(f, node->tree));
		if (!filled || made_up_node(f, node, &out, NULL) < 0) {
			fill_made_up(&out, node);
			filled = filled && node->kind != SHALE_SYNTH_TREE;
		}
		room = fn(arg, node->name, strlen(node->name), &out, filled,
			  node->ino + 3);
		after = node->ino;
	}
	shale_synth_unref(top);
	return r;
}

int shale_forest_top_path(struct shale_forest *f, uint32_t tree,
			  struct shale_buf *out)
{
	struct shale_synth *top;

	if (f->single)
		return 0;
	int r = f->opts.top(f->opts.arg, &top, NULL);
	if (r < 0)
		return r;
	r = shale_synth_path(top, tree, out);
	shale_synth_unref(top);
	return r;
}
