/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_STORE_REF_H
#define SHALE_STORE_REF_H

/*
 * The grammar of references: `[host[:port]/]repository[:tag][@sha256:DIGEST]
 * [~N]`, with a path inside: `REF:/path`.  Pure.
 */

#include "layers/base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct shale_ref {
	char repo[256];    /* host and port included; "" for a bare digest */
	char tag[129];     /* "" when none was written */
	char digest[65];   /* hex, or a prefix of it; "" when none */
	uint32_t ancestor; /* ~N */
};

/*
 * Parse a reference without a path.  `~` alone is ~1; ~1~2 is ~3.  Repositories
 * are as the OCI distribution specification has them: lower-case letters,
 * digits, separators.  -EINVAL says what is wrong with it.
 */
int shale_ref_parse(const char *text, struct shale_ref *out,
		    struct shale_err *err);

/* Are these good on their own?  -EINVAL says what is wrong. */
int shale_ref_check_repo(const char *repo, struct shale_err *err);
int shale_ref_check_tag(const char *tag, struct shale_err *err);

/*
 * Split `REF:/path` at its ":/": `*path` points into `text` at the slash, or is
 * NULL when there is no path.  `ref` has `size` bytes.
 */
int shale_ref_split(const char *text, char *ref, size_t size, const char **path,
		    struct shale_err *err);

/*
 * A time as `--at` takes it: RFC 3339, YYYY-MM-DD[THH:MM[:SS]] in local time,
 * or an age: 90s, 10m, 2h, 3d, 1w ago.
 */
int shale_time_parse(const char *text, struct timespec *out,
		     struct shale_err *err);

/* RFC 3339 with a zone, as documents hold it.  -EINVAL. */
int shale_time_parse_utc(const char *text, struct timespec *out);

/* RFC 3339 in UTC; nanoseconds only when there are any.  `out`: 40 bytes. */
void shale_time_format(const struct timespec *t, char *out);

#endif
