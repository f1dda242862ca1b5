/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/mount/standing.h"

#include "layers/base/buf.h"
#include "layers/base/cleanup.h"
#include "layers/base/io.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>

/* 65,536 groups of ten digits, and the rest. */
enum { STATUS_MAX = 1 << 20 };

/* Real, effective and saved ids stand before that for files. */
enum { FOR_FILES = 3 };

/* What stands behind "NAME:" at the start of a line; NULL. */
static const char *value_of(const char *status, const char *name)
{
	size_t len = strlen(name);

	for (const char *at = status; at; at = strchr(at, '\n')) {
		at += *at == '\n';
		if (!strncmp(at, name, len) && at[len] == ':')
			return at + len + 1;
	}
	return NULL;
}

/* Is that one of the numbers of a line, of which `skip` do not count? */
static bool is_among(const char *numbers, unsigned skip, uint32_t id)
{
	char *end;

	for (const char *at = numbers; *(at += strspn(at, " \t")) != '\n';
	     at = end) {
		unsigned long long n = strtoull(at, &end, 10);
		if (end == at)
			return false;
		if (skip)
			skip--;
		else if (n == id)
			return true;
	}
	return false;
}

bool shale_standing_of(const char *status, uint32_t gid)
{
	const char *group = value_of(status, "Gid");
	const char *groups = value_of(status, "Groups");
	const char *caps = value_of(status, "CapEff");

	return (group && is_among(group, FOR_FILES, gid)) ||
	       (groups && is_among(groups, 0, gid)) ||
	       (caps && strtoull(caps, NULL, 16) >> CAP_FSETID & 1);
}

bool shale_standing_of_root(const char *status)
{
	const char *user = value_of(status, "Uid");
	return user && is_among(user, FOR_FILES, 0);
}

/* The text of a process, or NULL. */
static const char *status_of(pid_t pid, struct shale_buf *text)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	if (shale_read_file(AT_FDCWD, path, STATUS_MAX, text, NULL) < 0)
		return NULL;
	return shale_buf_str(text);
}

bool shale_standing_keeps_setgid(pid_t pid, uint32_t gid)
{
	cleanup_buf struct shale_buf text = {0};
	const char *status = status_of(pid, &text);

	return status && shale_standing_of(status, gid);
}

bool shale_standing_is_root(pid_t pid)
{
	cleanup_buf struct shale_buf text = {0};
	const char *status = status_of(pid, &text);

	return status && shale_standing_of_root(status);
}
