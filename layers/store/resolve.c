/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/base/buf.h"
#include "layers/base/clock.h"
#include "layers/store/ref.h"
#include "layers/store/store_impl.h"
#include "layers/store/version.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* As many names stand in a message at most. */
enum { NAMES_MAX = 10, DIGEST_MIN = 6, SHORT_DIGEST = 12 };

struct resolver {
	const char *path; /* of the store */
	const char *text; /* the reference as it was written */
	const struct shale_oci_index *ix;
	struct shale_err *err;
};

static const struct shale_version_entry *entry(const struct resolver *r,
					       size_t i)
{
	return shale_oci_index_entry(r->ix, i);
}

static size_t count(const struct resolver *r)
{
	return shale_oci_index_count(r->ix);
}

/* --------------------------------------------------------- what there is */

/* " v1 v2 v3 (latest)", oldest first; the newest when there are many. */
static void list_tags(const struct resolver *r, const char *repo,
		      struct shale_buf *out)
{
	const struct shale_version_entry *latest = NULL;
	size_t tags = 0;
	for (size_t i = 0; i < count(r); i++) {
		const struct shale_version_entry *e = entry(r, i);
		if (strcmp(e->repo, repo) != 0 || !e->tag)
			continue;
		tags++;
		if (!strcmp(e->tag, "latest"))
			latest = e;
	}
	if (tags > NAMES_MAX)
		shale_buf_printf(out, " ...");
	bool shown = false;
	for (size_t i = 0; i < count(r); i++) {
		const struct shale_version_entry *e = entry(r, i);
		if (strcmp(e->repo, repo) != 0 || !e->tag || e == latest ||
		    tags-- > NAMES_MAX)
			continue;
		bool is = latest &&
			  shale_digest_equal(&latest->digest, &e->digest);
		shown = shown || is;
		shale_buf_printf(out, " %s%s", e->tag, is ? " (latest)" : "");
	}
	if (latest && !shown)
		shale_buf_printf(out, " latest");
}

static bool has_repo(const struct resolver *r, const char *repo, size_t before)
{
	for (size_t i = 0; i < before; i++)
		if (!strcmp(entry(r, i)->repo, repo))
			return true;
	return false;
}

/* "; there are: a b c", the repositories. */
static void list_repos(const struct resolver *r, struct shale_buf *out)
{
	size_t n = 0;
	for (size_t i = 0; i < count(r) && n <= NAMES_MAX; i++)
		if (!has_repo(r, entry(r, i)->repo, i) && n++ < NAMES_MAX)
			shale_buf_printf(out, "%s %s",
					 n == 1 ? "; there are:" : "",
					 entry(r, i)->repo);
	if (n == 0)
		shale_buf_printf(out, "; there is none at all");
	if (n > NAMES_MAX)
		shale_buf_printf(out, " ...");
}

static int no_image(const struct resolver *r, const char *repo)
{
	cleanup_buf struct shale_buf names = {0};

	if (has_repo(r, repo, count(r))) {
		list_tags(r, repo, &names);
		const char *s = shale_buf_str(&names);
		return shale_err_say(
			r->err, ENOKEY, "no image '%s' in %s; %s%s", r->text,
			r->path,
			names.len ? "its versions:"
				  : "none of its versions has a tag: see "
				    "'shale log'",
			s ? s : "");
	}
	list_repos(r, &names);
	const char *s = shale_buf_str(&names);
	return shale_err_say(r->err, ENOKEY, "no image '%s' in %s%s", r->text,
			     r->path, s ? s : "");
}

/* ---------------------------------------------------------- one by one */

static bool has_prefix(const struct shale_version_entry *e, const char *digits)
{
	char hex[SHALE_DIGEST_HEX + 1];
	shale_hex(hex, e->digest.b, sizeof(e->digest.b));
	return !strncmp(hex, digits, strlen(digits));
}

static int ambiguous(const struct resolver *r, const char *repo,
		     const char *digits)
{
	cleanup_buf struct shale_buf names = {0};
	const struct shale_version_entry *last = NULL;
	size_t n = 0;

	for (size_t i = 0; i < count(r) && n <= NAMES_MAX; i++) {
		const struct shale_version_entry *e = entry(r, i);
		if ((repo && strcmp(e->repo, repo) != 0) ||
		    !has_prefix(e, digits) ||
		    (last && shale_digest_equal(&last->digest, &e->digest)))
			continue;
		last = e;
		char hex[2 * (SHORT_DIGEST / 2 + 4) + 1];
		shale_hex(hex, e->digest.b, SHORT_DIGEST / 2 + 4);
		if (n++ < NAMES_MAX)
			shale_buf_printf(&names, " %s", hex);
	}
	const char *s = shale_buf_str(&names);
	return shale_err_say(r->err, ENOKEY, "'%s' is ambiguous; it may be%s%s",
			     r->text, s ? s : "", n > NAMES_MAX ? " ..." : "");
}

/* By digits of its digest, in one repository or (NULL) in all. */
static int by_digest(const struct resolver *r, const char *repo,
		     const char *digits, const struct shale_version_entry **out)
{
	const struct shale_version_entry *found = NULL;

	for (size_t i = 0; i < count(r); i++) {
		const struct shale_version_entry *e = entry(r, i);
		if ((repo && strcmp(e->repo, repo) != 0) ||
		    !has_prefix(e, digits))
			continue;
		if (found && !shale_digest_equal(&found->digest, &e->digest))
			return ambiguous(r, repo, digits);
		found = e;
	}
	if (!found)
		return -ENOKEY;
	*out = found;
	return 0;
}

static int by_tag(const struct resolver *r, const char *repo, const char *tag,
		  const struct shale_version_entry **out)
{
	for (size_t i = 0; i < count(r); i++) {
		const struct shale_version_entry *e = entry(r, i);
		if (e->tag && !strcmp(e->repo, repo) && !strcmp(e->tag, tag)) {
			*out = e;
			return 0;
		}
	}
	return no_image(r, repo);
}

static bool later(const struct timespec *a, const struct timespec *b)
{
	return shale_time_order(a, b) > 0;
}

/* The newest of a repository that was there at that time. */
static int by_time(const struct resolver *r, const char *repo,
		   const struct timespec *at,
		   const struct shale_version_entry **out)
{
	const struct shale_version_entry *found = NULL, *oldest = NULL;

	for (size_t i = 0; i < count(r); i++) {
		const struct shale_version_entry *e = entry(r, i);
		if (strcmp(e->repo, repo) != 0)
			continue;
		if (!oldest || later(&oldest->created, &e->created))
			oldest = e;
		if (!later(&e->created, at) &&
		    (!found || !later(&found->created, &e->created)))
			found = e;
	}
	if (!found) {
		char when[40], first[40];
		shale_time_format(at, when);
		shale_time_format(&oldest->created, first);
		return shale_err_say(r->err, ENOKEY,
				     "'%s' has no version from %s or before; "
				     "its first is from %s",
				     repo, when, first);
	}
	*out = found;
	return 0;
}

/* ------------------------------------------------------------- ancestors */

static int by_own_digest(const void *a, const void *b)
{
	const struct shale_version_entry *const *x = a, *const *y = b;
	return memcmp(&(*x)->digest, &(*y)->digest, sizeof((*x)->digest));
}

/*
 * The n-th ancestor, by the parents that index.json names.  A chain longer than
 * the list of versions is a cycle, which only damage makes.
 */
static int ancestor(const struct resolver *r, uint32_t n,
		    const struct shale_version_entry **at)
{
	size_t total = count(r);
	const struct shale_version_entry *child = *at;
	const struct shale_version_entry **sorted =
		calloc(total, sizeof(const struct shale_version_entry *));
	if (!sorted)
		return shale_err_set(r->err, ENOMEM, "resolve '%s'", r->text);
	for (size_t i = 0; i < total; i++)
		sorted[i] = entry(r, i);
	qsort(sorted, total, sizeof(struct shale_version_entry *),
	      by_own_digest);

	uint32_t i = 0;
	for (; i < n && i <= total && child->has_parent; i++) {
		const struct shale_version_entry key = {.digest =
								child->parent};
		const struct shale_version_entry *wanted = &key;
		const struct shale_version_entry **next = bsearch(
			&wanted, sorted, total,
			sizeof(struct shale_version_entry *), by_own_digest);
		if (!next)
			break;
		child = *next;
	}
	free(sorted);
	if (i > total)
		return shale_err_say(r->err, EUCLEAN,
				     "the history of '%s' is a circle",
				     r->text);
	if (i < n)
		return shale_err_say(r->err, ENOKEY,
				     "no image '%s' in %s; it has %u "
				     "ancestor%s here",
				     r->text, r->path, i, i == 1 ? "" : "s");
	*at = child;
	return 0;
}

/* ------------------------------------------------------------------ all of it
 */

/* Digits that a name may be taken for when there is no such repository. */
static const char *bare_digest(const struct shale_ref *ref)
{
	const char *s = NULL;
	if (!strcmp(ref->repo, "sha256") && ref->tag[0])
		s = ref->tag;
	else if (!ref->tag[0])
		s = ref->repo;
	size_t len = s ? strlen(s) : 0;
	return len >= DIGEST_MIN && strspn(s, "0123456789abcdef") == len ? s
									 : NULL;
}

static int find(const struct resolver *r, const struct shale_ref *ref,
		const struct timespec *at,
		const struct shale_version_entry **out)
{
	bool known = has_repo(r, ref->repo, count(r));
	const char *bare = known || ref->digest[0] ? NULL : bare_digest(ref);
	const char *digits = ref->digest[0] ? ref->digest : bare;

	if (at && digits)
		return shale_err_say(r->err, EINVAL,
				     "'%s' names one version; a time cannot "
				     "choose another",
				     r->text);
	if (ref->repo[0] && !known && !bare)
		return no_image(r, ref->repo);
	if (digits) {
		const char *repo = known ? ref->repo : NULL;
		r->err->msg[0] = '\0';
		int ret = by_digest(r, repo, digits, out);
		if (ret == -ENOKEY && !r->err->msg[0])
			return no_image(r, ref->repo);
		return ret;
	}
	if (at)
		return by_time(r, ref->repo, at, out);
	return by_tag(r, ref->repo, ref->tag[0] ? ref->tag : "latest", out);
}

int shale_store_resolve(struct shale_store *store, const char *text,
			const struct timespec *at, struct shale_version **out,
			struct shale_err *err)
{
	struct shale_err own;
	struct shale_ref ref;
	cleanup_oci_index struct shale_oci_index *ix = NULL;

	int r = shale_ref_parse(text, &ref, err);
	if (r == 0 && at)
		r = shale_store_read_index(store, &ix, err);
	else if (r == 0)
		r = shale_store_read_index_for(store, &ref, &ix, err);
	if (r < 0)
		return r;

	const struct shale_version_entry *e = NULL;
	const struct resolver resolver = {.path = store->path,
					  .text = text,
					  .ix = ix,
					  .err = err ? err : &own};
	r = find(&resolver, &ref, at, &e);
	if (r == 0 && ref.ancestor)
		r = ancestor(&resolver, ref.ancestor, &e);
	if (r < 0)
		return r;
	return shale_store_version_in(store, ix, e->repo, &e->digest, out, err);
}

int shale_store_has_repo(struct shale_store *store, const char *repo,
			 struct shale_err *err)
{
	cleanup_oci_index struct shale_oci_index *ix = NULL;
	cleanup_buf struct shale_buf names = {0};

	int r = shale_store_read_index(store, &ix, err);
	if (r < 0)
		return r;
	const struct resolver resolver = {.path = store->path, .ix = ix};
	if (has_repo(&resolver, repo, count(&resolver)))
		return 0;
	list_repos(&resolver, &names);
	const char *s = shale_buf_str(&names);
	return shale_err_say(err, ENOKEY, "no repository '%s' in %s%s", repo,
			     store->path, s ? s : "");
}
