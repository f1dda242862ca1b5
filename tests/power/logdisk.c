/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk that remembers: a FUSE file system with two files.
 *
 *     logdisk IMAGE LOG MOUNTPOINT
 *
 * `disk` is the content of IMAGE.  Every write to it and every flush (fsync)
 * that reaches it is appended to LOG, in the order in which they came, and then
 * done.  A loop device over it hands down a file system's flushes as fsyncs, so
 * LOG tells what a power cut at any moment may leave.
 *
 * `control` takes one command a write, and is how tests put a word of their own
 * into the same order:
 *
 *     note TEXT                     append TEXT to the log
 *     fail KIND AFTER EVERY [TEXT]  EIO to requests of a KIND (read, write,
 *                                   sync) in which TEXT stands: AFTER of them
 *                                   go well, the next one fails, and each
 *                                   EVERY-th from there (0: only that one)
 *     full KIND AFTER EVERY [TEXT]  the same with ENOSPC, as of a thin volume
 *     only FROM TO                  rules from now on are for requests that
 *                                   touch these bytes; told again: these, too
 *     heal                          no more errors, no more such bytes
 *
 * Reading it tells `records N` (in the log) and `failed N` (requests).
 *
 * LOG: records of a head of 24 bytes (letter W, F or N; 7 zeros; offset;
 * length: little-endian, 8 each) and as many bytes as it says.
 */
#define FUSE_USE_VERSION 314
#include <fuse.h>

#include "layers/base/bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum kind { KIND_READ, KIND_WRITE, KIND_SYNC };

static const char *const kind_names[] = {"read", "write", "sync"};

enum { MAX_RANGES = 64 };

struct rule {
	bool set;
	enum kind kind;
	int error;
	unsigned long after, every;
	char text[64]; /* "": any */
};

struct range {
	off_t from, to;
};

/* One thread serves all requests: their order is the log's. */
struct disk {
	int fd, log;
	off_t size;
	unsigned long records, failed;
	struct rule rule;
	struct range ranges[MAX_RANGES]; /* none: the whole disk */
	size_t n_ranges;
};

static struct disk *disk_of(void)
{
	return fuse_get_context()->private_data;
}

/* ----------------------------------------------------------------- the log */

struct head {
	uint8_t letter, zero[7];
	struct le64 off, len;
};
static_assert(sizeof(struct head) == 24, "above");

static int note(struct disk *disk, char letter, const char *data, size_t len,
		off_t off)
{
	struct head head = {
		.letter = (uint8_t)letter,
		.off = le64_make((uint64_t)off),
		.len = le64_make(len),
	};
	if (write(disk->log, &head, sizeof(head)) != sizeof(head) ||
	    write(disk->log, data, len) != (ssize_t)len) {
		fprintf(stderr, "logdisk: the log: %s\n", strerror(errno));
		abort();
	}
	disk->records++;
	return 0;
}

/* ------------------------------------------------------------------ errors */

static bool touches(const struct disk *disk, size_t len, off_t off)
{
	for (size_t i = 0; i < disk->n_ranges; i++)
		if (off < disk->ranges[i].to &&
		    off + (off_t)len > disk->ranges[i].from)
			return true;
	return disk->n_ranges == 0;
}

/* 0, or the error that this request gets. */
static int fails(struct disk *disk, enum kind kind, const char *data,
		 size_t len, off_t off)
{
	struct rule *rule = &disk->rule;

	if (!rule->set || rule->kind != kind || !touches(disk, len, off) ||
	    (rule->text[0] &&
	     !memmem(data, len, rule->text, strlen(rule->text))))
		return 0;
	if (rule->after) {
		rule->after--;
		return 0;
	}
	if (rule->every)
		rule->after = rule->every - 1;
	else
		rule->set = false;
	disk->failed++;
	return rule->error;
}

static int parse_rule(const char *text, int error, struct rule *out)
{
	struct rule rule = {.set = true, .error = error};
	char kind[8];

	if (sscanf(text, "%7s %lu %lu %63s", kind, &rule.after, &rule.every,
		   rule.text) < 3)
		return -EINVAL;
	for (rule.kind = KIND_READ; strcmp(kind, kind_names[rule.kind]);)
		if (++rule.kind > KIND_SYNC)
			return -EINVAL;
	*out = rule;
	return 0;
}

static int add_range(struct disk *disk, const char *text)
{
	long long from, to;

	if (sscanf(text, "%lld %lld", &from, &to) != 2 ||
	    disk->n_ranges == MAX_RANGES)
		return -EINVAL;
	disk->ranges[disk->n_ranges++] = (struct range){from, to};
	return 0;
}

static int command(struct disk *disk, const char *text, size_t len)
{
	char line[128];

	if (len > 5 && !memcmp(text, "note ", 5))
		return note(disk, 'N', text + 5, len - 5, 0);
	if (len >= sizeof(line))
		return -EINVAL;
	memcpy(line, text, len);
	line[len] = 0;
	if (!strncmp(line, "fail ", 5))
		return parse_rule(line + 5, EIO, &disk->rule);
	if (!strncmp(line, "full ", 5))
		return parse_rule(line + 5, ENOSPC, &disk->rule);
	if (!strncmp(line, "only ", 5))
		return add_range(disk, line + 5);
	if (strncmp(line, "heal", 4) != 0)
		return -EINVAL;
	disk->rule.set = false;
	disk->n_ranges = 0;
	return 0;
}

/* --------------------------------------------------------------- the files */

static bool is_disk(const char *path)
{
	return !strcmp(path, "/disk");
}

static int disk_getattr(const char *path, struct stat *st,
			struct fuse_file_info *fi)
{
	(void)fi;
	if (!strcmp(path, "/")) {
		st->st_mode = S_IFDIR | 0700;
		st->st_nlink = 2;
		return 0;
	}
	if (!is_disk(path) && strcmp(path, "/control") != 0)
		return -ENOENT;
	st->st_mode = S_IFREG | 0600;
	st->st_nlink = 1;
	st->st_size = is_disk(path) ? disk_of()->size : 0;
	return 0;
}

static int disk_open(const char *path, struct fuse_file_info *fi)
{
	fi->direct_io = !is_disk(path);
	return 0;
}

/* `echo … >control` empties it first. */
static int disk_truncate(const char *path, off_t size,
			 struct fuse_file_info *fi)
{
	(void)size;
	(void)fi;
	return is_disk(path) ? -EPERM : 0;
}

static int read_control(struct disk *disk, char *buf, size_t size, off_t off)
{
	char text[64];
	int n = snprintf(text, sizeof(text), "records %lu\nfailed %lu\n",
			 disk->records, disk->failed);
	if (off >= n)
		return 0;
	size_t left = (size_t)(n - off) < size ? (size_t)(n - off) : size;
	memcpy(buf, text + off, left);
	return (int)left;
}

static int disk_read(const char *path, char *buf, size_t size, off_t off,
		     struct fuse_file_info *fi)
{
	struct disk *disk = disk_of();

	(void)fi;
	if (!is_disk(path))
		return read_control(disk, buf, size, off);
	ssize_t n = pread(disk->fd, buf, size, off);
	if (n < 0)
		return -errno;
	int error = fails(disk, KIND_READ, buf, (size_t)n, off);
	return error ? -error : (int)n;
}

static int disk_write(const char *path, const char *buf, size_t size, off_t off,
		      struct fuse_file_info *fi)
{
	struct disk *disk = disk_of();

	(void)fi;
	if (!is_disk(path)) {
		int r = command(disk, buf, size);
		return r < 0 ? r : (int)size;
	}
	int error = fails(disk, KIND_WRITE, buf, size, off);
	if (error)
		return -error;
	note(disk, 'W', buf, size, off);
	return pwrite(disk->fd, buf, size, off) == (ssize_t)size ? (int)size
								 : -EIO;
}

static int disk_fsync(const char *path, int datasync, struct fuse_file_info *fi)
{
	(void)datasync;
	(void)fi;
	if (!is_disk(path))
		return 0;
	int error = fails(disk_of(), KIND_SYNC, "", 0, 0);
	if (error)
		return -error;
	return note(disk_of(), 'F', "", 0, 0);
}

static const struct fuse_operations operations = {
	.getattr = disk_getattr,
	.open = disk_open,
	.truncate = disk_truncate,
	.read = disk_read,
	.write = disk_write,
	.fsync = disk_fsync,
};

int main(int argc, char **argv)
{
	if (argc != 4) {
		fprintf(stderr, "usage: logdisk IMAGE LOG MOUNTPOINT\n");
		return 2;
	}
	struct stat st;
	struct disk disk = {
		.fd = open(argv[1], O_RDWR | O_CLOEXEC),
		.log = open(argv[2],
			    O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC,
			    0600),
	};
	if (disk.fd < 0 || disk.log < 0 || fstat(disk.fd, &st) < 0) {
		fprintf(stderr, "logdisk: %s\n", strerror(errno));
		return 1;
	}
	disk.size = st.st_size;

	/* In the foreground, one thread. */
	char *args[] = {argv[0], "-f", "-s", argv[3], NULL};
	return fuse_main(4, args, &operations, &disk);
}
