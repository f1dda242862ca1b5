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

static bool is_among(const char *groups, uint32_t gid)
{
	char *end;

	for (const char *at = groups; *(at += strspn(at, " \t")) != '\n';
	     at = end) {
		unsigned long long n = strtoull(at, &end, 10);
		if (end == at)
			return false;
		if (n == gid)
			return true;
	}
	return false;
}

bool shale_standing_of(const char *status, uint32_t gid)
{
	const char *groups = value_of(status, "Groups");
	const char *caps = value_of(status, "CapEff");

	return (groups && is_among(groups, gid)) ||
	       (caps && strtoull(caps, NULL, 16) >> CAP_FSETID & 1);
}

bool shale_standing_keeps_setgid(pid_t pid, uint32_t gid)
{
	cleanup_buf struct shale_buf text = {0};
	char path[40];

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	if (shale_read_file(AT_FDCWD, path, STATUS_MAX, &text, NULL) < 0)
		return false;
	const char *status = shale_buf_str(&text);
	return status && shale_standing_of(status, gid);
}
