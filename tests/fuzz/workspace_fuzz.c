/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes the decoders of what a workspace says of itself: workspace.json, and
 * its list of the requests answered last.  What was decoded must encode, and
 * what that gives must decode.
 */
#include "fs/workspace/info.h"
#include "fs/workspace/results.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_same(const struct shale_workspace_info *a,
		    const struct shale_workspace_info *b)
{
	if (strcmp(a->name, b->name) != 0 || a->n_base != b->n_base ||
	    a->ephemeral != b->ephemeral || a->quota_bytes != b->quota_bytes ||
	    a->quota_inodes != b->quota_inodes)
		return false;
	for (size_t i = 0; i < a->n_base; i++)
		if (strcmp(a->refs[i], b->refs[i]) != 0 ||
		    !shale_digest_equal(&a->base[i], &b->base[i]))
			return false;
	return a->created.tv_sec == b->created.tv_sec &&
	       a->created.tv_nsec == b->created.tv_nsec;
}

static void info(const uint8_t *data, size_t size)
{
	struct shale_workspace_info got, again;
	cleanup_buf struct shale_buf text = {0};

	if (shale_workspace_info_decode(data, size, &got, NULL) < 0)
		return;
	if (shale_workspace_info_encode(&got, &text, NULL) < 0 ||
	    shale_workspace_info_decode(text.data, text.len, &again, NULL) <
		    0 ||
	    !is_same(&got, &again))
		abort();
	shale_workspace_info_release(&got);
	shale_workspace_info_release(&again);
}

static void results(const uint8_t *data, size_t size)
{
	const struct shale_buf in = {.data = (uint8_t *)data, .len = size};
	struct shale_results got, again;
	cleanup_buf struct shale_buf bytes = {0};

	if (shale_results_init(&got, NULL) < 0 ||
	    shale_results_init(&again, NULL) < 0)
		abort();
	if (shale_results_decode(&got, &in, NULL) == 0 &&
	    (shale_results_encode(&got, UINT64_MAX, &bytes) < 0 ||
	     shale_results_decode(&again, &bytes, NULL) < 0 ||
	     got.n != again.n))
		abort();
	shale_results_release(&got);
	shale_results_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	info(data, size);
	results(data, size);
	return 0;
}
