/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/store/lease.h"

#include "layers/base/cleanup.h"
#include "layers/base/clock.h"
#include "layers/base/dir.h"
#include "layers/base/io.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>

enum { TRIES = 100, PATH_SIZE = 4096, LEASE_LIMIT = 64 << 20 };

/* Is the file still there?  Between our open and our lock gc may remove it. */
static bool has_name(int fd)
{
	struct stat st;
	return fstat(fd, &st) == 0 && st.st_nlink > 0;
}

int shale_store_lease(struct shale_store *store, int *out,
		      struct shale_err *err)
{
	for (int i = 0; i < TRIES; i++) {
		char name[64];
		uint64_t random;
		if (getrandom(&random, sizeof(random), 0) != sizeof(random))
			return shale_err_set(err, errno, "take a lease");
		snprintf(name, sizeof(name), "leases/%ld.%016llx",
			 (long)getpid(), (unsigned long long)random);
		cleanup_fd int fd =
			openat(shale_store_dirfd(store), name,
			       O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd < 0)
			return shale_err_set(err, errno, "take a lease");
		if (flock(fd, LOCK_EX | LOCK_NB) == 0 && has_name(fd)) {
			*out = steal_fd(&fd);
			return 0;
		}
	}
	return shale_err_say(err, EBUSY, "cannot take a lease in %s",
			     shale_store_path(store));
}

void shale_lease_end(int *fd)
{
	char link[32], path[PATH_SIZE];
	if (*fd < 0)
		return;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", *fd);
	ssize_t n = readlink(link, path, sizeof(path) - 1);
	path[n < 0 ? 0 : n] = '\0';
	if (path[0] == '/')
		unlink(path);
	close(*fd);
	*fd = -1;
}

int shale_lease_add(int fd, const struct shale_digest *manifest,
		    struct shale_err *err)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return shale_err_set(err, errno, "extend a lease");
	int r = shale_pwrite_full(fd, manifest->b, sizeof(manifest->b),
				  (uint64_t)st.st_size, "a lease", err);
	/* its time says when it was taken, also where files have no other */
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, st.st_mtim};
	if (r == 0 && futimens(fd, times) < 0)
		r = shale_err_set(err, errno, "extend a lease");
	return r;
}

bool shale_lease_may_lack(int r, struct shale_err *err)
{
	bool may = shale_store_unwritable(r);
	if (may && err)
		err->msg[0] = '\0';
	return may;
}

void shale_leases_release(struct shale_leases *leases)
{
	if (leases)
		free(leases->images);
}

/* Two descriptors of one file? */
static bool same_file(int a, const struct stat *b)
{
	struct stat st;
	return a >= 0 && fstat(a, &st) == 0 && st.st_ino == b->st_ino &&
	       st.st_dev == b->st_dev;
}

/* One lease: a dead one is counted in `*dead`, a living one noted. */
static int read_lease(int dirfd, const char *name, int own, bool keep_dead,
		      struct shale_buf *images, struct shale_leases *out,
		      size_t *dead, struct shale_err *err)
{
	struct stat st;
	cleanup_fd int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0 || fstat(fd, &st) < 0)
		return shale_err_set(err, errno, "read lease '%s'", name);
	if (same_file(own, &st))
		return 0;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
		++*dead;
		if (!keep_dead)
			unlinkat(dirfd, name, 0);
		return 0;
	}
	/* What counts as its age is the name's time, not the content's. */
	struct statx sx;
	struct timespec taken = st.st_mtim;
	if (statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &sx) == 0 &&
	    (sx.stx_mask & STATX_BTIME))
		taken = (struct timespec){sx.stx_btime.tv_sec,
					  sx.stx_btime.tv_nsec};
	if (!out->any || shale_time_order(&taken, &out->oldest) < 0)
		out->oldest = taken;
	out->any = true;

	int r = shale_read_file(dirfd, name, LEASE_LIMIT, images, err);
	/* half a digest: its writer is about to say the rest */
	images->len -= images->len % sizeof(struct shale_digest);
	return r == -ENOENT ? 0 : r;
}

int shale_leases_look(struct shale_store *store, int own, bool keep_dead,
		      struct shale_leases *out, size_t *dead,
		      struct shale_err *err)
{
	cleanup_buf struct shale_buf images = {0};
	struct shale_leases leases = {0};
	cleanup_dir DIR *dir =
		shale_dir_open(shale_store_dirfd(store), "leases");
	if (!dir)
		return shale_err_set(err, errno, "read leases");
	int r = 0;
	size_t found = 0;
	for (const struct dirent *d; r == 0 && (d = shale_dir_next(dir));)
		if (d->d_name[0] != '.')
			r = read_lease(dirfd(dir), d->d_name, own, keep_dead,
				       &images, &leases, &found, err);
	if (r < 0)
		return r;
	leases.images = (struct shale_digest *)images.data;
	leases.n = images.len / sizeof(struct shale_digest);
	images = (struct shale_buf){0};
	*out = leases;
	*dead = found;
	return 0;
}

int shale_leases_read(struct shale_store *store, int own,
		      struct shale_leases *out, struct shale_err *err)
{
	size_t dead;
	return shale_leases_look(store, own, false, out, &dead, err);
}
