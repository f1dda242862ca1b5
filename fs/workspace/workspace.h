/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_WORKSPACE_WORKSPACE_H
#define SHALE_WORKSPACE_WORKSPACE_H

/*
 * A workspace's directory under <store>/workspaces/: who owns it, and what it
 * holds.
 *
 *     lock          flock of the one process that has it open; who that is
 *     workspace.json  name, base images and references, when it was made
 *     db/ journal.*   layers of state, see db.h
 *     data/           contents, see files.h
 *     handles         open handles, see handles.h
 *     images          what was committed and may still be needed
 */

#include "fs/workspace/db.h"
#include "fs/workspace/files.h"
#include "fs/workspace/handles.h"
#include "layers/base/hash.h"

#include <time.h>

/* What workspace.json says.  All but the quota is fixed when it is made. */
struct shale_workspace_info {
	char *name;
	char **refs;               /* as given, bottom first */
	struct shale_digest *base; /* manifests, bottom first; n of both */
	size_t n_base;
	struct timespec created;
	uint64_t quota_bytes, quota_inodes; /* 0: no limit */
	bool ephemeral; /* goes with its mount; without one it is garbage */
	/* Of its file handles, at random: another workspace's are stale.  0:
	 * made before there was one. */
	uint32_t generation;
};
void shale_workspace_info_release(struct shale_workspace_info *info);

struct shale_workspace {
	int dirfd;
	int lock;
	struct shale_workspace_info info;
	struct shale_db *db;
	struct shale_files *files;
};

/* Directory name for a workspace named after an absolute path. */
char *shale_workspace_name_of(const char *dir); /* allocated */

/* Is this a usable name?  -EINVAL says why not. */
int shale_workspace_name_check(const char *name, struct shale_err *err);

/* Make it.  -EEXIST. */
int shale_workspace_make(int store_dirfd,
			 const struct shale_workspace_info *info,
			 struct shale_err *err);

/* Read its workspace.json.  -ENOKEY: no such workspace; -EUCLEAN. */
int shale_workspace_read(int store_dirfd, const char *name,
			 struct shale_workspace_info *out,
			 struct shale_err *err);

/*
 * Take the lock and open database and data files.  -EBUSY names the holder;
 * -ENOKEY.
 */
int shale_workspace_open(struct shale_workspace **out, int store_dirfd,
			 const char *name, struct shale_err *err);
/*
 * The same with a lock that is held already, by a process before this one: a
 * descriptor that is taken over, also after an error.  -1: take it.
 */
int shale_workspace_reopen(struct shale_workspace **out, int store_dirfd,
			   const char *name, int lock, struct shale_err *err);
/* What the message to others says after the process: "mounted on DIR". */
int shale_workspace_note(struct shale_workspace *ws, const char *text,
			 struct shale_err *err);
/* Change the quota, durably. */
int shale_workspace_set_quota(struct shale_workspace *ws, uint64_t bytes,
			      uint64_t inodes, struct shale_err *err);
/* The database's error; all memory goes anyway. */
int shale_workspace_close(struct shale_workspace *ws, struct shale_err *err);

/*
 * Images that the workspace may refer to besides those that it was made from:
 * gc keeps them.  The list is a file of its own, which gc can read while the
 * workspace is in use, and which is never behind the database: what is
 * committed is listed before any record says so, and goes from the list only
 * when no record that a power cut could bring back names it.
 */
int shale_workspace_images(int store_dirfd, const char *name,
			   struct shale_digest **out, size_t *n,
			   struct shale_err *err);
/* Have them listed, durably. */
int shale_workspace_need_images(struct shale_workspace *ws,
				const struct shale_digest *digests, size_t n,
				struct shale_err *err);
/* List no others than these. */
int shale_workspace_keep_images(struct shale_workspace *ws,
				const struct shale_digest *digests, size_t n,
				struct shale_err *err);

/* Remove a workspace that nobody has open.  -EBUSY, -ENOKEY. */
int shale_workspace_remove(int store_dirfd, const char *name,
			   struct shale_err *err);

/* Bytes that its files take on disk; the contents of changed files alone. */
uint64_t shale_workspace_bytes(int store_dirfd, const char *name);
uint64_t shale_workspace_data_bytes(int store_dirfd, const char *name);

/* Names of all workspaces, sorted. */
int shale_workspace_list(int store_dirfd, char ***names, size_t *n,
			 struct shale_err *err);

#endif
