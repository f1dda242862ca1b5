/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `shale load` reads: a saved file, whole, into a store that stays for all
 * inputs; and names of entries on their own.
 */
#include "layers/base/cleanup.h"
#include "layers/base/io.h"
#include "layers/ops/save.h"
#include "layers/ops/saved_name.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct shale_store *store;
static char dir[] = "/tmp/shale-load-fuzz.XXXXXX";

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void clean_up(void)
{
	shale_store_close(store);
	nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static bool begin(void)
{
	if (store)
		return true;
	if (!mkdtemp(dir) || shale_store_open(&store, dir, true, NULL) < 0)
		return false;
	atexit(clean_up);
	return true;
}

static void name(const uint8_t *data, size_t size)
{
	enum shale_saved what;
	struct shale_digest digest;
	cleanup_free char *text = strndup((const char *)data, size);
	if (text && shale_saved_name(text, &what, &digest, NULL) == 0 &&
	    what == SHALE_SAVED_BLOB && !strstr(text, "blobs/sha256/"))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct shale_save_calls calls = {0};
	struct shale_loaded loaded;
	cleanup_fd int fd = memfd_create("saved", MFD_CLOEXEC);

	name(data, size);
	if (fd < 0 || !begin() ||
	    shale_pwrite_full(fd, data, size, 0, "input", NULL) < 0)
		return 0;
	if (shale_load(store, fd, true, &calls, &loaded, NULL) == 0)
		shale_loaded_release(&loaded);
	return 0;
}
