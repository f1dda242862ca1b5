/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/commit/undo.h"

#include "fs/commit/resting.h"
#include "fs/commit/session.h"
#include "fs/control/control.h"
#include "layers/base/cleanup.h"

static int undo_mounted(struct shale_store *store, const char *id,
			const char *const *paths, size_t n, uint64_t *inodes,
			struct shale_err *err)
{
	cleanup_control struct shale_control *control = NULL;
	json_t *list = json_array(), *reply;

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, shale_control_hex(paths[i]));
	json_t *request =
		json_pack("{s:s, s:o}", "do", "discard", "paths", list);
	if (!request || json_array_size(list) != n) {
		json_decref(request);
		return shale_err_set(err, ENOMEM, "discard");
	}
	int r = shale_control_connect(&control, shale_store_dirfd(store), id,
				      err);
	if (r < 0) {
		json_decref(request);
		return r;
	}
	r = shale_control_call(control, request, &reply, err);
	if (r < 0)
		return r;
	*inodes =
		(uint64_t)json_integer_value(json_object_get(reply, "inodes"));
	json_decref(reply);
	return 0;
}

static int undo_resting(struct shale_store *store, const char *workspace,
			const char *const *paths, size_t n, uint64_t *inodes,
			struct shale_err *err)
{
	struct shale_live_discarded done;
	struct shale_resting rest;

	int r = shale_resting_open(&rest, store, workspace, err);
	if (r == 0)
		r = shale_live_discard(rest.live, paths, n, NULL, &done, err);
	if (r == 0)
		*inodes = done.inodes;
	return shale_resting_close(&rest, r, err);
}

int shale_undo(struct shale_store *store, const char *workspace,
	       const char *mount, const char *mountpoint,
	       const char *const *paths, size_t n, uint64_t *inodes,
	       struct shale_err *err)
{
	if (!mount)
		return undo_resting(store, workspace, paths, n, inodes, err);
	/* What comes back later would come after the discard. */
	shale_commit_write_back(mountpoint);
	return undo_mounted(store, mount, paths, n, inodes, err);
}
