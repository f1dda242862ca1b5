/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_COMMIT_LEVELS_H
#define SHALE_COMMIT_LEVELS_H

/*
 * The content of one dirty file, as a snapshot of its workspace has it: a row
 * of runs, each from one data file, from one range, or zeros.  See record.h for
 * what shows through what.  One thread.
 */

#include "fs/live/record.h"
#include "fs/workspace/db.h"

enum shale_run_kind { SHALE_RUN_ZERO, SHALE_RUN_DATA, SHALE_RUN_RANGE };

struct shale_run {
	enum shale_run_kind kind;
	uint64_t off, len;
	uint32_t epoch; /* data: of the data file */
	const struct shale_rec_range *range;
};

struct shale_levels {
	struct shale_snapshot *snapshot;
	uint64_t ino;
	const struct shale_rec_content *content;
	struct {
		uint64_t region; /* whose map is loaded; UINT64_MAX: none */
		uint8_t bits[SHALE_REGION_BYTES];
	} map[SHALE_CONTENT_FILES];
};

void shale_levels_init(struct shale_levels *levels,
		       struct shale_snapshot *snapshot, uint64_t ino,
		       const struct shale_rec_content *content);

/*
 * The run that starts at `off` (below the size).  Neighbouring runs of one kind
 * may come apart.
 */
int shale_levels_run(struct shale_levels *levels, uint64_t off,
		     struct shale_run *out, struct shale_err *err);

#endif
