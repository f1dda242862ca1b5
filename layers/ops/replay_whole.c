/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/replay_impl.h"

#include "layers/base/cleanup.h"
#include "layers/base/dir.h"
#include "layers/ops/beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* The directory so far: it is all that the version has at the paths seen. */
struct seen {
	struct shale_replaying *rp;
	uint64_t paths, entries; /* of the version; that are here */
	uint32_t files;          /* with several names */
	struct shale_inodemap inode_of, file_of; /* version's, here -> number */
};

/* What ends the comparison: something is otherwise. */
enum { OTHER = 1 };

static void seen_release(struct seen *s)
{
	shale_inodemap_release(&s->inode_of);
	shale_inodemap_release(&s->file_of);
}

/* How many names are in a directory; at the top the stage is not one. */
static int count_entries(struct seen *s, const char *path)
{
	cleanup_dir DIR *list = shale_dir_of(shale_beneath_open(
		s->rp->root, path + 1, O_RDONLY | O_DIRECTORY, 0));

	if (!list)
		return OTHER;
	for (const struct dirent *e; (e = shale_dir_next(list));)
		s->entries +=
			path[1] || strcmp(e->d_name, SHALE_REPLAY_STAGE) != 0;
	return 0;
}

/* Names of one inode are names of one file here, and of no other. */
static int same_links(struct seen *s, const struct shale_attr *is,
		      const struct stat *st)
{
	struct shale_inodemap_slot *inode, *file;
	int r = shale_inodemap_find(&s->inode_of, 0, is->ino, &inode,
				    s->rp->err);
	if (r == 0)
		r = shale_inodemap_find(&s->file_of, st->st_dev, st->st_ino,
					&file, s->rp->err);
	if (r < 0)
		return r;
	if (!inode->inode && !file->inode)
		inode->inode = file->inode = ++s->files;
	return inode->inode != file->inode || st->st_nlink != is->nlink;
}

static int see(void *arg, const struct shale_difference *d)
{
	struct seen *s = arg;
	struct shale_replaying *rp = s->rp;
	enum shale_local local;
	const char *name, *what;
	struct stat st;

	int r = shale_replay_stopped(rp);
	if (r < 0)
		return r;
	cleanup_fd int parent = shale_replay_parent(rp, d->path, &name);
	if (parent < 0)
		return OTHER;
	r = shale_replay_look(rp, parent, name, d, &st, &local, &what, rp->err);
	if (r < 0 || local != SHALE_LOCAL_NEW)
		return r < 0 ? r : OTHER;
	s->paths += d->path[1] != '\0';
	if (!S_ISDIR(d->is.mode))
		return d->is.nlink > 1 ? same_links(s, &d->is, &st) : 0;
	r = shale_replay_touch(rp, d->path, true);
	return r < 0 ? r : count_entries(s, d->path);
}

int shale_replay_is_whole(struct shale_replaying *rp)
{
	SHALE_CLEANUP(seen_release) struct seen s = {.rp = rp};
	const struct shale_diff_opts opts = {.cancelled = rp->opts->cancelled,
					     .arg = rp->opts->arg};
	int r = shale_diff(NULL, rp->to, &opts, see, &s, rp->err);
	if (r != 0)
		return r < 0 ? r : 0;
	return s.paths == s.entries;
}
