/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_OPS_PLAN_IMPL_H
#define SHALE_OPS_PLAN_IMPL_H

/* What the files of a plan share. */

#include "layers/ops/plan.h"

/* The slot of a name below `parent`, taken over from a dead one or new. */
int shale_plan_have(struct shale_plan *plan, uint32_t parent, const char *text,
		    size_t len, uint32_t *name, struct shale_err *err);

/* The directory above the last name of an entry's path, made if need be. */
int shale_plan_parent(struct shale_plan *plan,
		      const struct shale_arrival *entry, uint32_t *parent,
		      const char **last, struct shale_err *err);

#endif
