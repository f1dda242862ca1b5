/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *shale_store_default_path(void)
{
	const char *set = getenv("SHALE_STORE");
	if (set && *set)
		return strdup(set);
	if (geteuid() == 0)
		return strdup("/var/lib/shale");

	/* The XDG base directory specification: relative paths do not count. */
	const char *data = getenv("XDG_DATA_HOME");
	const char *home = getenv("HOME");
	char *path;
	int n = -1;
	if (data && *data == '/')
		n = asprintf(&path, "%s/shale", data);
	else if (home && *home == '/')
		n = asprintf(&path, "%s/.local/share/shale", home);
	return n < 0 ? NULL : path;
}
