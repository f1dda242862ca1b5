/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/workspace/journal_impl.h"

#include <string.h>
#include <sys/mman.h>

enum { WINDOW = 1 << 20 }; /* bytes that are mapped at a time */

void shale_journal_unmap(struct shale_journal *j)
{
	void *at = (void *)(uintptr_t)j->map.data;

	if (!at)
		return;
	shale_map_close(&j->map);
	munmap(at, WINDOW);
}

/* Have the window of the last segment mapped in which `pos` lies. */
static bool map_window(struct shale_journal *j, uint64_t pos)
{
	const struct shale_segment *last = &j->seg[j->n - 1];
	uint64_t off = (pos - last->start) / WINDOW * WINDOW;

	if (j->map.data && j->mapped == last->start + off)
		return true;
	shale_journal_unmap(j);
	void *at = mmap(NULL, WINDOW, PROT_READ | PROT_WRITE, MAP_SHARED,
			last->fd, (off_t)off);
	if (at == MAP_FAILED)
		return false;
	if (shale_map_watch(&j->map, at, WINDOW, "journal", NULL) < 0) {
		munmap(at, WINDOW);
		return false;
	}
	j->mapped = last->start + off;
	return true;
}

struct copying {
	uint8_t *to;
	const struct shale_buf *from;
};

static void copy(void *arg)
{
	const struct copying *c = arg;

	memcpy(c->to, c->from->data, c->from->len);
}

bool shale_journal_store(struct shale_journal *j)
{
	size_t len = j->scratch.len;

	/* Only where zeros are: these pages have blocks, and the file ends
	 * behind them. */
	if (j->never_map || j->end + len > j->zeroed ||
	    !map_window(j, j->end) || j->end + len > j->mapped + WINDOW)
		return false;
	struct copying c = {
		(uint8_t *)(uintptr_t)j->map.data + (j->end - j->mapped),
		&j->scratch,
	};
	if (shale_map_try(&j->map, copy, &c) == 0)
		return true;
	/* What a write would say of that page is to be told. */
	j->never_map = true;
	shale_journal_unmap(j);
	return false;
}
