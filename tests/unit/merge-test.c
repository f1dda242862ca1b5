/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/index/merge.h"

#include "layers/base/buf.h"
#include "tests/lib/check.h"
#include "tests/unit/layers.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ------------------------------------------------------- drawn tables */

/*
 * What each layer, bottom first, does to the name "n" in the root:
 *
 *   d  makes a directory     f  makes a file        s  makes a symlink
 *   a  makes a file in the directory, named after the layer ("a2")
 *   x  deletes what stands: its name, its inodes, but not the names inside
 *   X  deletes it, the names inside too
 *   c  changes attributes    r  replaces content    p  patches content
 *   -  says nothing
 *
 * Making over what stands deletes that first, as x does.
 *
 * What stands: "d2[a3 a4]": a directory made by layer 2, with these files;
 * "f1 t3/2": a file made by layer 1, layer 3 is the topmost that says
 * something of the content, and 2 layers do; "f1": nobody does.
 */
struct drawn {
	const char *layers, *stands;
};

/* clang-format off */
static const struct drawn drawn[] = {
	{"-",       "nothing"},
	{"d",       "d0[]"},
	{"da",      "d0[a1]"},
	{"dx",      "nothing"},
	{"dax",     "nothing"},
	{"daX",     "nothing"},
	{"dxd",     "d2[]"},
	{"daxd",    "d3[]"},         /* what was below stays dead */
	{"daxda",   "d3[a4]"},
	{"daXda",   "d3[a4]"},
	{"dadxda",  "d4[a5]"},       /* "opaque" in the middle of layers */
	{"dad",     "d2[]"},         /* made over, in one layer */
	{"dada",    "d2[a3]"},
	{"d-a-a",   "d0[a2 a4]"},
	{"daf",     "f2"},
	{"dafd",    "d3[]"},
	{"dafxda",  "d4[a5]"},
	{"f",       "f0"},
	{"fx",      "nothing"},
	{"fxf",     "f2"},
	{"fxx",     "nothing"},      /* deletes what is not there */
	{"xf",      "f1"},
	{"xd",      "d1[]"},
	{"ff",      "f1"},
	{"fd",      "d1[]"},
	{"fs",      "s1"},
	{"sf",      "f1"},
	{"dcac",    "d0[a2]"},       /* attributes do not hide what is below */
	{"fr",      "f0 t1/1"},
	{"frc",     "f0 t1/1"},
	{"fc",      "f0"},
	{"fp",      "f0 t1/1"},      /* nothing below the patch */
	{"frp",     "f0 t2/2"},
	{"frppp",   "f0 t4/4"},
	{"frp-c-p", "f0 t6/3"},
	{"frppr",   "f0 t4/1"},      /* replaced: all below is history */
	{"frpprp",  "f0 t5/2"},
	{"frpxfp",  "f4 t5/1"},      /* another file: no content of the old */
	{"frpf",    "f3"},
};
/* clang-format on */

/* What the layers have made so far. */
struct drawing {
	struct layers layers;
	uint64_t next; /* free inode number */
	uint64_t n;    /* inode of "n"; 0: none */
	uint32_t type;
	uint64_t inside[16]; /* files in it, and their names */
	char names[16][8];
	size_t n_inside;
};

static void draw_delete(struct drawing *d, bool names)
{
	if (d->n)
		layers_gone(&d->layers, d->n);
	for (size_t i = 0; i < d->n_inside; i++) {
		layers_gone(&d->layers, d->inside[i]);
		if (names)
			layers_no_name(&d->layers, d->n, d->names[i]);
	}
	d->n_inside = 0;
	d->n = 0;
}

static void draw_make(struct drawing *d, uint32_t type)
{
	draw_delete(d, false);
	d->n = d->next++;
	d->type = type;
	if (type == S_IFLNK)
		layers_symlink(&d->layers, d->n, "target");
	else
		layers_inode(&d->layers, d->n, type | 0700);
	layers_name(&d->layers, 1, "n", d->n, type);
}

static void draw_inside(struct drawing *d, size_t layer)
{
	char *name = d->names[d->n_inside];
	snprintf(name, sizeof(d->names[0]), "a%zu", layer);
	d->inside[d->n_inside++] = d->next;
	layers_inode(&d->layers, d->next, S_IFREG | 0600);
	layers_name(&d->layers, d->n, name, d->next++, S_IFREG);
}

static void draw_layer(struct drawing *d, char what, size_t layer)
{
	struct layers *l = &d->layers;

	switch (what) {
	case 'd':
		draw_make(d, S_IFDIR);
		break;
	case 'f':
		draw_make(d, S_IFREG);
		break;
	case 's':
		draw_make(d, S_IFLNK);
		break;
	case 'a':
		draw_inside(d, layer);
		break;
	case 'x':
	case 'X':
		draw_delete(d, what == 'X');
		layers_no_name(l, 1, "n");
		break;
	case 'c':
		layers_inode(l, d->n, d->type | 0711);
		break;
	case 'r':
		layers_content(l, d->n, SHALE_CONTENT_REPLACED, 9, 0);
		layers_hole(l, d->n, 0, 9);
		break;
	case 'p':
		layers_content(l, d->n, SHALE_CONTENT_PATCHED, 9, 9);
		layers_hole(l, d->n, 1, 1);
		break;
	}
}

/* Which layer made an inode: numbers are 10 * layer + … */
static void describe(const struct shale_index *ix, struct shale_buf *out)
{
	struct shale_err err;
	struct shale_entry entry;
	struct shale_attr attr;

	int r = shale_index_lookup(ix, 1, "n", 1, &entry, NULL, &err);
	if (r == -ENOENT) {
		shale_buf_printf(out, "nothing");
		return;
	}
	CHECK_OK(r);
	CHECK_OK(shale_index_attr(ix, entry.ino, &attr, &err));
	CHECK_INT(attr.mode >> 12, entry.type);
	char letter = S_ISDIR(attr.mode) ? 'd' : S_ISREG(attr.mode) ? 'f' : 's';
	shale_buf_printf(out, "%c%llu", letter,
			 (unsigned long long)entry.ino / 10 - 1);
	if (S_ISREG(attr.mode)) {
		struct shale_index_content c;
		CHECK_OK(shale_index_content(ix, entry.ino, &c, &err));
		if (c.tree != SHALE_NO_TREE)
			shale_buf_printf(out, " t%u/%u", c.tree - 1, c.levels);
	}
	if (S_ISDIR(attr.mode)) {
		struct shale_index_dir dir;
		CHECK_OK(shale_index_dir(ix, entry.ino, &dir, &err));
		shale_buf_printf(out, "[");
		for (uint64_t i = 0; i < dir.count; i++) {
			CHECK_OK(shale_index_entry(ix, dir.first + i, &entry,
						   &err));
			shale_buf_printf(out, "%s%.*s", i ? " " : "",
					 entry.name_len, entry.name);
		}
		shale_buf_printf(out, "]");
	}
}

static void check_drawn(const struct drawn *row)
{
	/* Tree 0 is the root's; the drawing's layer i is tree i + 1. */
	struct drawing d = {.layers = layers_begin(1000)};
	struct shale_buf got = {0}, want = {0};

	layers_push_root(&d.layers);
	for (size_t i = 0; row->layers[i]; i++) {
		d.next = 10 * (i + 1);
		draw_layer(&d, row->layers[i], i);
		layers_push(&d.layers);
	}
	struct shale_index *ix = layers_index(&d.layers);
	shale_buf_printf(&got, "%s: ", row->layers);
	describe(ix, &got);
	shale_buf_printf(&want, "%s: %s", row->layers, row->stands);
	CHECK_STR(shale_buf_str(&got), shale_buf_str(&want));
	shale_buf_release(&got);
	shale_buf_release(&want);
	shale_index_close(ix);
	layers_end(&d.layers);
}

TEST(what_stands_is_what_the_topmost_layer_says)
{
	for (size_t i = 0; i < sizeof(drawn) / sizeof(drawn[0]); i++)
		check_drawn(&drawn[i]);
}

/* ------------------------------------------------------------- renames */

TEST(a_renamed_directory_takes_all_below_with_one_name)
{
	struct layers l = layers_begin(100);
	struct shale_err err;
	uint64_t ino;

	layers_inode(&l, 1, S_IFDIR | 0755);
	layers_inode(&l, 2, S_IFDIR | 0755);
	layers_inode(&l, 3, S_IFDIR | 0755);
	layers_inode(&l, 4, S_IFREG | 0644);
	layers_name(&l, 1, "old", 2, S_IFDIR);
	layers_name(&l, 1, "other", 3, S_IFDIR);
	layers_name(&l, 2, "file", 4, S_IFREG);
	layers_push(&l);
	layers_no_name(&l, 1, "old");
	layers_name(&l, 3, "new", 2, S_IFDIR);
	layers_push(&l);

	struct shale_index *ix = layers_index(&l);
	CHECK_OK(shale_index_find(ix, "/other/new/file", &ino, &err));
	CHECK_INT(ino, 4);
	CHECK_INT(shale_index_find(ix, "/old", &ino, &err), -ENOENT);
	struct shale_attr attr;
	CHECK_OK(shale_index_attr(ix, 1, &attr, &err));
	CHECK_INT(attr.nlink, 3);
	CHECK_OK(shale_index_attr(ix, 3, &attr, &err));
	CHECK_INT(attr.nlink, 3);
	shale_index_close(ix);
	layers_end(&l);
}

TEST(all_names_of_a_hard_linked_file_are_one_inode)
{
	struct layers l = layers_begin(100);
	struct shale_buf path = {0};
	struct shale_err err;
	uint64_t ino, dir, pos;

	layers_inode(&l, 1, S_IFDIR | 0755);
	layers_inode(&l, 2, S_IFDIR | 0755);
	layers_inode(&l, 3, S_IFREG | 0644);
	layers_name(&l, 1, "a", 3, S_IFREG);
	layers_name(&l, 1, "z", 2, S_IFDIR);
	layers_push(&l);
	layers_name(&l, 2, "b", 3, S_IFREG);
	layers_name(&l, 2, "c", 3, S_IFREG);
	layers_push(&l);
	layers_no_name(&l, 2, "b");
	layers_content(&l, 3, SHALE_CONTENT_REPLACED, 77, 0);
	layers_push(&l);

	struct shale_index *ix = layers_index(&l);
	struct shale_attr attr;
	CHECK_OK(shale_index_find(ix, "z/c", &ino, &err));
	CHECK_OK(shale_index_attr(ix, ino, &attr, &err));
	CHECK_INT(attr.ino, 3);
	CHECK_INT(attr.nlink, 2);
	CHECK_INT(attr.size, 77);
	CHECK_OK(shale_index_path(ix, 3, 0, &path, &err));
	CHECK_STR(shale_buf_str(&path), "/a");
	path.len = 0;
	CHECK_OK(shale_index_path(ix, 3, 1, &path, &err));
	CHECK_STR(shale_buf_str(&path), "/z/c");
	CHECK_INT(shale_index_link(ix, 3, 2, &dir, &pos, &err), -ENOENT);
	CHECK_INT(shale_index_bytes(ix), 77);
	shale_buf_release(&path);
	shale_index_close(ix);
	layers_end(&l);
}

TEST(sixty_four_layers_and_more_merge)
{
	struct layers l = layers_begin(1000);
	struct shale_err err;
	struct shale_index_content c;
	uint64_t ino;

	layers_push_root(&l);
	for (uint64_t i = 0; i < 70; i++) {
		char name[16];
		snprintf(name, sizeof(name), "f%02d", (int)i);
		layers_inode(&l, 100 + i, S_IFREG | 0644);
		layers_name(&l, 1, name, 100 + i, S_IFREG);
		if (i == 0)
			layers_content(&l, 10, SHALE_CONTENT_REPLACED, 9, 0);
		else
			layers_content(&l, 10, SHALE_CONTENT_PATCHED, 9, 9);
		layers_hole(&l, 10, i % 9, 1);
		layers_name(&l, 1, "patched", 10, S_IFREG);
		layers_push(&l);
	}
	struct shale_index *ix = layers_index(&l);
	CHECK_INT(shale_index_inodes(ix), 72);
	CHECK_OK(shale_index_find(ix, "f69", &ino, &err));
	CHECK_OK(shale_index_content(ix, 10, &c, &err));
	CHECK_INT(c.levels, 70);
	CHECK_INT(c.tree, 70);
	shale_index_close(ix);
	layers_end(&l);
}

/* ------------------------------------------------------------- refusals */

static void check_refused(struct layers *l, const char *why)
{
	int fd;
	layers_push(l);
	CHECK_INT(layers_try_index(l, NULL, &fd), -EUCLEAN);
	if (!strstr(l->err.msg, why))
		CHECK_STR(l->err.msg, why);
	layers_end(l);
}

TEST(an_image_without_a_root_is_refused)
{
	struct layers l = layers_begin(100);
	layers_inode(&l, 2, S_IFDIR | 0755);
	check_refused(&l, "no root directory");

	l = layers_begin(100);
	layers_inode(&l, 1, S_IFREG | 0755);
	check_refused(&l, "no root directory");

	l = layers_begin(100);
	layers_push_root(&l);
	layers_gone(&l, 1);
	check_refused(&l, "no root directory");
}

TEST(a_name_of_an_inode_that_is_not_there_is_refused)
{
	struct layers l = layers_begin(100);
	layers_push_root(&l);
	layers_name(&l, 1, "ghost", 7, S_IFREG);
	check_refused(&l, "'ghost' in directory 1 is inode 7, which is not");

	l = layers_begin(100);
	layers_push_root(&l);
	layers_inode(&l, 7, S_IFREG | 0644);
	layers_name(&l, 1, "gone", 7, S_IFREG);
	layers_push(&l);
	layers_gone(&l, 7);
	check_refused(&l, "'gone' in directory 1 is inode 7, which is not");
}

TEST(a_name_of_another_type_than_its_inode_is_refused)
{
	struct layers l = layers_begin(100);
	layers_push_root(&l);
	layers_inode(&l, 7, S_IFREG | 0644);
	layers_name(&l, 1, "n", 7, S_IFDIR);
	check_refused(&l, "not of the type of inode 7");
}

TEST(a_directory_with_two_names_is_refused)
{
	struct layers l = layers_begin(100);
	layers_push_root(&l);
	layers_inode(&l, 7, S_IFDIR | 0755);
	layers_name(&l, 1, "a", 7, S_IFDIR);
	layers_push(&l);
	layers_name(&l, 1, "b", 7, S_IFDIR);
	check_refused(&l, "directory 7 has two parents");
}

TEST(a_cycle_of_directories_is_refused)
{
	struct layers l = layers_begin(100);
	layers_push_root(&l);
	for (uint64_t i = 10; i < 20; i++) {
		layers_inode(&l, i, S_IFDIR | 0755);
		layers_name(&l, i, "x", i < 19 ? i + 1 : 10, S_IFDIR);
	}
	check_refused(&l, "directory 10 lies inside itself");

	l = layers_begin(100);
	layers_push_root(&l);
	layers_inode(&l, 5, S_IFDIR | 0755);
	layers_name(&l, 5, "self", 5, S_IFDIR);
	check_refused(&l, "directory 5 lies inside itself");

	l = layers_begin(100);
	layers_push_root(&l);
	layers_name(&l, 1, "root", 1, S_IFDIR);
	check_refused(&l, "the root is an entry of directory 1");
}

TEST(an_inode_without_a_name_is_refused)
{
	struct layers l = layers_begin(100);
	layers_push_root(&l);
	layers_inode(&l, 9, S_IFREG | 0644);
	check_refused(&l, "inode 9 has no name");
}

TEST(entries_of_what_is_no_directory_are_refused)
{
	struct layers l = layers_begin(100);
	layers_push_root(&l);
	layers_inode(&l, 8, S_IFREG | 0644);
	layers_inode(&l, 9, S_IFREG | 0644);
	layers_name(&l, 1, "f", 8, S_IFREG);
	layers_name(&l, 8, "g", 9, S_IFREG);
	check_refused(&l, "inode 8 has entries but is no directory");
}

TEST(names_left_in_deleted_directories_are_dropped)
{
	struct layers l = layers_begin(100);
	struct shale_err err;
	uint64_t ino;

	layers_push_root(&l);
	layers_inode(&l, 5, S_IFDIR | 0755);
	layers_inode(&l, 6, S_IFREG | 0644);
	layers_name(&l, 1, "d", 5, S_IFDIR);
	layers_name(&l, 5, "in", 6, S_IFREG);
	layers_push(&l);
	layers_gone(&l, 5); /* the file is moved out, its old name unsaid */
	layers_no_name(&l, 1, "d");
	layers_name(&l, 1, "out", 6, S_IFREG);
	layers_push(&l);
	struct shale_index *ix = layers_index(&l);
	CHECK_OK(shale_index_find(ix, "out", &ino, &err));
	CHECK_INT(ino, 6);
	CHECK_INT(shale_index_inodes(ix), 2);
	CHECK_INT(shale_index_entries(ix), 1);
	shale_index_close(ix);
	layers_end(&l);
}

/* ------------------------------------------------------------- prefixes */

TEST(an_index_of_other_trees_is_no_prefix)
{
	struct layers a = layers_begin(100), b = layers_begin(100);
	int fd;

	layers_push_root(&a);
	layers_push_root(&b);
	layers_inode(&b, 2, S_IFREG);
	layers_name(&b, 1, "x", 2, S_IFREG);
	layers_push(&b);
	struct shale_index *of_b = layers_index(&b);
	CHECK_INT(layers_try_index(&a, of_b, &fd), -EINVAL); /* longer */

	layers_inode(&a, 3, S_IFREG);
	layers_name(&a, 1, "x", 3, S_IFREG);
	layers_push(&a);
	CHECK_INT(layers_try_index(&a, of_b, &fd), -EINVAL); /* another */
	shale_index_close(of_b);
	layers_end(&a);
	layers_end(&b);
}
