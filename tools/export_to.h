/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_TOOLS_EXPORT_TO_H
#define SHALE_TOOLS_EXPORT_TO_H

/* Where an export goes: a directory, or an archive. */

#include "layers/ops/archive_out.h"
#include "layers/ops/export.h"
#include "tools/image_arg.h"

/* Fill directory `dest`, made if need be; a single file goes into it, or
 * becomes it. */
int shale_export_to_dir(struct shale_ctx *ctx,
			const struct shale_image_arg *arg, const char *dest,
			struct shale_export_opts *opts,
			struct shale_export_result *sum);

/*
 * Write the archive `dest` ("-": standard output).  opts->overwrite says what
 * becomes of a file that is there; sum->unchanged or sum->exists counts one
 * that stayed.
 */
int shale_export_to_archive(struct shale_ctx *ctx,
			    const struct shale_image_arg *arg, const char *dest,
			    const struct shale_archive_form *form,
			    const struct shale_export_opts *opts,
			    struct shale_export_result *sum);

#endif
