/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/mount_words.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

void shale_mount_words_release(struct shale_mount_words *w)
{
	free(w->store);
	free(w->workspace);
	free(w->at);
	free(w->quota);
	free(w->inodes);
	*w = (struct shale_mount_words){0};
}

static const struct {
	const char *name; /* with its "=" */
	size_t to;
} texts[] = {
	{"store=", offsetof(struct shale_mount_words, store)},
	{"workspace=", offsetof(struct shale_mount_words, workspace)},
	{"at=", offsetof(struct shale_mount_words, at)},
	{"quota=", offsetof(struct shale_mount_words, quota)},
	{"inodes=", offsetof(struct shale_mount_words, inodes)},
};

static const struct {
	const char *name;
	size_t to;
} flags[] = {
	{"rw", offsetof(struct shale_mount_words, rw)},
	{"ephemeral", offsetof(struct shale_mount_words, ephemeral)},
	{"x-shale.fstab", offsetof(struct shale_mount_words, fstab)},
};

/* What mount(8) and systemd keep for themselves; a '=' ends a beginning. */
static const char *const theirs[] = {
	"auto",  "noauto", "user",    "nouser",   "users", "owner",
	"group", "nofail", "_netdev", "comment=", "x-",    "X-",
};

static bool begins(const char *word, size_t len, const char *with)
{
	size_t n = strlen(with);
	return len >= n && !strncmp(word, with, n);
}

static bool is(const char *word, size_t len, const char *other)
{
	return strlen(other) == len && !strncmp(word, other, len);
}

static bool is_theirs(const char *word, size_t len)
{
	for (size_t i = 0; i < sizeof(theirs) / sizeof(*theirs); i++) {
		char last = theirs[i][strlen(theirs[i]) - 1];
		if (last == '=' || last == '-' ? begins(word, len, theirs[i])
					       : is(word, len, theirs[i]))
			return true;
	}
	return false;
}

/* 1: it was one of ours. */
static int take(struct shale_mount_words *w, const char *word, size_t len)
{
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		size_t skip = strlen(texts[i].name);
		if (!begins(word, len, texts[i].name))
			continue;
		char **to = (char **)(void *)((char *)w + texts[i].to);
		free(*to);
		*to = strndup(word + skip, len - skip);
		return *to ? 1 : -ENOMEM;
	}
	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++) {
		if (!is(word, len, flags[i].name))
			continue;
		*(bool *)(void *)((char *)w + flags[i].to) = true;
		return 1;
	}
	return 0;
}

static int apply(struct shale_mount_words *w, struct shale_mounting *how,
		 const char *word, size_t len, struct shale_err *err)
{
	int r = take(w, word, len);

	if (r < 0)
		return shale_err_set(err, -r, "mount options");
	/* "rw" is for both. */
	if ((r > 0 && !is(word, len, "rw")) || is_theirs(word, len))
		return 0;
	return shale_mounting_word(how, word, len, err);
}

int shale_mount_words_parse(struct shale_mount_words *words,
			    struct shale_mounting *how,
			    const struct shale_strings *options,
			    struct shale_err *err)
{
	for (size_t i = 0; i < options->n; i++) {
		const char *p = options->v[i];
		while (*p) {
			size_t len = strcspn(p, ",");
			int r = len ? apply(words, how, p, len, err) : 0;
			if (r < 0)
				return r;
			p += len + (p[len] == ',');
		}
	}
	return 0;
}
