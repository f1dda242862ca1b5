/* SPDX-License-Identifier: Apache-2.0 */

/*
 * treecmp [--no-WHAT…] [--dir-nlink] A B: are two directories the same?
 *
 * Compares names, types, modes, owners, times to the nanosecond, which names
 * are one inode, xattrs, contents, holes (every hole of A is one of B), device
 * numbers and link targets.  Prints one line a difference; exit 1 if there is
 * any, 2 when it could not look.  Needs nothing of Shale's libraries.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

static const struct {
	const char *option;
	unsigned bit;
} ignorable[] = {
	{"--no-mode", 1 << 0},           {"--no-owner", 1 << 1},
	{"--no-mtime", 1 << 2},          {"--no-dir-mtime", 1 << 3},
	{"--no-links", 1 << 4},          {"--no-xattrs", 1 << 5},
	{"--no-content", 1 << 6},        {"--no-holes", 1 << 7},
	{"--no-rdev", 1 << 8},           {"--no-root", 1 << 9},
	{"--no-symlink-mtime", 1 << 10}, {"--dir-nlink", 1 << 11},
};
enum {
	NO_MODE = 1 << 0,
	NO_OWNER = 1 << 1,
	NO_MTIME = 1 << 2,
	NO_DIR_MTIME = 1 << 3,
	NO_LINKS = 1 << 4,
	NO_XATTRS = 1 << 5,
	NO_CONTENT = 1 << 6,
	NO_HOLES = 1 << 7,
	NO_RDEV = 1 << 8,
	NO_ROOT = 1 << 9,
	NO_SYMLINK_MTIME = 1 << 10,
	DIR_NLINK = 1 << 11,
};
static unsigned flags;
static unsigned long differences;

/* Names with several links: an inode of A must always meet the same one of B.
 */
struct pair {
	dev_t dev[2];
	ino_t ino[2];
};
static struct pair *pairs;
static size_t n_pairs, cap_pairs;

_Noreturn static void give_up(const char *what)
{
	fprintf(stderr, "treecmp: %s: %s\n", what, strerror(errno));
	exit(2);
}

static void print_path(const char *path)
{
	for (; *path; path++) {
		unsigned char c = (unsigned char)*path;
		if (c < ' ' || c >= 127 || c == '\\')
			printf("\\x%02x", c);
		else
			putchar(c);
	}
}

__attribute__((format(printf, 2, 3))) static void differ(const char *path,
							 const char *fmt, ...)
{
	va_list ap;
	differences++;
	print_path(*path ? path : ".");
	printf(": ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorted names of a directory; takes over `fd`. */
static char **list(int fd, size_t *n)
{
	DIR *dir = fdopendir(fd);
	char **names = NULL;
	size_t cap = 0;
	*n = 0;
	if (!dir)
		give_up("fdopendir");
	for (;;) {
		errno = 0;
		struct dirent *e = readdir(dir);
		if (!e && errno)
			give_up("readdir");
		if (!e)
			break;
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if (*n == cap) {
			cap = cap ? cap * 2 : 64;
			names = realloc(names, cap * sizeof(*names));
		}
		if (!names || !(names[(*n)++] = strdup(e->d_name)))
			give_up("memory");
	}
	closedir(dir);
	if (*n)
		qsort(names, *n, sizeof(*names), by_name);
	return names;
}

static void compare_xattrs(const char *path, const char *link[2])
{
	static char names[2][65536], value[2][65536];
	ssize_t len[2];
	for (int i = 0; i < 2; i++) {
		len[i] = llistxattr(link[i], names[i], sizeof(names[i]));
		if (len[i] < 0 && errno != ENOTSUP)
			give_up(link[i]);
		if (len[i] < 0)
			len[i] = 0;
	}
	for (int i = 0; i < 2; i++) {
		for (char *at = names[i]; at < names[i] + len[i];
		     at += strlen(at) + 1) {
			ssize_t a = lgetxattr(link[i], at, value[0], 65536);
			ssize_t b = lgetxattr(link[!i], at, value[1], 65536);
			if (a < 0)
				give_up(link[i]);
			if (b < 0)
				differ(path, "xattr %s only in %c", at,
				       "AB"[i]);
			else if (i == 0 && (a != b || memcmp(value[0], value[1],
							     (size_t)a)))
				differ(path, "xattr %s differs", at);
		}
	}
}

static void compare_holes(const char *path, const int fd[2], off_t size)
{
	for (off_t at = 0; at < size;) {
		off_t hole = lseek(fd[0], at, SEEK_HOLE);
		off_t data = lseek(fd[0], hole, SEEK_DATA);
		if (hole < 0 || hole >= size)
			return;
		if (data < 0 || data > size)
			data = size;
		off_t from = (hole + 4095) & ~(off_t)4095;
		off_t to = data == size ? data : data & ~(off_t)4095;
		off_t other = from < to ? lseek(fd[1], from, SEEK_DATA) : -1;
		if (other >= 0 && other < to)
			differ(path, "hole at %lld to %lld has data at %lld",
			       (long long)from, (long long)to,
			       (long long)other);
		at = data;
	}
}

/* Where at least one of the two has data, or the last bytes of both. */
static off_t skip_holes(const int fd[2], off_t off, off_t size)
{
	off_t next = size > 0 ? size - 1 : 0;
	for (int i = 0; i < 2; i++) {
		off_t data = lseek(fd[i], off, SEEK_DATA);
		if (data < 0 && errno != ENXIO)
			return off;
		if (data >= 0 && data < next)
			next = data;
	}
	return next > off ? next : off;
}

static void compare_content(const char *path, const int dir[2],
			    const char *name, off_t size)
{
	static char data[2][1 << 18];
	int fd[2];
	for (int i = 0; i < 2; i++) {
		fd[i] = openat(dir[i], name, O_RDONLY | O_NOFOLLOW);
		if (fd[i] < 0)
			give_up(path);
	}
	for (off_t off = 0;;) {
		ssize_t n[2];
		off = skip_holes(fd, off, size);
		for (int i = 0; i < 2; i++) {
			n[i] = pread(fd[i], data[i], sizeof(data[i]), off);
			if (n[i] < 0)
				give_up(path);
		}
		ssize_t least = n[0] < n[1] ? n[0] : n[1], at = 0;
		while (at < least && data[0][at] == data[1][at])
			at++;
		if (at < least || n[0] != n[1]) {
			differ(path, "content differs at %lld",
			       (long long)(off + at));
			break;
		}
		if (!least)
			break;
		off += least;
	}
	if (!(flags & NO_HOLES))
		compare_holes(path, fd, size);
	close(fd[0]);
	close(fd[1]);
}

static void compare_links(const char *path, const struct stat st[2])
{
	if (st[0].st_nlink != st[1].st_nlink)
		differ(path, "%lu links, %lu links",
		       (unsigned long)st[0].st_nlink,
		       (unsigned long)st[1].st_nlink);
	if (S_ISDIR(st[0].st_mode) || st[0].st_nlink < 2)
		return;
	for (size_t i = 0; i < n_pairs; i++) {
		const struct pair *p = &pairs[i];
		bool a = p->dev[0] == st[0].st_dev && p->ino[0] == st[0].st_ino;
		bool b = p->dev[1] == st[1].st_dev && p->ino[1] == st[1].st_ino;
		if (a != b)
			differ(path, "is another inode's name");
		if (a || b)
			return;
	}
	if (n_pairs == cap_pairs) {
		cap_pairs = cap_pairs ? cap_pairs * 2 : 64;
		pairs = realloc(pairs, cap_pairs * sizeof(*pairs));
		if (!pairs)
			give_up("memory");
	}
	pairs[n_pairs++] = (struct pair){{st[0].st_dev, st[1].st_dev},
					 {st[0].st_ino, st[1].st_ino}};
}

static void compare_targets(const char *path, const int dir[2],
			    const char *name)
{
	char target[2][4097];
	ssize_t n[2];
	for (int i = 0; i < 2; i++) {
		n[i] = readlinkat(dir[i], name, target[i], sizeof(target[i]));
		if (n[i] < 0)
			give_up(path);
	}
	if (n[0] != n[1] || memcmp(target[0], target[1], (size_t)n[0]))
		differ(path, "target '%.*s', '%.*s'", (int)n[0], target[0],
		       (int)n[1], target[1]);
}

static bool wants_mtime(mode_t mode)
{
	if (flags & NO_MTIME)
		return false;
	if (S_ISDIR(mode) && flags & NO_DIR_MTIME)
		return false;
	return !(S_ISLNK(mode) && flags & NO_SYMLINK_MTIME);
}

static void compare_attributes(const char *path, const struct stat st[2])
{
	const struct stat *a = &st[0], *b = &st[1];
	if (!(flags & NO_MODE) && a->st_mode != b->st_mode)
		differ(path, "mode %o, %o", a->st_mode, b->st_mode);
	if (!(flags & NO_OWNER) &&
	    (a->st_uid != b->st_uid || a->st_gid != b->st_gid))
		differ(path, "owner %u:%u, %u:%u", a->st_uid, a->st_gid,
		       b->st_uid, b->st_gid);
	if (wants_mtime(a->st_mode) &&
	    (a->st_mtim.tv_sec != b->st_mtim.tv_sec ||
	     a->st_mtim.tv_nsec != b->st_mtim.tv_nsec))
		differ(path, "mtime %lld.%09ld, %lld.%09ld",
		       (long long)a->st_mtim.tv_sec, a->st_mtim.tv_nsec,
		       (long long)b->st_mtim.tv_sec, b->st_mtim.tv_nsec);
	if (!(flags & NO_RDEV) &&
	    (S_ISCHR(a->st_mode) || S_ISBLK(a->st_mode)) &&
	    a->st_rdev != b->st_rdev)
		differ(path, "device %u:%u, %u:%u", major(a->st_rdev),
		       minor(a->st_rdev), major(b->st_rdev), minor(b->st_rdev));
	if (!(flags & NO_CONTENT) && S_ISREG(a->st_mode) &&
	    a->st_size != b->st_size)
		differ(path, "size %lld, %lld", (long long)a->st_size,
		       (long long)b->st_size);
	if (!(flags & NO_LINKS) && (!S_ISDIR(a->st_mode) || flags & DIR_NLINK))
		compare_links(path, st);
}

static void compare_dirs(const char *path, const int fd[2]);

/* One name that both directories have. */
static void compare_entry(const char *path, const int dir[2], const char *name)
{
	struct stat st[2];
	for (int i = 0; i < 2; i++) {
		if (fstatat(dir[i], name, &st[i], AT_SYMLINK_NOFOLLOW) < 0)
			give_up(path);
	}
	mode_t type = st[0].st_mode & S_IFMT;
	if (type != (st[1].st_mode & S_IFMT)) {
		differ(path, "type %o, %o", type, st[1].st_mode & S_IFMT);
		return;
	}
	if (strcmp(name, ".") != 0 || !(flags & NO_ROOT)) {
		char link[2][320];
		for (int i = 0; i < 2; i++)
			snprintf(link[i], sizeof(link[i]),
				 "/proc/self/fd/%d/%s", dir[i], name);
		compare_attributes(path, st);
		if (!(flags & NO_XATTRS))
			compare_xattrs(path,
				       (const char *[2]){link[0], link[1]});
	}
	if (type == S_IFLNK)
		compare_targets(path, dir, name);
	else if (type == S_IFREG && !(flags & NO_CONTENT))
		compare_content(path, dir, name, st[0].st_size);
	else if (type == S_IFDIR && strcmp(name, ".") != 0) {
		int sub[2];
		for (int i = 0; i < 2; i++) {
			sub[i] = openat(dir[i], name, O_RDONLY | O_DIRECTORY);
			if (sub[i] < 0)
				give_up(path);
		}
		compare_dirs(path, sub);
	}
}

/* Closes `fd`. */
static void compare_dirs(const char *path, const int fd[2])
{
	size_t n[2], at[2] = {0, 0};
	char **names[2];
	for (int i = 0; i < 2; i++)
		names[i] = list(dup(fd[i]), &n[i]);
	while (at[0] < n[0] || at[1] < n[1]) {
		int order = at[0] == n[0] ? 1
			    : at[1] == n[1]
				    ? -1
				    : strcmp(names[0][at[0]], names[1][at[1]]);
		const char *name = names[order > 0][at[order > 0]];
		char *sub;
		if (asprintf(&sub, "%s%s%s", path, *path ? "/" : "", name) < 0)
			give_up("memory");
		if (order == 0)
			compare_entry(sub, fd, name);
		else
			differ(sub, "only in %c", order < 0 ? 'A' : 'B');
		free(sub);
		at[0] += order <= 0;
		at[1] += order >= 0;
	}
	for (int i = 0; i < 2; i++) {
		for (size_t k = 0; k < n[i]; k++)
			free(names[i][k]);
		free(names[i]);
		close(fd[i]);
	}
}

static bool take_option(const char *arg)
{
	for (size_t k = 0; k < sizeof(ignorable) / sizeof(*ignorable); k++) {
		if (!strcmp(arg, ignorable[k].option)) {
			flags |= ignorable[k].bit;
			return true;
		}
	}
	return false;
}

int main(int argc, char **argv)
{
	int at = 1, fd[2];
	while (at < argc && take_option(argv[at]))
		at++;
	if (argc - at != 2) {
		fprintf(stderr, "usage: treecmp [--no-WHAT…] A B\n");
		return 2;
	}
	for (int i = 0; i < 2; i++) {
		fd[i] = open(argv[at + i], O_RDONLY | O_DIRECTORY);
		if (fd[i] < 0)
			give_up(argv[at + i]);
	}
	compare_entry("", fd, ".");
	compare_dirs("", fd);
	free(pairs);
	return differences != 0;
}
