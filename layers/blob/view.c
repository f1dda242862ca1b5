/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/blob/view.h"

#include "layers/blob/chunks_impl.h"

#include <assert.h>
#include <errno.h>

/* Not all of it is cleared: it is large, and made for every read. */
void shale_view_init(struct shale_view *view)
{
	view->n = 0;
}

int shale_view_chunk(struct shale_view *view, struct shale_chunks *chunks,
		     const struct shale_chunk *chunk, uint32_t off,
		     uint32_t len, struct shale_err *err)
{
	if (off > chunk->len || len > chunk->len - off)
		return shale_chunks_outside(chunk, off, len, err);
	/* One part is left for the buffer, whose bytes lie in a row if no chunk
	 * comes between them any more. */
	if (view->n + 2 > SHALE_VIEW_PARTS)
		return -ENOSPC;
	struct shale_chunks_entry *e = shale_chunks_hold(chunks, chunk);
	if (!e)
		return -ENOENT;
	view->chunks = chunks;
	view->held[view->n] = e;
	view->part[view->n++] = (struct iovec){e->data + off, len};
	return 0;
}

void shale_view_bytes(struct shale_view *view, void *data, size_t len)
{
	struct iovec *last = view->n ? &view->part[view->n - 1] : NULL;

	if (last && (uint8_t *)last->iov_base + last->iov_len == data &&
	    !view->held[view->n - 1]) {
		last->iov_len += len;
		return;
	}
	assert(view->n < SHALE_VIEW_PARTS);
	view->held[view->n] = NULL;
	view->part[view->n++] = (struct iovec){data, len};
}

void shale_view_release(struct shale_view *view)
{
	for (int i = 0; i < view->n; i++)
		if (view->held[i])
			shale_chunks_drop(view->chunks, view->held[i]);
	view->n = 0;
}
