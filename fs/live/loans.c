/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/live/lend.h"

#include <errno.h>

/* Two maps: inode to 1 + id, inode to position. */

uint32_t shale_lend_count(struct shale_live *live)
{
	return atomic_load(&live->loans.n);
}

int shale_lend_refuse(struct shale_live *live, struct shale_err *err)
{
	uint32_t n = shale_lend_count(live);

	return n ? shale_err_say(err, EBUSY,
				 "%u files are open for writing, or mapped, and "
				 "with -o passthrough the kernel writes them "
				 "itself; close them, or unmount first",
				 n)
		 : 0;
}

bool shale_loans_get(struct shale_live *live, uint64_t ino,
		     struct shale_loan *out)
{
	if (!shale_lend_count(live))
		return false;
	pthread_mutex_lock(&live->loans.lock);
	uint64_t id = shale_map64_get(&live->loans.id, ino);
	*out = (struct shale_loan){
		.id = id ? (uint32_t)(id - 1) : 0,
		.since = shale_map64_get(&live->loans.since, ino),
	};
	pthread_mutex_unlock(&live->loans.lock);
	return id != 0;
}

int shale_loans_set(struct shale_live *live, uint64_t ino,
		    const struct shale_loan *loan)
{
	struct shale_loans *loans = &live->loans;

	pthread_mutex_lock(&loans->lock);
	bool had = shale_map64_get(&loans->id, ino) != 0;
	int r = had ? 0 : shale_map64_reserve(&loans->id);
	if (r == 0 && !had)
		r = shale_map64_reserve(&loans->since);
	if (r == 0) {
		shale_map64_set(&loans->id, ino, (uint64_t)loan->id + 1);
		/* One that has nothing to wait for was set before, if at all.
		 */
		if (loan->since || shale_map64_get(&loans->since, ino))
			shale_map64_set(&loans->since, ino, loan->since);
		atomic_fetch_add(&loans->n, !had);
	}
	pthread_mutex_unlock(&loans->lock);
	return r;
}

void shale_loans_forget(struct shale_live *live, uint64_t ino)
{
	struct shale_loans *loans = &live->loans;

	pthread_mutex_lock(&loans->lock);
	if (shale_map64_get(&loans->id, ino)) {
		shale_map64_set(&loans->id, ino, 0);
		if (shale_map64_get(&loans->since, ino))
			shale_map64_set(&loans->since, ino, 0);
		atomic_fetch_sub(&loans->n, 1);
	}
	pthread_mutex_unlock(&loans->lock);
}

int shale_loans_list(struct shale_live *live, struct shale_buf *out)
{
	const struct shale_map64 *map = &live->loans.id;
	int r = 0;

	pthread_mutex_lock(&live->loans.lock);
	for (size_t i = 0; r == 0 && i < map->cap; i++)
		if (map->at[i].key)
			r = shale_buf_append(out, &map->at[i].key,
					     sizeof(uint64_t));
	pthread_mutex_unlock(&live->loans.lock);
	return r;
}
