/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/workspace/db_impl.h"
#include "fs/workspace/ops.h"
#include "layers/base/cleanup.h"

#include <errno.h>
#include <string.h>

struct shale_snapshot {
	struct shale_env *env;
	struct shale_env *own; /* opened here, or NULL */
	struct shale_view *view;
	pthread_mutex_t lock; /* a view is used by one thread at a time */
};

SHALE_DEFINE_CLEANUP(snapshot, struct shale_snapshot *, shale_snapshot_close);

static struct shale_snapshot *snapshot_new(void)
{
	struct shale_snapshot *snapshot = calloc(1, sizeof(*snapshot));
	if (snapshot)
		pthread_mutex_init(&snapshot->lock, NULL);
	return snapshot;
}

int shale_snapshot_open(struct shale_snapshot **out, int dirfd,
			struct shale_err *err)
{
	SHALE_CLEANUP(shale_cleanup_snapshot)
	struct shale_snapshot *snapshot = snapshot_new();
	if (!snapshot)
		return shale_err_set(err, ENOMEM, "open snapshot");

	int r = shale_env_open(&snapshot->own, dirfd, false, err);
	if (r < 0)
		return r;
	snapshot->env = snapshot->own;
	r = shale_view_take(snapshot->env, &snapshot->view, err);
	if (r < 0)
		return r;
	*out = steal_ptr(&snapshot);
	return 0;
}

int shale_db_snapshot(struct shale_db *db, struct shale_snapshot **out,
		      struct shale_err *err)
{
	SHALE_CLEANUP(shale_cleanup_snapshot)
	struct shale_snapshot *snapshot = snapshot_new();
	if (!snapshot)
		return shale_err_set(err, ENOMEM, "open snapshot");

	snapshot->env = db->env;
	int r = shale_view_take(snapshot->env, &snapshot->view, err);
	if (r < 0)
		return r;
	*out = steal_ptr(&snapshot);
	return 0;
}

void shale_snapshot_close(struct shale_snapshot *snapshot)
{
	if (!snapshot)
		return;
	if (snapshot->view)
		shale_view_give(snapshot->env, snapshot->view);
	shale_env_close(snapshot->own);
	pthread_mutex_destroy(&snapshot->lock);
	free(snapshot);
}

int shale_snapshot_get(struct shale_snapshot *snapshot, const void *key,
		       size_t key_len, struct shale_buf *value,
		       struct shale_err *err)
{
	pthread_mutex_lock(&snapshot->lock);
	int r = shale_view_get(snapshot->view, key, key_len, value, err);
	pthread_mutex_unlock(&snapshot->lock);
	return r;
}

int shale_snapshot_next(struct shale_snapshot *snapshot, const void *from,
			size_t from_len, size_t prefix, struct shale_buf *key,
			struct shale_buf *value, struct shale_err *err)
{
	static const uint8_t first[1] = {1}; /* smaller keys are our own */
	uint8_t start[SHALE_DB_KEY_MAX + 1];

	if (!from_len || !*(const uint8_t *)from) {
		from = first;
		from_len = sizeof(first);
	}
	/* A copy, because `from` may lie in `key`. */
	if (from_len > sizeof(start) || prefix > from_len)
		return -ENOENT;
	memcpy(start, from, from_len);

	pthread_mutex_lock(&snapshot->lock);
	int r = shale_view_next(snapshot->view, start, from_len, key, value,
				err);
	pthread_mutex_unlock(&snapshot->lock);
	if (r == 0 &&
	    (key->len < prefix || memcmp(key->data, start, prefix) != 0))
		return -ENOENT;
	return r;
}
