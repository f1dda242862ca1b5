/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random writes, truncations, fsyncs, marks and kills, and a power cut at a
 * random moment of a random flush, on a disk that keeps what was flushed and,
 * of the rest, what chance wills: each block of a data file, its name, and any
 * part of the journal's end.  A file then has, sector by sector, what it had
 * at its last fsync or mark, or something that was written since.
 */
#include "fs/workspace/workspace.h"
#include "layers/base/cleanup.h"
#include "tests/lib/check.h"
#include "tests/unit/live-rig.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	SECTOR = 512,
	BLOCK = 4096,
	SECTORS = 24 * BLOCK / SECTOR, /* of a file, at most */
	FILES = 2,
	STEPS = 50,
	IDS = 64, /* what sectors hold: zeros, or a number */
};

/* -------------------------------------------------------------- the model */

struct file {
	uint32_t size;
	uint8_t now[SECTORS];
	uint64_t may[SECTORS];      /* ids that may be there after a cut */
	bool may_size[SECTORS + 1]; /* and sizes */
};

struct model {
	struct file file[FILES];
	uint8_t last_id;
};

static void is_durable(struct file *f)
{
	for (uint32_t s = 0; s < SECTORS; s++)
		f->may[s] = UINT64_C(1) << f->now[s];
	memset(f->may_size, 0, sizeof(f->may_size));
	f->may_size[f->size] = true;
}

static void set_sector(struct file *f, uint32_t s, uint8_t id)
{
	f->now[s] = id;
	f->may[s] |= UINT64_C(1) << id;
}

static void set_size(struct file *f, uint32_t size)
{
	for (uint32_t s = size; s < f->size; s++)
		set_sector(f, s, 0);
	f->size = size;
	f->may_size[size] = true;
}

/* --------------------------------------------------------------- the disk */

static char work[200]; /* the workspace's directory */
static char disk[200]; /* files as of their last flush, and `NAME.named` */
static struct model model, at_cut;
static int main_thread;
static int flushes_left; /* that others wait for, until the cut */
static bool watched, marking, cut;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of the disk */

static void run(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void run(const char *format, ...)
{
	char command[1000];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	CHECK_INT(system(command), 0);
}

static bool is_data(const char *name)
{
	return strncmp(name, "data/", 5) == 0 && strchr(name, '.');
}

/* The path of an open file below the workspace; NULL: it does not matter. */
static const char *name_of(int fd, char path[600])
{
	char link[40];
	size_t len = strlen(work);

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, path, 599);
	if (n < 0)
		return NULL;
	path[n] = 0;
	return strncmp(path, work, len) == 0 && path[len] == '/'
		       ? path + len + 1
		       : NULL;
}

static void disk_path(char path[600], const char *name, const char *more)
{
	int at = snprintf(path, 600, "%s/", disk);

	snprintf(path + at, 600 - (size_t)at, "%s%s", name, more);
	for (char *c = path + at; *c; c++)
		if (*c == '/')
			*c = '_';
}

static void copy_file(const char *from, const char *to)
{
	cleanup_fd int in = open(from, O_RDONLY);
	cleanup_fd int out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	char buf[BLOCK];
	ssize_t n;

	CHECK(in >= 0 && out >= 0);
	while ((n = read(in, buf, sizeof(buf))) > 0)
		CHECK(write(out, buf, (size_t)n) == n);
}

static void keep_content(const char *name)
{
	char from[600], to[600];

	snprintf(from, sizeof(from), "%s/%s", work, name);
	disk_path(to, name, "");
	copy_file(from, to);
}

static void keep_names(const char *dir)
{
	run("cd %s/%s && for f in *; do "
	    "[ ! -f \"$f\" ] || : >%s/data_%s_\"$f\".named; done",
	    work, dir, disk, dir + 5);
}

static void keep_all(void)
{
	run("cd %s && for f in data/*/*.* journal.*; do [ ! -f $f ] || "
	    "{ n=$(echo $f | tr / _) && cp $f %s/$n && : >%s/$n.named; }; done",
	    work, disk, disk);
}

static void cut_here(void)
{
	run("rm -rf %s.cut && cp -a %s %s.cut", work, work, work);
	run("rm -rf %s.cut && cp -a %s %s.cut", disk, disk, disk);
	at_cut = model;
	cut = true;
}

/* Is it a flush that the disk remembers?  What the applier does by itself is no
 * moment for a cut: the model goes on meanwhile. */
static bool counts(void)
{
	if (!watched || cut)
		return false;
	if ((marking || gettid() == main_thread) && flushes_left-- == 0)
		cut_here();
	return !cut;
}

/* In place of the C library's. */
int fdatasync(int fd)
{
	char path[600];

	pthread_mutex_lock(&lock);
	const char *name = counts() ? name_of(fd, path) : NULL;
	if (name && (is_data(name) || strncmp(name, "journal.", 8) == 0))
		keep_content(name);
	pthread_mutex_unlock(&lock);
	return 0;
}

int fsync(int fd)
{
	char path[600];

	pthread_mutex_lock(&lock);
	const char *name = counts() ? name_of(fd, path) : NULL;
	if (name && strncmp(name, "data/", 5) == 0 && !is_data(name))
		keep_names(name);
	pthread_mutex_unlock(&lock);
	return 0;
}

int syncfs(int fd)
{
	(void)fd;
	pthread_mutex_lock(&lock);
	if (watched && !cut)
		keep_all();
	pthread_mutex_unlock(&lock);
	return 0;
}

/* ------------------------------------------------------------- after a cut */

static unsigned chance(unsigned n)
{
	return (unsigned)(shale_test_random() % n);
}

/* Each block of `path` is as it is, or as it was flushed. */
static void lose_blocks(const char *path, const char *flushed)
{
	cleanup_fd int fd = open(path, O_RDWR);
	cleanup_fd int old = open(flushed, O_RDONLY);
	struct stat st;

	CHECK(fd >= 0 && fstat(fd, &st) == 0);
	for (off_t at = 0; at < st.st_size; at += BLOCK) {
		char block[BLOCK] = {0};
		if (chance(2))
			continue;
		if (old >= 0)
			CHECK(pread(old, block, BLOCK, at) >= 0);
		CHECK(pwrite(fd, block, BLOCK, at) == BLOCK);
	}
}

static void lose_data(const char *dir, const char *name)
{
	char path[600], flushed[600], named[600], full[300];

	snprintf(full, sizeof(full), "data/%s/%s", dir, name);
	snprintf(path, sizeof(path), "%s.cut/%s", work, full);
	disk_path(flushed, full, "");
	disk_path(named, full, ".named");
	if (access(named, F_OK) < 0 && chance(2))
		CHECK_INT(unlink(path), 0);
	else
		lose_blocks(path, flushed);
}

/* The journal is there as far as it was flushed, and behind that by pages. */
static void lose_journal(const char *name)
{
	char path[600], flushed[600];

	snprintf(path, sizeof(path), "%s.cut/%s", work, name);
	disk_path(flushed, name, "");
	if (chance(2))
		lose_blocks(path, flushed);
	else if (access(flushed, F_OK) == 0)
		copy_file(flushed, path);
}

static void each_name(const char *dir, const char *prefix,
		      void (*fn)(const char *dir, const char *name))
{
	char path[600];

	snprintf(path, sizeof(path), "%s.cut/%s%s", work, prefix, dir);
	DIR *list = opendir(path);
	CHECK(list != NULL);
	struct dirent *e;
	while ((e = readdir(list)))
		if (e->d_name[0] != '.')
			fn(dir, e->d_name);
	closedir(list);
}

static void lose_in(const char *dir, const char *name)
{
	(void)dir;
	if (strlen(name) == 2)
		each_name(name, "data/", lose_data);
}

static void lose_segment(const char *dir, const char *name)
{
	(void)dir;
	if (strlen(name) == 24 && strncmp(name, "journal.", 8) == 0)
		lose_journal(name);
}

/* The next process finds `work`.cut; `boot`: of which boot its `boot` says. */
static void go_on(struct rig *rig, bool same_boot)
{
	watched = false;
	rig_leave(rig);
	run("rm -r %s && mv %s.cut %s", work, work, work);
	if (!same_boot)
		run("echo other >%s/boot", work);
	watched = same_boot && !cut;
	rig_return(rig);
}

static void power_cut(struct rig *rig)
{
	if (!cut)
		cut_here();
	run("rm -r %s && mv %s.cut %s", disk, disk, disk);
	each_name("data", "", lose_in);
	each_name("", "", lose_segment);
	go_on(rig, false);
}

static void kill_it(struct rig *rig)
{
	run("rm -rf %s.cut && cp -a %s %s.cut", work, work, work);
	go_on(rig, true);
}

/* ------------------------------------------------------------ what happens */

static const char *const names[FILES] = {"a", "b"};

static void do_write(struct rig *rig, unsigned i)
{
	static char data[SECTORS * SECTOR];
	struct file *f = &model.file[i];
	bool large = chance(12) == 0;
	unsigned len = 1 + chance(large ? SECTORS - 20 : 12);
	unsigned at = chance(4) ? chance(20) : chance(SECTORS - len + 1);
	uint8_t id = model.last_id = (uint8_t)(model.last_id % (IDS - 1) + 1);

	memset(data, id, (size_t)len * SECTOR);
	CHECK_INT(shale_live_write(rig->live, &rig_caller,
				   rig_ino(rig, names[i]),
				   (uint64_t)at * SECTOR, data,
				   (size_t)len * SECTOR, false),
		  0);
	for (unsigned s = 0; s < len; s++)
		set_sector(f, at + s, id);
	if (at + len > f->size)
		set_size(f, at + len);
}

static void do_fsync(struct rig *rig, unsigned i)
{
	struct shale_err err;

	CHECK_OK(shale_live_fsync(rig->live, rig_ino(rig, names[i]), true,
				  &err));
	is_durable(&model.file[i]);
}

static void do_mark(struct rig *rig)
{
	marking = true;
	CHECK_INT(shale_live_syncfs(rig->live), 0);
	marking = false;
	for (unsigned i = 0; i < FILES; i++)
		is_durable(&model.file[i]);
}

static void step(struct rig *rig)
{
	unsigned i = chance(FILES), what = chance(100);
	struct shale_err err;

	if (what < 40) {
		do_write(rig, i);
	} else if (what < 46) {
		unsigned size = chance(SECTORS);
		rig_truncate(rig, names[i], (uint64_t)size * SECTOR);
		set_size(&model.file[i], size);
	} else if (what < 84) {
		do_fsync(rig, i);
	} else if (what < 93) { /* as before a mark that is not written */
		CHECK_OK(shale_files_flush(rig->ws->files, 0, &err));
	} else if (what < 96) {
		do_mark(rig);
	} else {
		kill_it(rig);
	}
}

static void check_sector(const struct file *f, const char *name, unsigned s,
			 const char data[SECTOR])
{
	unsigned id = (uint8_t)data[0];

	for (unsigned i = 1; i < SECTOR; i++)
		if (data[i] != data[0])
			shale_test_fail(__FILE__, __LINE__,
					"%s: sector %u is torn", name, s);
	if (id >= IDS || !(f->may[s] >> id & 1))
		shale_test_fail(__FILE__, __LINE__,
				"%s: sector %u holds %u, which is not one of "
				"%#llx",
				name, s, id, (unsigned long long)f->may[s]);
}

static void check_file(struct rig *rig, unsigned i)
{
	static char data[SECTORS * SECTOR];
	const struct file *f = &at_cut.file[i];
	size_t got;

	CHECK_INT(shale_live_read(rig->live, rig_ino(rig, names[i]), 0, data,
				  sizeof(data), &got, NULL),
		  0);
	CHECK_INT(got % SECTOR, 0);
	if (!f->may_size[got / SECTOR])
		shale_test_fail(__FILE__, __LINE__, "%s has %zu sectors",
				names[i], got / SECTOR);
	for (unsigned s = 0; s < got / SECTOR; s++)
		check_sector(f, names[i], s, data + (size_t)s * SECTOR);
}

static struct rig *begin(void)
{
	struct rig *rig = rig_new();
	char link[40];

	snprintf(link, sizeof(link), "/proc/self/fd/%d", rig->dirfd);
	ssize_t n = readlink(link, work, 150);
	CHECK(n > 0);
	snprintf(work + n, 40, "/workspaces/work");
	snprintf(disk, sizeof(disk), "%s/disk", shale_test_dir());
	run("rm -rf %s && mkdir %s", disk, disk);
	memset(&model, 0, sizeof(model));
	for (unsigned i = 0; i < FILES; i++) {
		rig_file(rig, names[i], "");
		is_durable(&model.file[i]);
	}
	CHECK_INT(shale_live_syncfs(rig->live), 0);
	main_thread = gettid();
	cut = false;
	watched = true;
	flushes_left = (int)chance(30);
	syncfs(rig->dirfd);
	return rig;
}

TEST(after_a_cut_each_sector_is_that_of_the_last_fsync_or_a_later_one)
{
	const char *runs = getenv("SHALE_CUTS");
	int n = runs ? atoi(runs) : getenv("SHALE_LONG") ? 1000 : 60;

	while (n-- > 0) {
		struct rig *rig = begin();
		for (int i = 0; i < STEPS && !cut; i++)
			step(rig);
		power_cut(rig);
		for (unsigned i = 0; i < FILES; i++)
			check_file(rig, i);
		rig_free(rig);
	}
}
