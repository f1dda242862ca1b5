/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/import_impl.h"

#include <errno.h>

/*
 * Which inode is which.  A name that the parent has too hands its number on, if
 * it is of the same type and no other name was first; so an inode keeps its
 * number as long as one of its names stays.  The rest are new, in walk order.
 */

static int carry_on(struct shale_import *imp, const uint32_t *order, size_t n,
		    struct shale_err *err)
{
	const struct shale_plan *plan = &imp->plan;
	for (size_t i = 0; i < n; i++) {
		const struct shale_plan_name *name =
			shale_plan_name(plan, order[i]);
		uint64_t dir = 0;
		if (order[i] != SHALE_PLAN_ROOT) {
			uint32_t up =
				shale_plan_name(plan, name->parent)->inode;
			dir = shale_plan_inode(plan, up)->base;
		}
		int r = shale_onto_claim(
			&imp->onto, shale_plan_inode(plan, name->inode), dir,
			shale_plan_text(plan, order[i]), name->len, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int shale_import_number(struct shale_import *imp, const uint32_t *order,
			size_t n, struct shale_err *err)
{
	const struct shale_plan *plan = &imp->plan;
	int r = imp->onto.image ? carry_on(imp, order, n, err) : 0;
	if (r < 0)
		return r;

	struct shale_plan_inode *root = shale_plan_inode(plan, 0);
	root->attr.ino = SHALE_ROOT_INO;
	for (size_t i = 0; i < n; i++) {
		struct shale_plan_inode *in = shale_plan_inode(
			plan, shale_plan_name(plan, order[i])->inode);
		if (!in->attr.ino)
			in->attr.ino = shale_onto_new_ino(&imp->onto);
		if (in->attr.ino > SHALE_INO_MAX)
			return shale_err_say(err, EOVERFLOW,
					     "the image has no inode numbers "
					     "left");
	}
	return 0;
}
