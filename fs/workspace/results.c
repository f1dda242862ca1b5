/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/workspace/results.h"

#include "fs/workspace/journal_disk.h"
#include "layers/base/hash.h"

#include <errno.h>
#include <sys/random.h>
#include <unistd.h>

int shale_results_init(struct shale_results *results, struct shale_err *err)
{
	uint32_t first;

	*results = (struct shale_results){0};
	int r = pthread_key_create(&results->own, NULL);
	if (r)
		return shale_err_set(err, r, "open the workspace");
	pthread_mutex_init(&results->lock, NULL);
	if (getrandom(&first, sizeof(first), 0) != sizeof(first))
		first = (uint32_t)getpid() * 0x9e3779b1u;
	atomic_store(&results->next, first);
	results->ready = true;
	return 0;
}

void shale_results_release(struct shale_results *results)
{
	if (!results->ready)
		return;
	pthread_key_delete(results->own);
	pthread_mutex_destroy(&results->lock);
	results->ready = false;
}

/* As much as gettid() would tell, without a system call a batch. */
uint32_t shale_results_thread(struct shale_results *results)
{
	uintptr_t tag = (uintptr_t)pthread_getspecific(results->own);

	while (!tag) { /* 0 is what a thread has that was not here */
		tag = atomic_fetch_add(&results->next, 1);
		/* No memory: it gets another one the next time. */
		(void)pthread_setspecific(results->own, (void *)tag);
	}
	return (uint32_t)tag;
}

void shale_results_note(struct shale_results *results,
			const struct shale_result *result)
{
	size_t at = 0;

	pthread_mutex_lock(&results->lock);
	while (at < results->n && results->list[at].thread != result->thread)
		at++;
	if (at == SHALE_RESULTS_MAX) {
		at = 0;
		for (size_t i = 1; i < results->n; i++)
			if (results->list[i].pos < results->list[at].pos)
				at = i;
	} else if (at == results->n) {
		results->n++;
	}
	results->list[at] = *result;
	pthread_mutex_unlock(&results->lock);
}

bool shale_results_has(struct shale_results *results, uint64_t connection,
		       uint64_t unique)
{
	bool has = false;

	pthread_mutex_lock(&results->lock);
	for (size_t i = 0; i < results->n && !has; i++)
		has = results->list[i].connection == connection &&
		      results->list[i].unique == unique;
	pthread_mutex_unlock(&results->lock);
	return has && (connection || unique);
}

int shale_results_encode(struct shale_results *results, uint64_t pos,
			 struct shale_buf *out)
{
	int r = 0;

	pthread_mutex_lock(&results->lock);
	for (size_t i = 0; i < results->n && r == 0; i++) {
		const struct shale_result *it = &results->list[i];
		struct shale_disk_result disk = {
			.thread = le32_make(it->thread),
			.position = le64_make(it->pos),
			.connection = le64_make(it->connection),
			.unique = le64_make(it->unique),
		};
		/* A newer one comes back from the journal. */
		if (it->pos <= pos)
			r = shale_buf_append(out, &disk, sizeof(disk));
	}
	pthread_mutex_unlock(&results->lock);
	return r;
}

int shale_results_decode(struct shale_results *results,
			 const struct shale_buf *in, struct shale_err *err)
{
	struct shale_disk_result disk;

	if (in->len % sizeof(disk) ||
	    in->len / sizeof(disk) > SHALE_RESULTS_MAX)
		return shale_err_say(err, EUCLEAN,
				     "database: the requests answered last "
				     "have a wrong size");
	for (size_t at = 0; at < in->len; at += sizeof(disk)) {
		memcpy(&disk, in->data + at, sizeof(disk));
		struct shale_result result = {
			.thread = le32_get(disk.thread),
			.pos = le64_get(disk.position),
			.connection = le64_get(disk.connection),
			.unique = le64_get(disk.unique),
		};
		shale_results_note(results, &result);
	}
	return 0;
}
