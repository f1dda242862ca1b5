/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/archive_acl.h"

#include "layers/base/bytes.h"
#include "layers/base/cleanup.h"
#include "layers/blob/tree.h"

#include <archive.h>
#include <archive_entry.h>
#include <string.h>

/* As in the kernel's include/uapi/linux/posix_acl_xattr.h. */
struct acl_record {
	struct le16 tag;
	struct le16 perm;
	struct le32 id;
};
enum { ACL_VERSION = 2 };
#define ACL_NO_ID UINT32_MAX

static const struct {
	int archive;
	uint16_t linux_tag;
	bool has_id;
} tags[] = {
	{ARCHIVE_ENTRY_ACL_USER_OBJ, 0x01, false},
	{ARCHIVE_ENTRY_ACL_USER, 0x02, true},
	{ARCHIVE_ENTRY_ACL_GROUP_OBJ, 0x04, false},
	{ARCHIVE_ENTRY_ACL_GROUP, 0x08, true},
	{ARCHIVE_ENTRY_ACL_MASK, 0x10, false},
	{ARCHIVE_ENTRY_ACL_OTHER, 0x20, false},
};

static int by_tag_and_id(const void *a, const void *b)
{
	const struct acl_record *x = a, *y = b;
	uint64_t kx = (uint64_t)le16_get(x->tag) << 32 | le32_get(x->id);
	uint64_t ky = (uint64_t)le16_get(y->tag) << 32 | le32_get(y->id);
	return (kx > ky) - (kx < ky);
}

/* 1: appended; 0: cannot be said in numbers. */
static int append_record(struct shale_buf *acl, int tag, int perm, int id)
{
	for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++) {
		if (tags[i].archive != tag)
			continue;
		if (tags[i].has_id && id < 0)
			return 0;
		struct acl_record rec = {
			.tag = le16_make(tags[i].linux_tag),
			.perm = le16_make((uint16_t)(perm & 7)),
			.id = le32_make(tags[i].has_id ? (uint32_t)id
						       : ACL_NO_ID),
		};
		int r = shale_buf_append(acl, &rec, sizeof(rec));
		return r < 0 ? r : 1;
	}
	return 0;
}

static int append_acl(struct archive_entry *entry, int want, const char *name,
		      struct shale_buf *list, struct shale_err *err)
{
	cleanup_buf struct shale_buf acl = {0};
	struct le32 version = le32_make(ACL_VERSION);
	int type, perm, tag, id, r;
	const char *who;

	/* Three entries are what the mode says already. */
	int n = archive_entry_acl_reset(entry, want);
	if (n == 0 || (want == ARCHIVE_ENTRY_ACL_TYPE_ACCESS && n <= 3))
		return 0;
	r = shale_buf_append(&acl, &version, sizeof(version));
	while (r >= 0 && archive_entry_acl_next(entry, want, &type, &perm, &tag,
						&id, &who) == ARCHIVE_OK) {
		r = append_record(&acl, tag, perm, id);
		if (r == 0)
			return 0;
	}
	if (r < 0)
		return shale_err_set(err, ENOMEM, "an ACL");
	qsort(acl.data + sizeof(version),
	      (acl.len - sizeof(version)) / sizeof(struct acl_record),
	      sizeof(struct acl_record), by_tag_and_id);
	return shale_xattr_append(list, name, acl.data, acl.len, err);
}

int shale_archive_acl(struct archive_entry *entry, struct shale_buf *list,
		      struct shale_err *err)
{
	int r = append_acl(entry, ARCHIVE_ENTRY_ACL_TYPE_ACCESS,
			   "system.posix_acl_access", list, err);
	if (r == 0 && archive_entry_filetype(entry) == AE_IFDIR)
		r = append_acl(entry, ARCHIVE_ENTRY_ACL_TYPE_DEFAULT,
			       "system.posix_acl_default", list, err);
	return r;
}

/* The tag as libarchive has it; 0: none that we know. */
static int archive_tag(const struct acl_record *rec)
{
	for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++)
		if (tags[i].linux_tag == le16_get(rec->tag))
			return tags[i].has_id && le32_get(rec->id) > INT32_MAX
				       ? 0
				       : tags[i].archive;
	return 0;
}

int shale_archive_acl_set(struct archive_entry *entry, const char *name,
			  const void *value, size_t len, struct shale_err *err)
{
	const struct le32 *version = value;
	int type = ARCHIVE_ENTRY_ACL_TYPE_DEFAULT;
	if (strcmp(name, "system.posix_acl_access") == 0)
		type = ARCHIVE_ENTRY_ACL_TYPE_ACCESS;
	else if (strcmp(name, "system.posix_acl_default") != 0)
		return 0;
	if (len < sizeof(*version) || le32_get(*version) != ACL_VERSION ||
	    (len - sizeof(*version)) % sizeof(struct acl_record) != 0)
		return 0;
	const struct acl_record *rec = (const void *)(version + 1);
	size_t n = (len - sizeof(*version)) / sizeof(*rec);
	for (size_t i = 0; i < n; i++)
		if (!archive_tag(&rec[i]))
			return 0;
	for (size_t i = 0; i < n; i++) {
		int tag = archive_tag(&rec[i]);
		int id = tag == ARCHIVE_ENTRY_ACL_USER ||
					 tag == ARCHIVE_ENTRY_ACL_GROUP
				 ? (int)le32_get(rec[i].id)
				 : -1;
		if (archive_entry_acl_add_entry(entry, type,
						le16_get(rec[i].perm) & 7, tag,
						id, NULL) != ARCHIVE_OK)
			return shale_err_set(err, ENOMEM, "an ACL");
	}
	return 1;
}
