/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/exclude.h"

#include "layers/base/cleanup.h"

#include <fnmatch.h>
#include <string.h>

static bool match_one(const char *glob, const char *path, bool is_dir)
{
	size_t len = strlen(glob);
	cleanup_free char *trimmed = NULL;

	if (len && glob[len - 1] == '/') {
		if (!is_dir)
			return false;
		trimmed = strndup(glob, len - 1);
		if (!trimmed)
			return false;
		glob = trimmed;
	}
	if (strchr(glob, '/'))
		return fnmatch(glob + (*glob == '/'), path, 0) == 0;
	const char *slash = strrchr(path, '/');
	return fnmatch(glob, slash ? slash + 1 : path, 0) == 0;
}

bool shale_exclude_match(const struct shale_exclude *ex, const char *path,
			 bool is_dir)
{
	for (size_t i = 0; ex && i < ex->n; i++) {
		if (match_one(ex->globs[i], path, is_dir))
			return true;
	}
	return false;
}

bool shale_exclude_match_above(const struct shale_exclude *ex, const char *path,
			       bool is_dir)
{
	if (!ex || !ex->n)
		return false;
	if (shale_exclude_match(ex, path, is_dir))
		return true;

	cleanup_free char *part = strdup(path);
	char *slash;
	while (part && (slash = strrchr(part, '/'))) {
		*slash = '\0';
		if (shale_exclude_match(ex, part, true))
			return true;
	}
	return false;
}
