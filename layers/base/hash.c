/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/base/hash.h"

#include "layers/base/cleanup.h"

/*
 * The digest itself, without OpenSSL's machinery around it, whose start (a
 * configuration file, providers, algorithms by name) is a good part of that of
 * a short command.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

struct shale_sha256 {
	SHA256_CTX state;
};

struct shale_hash128 shale_xxh128(const void *data, size_t len)
{
	XXH128_canonical_t canonical;
	XXH128_canonicalFromHash(&canonical, XXH3_128bits(data, len));

	struct shale_hash128 out;
	memcpy(out.b, canonical.digest, sizeof(out.b));
	return out;
}

uint64_t shale_xxh64(const void *data, size_t len)
{
	return XXH3_64bits(data, len);
}

void shale_sha256(const void *data, size_t len, struct shale_digest *out)
{
	struct shale_sha256 ctx;

	SHA256_Init(&ctx.state);
	shale_sha256_update(&ctx, data, len);
	SHA256_Final(out->b, &ctx.state);
}

struct shale_sha256 *shale_sha256_new(void)
{
	struct shale_sha256 *ctx = calloc(1, sizeof(*ctx));
	if (ctx)
		SHA256_Init(&ctx->state);
	return ctx;
}

void shale_sha256_free(struct shale_sha256 *ctx)
{
	free(ctx);
}

void shale_sha256_update(struct shale_sha256 *ctx, const void *d, size_t len)
{
	if (len)
		SHA256_Update(&ctx->state, d, len);
}

void shale_sha256_final(struct shale_sha256 *ctx, struct shale_digest *out)
{
	SHA256_Final(out->b, &ctx->state);
	SHA256_Init(&ctx->state);
}

int shale_sha256_fd(int fd, struct shale_digest *out, uint64_t *size,
		    struct shale_err *err)
{
	enum { STEP = 1 << 20 };
	cleanup_free uint8_t *data = malloc(STEP);
	struct shale_sha256 *ctx = shale_sha256_new();
	if (!data || !ctx) {
		shale_sha256_free(ctx);
		return shale_err_set(err, ENOMEM, "hash a file");
	}

	uint64_t off = 0;
	ssize_t n;
	while ((n = pread(fd, data, STEP, (off_t)off)) > 0 ||
	       (n < 0 && errno == EINTR)) {
		if (n < 0)
			continue;
		shale_sha256_update(ctx, data, (size_t)n);
		off += (uint64_t)n;
	}
	int errnum = errno;
	if (n == 0) {
		shale_sha256_final(ctx, out);
		*size = off;
	}
	shale_sha256_free(ctx);
	return n < 0 ? shale_err_set(err, errnum, "hash a file") : 0;
}

void shale_hex(char *out, const uint8_t *data, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digits[data[i] >> 4];
		out[2 * i + 1] = digits[data[i] & 15];
	}
	out[2 * n] = 0;
}

char *shale_digest_str(const struct shale_digest *digest, char *out)
{
	memcpy(out, "sha256:", 7);
	shale_hex(out + 7, digest->b, sizeof(digest->b));
	return out;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

int shale_digest_parse(const char *text, struct shale_digest *out)
{
	if (strncmp(text, "sha256:", 7) == 0)
		text += 7;
	if (strlen(text) != SHALE_DIGEST_HEX)
		return -EINVAL;

	struct shale_digest digest;
	for (size_t i = 0; i < sizeof(digest.b); i++) {
		int hi = hex_value(text[2 * i]);
		int lo = hex_value(text[2 * i + 1]);
		if (hi < 0 || lo < 0)
			return -EINVAL;
		digest.b[i] = (uint8_t)(hi << 4 | lo);
	}
	*out = digest;
	return 0;
}

bool shale_digest_equal(const struct shale_digest *a,
			const struct shale_digest *b)
{
	return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}
