/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_TOOLS_JOB_H
#define SHALE_TOOLS_JOB_H

/*
 * Long work that a library does, as who runs the command sees it: how far it
 * is, what went wrong on the way, and Ctrl-C.  A verb's own struct begins with
 * its job, so that the callbacks here and the verb's own take the same `arg`.
 */

#include "tools/cmd.h"

struct shale_job {
	struct shale_ctx *ctx;
	struct shale_progress *progress; /* NULL: nothing is shown */
	json_t *problems; /* an array to collect them; NULL: each a warning */
};

/* `arg` is a job, or what begins with one. */
bool shale_job_cancelled(void *arg);
void shale_job_progress(void *arg, uint64_t done, uint64_t total,
			uint64_t items, const char *what);
void shale_job_problem(void *arg, const char *path, const char *what);

#endif
