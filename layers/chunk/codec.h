/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_CHUNK_CODEC_H
#define SHALE_CHUNK_CODEC_H

/*
 * How a chunk is stored.  The codec is a field of the chunk record; its values
 * are part of the format (docs/format.md 5).  LZ4-HC writes what LZ4 reads, so
 * both are SHALE_CODEC_LZ4 on disk.
 */

#include "layers/base/err.h"

#include <stddef.h>
#include <stdint.h>

enum shale_codec {
	SHALE_CODEC_NONE = 0, /* stored bytes are the content */
	SHALE_CODEC_LZ4 = 1,  /* an LZ4 block */
	SHALE_CODEC_ZSTD = 2, /* one Zstandard frame with content size */
};

/* What the user asked for: `--codec lz4|lz4hc|zstd|none[:LEVEL]`. */
struct shale_codec_choice {
	enum shale_codec codec;
	int level; /* lz4: 0 is the fast compressor, 3..12 is HC; zstd: 1..19 */
};

#define SHALE_CODEC_DEFAULT ((struct shale_codec_choice){SHALE_CODEC_LZ4, 0})

/* Parse the option's value.  Returns 0 or -EINVAL with a message. */
int shale_codec_parse(const char *text, struct shale_codec_choice *out,
		      struct shale_err *err);

/* "none", "lz4", "zstd", or "unknown". */
const char *shale_codec_name(enum shale_codec codec);

/* Room that shale_codec_compress() needs for `len` bytes of content. */
size_t shale_codec_bound(size_t len);

/* Compressor state, one a thread. */
struct shale_compressor;
int shale_compressor_new(struct shale_compressor **out,
			 struct shale_codec_choice choice,
			 struct shale_err *err);
void shale_compressor_free(struct shale_compressor *c);

/*
 * Compress `len` (at least 1) bytes into `out` of shale_codec_bound(len) bytes.
 * Where that saves nothing the content is copied.  Returns the stored length
 * and sets `*codec` to what was used; depends on nothing but choice and
 * content.
 */
size_t shale_compress(struct shale_compressor *c, const void *data, size_t len,
		      void *out, enum shale_codec *codec);

/*
 * Decompress exactly `len` bytes.  Trusts nothing: -EUCLEAN when the stored
 * bytes do not give exactly that, -EPROTONOSUPPORT for an unknown codec.
 * Thread-safe.
 */
int shale_decompress(enum shale_codec codec, const void *stored,
		     size_t stored_len, void *out, size_t len,
		     struct shale_err *err);

#endif
