/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/verify_impl.h"

#include "layers/base/cleanup.h"
#include "layers/base/io.h"
#include "layers/blob/data_disk.h"
#include "layers/blob/tree_check.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

enum { STRIDE = 1 << 20 }; /* bytes read at once */

struct job {
	struct shale_verify *v;
	uint32_t number;
};

/* The file, of the size that versions give. */
static int open_blob(struct shale_verify *v, const struct shale_verify_blob *b,
		     int *fd, struct shale_err *err)
{
	struct stat st;
	int r = shale_blobs_get(shale_store_blobs(v->store), &b->digest, fd,
				NULL);
	if (r == -ENOENT)
		return shale_err_say(err, EUCLEAN, "it is missing");
	if (r < 0)
		return shale_err_set(err, -r, "open it");
	if (fstat(*fd, &st) < 0)
		return shale_err_set(err, errno, "look at it");
	if (!S_ISREG(st.st_mode))
		return shale_err_say(err, EUCLEAN, "it is no file");
	if ((uint64_t)st.st_size != b->size)
		return shale_err_say(err, EUCLEAN,
				     "it has %" PRIu64 " bytes, not %" PRIu64,
				     (uint64_t)st.st_size, b->size);
	return 0;
}

static int read_some(int fd, uint8_t *data, size_t len, uint64_t off,
		     struct shale_err *err)
{
	ssize_t n;
	do
		n = pread(fd, data, len, (off_t)off);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return shale_err_set(err, errno, "read at offset %" PRIu64,
				     off);
	return (int)n;
}

/* SHA-256 of the whole, asking between strides whether to go on. */
static int check_digest(struct shale_verify *v, int fd,
			const struct shale_verify_blob *b,
			struct shale_err *err)
{
	struct shale_digest got;
	cleanup_sha256 struct shale_sha256 *sha = shale_sha256_new();
	cleanup_free uint8_t *data = malloc(STRIDE);
	if (!sha || !data)
		return shale_err_set(err, ENOMEM, "verify");

	for (uint64_t off = 0;;) {
		int n = read_some(fd, data, STRIDE, off, err);
		if (n < 0)
			return n;
		if (!shale_verify_go_on(v, (uint64_t)n))
			return -EINTR;
		if (n == 0)
			break;
		shale_sha256_update(sha, data, (size_t)n);
		off += (uint64_t)n;
	}
	shale_sha256_final(sha, &got);
	return shale_digest_equal(&got, &b->digest)
		       ? 0
		       : shale_err_say(err, EUCLEAN,
				       "its content has another digest");
}

/* A good digest over a bad tree: what wrote it was at fault. */
static int check_tree(int fd, const struct shale_verify_blob *b,
		      struct shale_err *err)
{
	char name[SHALE_DIGEST_STR];
	struct shale_tree *tree;
	int r = shale_tree_open(&tree, fd, shale_digest_str(&b->digest, name),
				err);
	if (r < 0)
		return r;
	r = shale_tree_check(tree, err);
	shale_tree_close(tree);
	return r;
}

static int check_header(int fd, struct shale_err *err)
{
	struct shale_disk_data disk;
	int r = shale_pread_full(fd, &disk, sizeof(disk), 0, "its header", err);
	if (r == 0 && memcmp(disk.magic, SHALE_DATA_MAGIC, sizeof(disk.magic)))
		r = shale_err_say(err, EUCLEAN, "it is no data blob");
	return r;
}

static int check(struct shale_verify *v, const struct shale_verify_blob *b,
		 struct shale_err *err)
{
	cleanup_fd int fd = -1;
	bool data = b->kind == SHALE_VERIFY_DATA;
	int r = open_blob(v, b, &fd, err);

	if (r == 0 && data)
		r = check_header(fd, err);
	if (r == 0 && (!data || v->opts->depth >= SHALE_VERIFY_DIGESTS))
		r = check_digest(v, fd, b, err);
	if (r == 0 && b->kind == SHALE_VERIFY_TREE)
		r = check_tree(fd, b, err);
	return r;
}

static const char *const nouns[] = {"tree blob", "data blob", "metadata"};

static void run(void *arg)
{
	cleanup_free struct job *job = arg;
	struct shale_verify *v = job->v;
	struct shale_verify_blob *b = &v->blobs[job->number];
	struct shale_err why = {""};

	if (atomic_load(&v->stop))
		return;
	int r = check(v, b, &why);
	if (r == 0 || r == -EINTR)
		return;
	if (!shale_verify_is_damage(r)) {
		shale_verify_fail(v, r, &why);
		return;
	}
	b->damaged = true;
	shale_err_wrap(&why, r, "%s", nouns[b->kind]);
	const struct shale_finding f = {
		.kind = SHALE_FOUND_BLOB, .why = why.msg, .blob = &b->digest};
	shale_verify_found(v, &f);
}

int shale_verify_blobs(struct shale_verify *v, struct shale_err *err)
{
	uint64_t total = 0;
	for (uint32_t i = 0; i < v->n_blobs; i++) {
		const struct shale_verify_blob *b = &v->blobs[i];
		unsigned passes = b->kind != SHALE_VERIFY_DATA
					  ? 1
					  : (unsigned)v->opts->depth;
		/* a size that nothing has is a bad manifest's, not work */
		total += b->size < UINT64_MAX >> 16 ? b->size * passes : 0;
	}
	atomic_store(&v->total, total);

	for (uint32_t i = 0; i < v->n_blobs && !atomic_load(&v->stop); i++) {
		struct job *job = malloc(sizeof(*job));
		if (!job) {
			shale_pool_wait(v->pool);
			return shale_err_set(err, ENOMEM, "verify");
		}
		*job = (struct job){v, i};
		shale_pool_add(v->pool, run, job);
	}
	shale_pool_wait(v->pool);
	return 0;
}
