/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/mounting_options.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

void shale_mounting_default(struct shale_mounting *how)
{
	*how = (struct shale_mounting){
		.flags = MS_NOSUID | MS_NODEV,
		.allow_other = geteuid() == 0,
	};
}

static const struct {
	const char *name;
	unsigned long set, clear;
} words[] = {
	{"ro", MS_RDONLY, 0},
	{"rw", 0, MS_RDONLY},
	{"suid", 0, MS_NOSUID},
	{"nosuid", MS_NOSUID, 0},
	{"dev", 0, MS_NODEV},
	{"nodev", MS_NODEV, 0},
	{"exec", 0, MS_NOEXEC},
	{"noexec", MS_NOEXEC, 0},
	{"sync", MS_SYNCHRONOUS, 0},
	{"async", 0, MS_SYNCHRONOUS},
	{"dirsync", MS_DIRSYNC, 0},
	{"atime", 0, MS_NOATIME},
	{"noatime", MS_NOATIME, 0},
	{"diratime", 0, MS_NODIRATIME},
	{"nodiratime", MS_NODIRATIME, 0},
	{"relatime", MS_RELATIME, MS_STRICTATIME | MS_NOATIME},
	{"norelatime", 0, MS_RELATIME},
	{"strictatime", MS_STRICTATIME, MS_RELATIME | MS_NOATIME},
	{"default_permissions", 0, 0}, /* always */
	/* mount(8) does not pass on suid and dev, which it calls defaults. */
	{"allow_suid", 0, MS_NOSUID},
	{"allow_dev", 0, MS_NODEV},
	{"defaults", 0, 0},
};

/* What the daemon is told, not the kernel. */
static const struct {
	const char *name;
	size_t to;
	bool value;
} own[] = {
	{"allow_other", offsetof(struct shale_mounting, allow_other), true},
	{"debug", offsetof(struct shale_mounting, debug), true},
	{"writeback", offsetof(struct shale_mounting, writeback), true},
	{"passthrough", offsetof(struct shale_mounting, passthrough), true},
	{"lean", offsetof(struct shale_mounting, lean), true},
	{"readahead", offsetof(struct shale_mounting, no_ahead), false},
	{"noreadahead", offsetof(struct shale_mounting, no_ahead), true},
	{"push", offsetof(struct shale_mounting, no_push), false},
	{"nopush", offsetof(struct shale_mounting, no_push), true},
	{"direct", offsetof(struct shale_mounting, no_direct), false},
	{"nodirect", offsetof(struct shale_mounting, no_direct), true},
};

static bool is(const char *word, size_t len, const char *name)
{
	return strlen(name) == len && !strncmp(name, word, len);
}

int shale_mounting_word(struct shale_mounting *how, const char *word,
			size_t len, struct shale_err *err)
{
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (is(word, len, words[i].name)) {
			how->flags &= ~words[i].clear;
			how->flags |= words[i].set;
			return 0;
		}
	for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++)
		if (is(word, len, own[i].name)) {
			*(bool *)((char *)how + own[i].to) = own[i].value;
			return 0;
		}
	return shale_err_say(err, EINVAL, "unknown mount option '%.*s'",
			     (int)len, word);
}

int shale_mounting_options(struct shale_mounting *how,
			   const struct shale_strings *options,
			   struct shale_err *err)
{
	for (size_t i = 0; i < options->n; i++) {
		const char *p = options->v[i];
		while (*p) {
			size_t len = strcspn(p, ",");
			int r = len ? shale_mounting_word(how, p, len, err) : 0;
			if (r < 0)
				return r;
			p += len + (p[len] == ',');
		}
	}
	return 0;
}

static int add_word(struct shale_buf *out, const char *word)
{
	return shale_buf_printf(out, "%s%s", out->len ? "," : "", word);
}

int shale_mounting_spell_flags(unsigned long flags, struct shale_buf *out)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(words) / sizeof(*words); i++)
		if (flags & words[i].set)
			r = add_word(out, words[i].name);
	return r;
}

int shale_mounting_spell(const struct shale_mounting *how,
			 struct shale_buf *out)
{
	int r = shale_mounting_spell_flags(how->flags, out);

	for (size_t i = 0; r == 0 && i < sizeof(own) / sizeof(*own); i++)
		if (own[i].value &&
		    *(const bool *)((const char *)how + own[i].to))
			r = add_word(out, own[i].name);
	return r == 0 && shale_buf_str(out) ? 0 : -ENOMEM;
}
