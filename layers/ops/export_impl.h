/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_OPS_EXPORT_IMPL_H
#define SHALE_OPS_EXPORT_IMPL_H

/*
 * What the parts of export share: the walk that hands out work (export.c), the
 * workers (export_job.c), and what comes after all files (export_finish.c).
 */

#include "layers/base/buf.h"
#include "layers/base/pool.h"
#include "layers/ops/export.h"
#include "layers/ops/inodemap.h"

#include <pthread.h>

/* The first name of a file with several; the others are linked to it. */
struct shale_export_first {
	bool placed;
	char *path;
};

struct shale_exporting {
	const struct shale_image *image;
	const struct shale_export_opts *opts;
	struct shale_restore restore;
	int root;
	struct shale_pool *pool;

	pthread_mutex_t lock; /* what follows, up to the line */
	struct shale_export_result sum;
	int failed; /* -errno that ends it */
	struct shale_err why;

	struct shale_buf todo;   /* struct shale_export_dir, next on top */
	struct shale_buf dirs;   /* struct shale_export_dir, to be finished */
	struct shale_buf links;  /* struct shale_export_link */
	struct shale_buf firsts; /* struct shale_export_first * */
	struct shale_inodemap seen;
	uint64_t total;
};

struct shale_export_dir {
	uint64_t ino;
	char *path; /* owned */
	bool ours;  /* gets its attributes in the end */
};

struct shale_export_link {
	uint64_t ino;
	struct shale_export_first *first;
	char *dir, *name;
};

/* Files of one directory, for one worker. */
struct shale_export_job {
	struct shale_exporting *ex;
	int dirfd;
	char *dir; /* its path */
	struct shale_buf files, names;
	uint64_t bytes;
};

/* Does this error concern everything, not one path? */
bool shale_export_ends(int r);
/* Has it failed, or does nobody want it any more?  Any thread. */
bool shale_export_stopped(struct shale_exporting *ex);
/* What came of one name.  Any thread. */
void shale_export_count(struct shale_exporting *ex, const char *dir,
			const char *name, int r, enum shale_restored outcome,
			uint64_t bytes, const struct shale_err *why);

/* "dir/name", allocated. */
char *shale_export_join(const char *dir, const char *name);

int shale_export_job_new(struct shale_exporting *ex, int dirfd, const char *dir,
			 struct shale_export_job **out, struct shale_err *err);
/* `first`: the file has several names, and this is the first; or NULL. */
int shale_export_job_add(struct shale_export_job *job, const char *name,
			 const struct shale_attr *attr,
			 struct shale_export_first *first,
			 struct shale_err *err);
bool shale_export_job_full(const struct shale_export_job *job);
/* For shale_pool_add(); frees the job. */
void shale_export_job_run(void *job);

/* Further names of files, then attributes of directories. */
void shale_export_finish(struct shale_exporting *ex);

#endif
