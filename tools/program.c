/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/base/cleanup.h"
#include "tools/cmd.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

/* Directory of the running executable, allocated. */
static char *own_directory(void)
{
	char *exe = realpath("/proc/self/exe", NULL);
	char *slash = exe ? strrchr(exe, '/') : NULL;
	if (slash)
		*slash = '\0';
	return exe;
}

char *shale_program_path(const char *name)
{
	/* Beside us, the build tree's rooms, a moved installation. */
	static const char *const near[] = {".", "../fs", "../tools",
					   "../libexec/shale", "../bin"};
	static const char *const installed[] = {LIBEXECDIR, BINDIR};
	cleanup_free char *own = own_directory();
	char *path;

	for (size_t i = 0; own && i < sizeof(near) / sizeof(*near); i++) {
		if (asprintf(&path, "%s/%s/%s", own, near[i], name) < 0)
			return NULL;
		if (access(path, X_OK) == 0)
			return path;
		free(path);
	}
	for (size_t i = 0; i < sizeof(installed) / sizeof(*installed); i++) {
		if (asprintf(&path, "%s/%s", installed[i], name) < 0)
			return NULL;
		if (access(path, X_OK) == 0)
			return path;
		free(path);
	}
	return NULL;
}
