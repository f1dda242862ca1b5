/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_OPS_SAVE_H
#define SHALE_OPS_SAVE_H

/*
 * Whole images in one portable file, and back: a tar that holds an OCI image
 * layout (an "OCI archive"), and beside it, for people, description.json and
 * metadata.json of each version (docs/format.md 13).
 */

#include "layers/base/buf.h"
#include "layers/store/oci.h"
#include "layers/store/take.h"

/* All may be NULL; called by the saving thread. */
struct shale_save_calls {
	bool (*cancelled)(void *arg);
	void (*progress)(void *arg, uint64_t done, uint64_t total,
			 uint64_t blobs, const char *what);
	void *arg;
};

/* ---------------------------------------------------------- what to save */

/* Names and versions that go into one file. */
struct shale_save_list {
	struct shale_version_list all; /* of the store */
	struct shale_buf chosen;       /* uint8_t for each: as below, or 0 */
};
enum { SHALE_SAVE_TAGGED = 1, SHALE_SAVE_UNTAGGED };

int shale_save_list_init(struct shale_save_list *list,
			 struct shale_store *store, struct shale_err *err);
void shale_save_list_release(struct shale_save_list *list);

/* A version of `repo` under the name `tag`; NULL: under none. */
void shale_save_list_add(struct shale_save_list *list, const char *repo,
			 const char *tag, const struct shale_digest *digest);
/* With all that came before it in its repository, tags and all. */
void shale_save_list_add_history(struct shale_save_list *list, const char *repo,
				 const struct shale_digest *digest);
/* Everything in a repository. */
void shale_save_list_add_repo(struct shale_save_list *list, const char *repo);

/* ---------------------------------------------------------------- saving */

struct shale_save_result {
	uint64_t versions, blobs, bytes; /* of blobs */
};

/*
 * Write the file to `fd`.  A blob that several versions share stands once, and
 * each is checked while it is copied: -EUCLEAN names one that is damaged, and
 * what was written is of no use.  The same list gives the same bytes.
 */
struct shale_archive_form;
int shale_save(struct shale_store *store, const struct shale_save_list *list,
	       int fd, const struct shale_archive_form *form,
	       const struct shale_save_calls *calls,
	       struct shale_save_result *result, struct shale_err *err);

/* --------------------------------------------------------------- loading */

struct shale_loaded {
	struct shale_take *items; /* the names and versions in the file */
	size_t n;
	uint64_t blobs, bytes; /* that the store lacked */

	struct shale_version **versions; /* what items point to */
	size_t n_versions;
	struct shale_oci_index *index; /* and their names */
};

/*
 * Read a saved file, or another OCI archive that holds Shale images, from `fd`
 * (a pipe will do), and take its versions in.  Every blob is checked against
 * its digest while it is read.  Nothing is published before the whole file has
 * been read and found complete; then blobs, then index.json.
 *
 * -EBADMSG: it is no such file, cut short, or not what it says; nothing has
 * changed.
 */
int shale_load(struct shale_store *store, int fd, bool force,
	       const struct shale_save_calls *calls, struct shale_loaded *out,
	       struct shale_err *err);
void shale_loaded_release(struct shale_loaded *loaded);

#endif
