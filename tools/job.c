/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/job.h"

#include "tools/output.h"

#include <string.h>

bool shale_job_cancelled(void *arg)
{
	(void)arg;
	return shale_interrupted();
}

void shale_job_progress(void *arg, uint64_t done, uint64_t total,
			uint64_t items, const char *what)
{
	const struct shale_job *job = arg;
	shale_progress_set(job->progress, done, total, items, what);
}

void shale_job_problem(void *arg, const char *path, const char *what)
{
	const struct shale_job *job = arg;
	if (!job->problems) {
		shale_warn(job->ctx, "%s: %s", path, what);
		return;
	}
	json_t *one = json_object();
	shale_json_path(one, path, strlen(path));
	json_object_set_new(one, "problem", json_string(what));
	json_array_append_new(job->problems, one);
}
