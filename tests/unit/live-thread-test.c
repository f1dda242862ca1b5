/* SPDX-License-Identifier: Apache-2.0 */
/* Many threads, and commits among them. */
#include "tests/lib/check.h"
#include "tests/unit/live-rig.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { THREADS = 4, ROUNDS = 120 };

static struct rig *rig;
static atomic_int failures;

static void expect(bool ok)
{
	if (!ok)
		atomic_fetch_add(&failures, 1);
}

/* Each thread has names of its own in directories that all share. */
static void *worker(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;
	struct shale_live *live = rig->live;
	struct shale_make file = {.mode = S_IFREG | 0644};
	uint64_t shared = rig_ino(rig, "shared");

	for (unsigned i = 0; i < ROUNDS; i++) {
		struct shale_node node, found;
		char name[32], other[32], data[64], back[64];
		uint64_t dirs[2] = {rig_ino(rig, "a"), rig_ino(rig, "b")};
		size_t got;

		snprintf(name, sizeof(name), "t%u-%u", me, i);
		snprintf(other, sizeof(other), "u%u-%u", me, i);
		memset(data, (int)('a' + me), sizeof(data));
		expect(shale_live_make(live, &rig_caller, dirs[i % 2], name,
				       strlen(name), &file, &node) == 0);
		/* without content of its own, as most files of an image */
		expect(shale_live_getattr(live, node.ino, &found) == 0);
		expect(found.size == 0);
		expect(shale_live_write(live, &rig_caller, node.ino, 0, data,
					sizeof(data), false) == 0);
		expect(shale_live_write(live, &rig_caller, shared, me * 5000,
					data, sizeof(data), false) == 0);
		expect(shale_live_rename(live, &rig_caller, dirs[i % 2], name,
					 strlen(name), dirs[(i / 2) % 2], other,
					 strlen(other), 0) == 0);
		expect(shale_live_lookup(live, dirs[(i / 2) % 2], other,
					 strlen(other), &found) == 0);
		expect(found.ino == node.ino && found.size == sizeof(data));
		expect(shale_live_read(live, shared, me * 5000, back,
				       sizeof(back), &got, NULL) == 0);
		expect(got == sizeof(back) && !memcmp(back, data, got));
		if (i % 3)
			expect(shale_live_unlink(live, &rig_caller,
						 dirs[(i / 2) % 2], other,
						 strlen(other)) == 0);
		if (i % 50 == 0)
			expect(shale_live_fsync(live, node.ino, false, NULL) == 0 ||
			       i % 3);
	}
	return NULL;
}

TEST(threads_and_commits_do_not_disturb_each_other)
{
	pthread_t threads[THREADS];
	struct shale_live_counts counts;
	struct shale_err err;

	rig = rig_new();
	rig_make(rig, "a", S_IFDIR | 0755);
	rig_make(rig, "b", S_IFDIR | 0755);
	rig_file(rig, "shared", "");
	for (uintptr_t i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, worker, (void *)i) ==
		      0);
	for (int i = 0; i < 20; i++) {
		uint32_t frozen;
		uint64_t pos;
		CHECK_OK(shale_live_freeze(rig->live, &frozen, &pos, &err));
		CHECK_OK(shale_db_pause_at(rig->ws->db, pos, &err));
		shale_db_resume(rig->ws->db);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	CHECK_INT(atomic_load(&failures), 0);
	CHECK_INT(shale_live_counts(rig->live, &counts), 0);
	CHECK_INT(counts.inodes, 4 + THREADS * ROUNDS / 3);
	rig_commit(rig);
	rig_remount(rig);
	CHECK_INT(shale_live_counts(rig->live, &counts), 0);
	CHECK_INT(counts.inodes, 4 + THREADS * ROUNDS / 3);
	CHECK_INT(counts.dirty_inodes, 0);
	rig_free(rig);
}
