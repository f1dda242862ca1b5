/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decoders of a store's JSON: description, manifest, index.json and the
 * files that name prepared merges.  What was decoded must encode, and what that
 * gives must decode.
 */
#include "layers/store/oci.h"

#include "layers/store/compact_file.h"
#include "layers/store/oci_scan.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void description(const uint8_t *data, size_t size)
{
	struct shale_description d, again;
	cleanup_buf struct shale_buf text = {0};

	if (shale_oci_description_decode(data, size, &d, NULL) < 0)
		return;
	if (shale_oci_description_encode(&d, &text, NULL) < 0 ||
	    shale_oci_description_decode(text.data, text.len, &again, NULL))
		abort();
	shale_description_release(&d);
	shale_description_release(&again);
}

static void manifest(const uint8_t *data, size_t size)
{
	struct shale_version v = {0}, again = {0};
	struct shale_layer_desc config;
	cleanup_buf struct shale_buf text = {0};

	if (shale_oci_manifest_decode(data, size, &v, &config, NULL) == 0 &&
	    (shale_oci_manifest_encode(&v, &config, &text, NULL) < 0 ||
	     shale_oci_manifest_decode(text.data, text.len, &again, &config,
				       NULL) < 0))
		abort();
	free(v.trees);
	free(v.data);
	free(again.trees);
	free(again.data);
}

static void oci_index(const uint8_t *data, size_t size)
{
	struct shale_oci_index *ix, *again;
	cleanup_buf struct shale_buf text = {0};

	if (shale_oci_index_decode(&ix, data, size, NULL) < 0)
		return;
	if (shale_oci_index_encode(ix, &text, NULL) < 0 ||
	    shale_oci_index_decode(&again, text.data, text.len, NULL) < 0)
		abort();
	shale_oci_index_free(ix);
	shale_oci_index_free(again);
}

/* A search in text that says of itself that it is good. */
static void scan(const uint8_t *data, size_t size)
{
	struct shale_oci_index *ix;
	cleanup_buf struct shale_buf text = {0};

	if (shale_buf_append(&text, data, size) < 0)
		return;
	shale_oci_seal(&text);
	if (shale_oci_scan(&text, "sales", "v1", 2, &ix) == 0)
		shale_oci_index_free(ix);
	if (shale_oci_scan(&text, "sales", "v1", 0, &ix) == 0)
		shale_oci_index_free(ix);
}

static void prepared(const uint8_t *data, size_t size)
{
	struct shale_compact_file f, again;
	cleanup_buf struct shale_buf text = {0};

	if (shale_compact_file_decode(data, size, &f, NULL) < 0)
		return;
	if (shale_compact_file_encode(&f, &text, NULL) < 0 ||
	    shale_compact_file_decode(text.data, text.len, &again, NULL) < 0)
		abort();
	shale_compact_file_release(&f);
	shale_compact_file_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	description(data, size);
	manifest(data, size);
	oci_index(data, size);
	scan(data, size);
	prepared(data, size);
	return 0;
}
