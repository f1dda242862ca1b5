/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/mount/truth.h"

#include "layers/base/hash.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

/* What both trees must agree on, for one path. */
struct fact {
	char path[512];
	uint64_t hash; /* of content, target or xattrs and the rest */
	struct stat st;
};

struct facts {
	struct fact *v;
	size_t n, cap;
};

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct fact *)a)->path,
		      ((const struct fact *)b)->path);
}

static uint64_t hash_content(int dirfd, const char *name)
{
	static uint8_t data[1 << 20];
	int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW);
	uint64_t hash = 0;
	ssize_t n;
	if (fd < 0)
		return 1;
	while ((n = read(fd, data, sizeof(data))) > 0)
		hash = hash * 31 + shale_xxh64(data, (size_t)n);
	close(fd);
	return n < 0 ? 2 : hash;
}

static uint64_t hash_xattrs(const char *path)
{
	char names[4096], value[65536];
	ssize_t n = llistxattr(path, names, sizeof(names));
	uint64_t hash = 0;
	for (ssize_t at = 0; at < n; at += (ssize_t)strlen(names + at) + 1) {
		ssize_t len = lgetxattr(path, names + at, value, sizeof(value));
		hash += shale_xxh64(names + at, strlen(names + at)) ^
			(len > 0 ? shale_xxh64(value, (size_t)len) : 0);
	}
	return hash;
}

static void add(struct facts *facts, const char *root, int dirfd,
		const char *name, const char *path)
{
	if (facts->n == facts->cap) {
		facts->cap = facts->cap ? facts->cap * 2 : 256;
		facts->v = realloc(facts->v, facts->cap * sizeof(*facts->v));
	}
	struct fact *fact = &facts->v[facts->n++];
	memset(fact, 0, sizeof(*fact));
	snprintf(fact->path, sizeof(fact->path), "%s", path);
	if (fstatat(dirfd, name, &fact->st, AT_SYMLINK_NOFOLLOW) < 0)
		return;

	char full[1024], target[4096];
	snprintf(full, sizeof(full), "%s/%s", root, path);
	if (S_ISREG(fact->st.st_mode))
		fact->hash = hash_content(dirfd, name);
	if (S_ISLNK(fact->st.st_mode)) {
		ssize_t n = readlinkat(dirfd, name, target, sizeof(target));
		fact->hash = n > 0 ? shale_xxh64(target, (size_t)n) : 3;
	} else {
		fact->hash ^= hash_xattrs(full);
	}
}

static void walk(struct facts *facts, const char *root, const char *path)
{
	char full[1024];
	snprintf(full, sizeof(full), "%s/%s", root, path);
	DIR *dir = opendir(full);
	struct dirent *entry;
	while (dir && (entry = readdir(dir))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		char child[512];
		snprintf(child, sizeof(child), "%s%s%s", path, *path ? "/" : "",
			 entry->d_name);
		add(facts, root, dirfd(dir), entry->d_name, child);
		if (S_ISDIR(facts->v[facts->n - 1].st.st_mode))
			walk(facts, root, child);
	}
	if (dir)
		closedir(dir);
}

/* The first path that is the same inode, so that link groups compare. */
static const char *leader(const struct facts *facts, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (facts->v[k].st.st_ino == facts->v[i].st.st_ino)
			return facts->v[k].path;
	return facts->v[i].path;
}

/* Is entry `i` of `a` what entry `k` of `b`, of the same path, is? */
static bool differ(const struct facts *a, size_t i, const struct facts *b,
		   size_t k, char *why)
{
	const struct fact *x = &a->v[i], *y = &b->v[k];
	const char *what = NULL;
	unsigned long long got = 0, want = 0;

#define SAME(name, p, q)                                                       \
	if (!what && (p) != (q))                                               \
	what = name, got = (unsigned long long)(p),                            \
	want = (unsigned long long)(q)
	SAME("mode", x->st.st_mode, y->st.st_mode);
	SAME("uid", x->st.st_uid, y->st.st_uid);
	SAME("gid", x->st.st_gid, y->st.st_gid);
	SAME("nlink", x->st.st_nlink, y->st.st_nlink);
	if (!S_ISDIR(x->st.st_mode))
		SAME("size", x->st.st_size, y->st.st_size);
	SAME("rdev", x->st.st_rdev, y->st.st_rdev);
	SAME("content or xattrs", x->hash, y->hash);
#undef SAME
	if (!what && !S_ISDIR(x->st.st_mode) && x->st.st_nlink > 1 &&
	    strcmp(leader(a, i), leader(b, k)) != 0)
		what = "links";
	if (what)
		snprintf(why, 1200, "%s: %s is %#llx, should be %#llx", x->path,
			 what, got, want);
	return what != NULL;
}

int truth_differences(const struct truth_side *a, const struct truth_side *b,
		      int (*fn)(void *arg, const char *path, const char *why),
		      void *arg)
{
	struct facts x = {0}, y = {0};
	size_t i = 0, k = 0;
	char why[1200];
	int r = 0;

	walk(&x, a->path, "");
	walk(&y, b->path, "");
	qsort(x.v, x.n, sizeof(*x.v), by_path);
	qsort(y.v, y.n, sizeof(*y.v), by_path);
	while (!r && (i < x.n || k < y.n)) {
		int order = i >= x.n   ? 1
			    : k >= y.n ? -1
				       : strcmp(x.v[i].path, y.v[k].path);
		const char *path = order > 0 ? y.v[k].path : x.v[i].path;
		if (order)
			snprintf(why, sizeof(why), "%s: %s", path,
				 order < 0 ? "should not be there"
					   : "is missing");
		if (order || differ(&x, i, &y, k, why))
			r = fn(arg, path, why);
		i += order <= 0;
		k += order >= 0;
	}
	free(x.v);
	free(y.v);
	return r;
}

static int first(void *arg, const char *path, const char *why)
{
	(void)path;
	snprintf(arg, 1000, "%s", why);
	return 1;
}

int truth_compare(const struct truth_side *a, const struct truth_side *b,
		  char *why)
{
	return truth_differences(a, b, first, why);
}
