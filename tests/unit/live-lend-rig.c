/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/live-lend.h"

#include "tests/lib/check.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct kernel kernel;

static int kernel_open(void *arg, int fd, uint32_t *id)
{
	(void)arg;
	if (kernel.refuses)
		return -kernel.refuses;
	CHECK(kernel.n + 1 < IDS);
	*id = ++kernel.n;
	kernel.fd[*id] = dup(fd);
	return 0;
}

static void kernel_close(void *arg, uint32_t id)
{
	(void)arg;
	CHECK(id > 0 && id < IDS && kernel.fd[id] > 0);
	close(kernel.fd[id]);
	kernel.fd[id] = 0;
}

static void kernel_changed(void *arg, uint64_t ino)
{
	(void)arg;
	kernel.changed = ino;
}

const struct shale_live_lender lender = {kernel_open, kernel_close,
					 kernel_changed, NULL};

int kernel_file(uint32_t id, int flags)
{
	char path[64];

	CHECK(id > 0 && id < IDS && kernel.fd[id] > 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", kernel.fd[id]);
	int fd = open(path, flags | O_CLOEXEC);
	CHECK(fd >= 0);
	return fd;
}

struct rig *lending(void)
{
	struct rig *rig = rig_new();
	struct shale_err err;

	memset(&kernel, 0, sizeof(kernel));
	CHECK_OK(shale_live_lend(rig->live, &lender, &err));
	CHECK_INT(kernel.fd[1], 0); /* it was a try */
	return rig;
}

struct file open_file(struct rig *rig, const char *path, bool writes)
{
	static uint64_t unique = 1000;
	const struct shale_caller who = {.request = {1, unique += 2}};
	struct file f = {.rig = rig, .fd = -1};

	CHECK_INT(shale_live_opened_lent(rig->live, &who, rig_ino(rig, path),
					 writes, &f.handle, &f.id),
		  0);
	if (f.id)
		f.fd = kernel_file(f.id, writes ? O_RDWR : O_RDONLY);
	return f;
}

void close_file(struct file *f)
{
	if (f->fd >= 0)
		close(f->fd);
	shale_live_released(f->rig->live, f->handle);
}

uint32_t lent(struct rig *rig)
{
	struct shale_live_counts counts;

	CHECK_INT(shale_live_counts(rig->live, &counts), 0);
	return counts.lent;
}

uint64_t data_bytes(struct rig *rig)
{
	struct shale_live_counts counts;

	CHECK_INT(shale_live_counts(rig->live, &counts), 0);
	return counts.data_bytes;
}

int seek(struct rig *rig, const char *path, uint64_t off, int whence)
{
	uint64_t found;
	int r = shale_live_seek(rig->live, rig_ino(rig, path), off, whence,
				&found);
	return r < 0 ? r : (int)found;
}

void pause_a_tick(void)
{
	usleep(20000);
}
