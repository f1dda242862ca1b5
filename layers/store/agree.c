/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/store/agree.h"

#include "layers/store/ref.h"

#include <errno.h>
#include <inttypes.h>

/* Bytes of the last tree, and of the data blobs from `first` on that the parent
 * has not. */
static uint64_t added(const struct shale_version *v, size_t first,
		      const struct shale_version *parent)
{
	uint64_t sum = v->trees[v->n_trees - 1].size;

	for (size_t i = first; i < v->n_data; i++) {
		bool inherited = false;
		for (size_t k = 0; parent && k < parent->n_data; k++)
			inherited = inherited ||
				    shale_digest_equal(&v->data[i].digest,
						       &parent->data[k].digest);
		if (!inherited)
			sum += v->data[i].size;
	}
	return sum <= INT64_MAX ? sum : INT64_MAX;
}

uint64_t shale_version_own_size(const struct shale_version *v,
				const struct shale_version *parent)
{
	return added(v, v->n_data - v->n_own, parent);
}

uint64_t shale_version_new_size(const struct shale_version *v,
				const struct shale_version *parent)
{
	return added(v, 0, parent);
}

int shale_version_agrees(const struct shale_version *v,
			 const struct shale_version_entry *e,
			 struct shale_err *err)
{
	const struct shale_description *d = &v->description;

	if (e->created.tv_sec != d->created.tv_sec ||
	    e->created.tv_nsec != d->created.tv_nsec) {
		char here[40], there[40];
		shale_time_format(&e->created, here);
		shale_time_format(&d->created, there);
		return shale_err_say(err, EUCLEAN,
				     "index.json says it was made at %s, its "
				     "description at %s",
				     here, there);
	}
	if (e->has_parent != d->has_parent ||
	    (e->has_parent && !shale_digest_equal(&e->parent, &d->parent)))
		return shale_err_say(err, EUCLEAN,
				     "index.json gives it another parent than "
				     "its description");
	/* Which of the new data blobs are its own, and which were made by a
	 * merge of layers below, only the trees tell. */
	uint64_t least = v->trees[v->n_trees - 1].size;
	uint64_t most = added(v, 0, NULL);
	if (e->size < least || e->size > most)
		return shale_err_say(err, EUCLEAN,
				     "index.json says it added %" PRIu64
				     " bytes, its manifest %" PRIu64
				     " to %" PRIu64,
				     e->size, least, most);
	return 0;
}
