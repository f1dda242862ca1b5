/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_BASE_HASH_H
#define SHALE_BASE_HASH_H

/*
 * The two hashes of the format: XXH3 (checksums and candidates for sharing;
 * not cryptographic) and SHA-256 (names of blobs, OCI digests).
 */

#include "layers/base/cleanup.h"
#include "layers/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* XXH3-128 in its canonical (big-endian) byte order. */
struct shale_hash128 {
	uint8_t b[16];
};

/* SHA-256. */
struct shale_digest {
	uint8_t b[32];
};

#define SHALE_DIGEST_HEX 64                         /* characters, no NUL */
#define SHALE_DIGEST_STR (7 + SHALE_DIGEST_HEX + 1) /* "sha256:…" and NUL */

struct shale_hash128 shale_xxh128(const void *data, size_t len);
uint64_t shale_xxh64(const void *data, size_t len); /* XXH3-64 */

void shale_sha256(const void *data, size_t len, struct shale_digest *out);

/* Running SHA-256.  One thread at a time. */
struct shale_sha256;
struct shale_sha256 *shale_sha256_new(void); /* NULL: no memory */
void shale_sha256_free(struct shale_sha256 *ctx);
SHALE_DEFINE_CLEANUP(sha256, struct shale_sha256 *, shale_sha256_free);
#define cleanup_sha256 SHALE_CLEANUP(shale_cleanup_sha256)
void shale_sha256_update(struct shale_sha256 *ctx, const void *d, size_t len);
void shale_sha256_final(struct shale_sha256 *ctx, struct shale_digest *out);

/* SHA-256 and size of what `fd` holds from offset 0.  Returns 0 or -errno. */
int shale_sha256_fd(int fd, struct shale_digest *out, uint64_t *size,
		    struct shale_err *err);

/* Lower-case hex of `n` bytes with a NUL: `out` has 2 * n + 1 bytes. */
void shale_hex(char *out, const uint8_t *data, size_t n);

/* "sha256:<64 hex>" into `out` of SHALE_DIGEST_STR bytes; returns `out`. */
char *shale_digest_str(const struct shale_digest *digest, char *out);

/*
 * Parse "sha256:<64 hex>" or 64 bare hex digits, lower case only.  Returns 0
 * or -EINVAL.
 */
int shale_digest_parse(const char *text, struct shale_digest *out);

bool shale_digest_equal(const struct shale_digest *a,
			const struct shale_digest *b);

#endif
