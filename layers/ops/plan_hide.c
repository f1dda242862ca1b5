/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/plan.h"

#include "layers/base/cleanup.h"
#include "layers/ops/plan_impl.h"

#include <string.h>
#include <sys/stat.h>

/* `name`'s live children, and theirs, each after the directory it is in. */
static int list_below(const struct shale_plan *plan, uint32_t name,
		      struct shale_buf *list)
{
	size_t at = list->len;
	for (;;) {
		uint32_t c = shale_plan_name(plan, name)->child;
		for (; c != SHALE_PLAN_NONE;
		     c = shale_plan_name(plan, c)->sibling) {
			if (shale_plan_name(plan, c)->inode !=
				    SHALE_PLAN_NONE &&
			    shale_buf_append(list, &c, sizeof(c)) < 0)
				return -ENOMEM;
		}
		if (at == list->len)
			return 0;
		memcpy(&name, list->data + at, sizeof(name));
		at += sizeof(name);
	}
}

static bool has_children(const struct shale_plan *plan, uint32_t name)
{
	uint32_t c = shale_plan_name(plan, name)->child;
	while (c != SHALE_PLAN_NONE &&
	       shale_plan_name(plan, c)->inode == SHALE_PLAN_NONE)
		c = shale_plan_name(plan, c)->sibling;
	return c != SHALE_PLAN_NONE;
}

/* One name of an earlier source, what is below it having been looked at. */
static int hide_one(struct shale_plan *plan, uint32_t name,
		    struct shale_err *err)
{
	struct shale_plan_name *n = shale_plan_name(plan, name);
	n->hidden = true;
	if (n->inode == SHALE_PLAN_NONE || n->source == plan->source)
		return 0;
	if (!has_children(plan, name))
		return shale_plan_remove(plan, name, err);

	/* The current source has put something below a directory of which it
	 * has not spoken itself. */
	struct shale_plan_inode *in = shale_plan_inode(plan, n->inode);
	struct shale_arrival made = {
		.attr = {.mode = S_IFDIR | 0755, .mtime = in->attr.mtime},
	};
	uint32_t i = n->inode;
	int r = shale_plan_restate(plan, i, &made, err);
	shale_plan_inode(plan, i)->implied = true;
	shale_plan_inode(plan, i)->opaque = true;
	return r;
}

int shale_plan_hide_below(struct shale_plan *plan, uint32_t dir,
			  struct shale_err *err)
{
	cleanup_buf struct shale_buf list = {0};
	uint32_t inode = shale_plan_name(plan, dir)->inode;
	int r = list_below(plan, dir, &list);
	if (r < 0)
		return shale_err_set(err, ENOMEM, "names of an import");
	shale_plan_inode(plan, inode)->opaque = true;
	shale_plan_inode(plan, inode)->redirect = 0;
	for (size_t at = list.len; at && r == 0;) {
		uint32_t name;
		at -= sizeof(name);
		memcpy(&name, list.data + at, sizeof(name));
		r = hide_one(plan, name, err);
	}
	return r;
}

int shale_plan_hide(struct shale_plan *plan, const struct shale_arrival *entry,
		    const char *name, size_t len, struct shale_err *err)
{
	uint32_t parent, i;
	const char *last;
	int r = shale_plan_parent(plan, entry, &parent, &last, err);
	if (r == 0)
		r = shale_plan_have(plan, parent, name, len, &i, err);
	if (r < 0)
		return r;
	uint32_t inode = shale_plan_name(plan, i)->inode;
	if (inode != SHALE_PLAN_NONE &&
	    S_ISDIR(shale_plan_inode(plan, inode)->attr.mode))
		r = shale_plan_hide_below(plan, i, err);
	return r < 0 ? r : hide_one(plan, i, err);
}

int shale_plan_hide_all(struct shale_plan *plan,
			const struct shale_arrival *entry,
			struct shale_err *err)
{
	uint32_t parent;
	const char *last;
	int r = shale_plan_parent(plan, entry, &parent, &last, err);
	return r < 0 ? r : shale_plan_hide_below(plan, parent, err);
}

int shale_plan_redirect(struct shale_plan *plan, uint32_t inode, const char *to,
			uint16_t len, struct shale_err *err)
{
	struct shale_plan_inode *in = shale_plan_inode(plan, inode);
	in->target = plan->strings.len;
	if (shale_buf_append(&plan->strings, to, len) < 0)
		return shale_err_set(err, ENOMEM, "names of an import");
	in->redirect = len;
	return 0;
}
