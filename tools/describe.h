/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_TOOLS_DESCRIBE_H
#define SHALE_TOOLS_DESCRIBE_H

/*
 * A version as the listing verbs show it.
 */

#include "layers/base/cleanup.h"
#include "tools/cmd.h"
#include "tools/output.h"

/* Set "digest", "created", "author", … of what index.json and description say;
 * what was not given is left out. */
void shale_json_entry(json_t *object, const struct shale_version_entry *e);
void shale_json_description(json_t *object, const struct shale_description *d);

/* Append the first line of a message, or nothing. */
const char *shale_first_line(const char *message, struct shale_buf *out);

#endif
