/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_TESTS_USE_INDEX_H
#define SHALE_TESTS_USE_INDEX_H

#include "layers/base/buf.h"
#include "layers/index/index.h"

/* Call every accessor on the i-th inode.  Returns its number; 0: it has none.
 */
static inline uint64_t use_index_inode(const struct shale_index *ix, uint64_t i)
{
	struct shale_buf path = {0};
	struct shale_index_content content;
	struct shale_index_dir dir;
	struct shale_attr attr;
	const void *list;
	const char *target;
	uint32_t len;
	uint64_t ino;

	if (shale_index_attr_nth(ix, i, &attr, NULL) < 0)
		return 0;
	shale_index_attr(ix, attr.ino, &attr, NULL);
	shale_index_dir(ix, attr.ino, &dir, NULL);
	shale_index_target(ix, attr.ino, &target, &len, NULL);
	shale_index_xattrs(ix, attr.ino, &list, &len, NULL);
	shale_index_content(ix, attr.ino, &content, NULL);
	for (uint32_t n = 0; n < 4; n++) {
		path.len = 0;
		if (shale_index_path(ix, attr.ino, n, &path, NULL) < 0)
			continue;
		const char *text = shale_buf_str(&path);
		shale_index_find(ix, text, &ino, NULL);
		shale_index_resolve(ix, text, true, &ino, NULL);
	}
	shale_buf_release(&path);
	return attr.ino;
}

#endif
