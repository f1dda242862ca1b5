/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/diff.h"

#include "layers/base/buf.h"
#include "tests/lib/check.h"
#include "tests/unit/diff-line.h"
#include "tests/unit/layers.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A layer below: /d/x, /d/y, /link = /d/x, /e. */
static struct layers sample(void)
{
	struct layers l = layers_begin(50);
	layers_inode(&l, 1, S_IFDIR | 0755);
	layers_inode(&l, 2, S_IFDIR | 0755);
	layers_inode(&l, 3, S_IFREG | 0644);
	layers_inode(&l, 4, S_IFREG | 0644);
	layers_inode(&l, 5, S_IFDIR | 0755);
	layers_name(&l, 1, "d", 2, S_IFDIR);
	layers_name(&l, 1, "link", 3, S_IFREG);
	layers_name(&l, 1, "e", 5, S_IFDIR);
	layers_name(&l, 2, "x", 3, S_IFREG);
	layers_name(&l, 2, "y", 4, S_IFREG);
	layers_push(&l);
	return l;
}

struct compared {
	struct layers l;
	struct shale_image old, fresh;
	struct shale_index *before;
	struct shale_buf got;
};

static struct compared begin(void)
{
	struct compared c = {.l = sample()};
	c.before = layers_index(&c.l);
	return c;
}

static const char *end(struct compared *c, struct shale_diff_opts opts)
{
	struct shale_err err = {0};

	layers_push(&c->l);
	c->old = (struct shale_image){
		.index = c->before, .trees = c->l.tree, .n_trees = c->l.n - 1};
	c->fresh = (struct shale_image){.index = layers_index(&c->l),
					.trees = c->l.tree,
					.n_trees = c->l.n};
	opts.old_shared = opts.new_shared = c->l.n - 1;
	c->got.len = 0;
	CHECK_OK(shale_diff(&c->old, &c->fresh, &opts, diff_line, &c->got,
			    &err));
	return shale_buf_str(&c->got);
}

static void drop(struct compared *c)
{
	shale_index_close(c->before);
	shale_index_close(c->fresh.index);
	shale_buf_release(&c->got);
	layers_end(&c->l);
}

TEST(a_file_with_several_names_is_told_of_at_each)
{
	struct compared c = begin();
	layers_inode(&c.l, 3, S_IFREG | 0600);
	CHECK_STR(end(&c, (struct shale_diff_opts){0}), "m /d/x\nm /link\n");
	drop(&c);
}

TEST(a_renamed_directory_is_deleted_and_added_with_all_below)
{
	struct compared c = begin();
	layers_no_name(&c.l, 1, "d");
	layers_name(&c.l, 5, "moved", 2, S_IFDIR);
	CHECK_STR(end(&c, (struct shale_diff_opts){0}),
		  "D /d\nD /d/x\nD /d/y\n"
		  "A /e/moved\nA /e/moved/x\nA /e/moved/y\n");
	drop(&c);
}

TEST(a_directory_made_again_with_the_same_names_differs_in_what_differs)
{
	struct compared c = begin();
	layers_gone(&c.l, 2);
	layers_inode(&c.l, 7, S_IFDIR | 0700);
	layers_name(&c.l, 1, "d", 7, S_IFDIR);
	layers_name(&c.l, 7, "y", 4, S_IFREG);
	CHECK_STR(end(&c, (struct shale_diff_opts){0}), "m /d\nD /d/x\n");
	drop(&c);
}

TEST(a_subtree_is_compared_alone)
{
	struct compared c = begin();
	layers_inode(&c.l, 3, S_IFREG | 0600);
	layers_inode(&c.l, 4, S_IFREG | 0600);
	CHECK_STR(end(&c, (struct shale_diff_opts){.path = "/d"}),
		  "m /d/x\nm /d/y\n");
	drop(&c);
}

TEST(a_path_that_only_one_has_is_added_with_all_below)
{
	struct compared c = begin();
	layers_inode(&c.l, 8, S_IFDIR | 0755);
	layers_inode(&c.l, 9, S_IFIFO | 0644);
	layers_name(&c.l, 5, "n", 8, S_IFDIR);
	layers_name(&c.l, 8, "f", 9, S_IFIFO);
	CHECK_STR(end(&c, (struct shale_diff_opts){.path = "/e/n"}),
		  "A /e/n\nA /e/n/f\n");
	drop(&c);
}

TEST(a_path_that_neither_has_is_an_error)
{
	struct compared c = begin();
	layers_inode(&c.l, 3, S_IFREG | 0600);
	end(&c, (struct shale_diff_opts){0});
	struct shale_diff_opts opts = {.path = "/d/none"};
	struct shale_err err = {0};
	CHECK_INT(shale_diff(&c.old, &c.fresh, &opts, diff_line, &c.got, &err),
		  -ENOENT);
	CHECK_STR(err.msg, "neither has '/d/none'");
	drop(&c);
}

TEST(a_directory_whose_time_alone_changed_is_no_difference)
{
	struct compared c = begin();
	struct shale_inode in = {.attr = {.ino = 2,
					  .mode = S_IFDIR | 0755,
					  .uid = 1000,
					  .gid = 100,
					  .mtime = {.tv_sec = 77}}};
	layers_full(&c.l, &in);
	CHECK_STR(end(&c, (struct shale_diff_opts){0}), "");
	drop(&c);
}

static bool always(void *arg)
{
	(void)arg;
	return true;
}

static int pass(void *arg, const struct shale_difference *d)
{
	(void)arg;
	(void)d;
	return 0;
}

TEST(a_long_comparison_can_be_cancelled)
{
	struct layers l = sample();
	char name[8];
	for (int i = 0; i < 2000; i++) {
		snprintf(name, sizeof(name), "%04d", i);
		layers_name(&l, 5, name, 4, S_IFREG);
	}
	layers_push(&l);
	struct shale_image whole = {
		.index = layers_index(&l), .trees = l.tree, .n_trees = l.n};
	struct shale_diff_opts opts = {.cancelled = always};
	struct shale_err err = {0};
	CHECK_INT(shale_diff(&whole, &whole, &opts, pass, NULL, &err), -EINTR);
	shale_index_close(whole.index);
	layers_end(&l);
}
