/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/mount/truth.h"

#include "layers/base/hash.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

static void fill(uint8_t *data, size_t len, uint32_t seed)
{
	uint64_t state = seed;
	for (size_t i = 0; i < len; i += 8) {
		uint64_t r = truth_random(&state);
		memcpy(data + i, &r, len - i < 8 ? len - i : 8);
	}
	if (seed % 7 == 0) /* zeros are data too */
		memset(data, 0, len);
}

static long result(long r)
{
	return r < 0 ? -errno : r;
}

static long write_at(int fd, uint64_t off, size_t len, uint32_t seed)
{
	static uint8_t data[TRUTH_MAX_IO + 4096 + 8];
	fill(data, len, seed);
	return result(pwrite(fd, data, len, (off_t)off));
}

static long read_at(int fd, uint64_t off, size_t len, uint64_t *hash)
{
	static uint8_t data[TRUTH_MAX_IO + 4096 + 8];
	ssize_t n = pread(fd, data, len, (off_t)off);
	if (n > 0)
		*hash = shale_xxh64(data, (size_t)n);
	return result(n);
}

static long stat_fd(int fd, uint64_t *hash)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return -errno;
	uint64_t seen[] = {st.st_mode, st.st_uid, st.st_gid, st.st_nlink,
			   S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0};
	*hash = shale_xxh64(seen, sizeof(seen));
	return 0;
}

/* mmap an existing part of the file, store into it, msync. */
static long store_mapped(int fd, uint64_t off, size_t len, uint32_t seed)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size == 0)
		return 1;
	uint64_t size = (uint64_t)st.st_size;
	off %= size;
	len = off + len > size ? (size_t)(size - off) : len;

	uint8_t *map = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE,
			    MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	fill(map + off, len, seed);
	long r = result(msync(map, (size_t)size, MS_SYNC));
	munmap(map, (size_t)size);
	return r;
}

static long copy(struct truth_side *side, const struct truth_op *op)
{
	int in = openat(side->root, op->a, O_RDONLY | O_NONBLOCK | O_NOFOLLOW);
	if (in < 0)
		return -errno;
	int out = openat(side->root, op->b,
			 O_RDWR | O_CREAT | O_NONBLOCK | O_NOFOLLOW, 0644);
	long r = result(out);
	off_t from = op->value % 3 ? (off_t)(op->off & ~UINT64_C(4095)) : 0;
	off_t to = op->value % 5 ? (off_t)(op->off & ~UINT64_C(4095))
				 : (off_t)(op->off % 5000);
	size_t left = op->value % 2 ? op->len : TRUTH_MAX_SIZE;
	long done = 0;
	while (r >= 0 && left) {
		r = result(copy_file_range(in, &from, out, &to, left, 0));
		if (r <= 0)
			break;
		done += r;
		left -= (size_t)r;
	}
	close(in);
	if (out >= 0)
		close(out);
	return r < 0 ? r : done;
}

static long list(int root, const char *path, uint64_t *hash)
{
	int fd = openat(root, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	DIR *dir = fdopendir(fd);
	struct dirent *entry;
	long n = 0;
	if (!dir) {
		n = -errno;
		close(fd);
		return n;
	}
	while ((entry = readdir(dir))) { /* any order: sum the hashes */
		*hash += shale_xxh64(entry->d_name, strlen(entry->d_name)) +
			 entry->d_type;
		n++;
	}
	closedir(dir);
	return n;
}

static long make_tree(int root, const struct truth_op *op)
{
	char path[300];
	long r = result(mkdirat(root, op->a, 0755));
	for (unsigned i = 0; r >= 0 && i < 12; i++) {
		snprintf(path, sizeof(path), "%s/%c%u", op->a,
			 i % 3 ? 'f' : 'd', i % 8);
		if (i % 3 == 0) {
			mkdirat(root, path, 0755);
			continue;
		}
		int fd = openat(root, path, O_WRONLY | O_CREAT, 0644);
		if (fd >= 0) {
			write_at(fd, 0, op->len % 5000 + 1, op->value + i);
			close(fd);
		}
	}
	return r;
}

static void remove_tree(int root, const char *path)
{
	int fd = openat(root, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	if (fd < 0) {
		unlinkat(root, path, 0);
		return;
	}
	DIR *dir = fdopendir(fd);
	struct dirent *entry;
	if (!dir) {
		close(fd);
		return;
	}
	while ((entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			remove_tree(dirfd(dir), entry->d_name);
	closedir(dir);
	unlinkat(root, path, AT_REMOVEDIR);
}

/* Operations on a regular file that is opened for it. */
static long with_file(struct truth_side *side, const struct truth_op *op,
		      uint64_t *hash)
{
	int flags = O_NONBLOCK | O_NOFOLLOW;
	flags |= op->kind == OP_READ     ? O_RDONLY
		 : op->kind == OP_APPEND ? O_WRONLY | O_APPEND
		 : op->kind == OP_CREATE
			 ? O_RDWR | O_CREAT | (op->value % 2 ? O_EXCL : 0) |
				   (op->value % 3 ? 0 : O_TRUNC)
			 : O_RDWR;
	int fd = openat(side->root, op->a, flags, op->value % 0777 | 0600);
	if (fd < 0)
		return -errno;
	long r = 0;
	switch (op->kind) {
	case OP_CREATE:
		r = stat_fd(fd, hash);
		break;
	case OP_READ:
		r = read_at(fd, op->off, op->len, hash);
		break;
	case OP_WRITE:
	case OP_APPEND:
		r = write_at(fd, op->off, op->len, op->value);
		break;
	case OP_PUNCH:
		r = result(fallocate(fd,
				     FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				     (off_t)op->off, (off_t)op->len));
		break;
	case OP_ZERO:
		r = result(fallocate(
			fd,
			FALLOC_FL_ZERO_RANGE |
				(op->value % 2 ? FALLOC_FL_KEEP_SIZE : 0),
			(off_t)op->off, (off_t)op->len));
		break;
	case OP_ALLOCATE:
		r = result(fallocate(fd,
				     op->value % 2 ? FALLOC_FL_KEEP_SIZE : 0,
				     (off_t)op->off, (off_t)op->len));
		break;
	case OP_MMAP:
		r = store_mapped(fd, op->off, op->len, op->value);
		break;
	case OP_FSYNC:
		r = result(op->value % 2 ? fsync(fd) : fdatasync(fd));
		break;
	default:
		break;
	}
	/* With -o writeback the kernel says only now that it lost a write. */
	return close(fd) < 0 && errno == EIO && r >= 0 ? -EIO : r;
}

static long with_slot(struct truth_side *side, const struct truth_op *op,
		      uint64_t *hash)
{
	int *fd = &side->fd[op->slot];
	if (op->kind == OP_OPEN) {
		if (*fd >= 0)
			close(*fd);
		*fd = openat(side->root, op->a,
			     O_NONBLOCK | O_NOFOLLOW |
				     (op->value % 3 ? O_RDWR : O_RDONLY));
		return *fd < 0 ? -errno : 0;
	}
	if (*fd < 0)
		return 0;
	struct stat st;
	if (fstat(*fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) && op->kind != OP_CLOSE)
		return 0;
	switch (op->kind) {
	case OP_FD_WRITE:
		return write_at(*fd, op->off, op->len, op->value);
	case OP_FD_READ:
		return read_at(*fd, op->off, op->len, hash);
	case OP_FD_TRUNCATE:
		return result(ftruncate(*fd, (off_t)op->off));
	case OP_FD_STAT:
		return stat_fd(*fd, hash);
	case OP_FD_CHMOD:
		return result(fchmod(*fd, op->value % 07777 | 0400));
	default:
		close(*fd);
		*fd = -1;
		return 0;
	}
}

static long set_times(int root, const struct truth_op *op, uint64_t *hash)
{
	struct timespec times[2] = {
		{op->value % 2000000000, op->value % 1000000000},
		{(time_t)op->value % 1999999999, op->value % 999999999},
	};
	struct stat st;
	if (utimensat(root, op->a, times, AT_SYMLINK_NOFOLLOW) < 0 ||
	    fstatat(root, op->a, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	int64_t seen[] = {st.st_mtim.tv_sec, st.st_mtim.tv_nsec,
			  st.st_atim.tv_sec, st.st_atim.tv_nsec};
	*hash = shale_xxh64(seen, sizeof(seen));
	return 0;
}

static long with_xattr(struct truth_side *side, const struct truth_op *op,
		       uint64_t *hash)
{
	char path[600], name[32];
	char value[500]; /* five of them: a block of ext4 holds no more */
	snprintf(path, sizeof(path), "%s/%s", side->path, op->a);
	snprintf(name, sizeof(name), "user.x%u", op->value % 5);
	size_t len = op->len % sizeof(value);
	switch (op->kind) {
	case OP_SETXATTR:
		fill((uint8_t *)value, len, op->value);
		return result(lsetxattr(path, name, value, len,
					op->value % 4 == 0   ? XATTR_CREATE
					: op->value % 4 == 1 ? XATTR_REPLACE
							     : 0));
	case OP_REMOVEXATTR:
		return result(lremovexattr(path, name));
	default: {
		ssize_t n = lgetxattr(path, name, value, sizeof(value));
		if (n > 0)
			*hash = shale_xxh64(value, (size_t)n);
		return result(n);
	}
	}
}

static long with_names(struct truth_side *side, const struct truth_op *op,
		       uint64_t *hash)
{
	char target[300];
	int root = side->root;
	ssize_t n;
	switch (op->kind) {
	case OP_MKDIR:
		return result(mkdirat(root, op->a, op->value % 0777 | 0700));
	case OP_RMDIR:
		return result(unlinkat(root, op->a, AT_REMOVEDIR));
	case OP_UNLINK:
		return result(unlinkat(root, op->a, 0));
	case OP_RENAME:
		return result(renameat(root, op->a, root, op->b));
	case OP_NOREPLACE:
		return result(
			renameat2(root, op->a, root, op->b, RENAME_NOREPLACE));
	case OP_EXCHANGE:
		return result(
			renameat2(root, op->a, root, op->b, RENAME_EXCHANGE));
	case OP_LINK:
		return result(linkat(root, op->a, root, op->b, 0));
	case OP_SYMLINK:
		return result(symlinkat(op->b, root, op->a));
	case OP_MKNOD:
		return result(mknodat(
			root, op->a, (op->value % 2 ? S_IFIFO : S_IFCHR) | 0640,
			makedev(1, 3)));
	case OP_CHMOD:
		return result(
			fchmodat(root, op->a, op->value % 07777 | 0400, 0));
	case OP_CHOWN:
		return result(fchownat(root, op->a, op->value % 2000,
				       op->value / 7 % 2000,
				       AT_SYMLINK_NOFOLLOW));
	case OP_READLINK:
		n = readlinkat(root, op->a, target, sizeof(target));
		if (n > 0)
			*hash = shale_xxh64(target, (size_t)n);
		return result(n);
	default:
		return 0;
	}
}

static long truncate_path(int root, const struct truth_op *op)
{
	int fd = openat(root, op->a, O_WRONLY | O_NONBLOCK | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	long r = result(ftruncate(fd, (off_t)op->off));
	close(fd);
	return r;
}

long truth_do(struct truth_side *side, const struct truth_op *op,
	      uint64_t *hash)
{
	*hash = 0;
	switch (op->kind) {
	case OP_CREATE:
	case OP_WRITE:
	case OP_APPEND:
	case OP_READ:
	case OP_PUNCH:
	case OP_ZERO:
	case OP_ALLOCATE:
	case OP_MMAP:
	case OP_FSYNC:
		return with_file(side, op, hash);
	case OP_TRUNCATE:
		return truncate_path(side->root, op);
	case OP_UTIMENS:
		return set_times(side->root, op, hash);
	case OP_SETXATTR:
	case OP_REMOVEXATTR:
	case OP_GETXATTR:
		return with_xattr(side, op, hash);
	case OP_COPY:
		return copy(side, op);
	case OP_OPEN:
	case OP_FD_WRITE:
	case OP_FD_READ:
	case OP_FD_TRUNCATE:
	case OP_FD_STAT:
	case OP_FD_CHMOD:
	case OP_CLOSE:
		return with_slot(side, op, hash);
	case OP_READDIR:
		return list(side->root, op->a, hash);
	case OP_MKTREE:
		return make_tree(side->root, op);
	case OP_RMTREE:
		remove_tree(side->root, op->a);
		return 0;
	default:
		return with_names(side, op, hash);
	}
}

int truth_attach(struct truth_side *side)
{
	side->root = open(side->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < TRUTH_SLOTS; i++)
		side->fd[i] = -1;
	return side->root < 0 ? -errno : 0;
}

void truth_detach(struct truth_side *side)
{
	for (int i = 0; i < TRUTH_SLOTS; i++)
		if (side->fd[i] >= 0)
			close(side->fd[i]);
	if (side->root >= 0)
		close(side->root);
	side->root = -1;
}
