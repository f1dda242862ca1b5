/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/store/ref.h"

#include <errno.h>
#include <string.h>

/* Fewer digits than this are not taken for a digest. */
enum { DIGEST_MIN = 6, DIGEST_MAX = 64 };

static bool is_lower_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_alnum(char c)
{
	return is_lower_alnum(c) || (c >= 'A' && c <= 'Z');
}

static bool is_hex(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!((s[i] >= '0' && s[i] <= '9') ||
		      (s[i] >= 'a' && s[i] <= 'f')))
			return false;
	return true;
}

/* A component: alphanumerics with single separators (., _, __, -…) between. */
static bool good_component(const char *s, size_t len)
{
	if (len == 0 || !is_lower_alnum(s[0]) || !is_lower_alnum(s[len - 1]))
		return false;
	for (size_t i = 1; i < len; i++) {
		char c = s[i], before = s[i - 1];
		if (is_lower_alnum(c) || (c == '-' && before == '-'))
			continue;
		if (c != '.' && c != '_' && c != '-')
			return false;
		if (is_lower_alnum(before))
			continue;
		if (c != '_' || before != '_' || s[i - 2] == '_')
			return false;
	}
	return true;
}

/* Is the first component a host: it has a dot or a port, or is localhost. */
static bool is_host(const char *s, size_t len)
{
	return memchr(s, '.', len) || memchr(s, ':', len) ||
	       (len == 9 && !memcmp(s, "localhost", 9));
}

static bool good_host(const char *s, size_t len)
{
	size_t name = len;
	while (name > 0 && s[name - 1] >= '0' && s[name - 1] <= '9')
		name--;
	if (name > 0 && name < len && s[name - 1] == ':' && len - name <= 5)
		len = name - 1;

	if (len > 2 && s[0] == '[' && s[len - 1] == ']') {
		for (size_t i = 1; i + 1 < len; i++)
			if (!is_hex(&s[i], 1) && s[i] != ':')
				return false;
		return true;
	}
	for (size_t i = 0; i < len; i++)
		if (!is_alnum(s[i]) && s[i] != '.' && s[i] != '-')
			return false;
	return len > 0 && is_alnum(s[0]) && is_alnum(s[len - 1]);
}

int shale_ref_check_repo(const char *repo, struct shale_err *err)
{
	size_t len = strlen(repo);
	const char *at = repo, *slash = strchr(repo, '/');

	if (len == 0 || len > 255)
		return shale_err_say(err, EINVAL,
				     "a repository's name has 1 to 255 bytes");
	if (slash && is_host(repo, (size_t)(slash - repo))) {
		if (!good_host(repo, (size_t)(slash - repo)))
			return shale_err_say(err, EINVAL,
					     "'%.*s' is not a host",
					     (int)(slash - repo), repo);
		at = slash + 1;
	}
	for (;;) {
		size_t n = strcspn(at, "/");
		if (!good_component(at, n))
			return shale_err_say(
				err, EINVAL,
				"'%s' is not a repository: its parts are "
				"lower-case letters and digits, with single "
				"'.', '_' or '-' between",
				repo);
		if (!at[n])
			return 0;
		at += n + 1;
	}
}

int shale_ref_check_tag(const char *tag, struct shale_err *err)
{
	size_t len = strlen(tag);
	bool good = len > 0 && len <= 128 && tag[0] != '.' && tag[0] != '-';

	for (size_t i = 0; i < len; i++)
		good = good && (is_alnum(tag[i]) || strchr("._-", tag[i]));
	if (!good)
		return shale_err_say(err, EINVAL,
				     "'%s' is not a tag: up to 128 letters, "
				     "digits, '_', '.', '-', not beginning "
				     "with '.' or '-'",
				     tag);
	return 0;
}

/* `~`, `~N`, several of them, to the end of `s`. */
static int parse_ancestor(const char *s, uint32_t *out, struct shale_err *err)
{
	uint64_t sum = 0;

	while (*s == '~') {
		uint64_t n = 0;
		const char *digits = ++s;
		for (; *s >= '0' && *s <= '9' && n <= UINT32_MAX; s++)
			n = n * 10 + (uint64_t)(*s - '0');
		sum += s == digits ? 1 : n;
		if (sum > UINT32_MAX)
			return shale_err_say(err, EINVAL, "~N is too large");
	}
	if (*s)
		return shale_err_say(err, EINVAL,
				     "'~' takes a number, not '%s'", s);
	*out = (uint32_t)sum;
	return 0;
}

/* What stands behind '@', or all of "sha256:<64 digits>". */
static int parse_digest(const char *s, size_t len, struct shale_ref *out,
			struct shale_err *err)
{
	if (len >= 7 && !memcmp(s, "sha256:", 7)) {
		s += 7;
		len -= 7;
	}
	if (len < DIGEST_MIN || len > DIGEST_MAX || !is_hex(s, len))
		return shale_err_say(err, EINVAL,
				     "'%.*s' is not a digest: sha256: and 6 to "
				     "64 hexadecimal digits",
				     (int)len, s);
	memcpy(out->digest, s, len);
	out->digest[len] = '\0';
	return 0;
}

/* repository[:tag] of `len` bytes. */
static int parse_name(const char *s, size_t len, struct shale_ref *out,
		      struct shale_err *err)
{
	const char *slash = memrchr(s, '/', len);
	size_t from = slash ? (size_t)(slash - s) : 0;
	const char *colon = memchr(s + from, ':', len - from);
	size_t repo_len = colon ? (size_t)(colon - s) : len;
	size_t tag_len = colon ? len - repo_len - 1 : 0;

	if (repo_len >= sizeof(out->repo) || tag_len >= sizeof(out->tag))
		return shale_err_say(err, EINVAL, "the name is too long");
	memcpy(out->repo, s, repo_len);
	if (colon)
		memcpy(out->tag, colon + 1, tag_len);

	int r = shale_ref_check_repo(out->repo, err);
	if (r == 0 && colon)
		r = shale_ref_check_tag(out->tag, err);
	return r;
}

int shale_ref_parse(const char *text, struct shale_ref *out,
		    struct shale_err *err)
{
	struct shale_ref ref = {0};
	if (strstr(text, ":/"))
		return shale_err_say(err, EINVAL,
				     "'%s' has a path inside; here stands the "
				     "reference of a whole image",
				     text);
	size_t len = strcspn(text, "~");
	const char *digest = memchr(text, '@', len);
	size_t name_len = digest ? (size_t)(digest - text) : len;

	int r = parse_ancestor(text + len, &ref.ancestor, err);
	if (r == 0 && digest)
		r = parse_digest(digest + 1, len - name_len - 1, &ref, err);
	if (r == 0 && len == 7 + DIGEST_MAX && !memcmp(text, "sha256:", 7) &&
	    is_hex(text + 7, DIGEST_MAX))
		r = parse_digest(text, len, &ref, err);
	else if (r == 0 && (name_len || !digest))
		r = parse_name(text, name_len, &ref, err);
	if (r < 0)
		return shale_err_wrap(err, r, "'%s' is not a reference", text);
	*out = ref;
	return 0;
}

int shale_ref_split(const char *text, char *ref, size_t size, const char **path,
		    struct shale_err *err)
{
	const char *colon = strstr(text, ":/");
	size_t len = colon ? (size_t)(colon - text) : strlen(text);

	if (len == 0)
		return shale_err_say(err, EINVAL, "'%s' has no reference",
				     text);
	if (len >= size)
		return shale_err_say(err, EINVAL, "the reference is too long");
	memcpy(ref, text, len);
	ref[len] = '\0';
	*path = colon ? colon + 1 : NULL;
	return 0;
}
