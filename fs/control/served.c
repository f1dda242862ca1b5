/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/control/served.h"

#include "fs/control/state_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A mountpoint, which begins with a slash, or a workspace, which has none. */
struct name {
	char *text;
	char id[17]; /* of the mount that has it */
};

static int add(struct shale_served *served, const char *text, const char *id)
{
	struct name name = {.text = text ? strdup(text) : NULL};

	if (!text)
		return 0;
	memcpy(name.id, id, sizeof(name.id));
	if (name.text &&
	    shale_buf_append(&served->names, &name, sizeof(name)) == 0)
		return 0;
	free(name.text);
	return -ENOMEM;
}

struct look {
	struct shale_served *served;
	int r;
};

static bool look_at(void *arg, int store_dirfd, const char *id)
{
	struct look *l = arg;
	struct shale_mount_info info = {0};

	if (!shale_state_id_is_good(id) ||
	    shale_state_pid(store_dirfd, id) <= 1)
		return false;
	if (shale_mount_read(store_dirfd, id, &info, NULL) == 0) {
		l->r = add(l->served, info.mountpoint, id);
		if (l->r == 0)
			l->r = add(l->served, info.workspace, id);
	}
	shale_mount_info_release(&info);
	return l->r < 0;
}

static int by_text(const void *a, const void *b)
{
	const struct name *x = a, *y = b;
	return strcmp(x->text, y->text);
}

int shale_served_look(struct shale_served *served, int store_dirfd,
		      struct shale_err *err)
{
	struct look l = {.served = served};

	*served = (struct shale_served){0};
	shale_state_each(store_dirfd, look_at, &l);
	size_t n = served->names.len / sizeof(struct name);
	if (n)
		qsort(served->names.data, n, sizeof(struct name), by_text);
	return l.r < 0 ? shale_err_set(err, -l.r, "list mounts") : 0;
}

void shale_served_release(struct shale_served *served)
{
	struct name *name = (void *)served->names.data;

	for (size_t i = 0; i < served->names.len / sizeof(*name); i++)
		free(name[i].text);
	shale_buf_release(&served->names);
}

static bool has(const struct shale_served *served, const char *text,
		const char *but)
{
	const struct name *name = (const void *)served->names.data;
	size_t n = served->names.len / sizeof(*name), lo = 0, hi = n;

	while (text && lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (strcmp(name[mid].text, text) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; text && lo < n && !strcmp(name[lo].text, text); lo++)
		if (strcmp(name[lo].id, but) != 0)
			return true;
	return false;
}

bool shale_served_instead(const struct shale_served *served,
			  const struct shale_mount_info *of)
{
	return has(served, of->mountpoint, of->id) ||
	       has(served, of->workspace, of->id);
}
