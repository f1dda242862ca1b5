/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/export_impl.h"

#include "layers/base/cleanup.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* A job is so many files, or so many bytes, of one directory. */
enum { JOB_FILES = 64, JOB_BYTES = 1 << 20 };

/* -------------------------------------------------------------- outcomes */

bool shale_export_ends(int r)
{
	return r == -ENOSPC || r == -EDQUOT || r == -EROFS || r == -ENOMEM ||
	       r == -EINTR;
}

bool shale_export_stopped(struct shale_exporting *ex)
{
	pthread_mutex_lock(&ex->lock);
	if (!ex->failed && ex->opts->cancelled &&
	    ex->opts->cancelled(ex->opts->arg))
		ex->failed = shale_err_say(&ex->why, EINTR, "interrupted");
	bool failed = ex->failed != 0;
	pthread_mutex_unlock(&ex->lock);
	return failed;
}

static void say(struct shale_exporting *ex, const char *dir, const char *name,
		const char *what)
{
	cleanup_buf struct shale_buf path = {0};
	if (!ex->opts->problem ||
	    shale_buf_printf(&path, "/%s%s%s", dir, *dir && *name ? "/" : "",
			     name) < 0)
		return;
	ex->opts->problem(ex->opts->arg, shale_buf_str(&path), what);
}

void shale_export_count(struct shale_exporting *ex, const char *dir,
			const char *name, int r, enum shale_restored outcome,
			uint64_t bytes, const struct shale_err *why)
{
	struct shale_export_result *sum = &ex->sum;
	pthread_mutex_lock(&ex->lock);
	if (r < 0) {
		sum->left_out++;
		sum->damaged += r == -EUCLEAN;
		sum->io_errors += r == -EIO;
		say(ex, dir, name, why->msg);
		if (shale_export_ends(r) && !ex->failed) {
			ex->failed = r;
			ex->why = *why;
			shale_err_wrap(&ex->why, r, "%s/%s", dir, name);
		}
	} else if (outcome == SHALE_EXISTS) {
		sum->exists++;
		say(ex, dir, name, "is there already and was left");
	} else if (outcome == SHALE_REFUSED) {
		sum->left_out++;
		say(ex, dir, name, "left out: only root can make devices");
	} else if (outcome == SHALE_UNCHANGED) {
		sum->unchanged++;
	} else {
		sum->made++;
		sum->bytes += bytes;
		sum->xattrs += r == 1;
		if (r == 1)
			say(ex, dir, name, why->msg);
	}
	if (ex->opts->progress && (sum->made & 127) == 0)
		ex->opts->progress(ex->opts->arg, sum->bytes, ex->total,
				   sum->made, name);
	pthread_mutex_unlock(&ex->lock);
}

char *shale_export_join(const char *dir, const char *name)
{
	struct shale_buf path = {0};
	if (shale_buf_printf(&path, "%s%s%s", dir, *dir ? "/" : "", name) < 0) {
		shale_buf_release(&path);
		return NULL;
	}
	return shale_buf_str(&path);
}

/* --------------------------------------------------------------- workers */

struct file {
	struct shale_attr attr;
	struct shale_export_first *first; /* has several names: NULL if not */
	size_t name;                      /* offset in the job's names */
};

static void free_job(struct shale_export_job *job)
{
	if (job->dirfd >= 0)
		close(job->dirfd);
	free(job->dir);
	shale_buf_release(&job->files);
	shale_buf_release(&job->names);
	free(job);
}

void shale_export_job_run(void *arg)
{
	struct shale_export_job *job = arg;
	const struct file *file = (void *)job->files.data;
	size_t n = job->files.len / sizeof(*file);
	for (size_t i = 0; i < n && !shale_export_stopped(job->ex); i++) {
		const char *name = (char *)job->names.data + file[i].name;
		enum shale_restored outcome = SHALE_RESTORED;
		struct shale_err why = {0};
		int r = shale_restore_inode(&job->ex->restore, job->dirfd, name,
					    &file[i].attr, &outcome, &why);
		if (file[i].first && r >= 0)
			file[i].first->placed = outcome == SHALE_RESTORED ||
						outcome == SHALE_UNCHANGED;
		uint64_t bytes =
			S_ISREG(file[i].attr.mode) ? file[i].attr.size : 0;
		shale_export_count(job->ex, job->dir, name, r, outcome, bytes,
				   &why);
	}
	free_job(job);
}

int shale_export_job_new(struct shale_exporting *ex, int dirfd, const char *dir,
			 struct shale_export_job **out, struct shale_err *err)
{
	struct shale_export_job *job = calloc(1, sizeof(*job));
	if (!job)
		return shale_err_set(err, ENOMEM, "export");
	job->ex = ex;
	job->dirfd = fcntl(dirfd, F_DUPFD_CLOEXEC, 0);
	job->dir = strdup(dir);
	if (job->dirfd < 0 || !job->dir) {
		int r = shale_err_set(err, job->dir ? errno : ENOMEM, "export");
		free_job(job);
		return r;
	}
	*out = job;
	return 0;
}

int shale_export_job_add(struct shale_export_job *job, const char *name,
			 const struct shale_attr *attr,
			 struct shale_export_first *first,
			 struct shale_err *err)
{
	struct file file = {
		.attr = *attr,
		.first = first,
		.name = job->names.len,
	};
	if (shale_buf_append(&job->names, name, strlen(name) + 1) < 0 ||
	    shale_buf_append(&job->files, &file, sizeof(file)) < 0)
		return shale_err_set(err, ENOMEM, "export");
	job->bytes += attr->size;
	return 0;
}

bool shale_export_job_full(const struct shale_export_job *job)
{
	return job->bytes >= JOB_BYTES ||
	       job->files.len >= JOB_FILES * sizeof(struct file);
}
