/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/saved_name.h"

#include <errno.h>
#include <string.h>

/* A name of a path that is "..": it could lead anywhere. */
static bool goes_up(const char *path)
{
	for (const char *at = path; at; at = strchr(at, '/')) {
		at += *at == '/';
		if (at[0] == '.' && at[1] == '.' &&
		    (at[2] == '/' || at[2] == '\0'))
			return true;
	}
	return false;
}

int shale_saved_name(const char *path, enum shale_saved *what,
		     struct shale_digest *digest, struct shale_err *err)
{
	static const char blobs[] = "blobs/sha256/", copies[] = "versions/";
	if (path[0] == '/' || goes_up(path))
		return shale_err_say(err, EBADMSG,
				     "'%.300s' leads out of the archive", path);
	while (path[0] == '.' && path[1] == '/')
		path += 2;
	*what = SHALE_SAVED_OTHER;
	if (!strcmp(path, "oci-layout"))
		*what = SHALE_SAVED_LAYOUT;
	else if (!strcmp(path, "index.json"))
		*what = SHALE_SAVED_INDEX;
	else if (!strncmp(path, copies, sizeof(copies) - 1) &&
		 path[strlen(path) - 1] != '/')
		*what = SHALE_SAVED_COPY;
	if (strncmp(path, blobs, sizeof(blobs) - 1) != 0 ||
	    !path[sizeof(blobs) - 1])
		return 0;
	const char *hex = path + sizeof(blobs) - 1;
	struct shale_digest d;
	if (strlen(hex) != SHALE_DIGEST_HEX || shale_digest_parse(hex, &d) < 0)
		return shale_err_say(err, EBADMSG,
				     "'%.300s' is not named after a digest",
				     path);
	*what = SHALE_SAVED_BLOB;
	*digest = d;
	return 0;
}
