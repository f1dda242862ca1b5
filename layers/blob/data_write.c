/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/blob/data_write.h"

#include "layers/base/io.h"
#include "layers/blob/data_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/*
 * So much is written before the kernel is asked to bring it to the disk: the
 * fsync at publication finds little left to do.  And no more than a window is
 * on its way, so that others, who flush files of the same disk meanwhile (a
 * commit runs beside a database), do not wait for more.
 */
#define SYNC_STEP   (UINT64_C(2) << 20)
#define SYNC_WINDOW (UINT64_C(32) << 20)

void shale_data_write_init(struct shale_data_write *w,
			   struct shale_blobs *blobs)
{
	*w = (struct shale_data_write){.blobs = blobs, .tmp = {.fd = -1}};
}

void shale_data_write_release(struct shale_data_write *w)
{
	if (w->tmp.fd >= 0) {
		close(w->tmp.fd);
		shale_blobs_abandon(w->blobs, w->tmp.name);
	}
	shale_sha256_free(w->sha256);
	shale_data_write_init(w, w->blobs);
}

int shale_data_write_begin(struct shale_data_write *w, struct shale_err *err)
{
	struct shale_disk_data header = {.version =
						 le16_make(SHALE_DATA_VERSION)};
	memcpy(header.magic, SHALE_DATA_MAGIC, sizeof(header.magic));

	shale_data_write_release(w);
	w->sha256 = shale_sha256_new();
	if (!w->sha256)
		return shale_err_set(err, ENOMEM, "begin a data blob");
	int r = shale_blobs_create(w->blobs, &w->tmp.fd, w->tmp.name, err);
	return r < 0 ? r
		     : shale_data_write_append(w, &header, sizeof(header), err);
}

/* Who waits is told of an error, and nobody after him: fsync would not. */
static int begin_sync(struct shale_data_write *w, struct shale_err *err)
{
	if (w->size > SYNC_WINDOW &&
	    sync_file_range(w->tmp.fd, 0, (off_t)(w->size - SYNC_WINDOW),
			    SYNC_FILE_RANGE_WAIT_BEFORE) < 0)
		return shale_err_set(err, errno, "write the new data blob");
	/* Not every file system can: then it is all the fsync's. */
	(void)sync_file_range(w->tmp.fd, (off_t)w->synced,
			      (off_t)(w->size - w->synced),
			      SYNC_FILE_RANGE_WRITE);
	w->synced = w->size;
	return 0;
}

int shale_data_write_append(struct shale_data_write *w, const void *data,
			    size_t len, struct shale_err *err)
{
	int r = shale_pwrite_full(w->tmp.fd, data, len, w->size,
				  "the new data blob", err);
	if (r < 0)
		return r;
	shale_sha256_update(w->sha256, data, len);
	w->size += len;
	return w->size - w->synced >= SYNC_STEP ? begin_sync(w, err) : 0;
}

void shale_data_write_finish(struct shale_data_write *w,
			     struct shale_blob_tmp *out, uint64_t *size)
{
	if (w->tmp.fd >= 0)
		shale_sha256_final(w->sha256, &w->tmp.digest);
	*out = w->tmp;
	*size = w->size;
	w->tmp.fd = -1;
}
