/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/index/runs.h"

#include "layers/base/buf.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

enum { TYPE_DIR = S_IFDIR >> 12 };

int shale_runs_open(struct shale_index *const *parts, const uint64_t *dirs,
		    uint64_t n, struct shale_buf *runs, struct shale_err *err)
{
	for (uint64_t i = 0; i < n; i++) {
		uint32_t part = shale_part_of(dirs[i]);
		uint64_t ino = shale_ino_of(dirs[i]);
		struct shale_index_dir d;

		int r = shale_index_dir(parts[part], ino, &d, err);
		if (r == -ENOENT || r == -ENOTDIR)
			return shale_err_say(err, EUCLEAN,
					     "inode %" PRIu64
					     " of an index is no directory",
					     ino);
		if (r < 0)
			return r;
		struct shale_run run = {
			.part = part, .at = d.first, .end = d.first + d.count};
		if (shale_buf_append(runs, &run, sizeof(run)) < 0)
			return shale_err_set(err, ENOMEM, "unite images");
	}
	return 0;
}

static bool same_name(const struct shale_entry *a, const struct shale_entry *b)
{
	return a->name_len == b->name_len &&
	       memcmp(a->name, b->name, a->name_len) == 0;
}

/* The run with the smallest name, the topmost of equals; NULL at the end. */
static int find_smallest(struct shale_index *const *parts,
			 struct shale_run *runs, size_t n,
			 struct shale_run **out, struct shale_err *err)
{
	*out = NULL;
	for (size_t i = 0; i < n; i++) {
		struct shale_run *run = &runs[i];
		if (run->at == run->end)
			continue;
		int r = shale_index_entry(parts[run->part], run->at,
					  &run->entry, err);
		if (r < 0)
			return r;
		if (!*out ||
		    shale_name_order(run->entry.name, run->entry.name_len,
				     (*out)->entry.name,
				     (*out)->entry.name_len) <= 0)
			*out = run;
	}
	return 0;
}

int shale_runs_next(struct shale_index *const *parts, struct shale_run *runs,
		    size_t n, struct shale_entry *out, uint64_t *found,
		    size_t *n_found, struct shale_err *err)
{
	struct shale_run *top;
	int r = find_smallest(parts, runs, n, &top, err);
	if (r < 0 || !top)
		return r;

	bool hidden = false;
	*out = top->entry;
	*n_found = 0;
	for (size_t i = (size_t)(top - runs) + 1; i-- > 0;) {
		struct shale_run *run = &runs[i];
		if (run->at == run->end || !same_name(&run->entry, out))
			continue;
		run->at++;
		if (*n_found > 0 && run->entry.type != TYPE_DIR)
			hidden = true;
		if (!hidden)
			found[(*n_found)++] =
				shale_part_ino(run->part, run->entry.ino);
		if (out->type != TYPE_DIR)
			hidden = true;
	}
	return 1;
}
