/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/store/agree.h"

#include "layers/store/ref.h"

#include <errno.h>
#include <inttypes.h>

uint64_t shale_version_own_size(const struct shale_version *v,
				const struct shale_version *parent)
{
	uint64_t sum = v->trees[v->n_trees - 1].size;

	for (size_t i = 0; i < v->n_data; i++) {
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

int shale_version_agrees(const struct shale_version *v,
			 const struct shale_version_entry *e,
			 const struct shale_version *parent,
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
	/* it may have come here before its parent did */
	uint64_t size = shale_version_own_size(v, parent);
	if ((parent || !d->has_parent) && e->size != size &&
	    e->size != shale_version_own_size(v, NULL))
		return shale_err_say(err, EUCLEAN,
				     "index.json says it added %" PRIu64
				     " bytes, its manifest %" PRIu64,
				     e->size, size);
	return 0;
}
