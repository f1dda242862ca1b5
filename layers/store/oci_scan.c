/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/store/oci_scan.h"

#include "layers/store/oci_item.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
	DIGITS = 16,
	FAR_ANCESTOR = 32, /* beyond that, decoding all costs less */
	LONG_ITEM = 4096,  /* of our descriptors none is longer */
};

#define SEAL  "\"" SHALE_ANN_TEXT "\":\""
#define START "{\"mediaType\":\""

/* ------------------------------------------------------------------- seal */

/* Do 16 digits and a quote stand at `at`?  There are so many bytes. */
static bool is_seal(const uint8_t *at)
{
	for (size_t i = 0; i < DIGITS; i++)
		if (!memchr("0123456789abcdef", at[i], 16))
			return false;
	return at[DIGITS] == '"';
}

/*
 * The 16 digits in the text; NULL: there are none.  Whatever else has that name
 * in what others wrote is not taken for them: it may be shorter.
 */
static char *find_seal(const struct shale_buf *text)
{
	if (!text->len)
		return NULL;
	const uint8_t *end = text->data + text->len;
	uint8_t *at = text->data;

	while (at < end) {
		at = memmem(at, (size_t)(end - at), SEAL, strlen(SEAL));
		if (!at)
			return NULL;
		at += strlen(SEAL);
		if (end - at > DIGITS && is_seal(at))
			return (char *)at;
	}
	return NULL;
}

/* The text's hash with zeros for digits, which stay there. */
static void hash_text(const struct shale_buf *text, char *seal,
		      char out[DIGITS + 1])
{
	memset(seal, '0', DIGITS);
	snprintf(out, DIGITS + 1, "%016" PRIx64,
		 shale_xxh64(text->data, text->len));
}

void shale_oci_seal(struct shale_buf *text)
{
	char hash[DIGITS + 1];
	char *seal = find_seal(text);
	if (!seal)
		return;
	hash_text(text, seal, hash);
	memcpy(seal, hash, DIGITS);
}

static bool seal_holds(const struct shale_buf *text)
{
	char hash[DIGITS + 1], was[DIGITS];
	char *seal = find_seal(text);
	if (!seal)
		return false;
	memcpy(was, seal, DIGITS);
	hash_text(text, seal, hash);
	memcpy(seal, was, DIGITS);
	return !memcmp(was, hash, DIGITS);
}

/* ------------------------------------------------------------------- scan */

/* Where the descriptor begins that has `at` in it; NULL: not as we write. */
static const uint8_t *find_start(const struct shale_buf *text,
				 const uint8_t *at)
{
	size_t len = strlen(START);
	for (size_t back = 0; back < LONG_ITEM && at - back >= text->data;
	     back++)
		if (at[-(ptrdiff_t)back] == '{' &&
		    !strncmp((const char *)at - back, START, len))
			return at - back;
	return NULL;
}

/* Add the descriptor around `at` to the index. */
static int add_at(const struct shale_buf *text, const uint8_t *at,
		  struct shale_oci_index *ix)
{
	json_error_t why;
	const uint8_t *start = find_start(text, at);
	if (!start)
		return -EAGAIN;

	struct shale_oci_item item = {
		.doc = json_loadb(
			(const char *)start,
			(size_t)(text->data + text->len - start),
			JSON_REJECT_DUPLICATES | JSON_DISABLE_EOF_CHECK, &why)};
	int r = item.doc && start + why.position > at
			? shale_oci_item_decode(&item, NULL)
			: -EAGAIN;
	if (r == 0)
		r = shale_oci_index_add(ix, &item.entry, item.manifest_size,
					NULL);
	shale_oci_item_release(&item);
	return r;
}

/* Add every descriptor that says `needle`; -EAGAIN if there is none. */
static int add_all(const struct shale_buf *text, const char *needle,
		   struct shale_oci_index *ix)
{
	const uint8_t *at = text->data, *end = text->data + text->len;
	size_t len = strlen(needle);
	int r = -EAGAIN;

	while ((at = memmem(at, (size_t)(end - at), needle, len))) {
		r = add_at(text, at, ix);
		if (r < 0)
			return r;
		at += len;
	}
	return r;
}

static int add_version(const struct shale_buf *text,
		       const struct shale_digest *digest,
		       struct shale_oci_index *ix)
{
	char name[SHALE_DIGEST_STR], needle[SHALE_DIGEST_STR + 16];
	snprintf(needle, sizeof(needle), "\"digest\":\"%s\"",
		 shale_digest_str(digest, name));
	return add_all(text, needle, ix);
}

/* The version's descriptors, its parent's, and so on. */
static int add_line(const struct shale_buf *text, struct shale_digest digest,
		    uint32_t ancestors, struct shale_oci_index *ix)
{
	for (;;) {
		size_t at = shale_oci_index_count(ix);
		int r = add_version(text, &digest, ix);
		if (r < 0 || ancestors-- == 0)
			return r;
		const struct shale_version_entry *e =
			shale_oci_index_entry(ix, at);
		if (!e->has_parent)
			return -EAGAIN;
		digest = e->parent;
	}
}

int shale_oci_scan(struct shale_buf *text, const char *repo, const char *tag,
		   uint32_t ancestors, struct shale_oci_index **out)
{
	char needle[512];
	int n = snprintf(needle, sizeof(needle),
			 "\"" SHALE_ANN_NAME "\":\"%s:%s\"", repo, tag);
	if (ancestors > FAR_ANCESTOR || n < 0 || (size_t)n >= sizeof(needle) ||
	    !seal_holds(text))
		return -EAGAIN;

	struct shale_oci_index *one = shale_oci_index_new();
	struct shale_oci_index *ix = shale_oci_index_new();
	int r = one && ix ? add_all(text, needle, one) : -EAGAIN;
	const struct shale_version_entry *e =
		r == 0 ? shale_oci_index_entry(one, 0) : NULL;
	if (e && (shale_oci_index_count(one) != 1 || strcmp(e->repo, repo) ||
		  !e->tag || strcmp(e->tag, tag)))
		r = -EAGAIN;
	if (r == 0)
		r = add_line(text, e->digest, ancestors, ix);
	shale_oci_index_free(one);
	if (r < 0) {
		shale_oci_index_free(ix);
		return -EAGAIN;
	}
	*out = ix;
	return 0;
}
