/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/arrival.h"

#include <errno.h>
#include <string.h>

int shale_arrival_clean_path(char *path, size_t *len, struct shale_err *err)
{
	const char *at = path;
	size_t n = 0;

	while (*at) {
		size_t name = strcspn(at, "/");
		if (name == 2 && at[0] == '.' && at[1] == '.')
			return shale_err_say(err, EINVAL,
					     "'%s' leads out with '..'", at);
		if (name > SHALE_NAME_MAX)
			return shale_err_say(err, EINVAL,
					     "a name in '%.300s' has more than "
					     "%d bytes",
					     at, SHALE_NAME_MAX);
		if (name && !(name == 1 && at[0] == '.')) {
			if (n)
				path[n++] = '/';
			memmove(path + n, at, name);
			n += name;
		}
		at += name + (at[name] == '/');
	}
	path[n] = '\0';
	*len = n;
	return 0;
}
