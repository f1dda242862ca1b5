/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/commit/levels.h"

#include "layers/base/cleanup.h"
#include "tests/lib/check.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/*
 * Random contents (levels, maps, limits, ranges) against the definition in
 * record.h, asked for one offset.
 */
enum {
	INO = 77,
	LEVELS = 4,
	RANGES = 5,
	REGIONS = 2,
	BLOCKS = REGIONS * SHALE_REGION_BLOCKS,
};

struct model {
	struct shale_db *db;
	struct shale_snapshot *snapshot;
	struct shale_rec_content content;
	struct shale_rec_range range[RANGES];
	uint8_t bits[LEVELS][REGIONS][SHALE_REGION_BYTES];
};

static uint64_t below(uint64_t n)
{
	return shale_test_random() % n;
}

/* Runs of present blocks, some regions without a record. */
static void random_maps(struct model *m, struct shale_batch *batch)
{
	for (uint32_t i = 0; i < m->content.n_files; i++)
		for (uint64_t region = 0; region < REGIONS; region++) {
			uint8_t *bits = m->bits[i][region];
			if (below(4) == 0)
				continue;
			for (uint64_t at = 0; at < SHALE_REGION_BLOCKS;) {
				uint64_t n = below(300) + 1;
				bool on = below(2);
				for (; n && at < SHALE_REGION_BLOCKS; n--, at++)
					if (on)
						bits[at / 8] |=
							(uint8_t)(1 << at % 8);
			}
			struct shale_key key = shale_key_map(
				INO, m->content.file[i].epoch, region);
			CHECK_INT(shale_batch_put(batch, key.b, key.len, bits,
						  SHALE_REGION_BYTES),
				  0);
		}
}

static void random_content(struct model *m)
{
	struct shale_rec_content *c = &m->content;
	uint64_t at = 0;

	c->size = below((uint64_t)BLOCKS * SHALE_BLOCK) + 1;
	c->n_files = (uint32_t)below(LEVELS + 1);
	for (uint32_t i = 0; i < c->n_files; i++)
		c->file[i] = (struct shale_rec_file){
			.epoch = 10 - i, .limit = below(c->size + 1)};
	c->ranges = m->range;
	while (c->n_ranges < RANGES && at < c->size) {
		struct shale_rec_range *r = &m->range[c->n_ranges];
		r->off = at + below(2) * below(100000);
		r->len = below(c->size) + 1;
		if (r->off >= c->size)
			break;
		if (r->len > c->size - r->off)
			r->len = c->size - r->off;
		at = r->off + r->len;
		c->n_ranges++;
	}
}

static void open_model(struct model *m)
{
	static int n;
	char path[300];
	struct shale_err err;
	cleanup_batch struct shale_batch batch = {0};
	const struct shale_db_opts opts = {.interval_ms = 60000};

	snprintf(path, sizeof(path), "%s/levels%d", shale_test_dir(), n++);
	CHECK(mkdir(path, 0700) == 0);
	cleanup_fd int fd = open(path, O_RDONLY | O_DIRECTORY);
	CHECK_OK(shale_db_open(&m->db, fd, &opts, &err));
	random_content(m);
	random_maps(m, &batch);
	CHECK_OK(shale_db_commit(m->db, &batch, NULL, NULL, &err));
	CHECK_OK(shale_db_advance(m->db, &err));
	CHECK_OK(shale_db_snapshot(m->db, &m->snapshot, &err));
}

static void close_model(struct model *m)
{
	struct shale_err err;
	shale_snapshot_close(m->snapshot);
	CHECK_OK(shale_db_close(m->db, &err));
	free(m);
}

/* What record.h says of one byte. */
static struct shale_run at_offset(const struct model *m, uint64_t off)
{
	const struct shale_rec_content *c = &m->content;
	uint64_t block = off / SHALE_BLOCK;

	for (uint32_t i = 0; i < c->n_files; i++) {
		uint64_t n = block % SHALE_REGION_BLOCKS;
		const uint8_t *bits = m->bits[i][block / SHALE_REGION_BLOCKS];
		if (bits[n / 8] >> n % 8 & 1)
			return (struct shale_run){.kind = SHALE_RUN_DATA,
						  .epoch = c->file[i].epoch};
		if (off >= c->file[i].limit)
			return (struct shale_run){.kind = SHALE_RUN_ZERO};
	}
	for (uint32_t i = 0; i < c->n_ranges; i++)
		if (off - c->ranges[i].off < c->ranges[i].len)
			return (struct shale_run){.kind = SHALE_RUN_RANGE,
						  .range = &c->ranges[i]};
	return (struct shale_run){.kind = SHALE_RUN_ZERO};
}

static void check_at(const struct model *m, const struct shale_run *run,
		     uint64_t off)
{
	struct shale_run want = at_offset(m, off);
	CHECK_INT(run->kind, want.kind);
	if (want.kind == SHALE_RUN_DATA)
		CHECK_INT(run->epoch, want.epoch);
	if (want.kind == SHALE_RUN_RANGE)
		CHECK(run->range == want.range);
}

TEST(runs_are_what_each_byte_shows)
{
	struct shale_err err;

	for (int round = 0; round < 12; round++) {
		struct model *m = calloc(1, sizeof(*m));
		struct shale_levels levels;
		open_model(m);
		shale_levels_init(&levels, m->snapshot, INO, &m->content);
		for (uint64_t off = 0; off < m->content.size;) {
			struct shale_run run;
			CHECK_OK(shale_levels_run(&levels, off, &run, &err));
			CHECK_INT(run.off, off);
			CHECK(run.len > 0);
			CHECK(run.len <= m->content.size - off);
			check_at(m, &run, off);
			check_at(m, &run, off + run.len - 1);
			for (uint64_t at = off; at < off + run.len;
			     at = (at | (SHALE_BLOCK - 1)) + 1)
				check_at(m, &run, at);
			check_at(m, &run, off + below(run.len));
			off += run.len;
		}
		close_model(m);
	}
}

TEST(a_block_map_of_the_wrong_size_is_damage)
{
	struct model *m = calloc(1, sizeof(*m));
	struct shale_err err;
	cleanup_batch struct shale_batch batch = {0};
	struct shale_levels levels;
	struct shale_run run;

	open_model(m);
	shale_snapshot_close(m->snapshot);
	m->content.n_files = 1;
	m->content.file[0].epoch = 3;
	struct shale_key key = shale_key_map(INO, 3, 0);
	CHECK_INT(shale_batch_put(&batch, key.b, key.len, "short", 5), 0);
	CHECK_OK(shale_db_commit(m->db, &batch, NULL, NULL, &err));
	CHECK_OK(shale_db_advance(m->db, &err));
	CHECK_OK(shale_db_snapshot(m->db, &m->snapshot, &err));
	shale_levels_init(&levels, m->snapshot, INO, &m->content);
	CHECK_INT(shale_levels_run(&levels, 0, &run, &err), -EUCLEAN);
	close_model(m);
}
