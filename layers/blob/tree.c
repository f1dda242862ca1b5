/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/blob/tree.h"

#include "layers/base/cleanup.h"
#include "layers/blob/record.h"
#include "layers/blob/tree_impl.h"

#include <string.h>
#include <sys/stat.h>

const struct shale_table_kind shale_tree_kind = {
	.magic = "SHALETR1",
	.version = 1,
	.sections = SHALE_TREE_NSECTIONS,
	.record_size =
		{
			[SHALE_TREE_INODES] = sizeof(struct shale_disk_inode),
			[SHALE_TREE_DIRENTS] = sizeof(struct shale_disk_dirent),
			[SHALE_TREE_EXTENTS] = sizeof(struct shale_disk_extent),
			[SHALE_TREE_CHUNKS] = sizeof(struct shale_disk_chunk),
			[SHALE_TREE_BLOBS] = sizeof(struct shale_disk_blob),
			[SHALE_TREE_CHUNKSORT] = sizeof(struct le32),
			[SHALE_TREE_PACKED] = sizeof(struct shale_disk_packed),
			[SHALE_TREE_STRINGS] = 1,
			[SHALE_TREE_XATTRS] = 1,
			[SHALE_TREE_CLONES] = sizeof(struct shale_disk_clone),
		},
	.noun = "tree blob",
};

SHALE_DEFINE_CLEANUP(tree, struct shale_tree *, shale_tree_close);

int shale_tree_bad(const struct shale_tree *tree,
		   enum shale_tree_section section, uint64_t i,
		   const char *fault, struct shale_err *err)
{
	static const char *const record[SHALE_TREE_NSECTIONS] = {
		"inode",     "dirent",        "extent", "chunk", "blob",
		"chunksort", "packed extent", "string", "xattr", "clone",
	};
	return shale_err_say(err, EUCLEAN,
			     "tree blob %s is damaged: %s record %llu: %s",
			     shale_tree_name(tree), record[section],
			     (unsigned long long)i, fault);
}

/* ----------------------------------------------------------------- open */

static const char *counts_fault(const struct shale_tree *tree)
{
	if (tree->next_ino < 1 || tree->next_ino > SHALE_INO_MAX + 1)
		return "next inode number out of range";
	/* records name chunks, blobs and extents with 32 bits */
	if (tree->count[SHALE_TREE_CHUNKS] >= SHALE_CLONE ||
	    tree->count[SHALE_TREE_BLOBS] >= UINT32_MAX ||
	    tree->count[SHALE_TREE_EXTENTS] >= UINT32_MAX)
		return "too many records";
	if (tree->count[SHALE_TREE_CHUNKSORT] != tree->count[SHALE_TREE_CHUNKS])
		return "chunks are not all sorted by hash";
	if (tree->count[SHALE_TREE_PACKED] > tree->count[SHALE_TREE_EXTENTS])
		return "more packed extents than extents";
	return NULL;
}

int shale_tree_open(struct shale_tree **out, int fd, const char *name,
		    struct shale_err *err)
{
	SHALE_CLEANUP(shale_cleanup_tree)
	struct shale_tree *tree = calloc(1, sizeof(*tree));
	if (!tree)
		return shale_err_set(err, ENOMEM, "open tree blob %s", name);
	int r = shale_table_open(&tree->table, fd, &shale_tree_kind, name, err);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < SHALE_TREE_NSECTIONS; i++)
		tree->count[i] = shale_table_count(tree->table, i);
	tree->next_ino = shale_table_field(tree->table, SHALE_TREE_NEXT_INO);

	const char *fault = counts_fault(tree);
	if (fault)
		return shale_err_say(err, EUCLEAN,
				     "tree blob %s is damaged: %s", name,
				     fault);
	*out = steal_ptr(&tree);
	return 0;
}

void shale_tree_close(struct shale_tree *tree)
{
	if (!tree)
		return;
	shale_table_close(tree->table);
	free(tree);
}

void shale_tree_relax(const struct shale_tree *tree)
{
	shale_table_relax(tree->table);
}

const char *shale_tree_name(const struct shale_tree *tree)
{
	return shale_table_name(tree->table);
}

uint64_t shale_tree_size(const struct shale_tree *tree)
{
	return shale_table_size(tree->table);
}

uint64_t shale_tree_count(const struct shale_tree *tree,
			  enum shale_tree_section section)
{
	return tree->count[section];
}

uint64_t shale_tree_next_ino(const struct shale_tree *tree)
{
	return tree->next_ino;
}

/* --------------------------------------------------------------- inodes */

/* What `ref` says depends on the type. */
static int decode_ref(const struct shale_tree *tree, uint64_t ref,
		      struct shale_inode *out, const char **fault,
		      struct shale_err *err)
{
	struct shale_attr *a = &out->attr;
	const void *target;

	switch (a->mode & S_IFMT) {
	case S_IFLNK:
		if (a->size > SHALE_TARGET_MAX)
			return 0; /* shale_inode_fault() says so */
		int r = shale_table_get(tree->table, SHALE_TREE_STRINGS, ref,
					a->size, &target, err);
		if (r == 0)
			out->target = target;
		return r;
	case S_IFCHR:
	case S_IFBLK:
		a->rdev_major = (uint32_t)(ref >> 32);
		a->rdev_minor = (uint32_t)ref;
		return 0;
	default:
		if (ref)
			*fault = "a reference that its type lacks";
		return 0;
	}
}

static int decode_xattrs(const struct shale_tree *tree,
			 const struct shale_disk_inode *disk,
			 struct shale_inode *out, const char **fault,
			 struct shale_err *err)
{
	uint64_t off = le64_get(disk->xattr_off);

	out->xattr_len = le32_get(disk->xattr_len);
	if (out->xattr_len == 0 ? off != 0 : off % 4 != 0)
		*fault = "xattrs at an odd offset";
	if (out->xattr_len == 0 || out->xattr_len > SHALE_XATTRS_MAX)
		return 0;
	return shale_table_get(tree->table, SHALE_TREE_XATTRS, off,
			       out->xattr_len, &out->xattrs, err);
}

/* A deleted inode says nothing but its number. */
static bool is_tombstone(const struct shale_disk_inode *disk)
{
	static const struct shale_disk_inode none;

	return memcmp(&disk->mode, &none.mode,
		      sizeof(none) - sizeof(none.ino)) == 0;
}

/* What does not depend on its type. */
static struct shale_inode decode_plain(const struct shale_disk_inode *disk)
{
	return (struct shale_inode){
		.attr =
			{
				.ino = le64_get(disk->ino),
				.mode = le32_get(disk->mode),
				.uid = le32_get(disk->uid),
				.gid = le32_get(disk->gid),
				.nlink = le32_get(disk->nlink),
				.size = le64_get(disk->size),
				.mtime.tv_sec =
					(int64_t)le64_get(disk->mtime_sec),
				.mtime.tv_nsec = le32_get(disk->mtime_nsec),
			},
		.content = le32_get(disk->content),
		.limit = le64_get(disk->limit),
	};
}

int shale_tree_inode(const struct shale_tree *tree, uint64_t i,
		     struct shale_inode *out, struct shale_err *err)
{
	const void *raw;
	int r = shale_tree_raw(tree, SHALE_TREE_INODES, i, &raw, err);
	if (r < 0)
		return r;

	const struct shale_disk_inode *disk = raw;
	struct shale_inode in = decode_plain(disk);
	const char *fault = NULL;
	if (in.attr.mode == 0) {
		if (!is_tombstone(disk))
			fault = "a deleted inode with attributes";
	} else if (le32_get(disk->reserved)) {
		fault = "reserved bytes are not zero";
	} else {
		r = decode_ref(tree, le64_get(disk->ref), &in, &fault, err);
		if (r == 0)
			r = decode_xattrs(tree, disk, &in, &fault, err);
		if (r < 0)
			return shale_err_wrap(err, r, "inode record %llu",
					      (unsigned long long)i);
	}
	if (!fault)
		fault = shale_inode_fault(&in);
	if (!fault && in.attr.size && !S_ISREG(in.attr.mode) &&
	    !S_ISLNK(in.attr.mode))
		fault = "a size that its type lacks";
	if (!fault && in.attr.ino >= tree->next_ino)
		fault = "inode number not below the next free one";
	if (fault)
		return shale_tree_bad(tree, SHALE_TREE_INODES, i, fault, err);
	*out = in;
	return shale_table_intact(tree->table, err);
}

/* -------------------------------------------------------------- dirents */

int shale_tree_dirent(const struct shale_tree *tree, uint64_t i,
		      struct shale_dirent *out, struct shale_err *err)
{
	static const uint8_t
		zeros[sizeof(((struct shale_disk_dirent *)0)->reserved)];
	const void *raw, *name;
	int r = shale_tree_raw(tree, SHALE_TREE_DIRENTS, i, &raw, err);
	if (r < 0)
		return r;

	const struct shale_disk_dirent *disk = raw;
	struct shale_dirent d = {
		.dir = le64_get(disk->dir),
		.ino = le64_get(disk->ino),
		.name_len = le16_get(disk->name_len),
		.type = disk->type,
	};
	r = shale_table_get(tree->table, SHALE_TREE_STRINGS,
			    le64_get(disk->name_off), d.name_len, &name, err);
	if (r < 0)
		return shale_err_wrap(err, r, "dirent record %llu",
				      (unsigned long long)i);
	d.name = name;

	const char *fault = shale_dirent_fault(&d);
	if (!fault && (d.dir >= tree->next_ino || d.ino >= tree->next_ino))
		fault = "inode number not below the next free one";
	if (!fault && memcmp(disk->reserved, zeros, sizeof(zeros)) != 0)
		fault = "reserved bytes are not zero";
	if (fault)
		return shale_tree_bad(tree, SHALE_TREE_DIRENTS, i, fault, err);
	*out = d;
	return shale_table_intact(tree->table, err);
}
