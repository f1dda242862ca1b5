/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_OPS_IMPORT_H
#define SHALE_OPS_IMPORT_H

/*
 * Import: directories and archives in, a version out.  Sources are added one
 * after another; they meet at the root (or under a prefix), later over earlier.
 *
 *     shale_import_new … shale_import_dir / shale_import_archive …
 *     shale_import_finish, shale_import_free
 *
 * What is stored depends on the parent, the tree, the options and the codec
 * library alone: not on threads, paths or the day.  Names and attributes are
 * held in memory, contents are not.  Nothing is published before
 * shale_import_finish() has succeeded.  One thread; it starts its own.
 */

#include "layers/chunk/codec.h"
#include "layers/ops/exclude.h"
#include "layers/ops/whiteout.h"
#include "layers/ops/xattrs.h"
#include "layers/store/version.h"

struct shale_import_opts {
	struct shale_codec_choice codec;
	unsigned threads; /* that compress, and that ask what names are; 0:
			   * one a processor */
	enum shale_xattr_policy xattrs;
	struct shale_exclude exclude;
	const char *prefix; /* put sources below this directory; NULL: none */
	const struct shale_version *onto; /* the version to go on from */
	bool checksum; /* with onto: believe no size and time */
	/* Sources are layers of this kind: what they do not speak of stays as
	 * it is in `onto`, and what they hide of it goes.  Size and time are
	 * not believed, since a layer has what was changed. */
	enum shale_layer_kind layer;

	/* All may be NULL.  Called by the importing thread. */
	bool (*cancelled)(void *arg);
	void (*progress)(void *arg, uint64_t done, uint64_t total,
			 uint64_t files, const char *path);
	/* Something was left out, or is not what it was: say so, and that the
	 * import was done in part. */
	void (*problem)(void *arg, const char *path, const char *what);
	void *arg;
};

struct shale_import_result {
	bool nothing_changed;             /* with onto: no version was made */
	uint64_t names, inodes, files;    /* of the whole image; of layers: in
					   * them */
	uint64_t bytes;                   /* sum of sizes */
	uint64_t added, changed, deleted; /* names, against the parent */
	uint64_t stored; /* bytes of the new tree and data blobs */
	uint64_t shared; /* content bytes that were there already */
	uint64_t problems;
};

struct shale_import;

/* `opts` is copied; what it points to stays the caller's. */
int shale_import_new(struct shale_import **out, struct shale_store *store,
		     const struct shale_import_opts *opts,
		     struct shale_err *err);

/* Drop everything that was not published.  NULL is fine. */
void shale_import_free(struct shale_import *import);

/* Add the directory at `path`. -ENOENT, -ENOTDIR, -EACCES, -EINTR, and -EBADMSG
 * for a layer that means what cannot be taken over. */
int shale_import_dir(struct shale_import *import, const char *path,
		     struct shale_err *err);

/*
 * Add an archive ("-": standard input) of any format and filter that libarchive
 * reads and that carries its contents itself.  One that is damaged or cut short
 * fails the whole import: -EBADMSG.  (In a library of its own, so that programs
 * that do not call it do not link libarchive.)
 */
int shale_import_archive(struct shale_import *import, const char *path,
			 struct shale_err *err);

/*
 * Read what is still unread, store, and publish as a version of `repo`.
 * `version` brings the description (author, message, data version, labels);
 * the rest of it is filled in.  Nothing is published, and -EINTR returned, when
 * it is cancelled.
 */
int shale_import_finish(struct shale_import *import,
			struct shale_version *version, const char *repo,
			const char *tag, bool latest,
			struct shale_import_result *result,
			struct shale_err *err);

#endif
