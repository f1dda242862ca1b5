/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/crash/unsynced.h"

#include "layers/base/cleanup.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* A file or directory with something that is not on disk. */
struct item {
	bool names; /* a directory's names, not a file's content */
	dev_t dev;
	ino_t ino;
	int fd; /* of a file */
	char *path;
	void *content; /* of a file when it was last on disk */
	size_t size;
};

enum { LARGEST = 64 << 20 }; /* the files of these tests are small */

struct unsynced {
	struct item *item;
	size_t n, cap;
};

struct unsynced *unsynced_new(void)
{
	return calloc(1, sizeof(struct unsynced));
}

static void drop(struct unsynced *set, size_t i)
{
	if (set->item[i].fd >= 0)
		close(set->item[i].fd);
	free(set->item[i].path);
	free(set->item[i].content);
	set->item[i] = set->item[--set->n];
}

void unsynced_free(struct unsynced *set)
{
	while (set && set->n)
		drop(set, set->n - 1);
	if (set)
		free(set->item);
	free(set);
}

/* Keep what is in the file before the first write that is not synced. */
static void keep_content(struct item *item, const struct stat *st)
{
	size_t size = st->st_size < LARGEST ? (size_t)st->st_size : 0;
	item->content = malloc(size ? size : 1);
	ssize_t n = item->content ? pread(item->fd, item->content, size, 0) : 0;
	item->size = n < 0 ? 0 : (size_t)n;
}

/* Takes over `fd`. */
static void add(struct unsynced *set, bool names, const struct stat *st, int fd,
		const char *path, size_t len)
{
	for (size_t i = 0; i < set->n; i++)
		if (set->item[i].names == names &&
		    set->item[i].dev == st->st_dev &&
		    set->item[i].ino == st->st_ino) {
			if (fd >= 0)
				close(fd);
			return;
		}
	if (set->n == set->cap) {
		set->cap = set->cap ? set->cap * 2 : 64;
		set->item =
			reallocarray(set->item, set->cap, sizeof(*set->item));
		if (!set->item)
			abort();
	}
	struct item *item = &set->item[set->n++];
	*item = (struct item){
		names, st->st_dev, st->st_ino, fd, strndup(path, len), NULL, 0};
	if (fd >= 0)
		keep_content(item, st);
}

/* The directory of a path has a name more or less. */
static void add_names(struct unsynced *set, const char *path)
{
	struct stat st;
	char *dir = strdup(path);
	char *slash = dir ? strrchr(dir, '/') : NULL;
	if (slash)
		*slash = '\0';
	if (dir && stat(dir, &st) == 0)
		add(set, true, &st, -1, dir, strlen(dir));
	free(dir);
}

static void add_content(struct unsynced *set, const struct call *call)
{
	struct stat st;
	cleanup_fd int asked = call_take_fd(call);
	if (asked < 0 || fcntl(asked, F_GETFL) & O_DSYNC)
		return;
	int fd = call_open_file(call, O_RDWR);
	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		add(set, false, &st, fd, call->path, strlen(call->path));
	else if (fd >= 0)
		close(fd);
}

static void remove_synced(struct unsynced *set, const struct call *call)
{
	struct stat st;
	cleanup_fd int fd = call_take_fd(call);
	bool all = !strcmp(call->kind->name, "syncfs");
	if (fd < 0 || fstat(fd, &st) < 0)
		return;
	for (size_t i = set->n; i-- > 0;)
		if (set->item[i].dev == st.st_dev &&
		    (all || set->item[i].ino == st.st_ino))
			drop(set, i);
}

void unsynced_note(struct unsynced *set, const struct call *call)
{
	switch (call->kind->kind) {
	case CALL_WRITE:
	case CALL_SIZE:
		add_content(set, call);
		break;
	case CALL_SYNC:
		if (strcmp(call->kind->name, "sync_file_range") != 0)
			remove_synced(set, call);
		break;
	case CALL_RENAME:
		add_names(set, call->from);
		add_names(set, call->path);
		break;
	case CALL_MAKE:
		/* (to open what is there with O_CREAT makes nothing) */
		if (access(call->path, F_OK) < 0)
			add_names(set, call->path);
		break;
	case CALL_REMOVE:
		add_names(set, call->path);
		break;
	default:
		break;
	}
}

void unsynced_lose(struct unsynced *set)
{
	for (size_t i = 0; i < set->n; i++) {
		struct item *item = &set->item[i];
		struct stat st;
		if (item->fd < 0 || fstat(item->fd, &st) < 0)
			continue;
		size_t size = item->size < (size_t)st.st_size
				      ? item->size
				      : (size_t)st.st_size;
		if (ftruncate(item->fd, 0) < 0 ||
		    ftruncate(item->fd, st.st_size) < 0 ||
		    pwrite(item->fd, item->content, size, 0) != (ssize_t)size)
			fprintf(stderr, "inject: %s keeps its content\n",
				item->path);
	}
}

/* A file's name of today: it may have been renamed, or be gone. */
static void print(const struct item *item, FILE *out)
{
	char link[32], path[PATH_MAX];
	struct stat st;
	snprintf(path, sizeof(path), "%s", item->path);
	if (item->fd >= 0) {
		snprintf(link, sizeof(link), "/proc/self/fd/%d", item->fd);
		ssize_t n = readlink(link, path, sizeof(path) - 1);
		path[n < 0 ? 0 : n] = '\0';
		if (fstat(item->fd, &st) < 0 || st.st_nlink == 0)
			return;
	}
	/* (a directory that is gone has no names to lose) */
	if (item->names && (stat(path, &st) < 0 || st.st_ino != item->ino))
		return;
	fprintf(out, "unsynced %s %s\n", item->names ? "names" : "content",
		path);
}

void unsynced_list(const struct unsynced *set, FILE *out)
{
	for (size_t i = 0; i < set->n; i++)
		print(&set->item[i], out);
}
