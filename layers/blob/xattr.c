/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/blob/tree.h"

#include "layers/base/buf.h"
#include "layers/base/cleanup.h"
#include "layers/blob/tree_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_LEN = 255, VALUE_MAX_LEN = 65536, ALIGN = 4 };

static bool zeros(const uint8_t *data, size_t n)
{
	while (n)
		if (data[--n])
			return false;
	return true;
}

int shale_xattr_next(const void *list, uint32_t len, uint32_t *at,
		     struct shale_xattr *out, struct shale_err *err)
{
	struct shale_disk_xattr head;
	const uint8_t *from = list;

	if (*at == len)
		return 0;
	if (*at > len || len - *at < sizeof(head))
		return shale_err_say(err, EUCLEAN, "xattr list ends early");
	memcpy(&head, from + *at, sizeof(head));
	uint32_t name_len = le16_get(head.name_len);
	uint32_t value_len = le32_get(head.value_len);
	if (name_len < 1 || name_len > NAME_MAX_LEN ||
	    value_len > VALUE_MAX_LEN || le16_get(head.reserved))
		return shale_err_say(err, EUCLEAN, "xattr out of range");

	uint32_t used = (uint32_t)sizeof(head) + name_len + value_len;
	uint32_t padded = (used + ALIGN - 1) / ALIGN * ALIGN;
	if (padded > len - *at)
		return shale_err_say(err, EUCLEAN, "xattr list ends early");
	const uint8_t *name = from + *at + sizeof(head);
	if (memchr(name, 0, name_len) ||
	    !zeros(from + *at + used, padded - used))
		return shale_err_say(err, EUCLEAN, "malformed xattr");
	*out = (struct shale_xattr){(const char *)name, name + name_len,
				    (uint16_t)name_len, value_len};
	*at += padded;
	return 1;
}

int shale_xattr_find(const void *list, uint32_t len, const char *name,
		     struct shale_xattr *out, struct shale_err *err)
{
	size_t name_len = strlen(name);
	struct shale_xattr x;
	uint32_t at = 0;
	int r;

	while ((r = shale_xattr_next(list, len, &at, &x, err)) > 0)
		if (x.name_len == name_len &&
		    memcmp(x.name, name, name_len) == 0) {
			*out = x;
			return 0;
		}
	return r < 0 ? r : -ENODATA;
}

static int append(struct shale_buf *list, const struct shale_xattr *x)
{
	struct shale_disk_xattr head = {
		.name_len = le16_make(x->name_len),
		.value_len = le32_make(x->value_len),
	};
	size_t used = sizeof(head) + x->name_len + x->value_len;
	uint8_t *to = shale_buf_add(list, (used + ALIGN - 1) / ALIGN * ALIGN);
	if (!to)
		return -ENOMEM;
	memcpy(to, &head, sizeof(head));
	memcpy(to + sizeof(head), x->name, x->name_len);
	if (x->value_len)
		memcpy(to + sizeof(head) + x->name_len, x->value, x->value_len);
	return 0;
}

int shale_xattr_append(struct shale_buf *list, const char *name,
		       const void *value, size_t value_len,
		       struct shale_err *err)
{
	size_t name_len = strlen(name);

	if (name_len < 1 || name_len > NAME_MAX_LEN)
		return shale_err_set(err, ERANGE, "xattr '%s'", name);
	if (value_len > VALUE_MAX_LEN ||
	    list->len + sizeof(struct shale_disk_xattr) + name_len + value_len +
			    ALIGN >
		    SHALE_XATTRS_MAX)
		return shale_err_set(err, E2BIG, "xattr '%s'", name);
	struct shale_xattr x = {name, value, (uint16_t)name_len,
				(uint32_t)value_len};
	if (append(list, &x) < 0)
		return shale_err_set(err, ENOMEM, "xattr '%s'", name);
	return 0;
}

static int by_name(const void *a, const void *b)
{
	const struct shale_xattr *x = a, *y = b;

	return shale_name_order(x->name, x->name_len, y->name, y->name_len);
}

static bool same_value(const struct shale_xattr *a, const struct shale_xattr *b)
{
	return a->value_len == b->value_len &&
	       memcmp(a->value, b->value, a->value_len) == 0;
}

int shale_xattr_sort(struct shale_buf *list, struct shale_err *err)
{
	cleanup_buf struct shale_buf pairs = {0}, sorted = {0};
	struct shale_xattr x, *all;
	uint32_t at = 0;
	int r;

	if (list->len > SHALE_XATTRS_MAX)
		return shale_err_set(err, E2BIG, "sort xattrs");
	while ((r = shale_xattr_next(list->data, (uint32_t)list->len, &at, &x,
				     err)) > 0)
		if (shale_buf_append(&pairs, &x, sizeof(x)) < 0)
			return shale_err_set(err, ENOMEM, "sort xattrs");
	if (r < 0)
		return r;

	all = (struct shale_xattr *)pairs.data;
	size_t n = pairs.len / sizeof(x);
	if (n)
		qsort(all, n, sizeof(x), by_name);
	for (size_t i = 0; i < n; i++) {
		if (i && by_name(&all[i - 1], &all[i]) == 0 &&
		    same_value(&all[i - 1], &all[i]))
			continue;
		if (i && by_name(&all[i - 1], &all[i]) == 0)
			return shale_err_say(err, EINVAL,
					     "xattr '%.*s' is there twice",
					     all[i].name_len, all[i].name);
		if (append(&sorted, &all[i]) < 0)
			return shale_err_set(err, ENOMEM, "sort xattrs");
	}
	struct shale_buf old = *list;
	*list = sorted;
	sorted = old; /* released on return */
	return 0;
}
