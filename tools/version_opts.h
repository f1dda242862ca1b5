/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_TOOLS_VERSION_OPTS_H
#define SHALE_TOOLS_VERSION_OPTS_H

/*
 * The options of verbs that make a version: where it goes, what is said of it,
 * how it is packed.
 */

#include "layers/chunk/codec.h"
#include "layers/store/ref.h"
#include "tools/cmd.h"

struct shale_version_opts {
	const char *tag, *author, *message, *data_version, *codec;
	struct shale_strings labels;
	bool no_latest;
};

/* Their lines of a verb's table; `o` is a struct shale_version_opts *. */
/* clang-format off */
#define SHALE_VERSION_OPTS(o)                                                  \
	{"tag", 't', "REF", "REPOSITORY[:TAG] of the new version",             \
	 SHALE_OPT_STRING, &(o)->tag},                                         \
	{"author", 'a', "AUTHOR", "who (default: the login name)",             \
	 SHALE_OPT_STRING, &(o)->author},                                      \
	{"message", 'm', "MESSAGE", "what it is, or what changed",             \
	 SHALE_OPT_STRING, &(o)->message},                                     \
	{"data-version", 0, "V", "the version of the data",                    \
	 SHALE_OPT_STRING, &(o)->data_version},                                \
	{"label", 0, "K=V", "a label; may be given again", SHALE_OPT_LIST,     \
	 &(o)->labels},                                                        \
	{"codec", 0, "lz4|lz4hc|zstd|none[:LEVEL]", "how to compress",         \
	 SHALE_OPT_STRING, &(o)->codec},                                       \
	{"no-latest", 0, NULL, "do not move the tag 'latest'",                 \
	 SHALE_OPT_FLAG, &(o)->no_latest}
/* clang-format on */

/* Each returns 0 or -errno; -EINVAL is wrong usage to shale_fail(). */

/* A new version's repository and tag: `text` names both. */
int shale_version_opts_ref(struct shale_ctx *ctx, const char *text,
			   struct shale_ref *out);
int shale_version_opts_codec(struct shale_ctx *ctx,
			     const struct shale_version_opts *opts,
			     struct shale_codec_choice *out);
/* Author, message, data version and labels, copied into `out`, which is the
 * caller's to release also after an error. */
int shale_version_opts_describe(struct shale_ctx *ctx,
				const struct shale_version_opts *opts,
				struct shale_description *out);

#endif
