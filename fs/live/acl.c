/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/live/acl.h"

#include "layers/base/bytes.h"
#include "layers/base/cleanup.h"
#include "layers/blob/tree.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

enum {
	VERSION = 2,
	USER_OBJ = 0x01,
	USER = 0x02,
	GROUP_OBJ = 0x04,
	GROUP = 0x08,
	MASK = 0x10,
	OTHER = 0x20,
};

struct entry {
	struct le16 tag;
	struct le16 perm;
	struct le32 id;
};

static size_t count(size_t len)
{
	return (len - sizeof(struct le32)) / sizeof(struct entry);
}

static struct entry get(const void *acl, size_t i)
{
	struct entry e;

	memcpy(&e, (const uint8_t *)acl + sizeof(struct le32) + i * sizeof(e),
	       sizeof(e));
	return e;
}

static void set_perm(void *acl, size_t i, uint32_t perm)
{
	struct entry e = get(acl, i);

	e.perm = le16_make((uint16_t)(perm & 7));
	memcpy((uint8_t *)acl + sizeof(struct le32) + i * sizeof(e), &e,
	       sizeof(e));
}

/* Number of the one entry with this tag; -1: none. */
static int find(const void *acl, size_t len, unsigned tag)
{
	for (size_t i = 0; i < count(len); i++)
		if (le16_get(get(acl, i).tag) == tag)
			return (int)i;
	return -1;
}

static uint32_t perm_of(const void *acl, size_t len, unsigned tag)
{
	int i = find(acl, len, tag);

	return i < 0 ? 0 : le16_get(get(acl, (size_t)i).perm);
}

int shale_acl_check(const void *acl, size_t len)
{
	struct le32 version;
	unsigned last = 0, named = 0, seen = 0;

	if (len < sizeof(version) ||
	    (len - sizeof(version)) % sizeof(struct entry))
		return -EINVAL;
	memcpy(&version, acl, sizeof(version));
	if (le32_get(version) != VERSION)
		return -EINVAL;
	for (size_t i = 0; i < count(len); i++) {
		struct entry e = get(acl, i);
		unsigned tag = le16_get(e.tag);
		bool many = tag == USER || tag == GROUP;

		if (tag < USER_OBJ || tag > OTHER || (tag & (tag - 1)) ||
		    le16_get(e.perm) > 7 || tag < last ||
		    (tag == last && !many))
			return -EINVAL;
		last = tag;
		seen |= tag;
		named += many;
	}
	if (!count(len))
		return 0;
	if (!(seen & USER_OBJ) || !(seen & GROUP_OBJ) || !(seen & OTHER) ||
	    (named && !(seen & MASK)))
		return -EINVAL;
	return 0;
}

int shale_acl_mode(const void *acl, size_t len, uint32_t *mode, bool *equal)
{
	int r = shale_acl_check(acl, len);
	if (r < 0)
		return r;
	if (!count(len))
		return -EINVAL;
	bool mask = find(acl, len, MASK) >= 0;
	*mode = perm_of(acl, len, USER_OBJ) << 6 |
		perm_of(acl, len, mask ? MASK : GROUP_OBJ) << 3 |
		perm_of(acl, len, OTHER);
	*equal = count(len) == 3;
	return 0;
}

void shale_acl_chmod(void *acl, size_t len, uint32_t mode)
{
	int group = find(acl, len, MASK);

	if (group < 0)
		group = find(acl, len, GROUP_OBJ);
	set_perm(acl, (size_t)find(acl, len, USER_OBJ), mode >> 6);
	set_perm(acl, (size_t)group, mode >> 3);
	set_perm(acl, (size_t)find(acl, len, OTHER), mode);
}

/* The access ACL of a new node from a default one (which is there twice: once
 * to be cut down).  Returns whether the mode alone says it. */
static bool cut_down(void *acl, size_t len, uint32_t *mode)
{
	int group = find(acl, len, MASK);
	bool equal = count(len) == 3;

	if (group < 0)
		group = find(acl, len, GROUP_OBJ);
	uint32_t user = perm_of(acl, len, USER_OBJ) & (*mode >> 6);
	uint32_t other = perm_of(acl, len, OTHER) & *mode;
	uint32_t mid = le16_get(get(acl, (size_t)group).perm) & (*mode >> 3);
	*mode = (*mode & ~0777u) | user << 6 | mid << 3 | other;
	shale_acl_chmod(acl, len, *mode);
	return equal;
}

int shale_acl_inherit(const struct shale_buf *list, uint32_t *mode,
		      struct shale_buf *out)
{
	cleanup_buf struct shale_buf acl = {0};
	struct shale_xattr x;

	if (!list->len)
		return -ENODATA;
	int r = shale_xattr_find(list->data, (uint32_t)list->len,
				 SHALE_ACL_DEFAULT, &x, NULL);
	if (r < 0)
		return r;
	if (shale_acl_check(x.value, x.value_len) < 0 || !count(x.value_len))
		return -ENODATA;
	r = shale_buf_append(&acl, x.value, x.value_len);
	if (r < 0)
		return r;
	if (!cut_down(acl.data, acl.len, mode))
		r = shale_xattr_append(out, SHALE_ACL_ACCESS, acl.data, acl.len,
				       NULL);
	if (r == 0 && S_ISDIR(*mode))
		r = shale_xattr_append(out, SHALE_ACL_DEFAULT, x.value,
				       x.value_len, NULL);
	return r == 0 && out->len ? shale_xattr_sort(out, NULL) : r;
}
