/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/blob/fds.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

struct shale_fd {
	int fd; /* -1: free */
	unsigned held;
	bool forgotten; /* found no more; closed when nobody holds it */
	uint64_t used;  /* when, in takes */
	struct shale_digest digest;
};

struct shale_fds {
	pthread_mutex_t lock;
	uint64_t now;
	struct shale_fd slots[SHALE_FDS_MAX];
};

struct shale_fds *shale_fds_new(void)
{
	struct shale_fds *fds = calloc(1, sizeof(*fds));
	if (!fds)
		return NULL;
	pthread_mutex_init(&fds->lock, NULL);
	for (size_t i = 0; i < SHALE_FDS_MAX; i++)
		fds->slots[i].fd = -1;
	return fds;
}

static void close_slot(struct shale_fd *slot)
{
	close(slot->fd);
	slot->fd = -1;
	slot->forgotten = false;
}

void shale_fds_free(struct shale_fds *fds)
{
	if (!fds)
		return;
	for (size_t i = 0; i < SHALE_FDS_MAX; i++)
		if (fds->slots[i].fd >= 0)
			close_slot(&fds->slots[i]);
	pthread_mutex_destroy(&fds->lock);
	free(fds);
}

static struct shale_fd *find(struct shale_fds *fds,
			     const struct shale_digest *digest)
{
	for (size_t i = 0; i < SHALE_FDS_MAX; i++) {
		struct shale_fd *slot = &fds->slots[i];
		if (slot->fd >= 0 && !slot->forgotten &&
		    shale_digest_equal(&slot->digest, digest))
			return slot;
	}
	return NULL;
}

int shale_fds_take(struct shale_fds *fds, const struct shale_digest *digest,
		   struct shale_fd **held)
{
	int fd = -1;
	pthread_mutex_lock(&fds->lock);
	struct shale_fd *slot = find(fds, digest);
	if (slot) {
		slot->held++;
		slot->used = ++fds->now;
		*held = slot;
		fd = slot->fd;
	}
	pthread_mutex_unlock(&fds->lock);
	return fd;
}

/* A free slot, or else the one not held that was used longest ago. */
static struct shale_fd *find_room(struct shale_fds *fds)
{
	struct shale_fd *best = NULL;
	for (size_t i = 0; i < SHALE_FDS_MAX; i++) {
		struct shale_fd *slot = &fds->slots[i];
		if (slot->fd < 0)
			return slot;
		if (!slot->held && (!best || slot->used < best->used))
			best = slot;
	}
	return best;
}

struct shale_fd *shale_fds_put(struct shale_fds *fds,
			       const struct shale_digest *digest, int fd)
{
	pthread_mutex_lock(&fds->lock);
	/* Two threads may have opened it at once: both are kept, one is found,
	 * the other grows old. */
	struct shale_fd *slot = find_room(fds);
	if (slot) {
		if (slot->fd >= 0)
			close_slot(slot);
		*slot = (struct shale_fd){.fd = fd,
					  .held = 1,
					  .used = ++fds->now,
					  .digest = *digest};
	}
	pthread_mutex_unlock(&fds->lock);
	return slot;
}

void shale_fds_release(struct shale_fds *fds, struct shale_fd *held)
{
	pthread_mutex_lock(&fds->lock);
	held->held--;
	if (!held->held && held->forgotten)
		close_slot(held);
	pthread_mutex_unlock(&fds->lock);
}

void shale_fds_forget(struct shale_fds *fds, const struct shale_digest *digest)
{
	struct shale_fd *slot;
	pthread_mutex_lock(&fds->lock);
	while ((slot = find(fds, digest))) {
		slot->forgotten = true;
		if (!slot->held)
			close_slot(slot);
	}
	pthread_mutex_unlock(&fds->lock);
}
