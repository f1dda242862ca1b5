/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/gc_impl.h"

#include "layers/base/buf.h"
#include "layers/base/cleanup.h"
#include "layers/blob/blobs_sweep.h"
#include "layers/store/lock.h"
#include "layers/store/oci.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/*
 * Blobs that are removed in one go, with the lock held: others wait for that
 * long.  Between two of them they publish, and what is needed is looked at
 * anew.
 */
enum { SLICE = 512 };

void shale_gc_freed(struct shale_gc *gc, enum shale_gc_kind kind,
		    const char *name, uint64_t bytes)
{
	gc->result.freed[kind].n++;
	gc->result.freed[kind].bytes += bytes;
	if (gc->opts->freed)
		gc->opts->freed(gc->opts->arg, kind, name, bytes);
}

static void blob_freed(struct shale_gc *gc, const struct shale_blob_seen *b)
{
	char text[SHALE_DIGEST_STR];
	shale_gc_freed(gc, SHALE_GC_BLOB, shale_digest_str(&b->digest, text),
		       b->size);
}

/* --------------------------------------------------------------- deciding */

/*
 * Does it begin as JSON does?  Manifests go before what they name (G6), so that
 * whoever finds a manifest finds all of its blobs.
 */
static bool is_document(struct shale_gc *gc, const struct shale_blob_seen *b)
{
	char first = 0;
	return b->size <= SHALE_MANIFEST_LIMIT && b->size > 0 &&
	       shale_blobs_pread(shale_store_blobs(gc->store), &b->digest,
				 &first, 1, 0, NULL) == 0 &&
	       first == '{';
}

/* Keep in the list what may be garbage, documents first; count the rest. */
static int choose(struct shale_gc *gc, struct shale_buf *all,
		  struct shale_err *err)
{
	cleanup_buf struct shale_buf others = {0};
	struct shale_blob_seen *b = (void *)all->data;
	size_t n = all->len / sizeof(*b), kept = 0;

	for (size_t i = 0; i < n; i++) {
		if (shale_gc_marked(&gc->marks, &b[i].digest)) {
			gc->result.kept.n++;
			gc->result.kept.bytes += b[i].size;
		} else if (is_document(gc, &b[i])) {
			b[kept++] = b[i];
		} else if (shale_buf_append(&others, &b[i], sizeof(*b)) < 0) {
			return shale_err_set(err, ENOMEM, "gc");
		}
	}
	all->len = kept * sizeof(*b);
	if (shale_buf_append(all, others.data, others.len) < 0)
		return shale_err_set(err, ENOMEM, "gc");
	return 0;
}

/* Which of these still may go?  Returns how many, moved to the front. */
static size_t still_garbage(struct shale_gc *gc, struct shale_blob_seen *b,
			    size_t n)
{
	size_t left = 0;
	for (size_t i = 0; i < n; i++) {
		if (shale_gc_marked(&gc->marks, &b[i].digest)) {
			gc->result.kept.n++;
			gc->result.kept.bytes += b[i].size;
		} else if (shale_gc_is_young(&gc->marks, &b[i].time)) {
			gc->result.young.n++;
			gc->result.young.bytes += b[i].size;
		} else {
			b[left++] = b[i];
		}
	}
	return left;
}

/* --------------------------------------------------------------- removing */

static int mark(struct shale_gc *gc, struct shale_err *err)
{
	int r = shale_gc_mark(&gc->marks, gc->opts, err);
	return r < 0 ? r : shale_gc_merges(gc, err);
}

/* Look again what is needed, and remove what is not; all under the lock. */
static int remove_slice(struct shale_gc *gc, struct shale_blob_seen *b,
			size_t n, struct shale_err *err)
{
	cleanup_lock int lock = -1;
	bool removed[SLICE] = {false};
	int r = shale_lock_take(shale_store_dirfd(gc->store),
				SHALE_LOCK_WAIT_MS, &lock, err);
	if (r == 0)
		r = mark(gc, err);
	if (r < 0)
		return r;
	n = still_garbage(gc, b, n);
	r = shale_blobs_remove(shale_store_blobs(gc->store), b, n, removed,
			       err);
	for (size_t i = 0; i < n; i++)
		if (removed[i])
			blob_freed(gc, &b[i]);
	return r;
}

static int remove_blobs(struct shale_gc *gc, struct shale_buf *list,
			struct shale_err *err)
{
	struct shale_blob_seen *b = (void *)list->data;
	size_t n = list->len / sizeof(*b);
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i += SLICE) {
		if (gc->opts->going && gc->opts->going(gc->opts->arg))
			return shale_err_say(err, EINTR, "interrupted");
		r = remove_slice(gc, &b[i], n - i < SLICE ? n - i : SLICE, err);
	}
	return r;
}

/* The caches, and what dead processes left. */
static int remove_rest(struct shale_gc *gc, struct shale_err *err)
{
	cleanup_lock int lock = -1;
	int r = 0;
	if (!gc->opts->dry_run) {
		r = shale_lock_take(shale_store_dirfd(gc->store),
				    SHALE_LOCK_WAIT_MS, &lock, err);
		if (r == 0)
			r = mark(gc, err);
	}
	if (r == 0)
		r = shale_gc_indexes(gc, err);
	return r < 0 ? r : shale_gc_tmp(gc, err);
}

static void tell_blobs(struct shale_gc *gc, struct shale_buf *list)
{
	struct shale_blob_seen *b = (void *)list->data;
	size_t n = still_garbage(gc, b, list->len / sizeof(*b));
	for (size_t i = 0; i < n; i++)
		blob_freed(gc, &b[i]);
}

static int run(struct shale_gc *gc, struct shale_err *err)
{
	cleanup_buf struct shale_buf list = {0};
	int r = shale_blobs_list(shale_store_blobs(gc->store), &list, err);

	/* The long look goes without the lock; the last word is with it. */
	if (r == 0)
		r = mark(gc, err);
	if (r == 0)
		r = choose(gc, &list, err);
	if (r == 0 && gc->opts->dry_run)
		tell_blobs(gc, &list);
	else if (r == 0)
		r = remove_blobs(gc, &list, err);
	return r < 0 ? r : remove_rest(gc, err);
}

/*
 * Now, as a file's times tell it: files that come later are not older, which
 * the clock cannot promise (it runs in finer steps than their times, or in
 * coarser ones).  Where no file can be had, a second ago does.
 */
static struct timespec time_of_files(struct shale_gc *gc)
{
	struct stat st;
	struct timespec now;
	cleanup_fd int fd =
		gc->opts->dry_run
			? -1
			: openat(shale_store_dirfd(gc->store), "tmp",
				 O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	if (fd >= 0 && fstat(fd, &st) == 0)
		return shale_blob_time(&st);
	clock_gettime(CLOCK_REALTIME, &now);
	now.tv_sec -= !gc->opts->dry_run;
	return now;
}

int shale_gc(struct shale_store *store, const struct shale_gc_opts *opts,
	     struct shale_gc_result *result, struct shale_err *err)
{
	struct shale_gc gc = {
		.store = store,
		.opts = opts,
		.marks = {.store = store, .keep_dead = opts->dry_run},
	};
	gc.started = time_of_files(&gc);
	int r = run(&gc, err);
	gc.result.leases = gc.marks.dead_leases;
	shale_gc_marks_release(&gc.marks);
	if (r == 0)
		*result = gc.result;
	return r;
}
