/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_TOOLS_DESCRIBE_H
#define SHALE_TOOLS_DESCRIBE_H

/*
 * A version as the listing verbs show it.
 */

#include "layers/base/cleanup.h"
#include "tools/cmd.h"
#include "tools/output.h"

SHALE_DEFINE_CLEANUP(store, struct shale_store *, shale_store_close);
#define cleanup_store SHALE_CLEANUP(shale_cleanup_store)
SHALE_DEFINE_CLEANUP(version, struct shale_version *, shale_version_free);
#define cleanup_version SHALE_CLEANUP(shale_cleanup_version)
SHALE_DEFINE_CLEANUP(image, struct shale_image *, shale_image_close);
#define cleanup_image    SHALE_CLEANUP(shale_cleanup_image)
#define cleanup_versions __attribute__((cleanup(shale_version_list_release)))

/* Set "digest", "created", "author", … of what index.json and description say;
 * what was not given is left out. */
void shale_json_entry(json_t *object, const struct shale_version_entry *e);
void shale_json_description(json_t *object, const struct shale_description *d);

/* Append the first line of a message, or nothing. */
const char *shale_first_line(const char *message, struct shale_buf *out);

#endif
