/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/plan.h"

#include "layers/base/cleanup.h"

#include <string.h>
#include <sys/stat.h>

static int by_text(const void *a, const void *b, void *arg)
{
	const struct shale_plan *plan = arg;
	uint32_t na = *(const uint32_t *)a, nb = *(const uint32_t *)b;
	size_t la = shale_plan_name(plan, na)->len;
	size_t lb = shale_plan_name(plan, nb)->len;
	int r = memcmp(shale_plan_text(plan, na), shale_plan_text(plan, nb),
		       la < lb ? la : lb);
	return r ? r : (la > lb) - (la < lb);
}

/* Push the live children of `dir`, the first in walk order on top. */
static int push_children(const struct shale_plan *plan, uint32_t dir,
			 struct shale_buf *stack)
{
	size_t start = stack->len;
	for (uint32_t c = shale_plan_name(plan, dir)->child;
	     c != SHALE_PLAN_NONE; c = shale_plan_name(plan, c)->sibling) {
		if (shale_plan_name(plan, c)->inode == SHALE_PLAN_NONE)
			continue;
		if (shale_buf_append(stack, &c, sizeof(c)) < 0)
			return -ENOMEM;
	}
	size_t n = (stack->len - start) / sizeof(uint32_t);
	if (!n)
		return 0;
	uint32_t *v = (uint32_t *)(void *)(stack->data + start);
	qsort_r(v, n, sizeof(*v), by_text, (void *)(uintptr_t)plan);
	for (size_t i = 0; i < n / 2; i++) {
		uint32_t t = v[i];
		v[i] = v[n - 1 - i];
		v[n - 1 - i] = t;
	}
	return 0;
}

int shale_plan_order(const struct shale_plan *plan, uint32_t **order, size_t *n,
		     struct shale_err *err)
{
	cleanup_buf struct shale_buf stack = {0};
	cleanup_buf struct shale_buf out = {0};
	uint32_t i = SHALE_PLAN_ROOT;
	int r = shale_buf_append(&stack, &i, sizeof(i));

	while (r == 0 && stack.len) {
		stack.len -= sizeof(i);
		memcpy(&i, stack.data + stack.len, sizeof(i));
		r = shale_buf_append(&out, &i, sizeof(i));
		if (r == 0)
			r = push_children(plan, i, &stack);
	}
	if (r < 0)
		return shale_err_set(err, ENOMEM, "order of an import");
	*n = out.len / sizeof(i);
	*order = (uint32_t *)(void *)out.data;
	out = (struct shale_buf){0};
	return 0;
}

int shale_plan_path(const struct shale_plan *plan, uint32_t name,
		    struct shale_buf *out, struct shale_err *err)
{
	size_t len = 0;
	for (uint32_t i = name; i != SHALE_PLAN_ROOT;
	     i = shale_plan_name(plan, i)->parent)
		len += shale_plan_name(plan, i)->len + 1u;

	out->len = 0;
	char *text = shale_buf_add(out, len + 1);
	if (!text)
		return shale_err_set(err, ENOMEM, "a path");
	/* Each name ends with the slash (the last: the NUL) behind it. */
	char *at = text + len;
	for (uint32_t i = name; i != SHALE_PLAN_ROOT;
	     i = shale_plan_name(plan, i)->parent) {
		const struct shale_plan_name *n = shale_plan_name(plan, i);
		*--at = i == name ? '\0' : '/';
		at -= n->len;
		memcpy(at, shale_plan_text(plan, i), n->len);
	}
	out->len = len ? len - 1 : 0;
	return 0;
}

void shale_plan_count_links(struct shale_plan *plan)
{
	uint32_t inodes = shale_plan_inodes(plan);
	for (uint32_t i = 0; i < inodes; i++) {
		struct shale_plan_inode *in = shale_plan_inode(plan, i);
		in->attr.nlink = S_ISDIR(in->attr.mode) ? 2 : in->names;
	}
	uint32_t names =
		(uint32_t)(plan->names.len / sizeof(struct shale_plan_name));
	for (uint32_t i = 1; i < names; i++) {
		const struct shale_plan_name *n = shale_plan_name(plan, i);
		if (n->inode == SHALE_PLAN_NONE ||
		    !S_ISDIR(shale_plan_inode(plan, n->inode)->attr.mode))
			continue;
		uint32_t up = shale_plan_name(plan, n->parent)->inode;
		shale_plan_inode(plan, up)->attr.nlink++;
	}
}
