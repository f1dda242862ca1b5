/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "layers/chunk/codec.h"

#include "layers/base/cleanup.h"

#include <lz4.h>
#include <lz4hc.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#ifdef HAVE_ZSTD
#include <zstd.h>
#endif

struct shale_compressor {
	struct shale_codec_choice choice;
	void *lz4; /* state of the fast compressor, or of HC */
#ifdef HAVE_ZSTD
	ZSTD_CCtx *zstd;
#endif
};

/* What a user may ask for. */
static const struct offer {
	const char *name;
	enum shale_codec codec;
	int level, min, max; /* min == max: takes no level */
} offers[] = {
	{"none", SHALE_CODEC_NONE, 0, 0, 0},
	{"lz4", SHALE_CODEC_LZ4, 0, 0, 0},
	{"lz4hc", SHALE_CODEC_LZ4, 9, 3, 12},
	{"zstd", SHALE_CODEC_ZSTD, 3, 1, 19},
};

static const struct offer *find_offer(const char *name, size_t len)
{
	for (size_t i = 0; i < sizeof(offers) / sizeof(offers[0]); i++)
		if (strlen(offers[i].name) == len &&
		    memcmp(offers[i].name, name, len) == 0)
			return &offers[i];
	return NULL;
}

int shale_codec_parse(const char *text, struct shale_codec_choice *out,
		      struct shale_err *err)
{
	size_t len = strcspn(text, ":");
	const struct offer *offer = find_offer(text, len);
	if (!offer)
		return shale_err_say(err, EINVAL,
				     "no codec '%.*s'; there are lz4, "
				     "lz4hc, zstd and none",
				     (int)len, text);
#ifndef HAVE_ZSTD
	if (offer->codec == SHALE_CODEC_ZSTD)
		return shale_err_say(err, EINVAL,
				     "this build has no codec 'zstd'");
#endif
	long level = offer->level;
	if (text[len] == ':') {
		const char *digits = text + len + 1;
		char *end;
		if (offer->min == offer->max)
			return shale_err_say(err, EINVAL,
					     "codec '%s' takes no level",
					     offer->name);
		level = strtol(digits, &end, 10);
		if (*digits < '0' || *digits > '9' || *end ||
		    level < offer->min || level > offer->max)
			return shale_err_say(
				err, EINVAL,
				"level '%s' of codec '%s' is not %d to %d",
				digits, offer->name, offer->min, offer->max);
	}
	*out = (struct shale_codec_choice){offer->codec, (int)level};
	return 0;
}

const char *shale_codec_name(enum shale_codec codec)
{
	switch (codec) {
	case SHALE_CODEC_NONE:
		return "none";
	case SHALE_CODEC_LZ4:
		return "lz4";
	case SHALE_CODEC_ZSTD:
		return "zstd";
	}
	return "unknown";
}

size_t shale_codec_bound(size_t len)
{
	/* LZ4's bound is above Zstandard's from 32 KiB on, below it before. */
	size_t bound = len + len / 255 + 16;
#ifdef HAVE_ZSTD
	size_t zstd = ZSTD_compressBound(len);
	if (zstd > bound)
		bound = zstd;
#endif
	return bound;
}

static int make_state(struct shale_compressor *c, struct shale_err *err)
{
	bool made = true;
	if (c->choice.codec == SHALE_CODEC_LZ4)
		made = (c->lz4 = malloc((size_t)(c->choice.level
							 ? LZ4_sizeofStateHC()
							 : LZ4_sizeofState())));
	if (c->choice.codec == SHALE_CODEC_ZSTD) {
#ifdef HAVE_ZSTD
		made = (c->zstd = ZSTD_createCCtx());
#else
		return shale_err_say(err, EPROTONOSUPPORT,
				     "this build has no codec 'zstd'");
#endif
	}
	return made ? 0 : shale_err_set(err, ENOMEM, "make a compressor");
}

int shale_compressor_new(struct shale_compressor **out,
			 struct shale_codec_choice choice,
			 struct shale_err *err)
{
	struct shale_compressor *c = calloc(1, sizeof(*c));
	if (!c)
		return shale_err_set(err, ENOMEM, "make a compressor");
	c->choice = choice;

	int r = make_state(c, err);
	if (r < 0) {
		shale_compressor_free(c);
		return r;
	}
	*out = c;
	return 0;
}

void shale_compressor_free(struct shale_compressor *c)
{
	if (!c)
		return;
	free(c->lz4);
#ifdef HAVE_ZSTD
	ZSTD_freeCCtx(c->zstd);
#endif
	free(c);
}

static size_t compress_lz4(struct shale_compressor *c, const void *data,
			   size_t len, void *out, size_t room)
{
	if (len > LZ4_MAX_INPUT_SIZE)
		return 0;
	int level = c->choice.level;
	int n = level ? LZ4_compress_HC_extStateHC(c->lz4, data, out, (int)len,
						   (int)room, level)
		      : LZ4_compress_fast_extState(c->lz4, data, out, (int)len,
						   (int)room, 1);
	return n > 0 ? (size_t)n : 0;
}

/* Stored length, or 0 when the codec gave up. */
static size_t try_compress(struct shale_compressor *c, const void *data,
			   size_t len, void *out)
{
	size_t room = shale_codec_bound(len);

	if (c->choice.codec == SHALE_CODEC_LZ4)
		return compress_lz4(c, data, len, out, room);
#ifdef HAVE_ZSTD
	if (c->choice.codec == SHALE_CODEC_ZSTD) {
		size_t n = ZSTD_compressCCtx(c->zstd, out, room, data, len,
					     c->choice.level);
		return ZSTD_isError(n) ? 0 : n;
	}
#endif
	return 0;
}

size_t shale_compress(struct shale_compressor *c, const void *data, size_t len,
		      void *out, enum shale_codec *codec)
{
	size_t stored = try_compress(c, data, len, out);
	if (stored && stored < len) {
		*codec = c->choice.codec;
		return stored;
	}
	memcpy(out, data, len);
	*codec = SHALE_CODEC_NONE;
	return len;
}

static int bad_content(struct shale_err *err, enum shale_codec codec)
{
	return shale_err_say(err, EUCLEAN,
			     "stored bytes are not %s data of that length",
			     shale_codec_name(codec));
}

static int decompress_lz4(const void *stored, size_t stored_len, void *out,
			  size_t len, struct shale_err *err)
{
	if (stored_len > INT32_MAX || len > INT32_MAX ||
	    LZ4_decompress_safe(stored, out, (int)stored_len, (int)len) !=
		    (int)len)
		return bad_content(err, SHALE_CODEC_LZ4);
	return 0;
}

#ifdef HAVE_ZSTD
/* One frame, nothing behind it, that says its content size. */
static int decompress_zstd(const void *stored, size_t stored_len, void *out,
			   size_t len, struct shale_err *err)
{
	if (ZSTD_getFrameContentSize(stored, stored_len) != len ||
	    ZSTD_findFrameCompressedSize(stored, stored_len) != stored_len ||
	    ZSTD_decompress(out, len, stored, stored_len) != len)
		return bad_content(err, SHALE_CODEC_ZSTD);
	return 0;
}
#endif

int shale_decompress(enum shale_codec codec, const void *stored,
		     size_t stored_len, void *out, size_t len,
		     struct shale_err *err)
{
	switch (codec) {
	case SHALE_CODEC_NONE:
		if (stored_len != len)
			return bad_content(err, codec);
		memcpy(out, stored, len);
		return 0;
	case SHALE_CODEC_LZ4:
		return decompress_lz4(stored, stored_len, out, len, err);
	case SHALE_CODEC_ZSTD:
#ifdef HAVE_ZSTD
		return decompress_zstd(stored, stored_len, out, len, err);
#else
		return shale_err_say(err, EPROTONOSUPPORT,
				     "this build has no codec 'zstd'");
#endif
	}
	return shale_err_say(err, EPROTONOSUPPORT, "unknown codec %d",
			     (int)codec);
}
