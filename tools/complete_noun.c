/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/complete.h"

#include "tools/verbs.h"

#include <stdio.h>
#include <string.h>

/* What the words that help texts use for values mean. */
enum kind {
	REFERENCE = 1 << 0,
	REPOSITORY = 1 << 1,
	WORKSPACE = 1 << 2,
	MOUNTPOINT = 1 << 3,
	DIRECTORY = 1 << 4,
	FILES = 1 << 5,
	COMMAND = 1 << 6,
};

static const struct {
	const char *noun;
	unsigned kinds;
} nouns[] = {
	{"A", REFERENCE},
	{"B", REFERENCE},
	{"COMMAND", COMMAND},
	{"DEST", FILES},
	{"DIR", DIRECTORY},
	{"FILE", FILES},
	{"MOUNTPOINT", MOUNTPOINT | DIRECTORY},
	{"NAME", WORKSPACE},
	{"NEWREF", REFERENCE},
	{"PATH", FILES},
	{"REF", REFERENCE},
	{"REMOTE", REFERENCE},
	{"REPO", REPOSITORY},
	{"REPOSITORY", REPOSITORY},
	{"SOURCE", FILES},
};

static unsigned kinds_of(const char *word, size_t len)
{
	for (size_t i = 0; i < sizeof(nouns) / sizeof(nouns[0]); i++)
		if (strlen(nouns[i].noun) == len &&
		    !memcmp(nouns[i].noun, word, len))
			return nouns[i].kinds;
	return 0;
}

static void commands(struct shale_completing *c)
{
	for (const struct shale_cmd *const *v = shale_verbs; *v; v++)
		shale_complete_value(c, (*v)->name, (*v)->summary);
}

/* A word in small letters, which may have dots in it, stands for itself. */
static void literal(struct shale_completing *c, const char *word, size_t len)
{
	char value[64];
	size_t text = strcspn(word, "[ ");
	len = text < len ? text : len;
	if (len == 0 || len >= sizeof(value) || word[0] < 'a' || word[0] > 'z')
		return;
	snprintf(value, sizeof(value), "%.*s", (int)len, word);
	shale_complete_value(c, value, NULL);
}

static enum shale_complete_path path_of(const char *noun, size_t len)
{
	if (memmem(noun, len, "[:/path]", 8))
		return SHALE_PATH_MAY;
	return memmem(noun, len, ":/path", 6) ? SHALE_PATH_MUST : SHALE_PATH_NO;
}

void shale_complete_noun(struct shale_completing *c, const char *noun,
			 size_t len)
{
	const char *end = noun + len;
	unsigned kinds = 0;

	for (const char *s = noun; s < end;) {
		size_t n = strcspn(s, "|");
		if (n > (size_t)(end - s))
			n = (size_t)(end - s);
		size_t word =
			strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				  "abcdefghijklmnopqrstuvwxyz0123456789-");
		word = word < n ? word : n;
		kinds |= kinds_of(s, word);
		literal(c, s, n);
		s += n + 1;
	}
	if ((kinds & (DIRECTORY | WORKSPACE)) == (DIRECTORY | WORKSPACE))
		kinds |= MOUNTPOINT; /* of a workspace */
	if (kinds & COMMAND)
		commands(c);
	if (kinds & REPOSITORY)
		shale_complete_repositories(c);
	if (kinds & REFERENCE)
		shale_complete_refs(c, path_of(noun, len));
	if (kinds & WORKSPACE && shale_complete_workspaces)
		shale_complete_workspaces(c);
	if (kinds & MOUNTPOINT && shale_complete_mountpoints)
		shale_complete_mountpoints(c);
	c->dirs |= (kinds & DIRECTORY) != 0;
	c->files |= (kinds & FILES) != 0;
}
