/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/base/buf.h"
#include "layers/base/cleanup.h"
#include "layers/base/io.h"
#include "layers/blob/blobs_sweep.h"
#include "layers/store/compact_file.h"
#include "layers/store/hold.h"
#include "layers/store/lock.h"
#include "layers/store/oci.h"
#include "tests/lib/check.h"
#include "tests/unit/gc-rig.h"
#include "tests/unit/stored.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* -------------------------------------------------------------- deciding */

struct named {
	unsigned n, documents;
};

static int count(void *arg, const struct shale_digest *digest, bool document)
{
	struct named *named = arg;
	(void)digest;
	named->n++;
	named->documents += document;
	return 0;
}

#define D  "\"digest\":\"sha256:" X X X X "\",\"size\":1"
#define X  "0123456789abcdef"
#define MT "\"mediaType\":"

TEST(a_manifest_needs_its_config_layers_manifests_and_subject)
{
	static const struct {
		const char *text;
		int r;
		unsigned n, documents;
	} cases[] = {
		{"{\"config\":{" MT "\"c\"," D "},\"layers\":[{" MT "\"l\"," D
		 "},{" MT "\"l\"," D "}]}",
		 0, 3, 0},
		{"{\"manifests\":[{" MT "\"" SHALE_MEDIA_MANIFEST "\"," D
		 "},{" MT "\"" SHALE_MEDIA_INDEX "\"," D "}]}",
		 0, 2, 2},
		{"{\"subject\":{" MT "\"" SHALE_MEDIA_MANIFEST "\"," D
		 "},\"blobs\":[{" MT "\"b\"," D "}]}",
		 0, 2, 1},
		{"{\"layers\":[{" MT "\"l\",\"digest\":\"sha512:00\",\"size\":"
		 "1}]}",
		 0, 0, 0},
		{"{\"annotations\":{\"note\":\"sha256:" X X X X "\"}}", 0, 0,
		 0},
		{"{\"layers\":[{" MT "\"l\",\"digest\":\"sha256:00\",\"size\":"
		 "1}]}",
		 -EUCLEAN, 0, 0},
		{"{\"layers\":[{" D "}]}", -EUCLEAN, 0, 0},
		{"{\"layers\":[1]}", -EUCLEAN, 0, 0},
		{"[]", -EUCLEAN, 0, 0},
		{"{", -EUCLEAN, 0, 0},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct named named = {0};
		struct shale_err err;
		CHECK_INT(shale_gc_follow(cases[i].text, strlen(cases[i].text),
					  count, &named, &err),
			  cases[i].r);
		if (cases[i].r == 0) {
			CHECK_INT(named.n, cases[i].n);
			CHECK_INT(named.documents, cases[i].documents);
		}
	}
}

TEST(garbage_is_young_while_a_lease_is_as_old)
{
	struct shale_gc_marks marks = {
		.leases = {.any = true, .oldest = {100, 5}}};
	static const struct {
		struct timespec time;
		bool young;
	} cases[] = {
		{{99, 999999999}, false}, {{100, 4}, false}, {{100, 5}, true},
		{{100, 6}, true},         {{101, 0}, true},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		CHECK_INT(shale_gc_is_young(&marks, &cases[i].time),
			  cases[i].young);
	marks.leases.any = false;
	CHECK(!shale_gc_is_young(&marks, &cases[4].time));
}

/* ------------------------------------------------------------------ runs */

TEST(what_only_a_forgotten_version_needed_goes)
{
	struct chain c = chain();
	struct shale_gc_result sum = gc(c.store, NULL);

	/* manifest, description and tree */
	CHECK_INT(sum.freed[SHALE_GC_BLOB].n, 3);
	CHECK(sum.freed[SHALE_GC_BLOB].bytes > c.v[1]->trees[1].size);
	CHECK(whole(&c, 0));
	CHECK(!has(c.store, &c.v[1]->digest));
	CHECK(!has(c.store, &c.v[1]->trees[1].digest));
	CHECK(whole(&c, 2));
	CHECK_INT(gc(c.store, NULL).freed[SHALE_GC_BLOB].n, 0);
	end(&c);
}

TEST(what_a_root_of_the_caller_needs_stays)
{
	struct chain c = chain();

	CHECK_INT(gc(c.store, &c.v[1]->digest).freed[SHALE_GC_BLOB].n, 0);
	CHECK(whole(&c, 1));
	end(&c);
}

TEST(what_a_living_lease_names_stays_as_long_as_it_lives)
{
	struct chain c = chain();
	struct shale_err err;
	int fd;

	CHECK_OK(shale_store_hold(c.store, &c.v[1]->digest, 1, &fd, &err));
	CHECK_INT(gc(c.store, NULL).freed[SHALE_GC_BLOB].n, 0);
	CHECK(whole(&c, 1));
	close(fd);
	struct shale_gc_result sum = gc(c.store, NULL);
	CHECK_INT(sum.freed[SHALE_GC_BLOB].n, 3);
	CHECK_INT(sum.leases, 1);
	CHECK_INT(shale_store_hold(c.store, &c.v[1]->digest, 1, &fd, &err),
		  -ENOKEY);
	end(&c);
}

TEST(garbage_older_than_all_leases_goes_and_younger_stays)
{
	struct chain c = chain();
	struct shale_err err;
	int lease;
	struct shale_digest old = put(c.store, "old garbage");

	tick();
	CHECK_OK(shale_store_lease(c.store, &lease, &err));
	struct shale_digest young = put(c.store, "young, to be named soon");
	struct shale_gc_result sum = gc(c.store, NULL);
	CHECK(!has(c.store, &old));
	CHECK(has(c.store, &young));
	CHECK_INT(sum.young.n, 1);
	close(lease);
	gc(c.store, NULL);
	CHECK(!has(c.store, &young));
	end(&c);
}

TEST(garbage_that_is_published_again_is_young)
{
	struct chain c = chain();
	struct shale_err err;
	int lease;
	struct shale_digest old = put(c.store, "found again");

	tick();
	CHECK_OK(shale_store_lease(c.store, &lease, &err));
	put(c.store, "found again");
	gc(c.store, NULL);
	CHECK(has(c.store, &old));
	close(lease);
	end(&c);
}

TEST(garbage_that_somebody_will_name_is_young)
{
	struct chain c = chain();
	struct shale_err err;
	int lease;
	struct shale_blobs *blobs = shale_store_blobs(c.store);
	struct shale_digest old = put(c.store, "will be named"),
			    gone = put(c.store, "will not");

	tick();
	CHECK_OK(shale_store_lease(c.store, &lease, &err));
	CHECK_OK(shale_blobs_refresh(blobs, &old, &err));
	gc(c.store, NULL);
	CHECK(has(c.store, &old));
	CHECK(!has(c.store, &gone));
	CHECK_INT(shale_blobs_refresh(blobs, &gone, &err), -ENOENT);
	close(lease);
	end(&c);
}

TEST(only_the_very_file_that_was_seen_is_removed)
{
	struct chain c = chain();
	cleanup_buf struct shale_buf list = {0};
	struct shale_err err;
	bool removed[2] = {true, true};
	struct shale_blobs *blobs = shale_store_blobs(c.store);
	struct shale_blob_seen seen[2] = {0};
	struct shale_digest twice = put(c.store, "published twice"),
			    once = put(c.store, "published once");

	tick();
	CHECK_OK(shale_blobs_list(blobs, &list, &err));
	struct shale_blob_seen *all = (void *)list.data;
	for (size_t i = 0; i < list.len / sizeof(*all); i++)
		if (shale_digest_equal(&all[i].digest, &twice))
			seen[0] = all[i];
		else if (shale_digest_equal(&all[i].digest, &once))
			seen[1] = all[i];
	put(c.store, "published twice");
	CHECK_OK(shale_blobs_remove(blobs, seen, 2, removed, &err));
	CHECK(!removed[0]);
	CHECK(removed[1]);
	CHECK(has(c.store, &twice));
	CHECK(!has(c.store, &once));
	end(&c);
}

TEST(who_asks_while_gc_removes_waits_for_the_answer)
{
	struct chain c = chain();
	struct shale_err err;
	int lock, ready[2];
	char path[100] = "blobs/sha256/", byte;

	shale_hex(path + strlen(path), c.v[1]->digest.b, 32);
	CHECK(pipe(ready) == 0);
	pid_t gc_pid = fork();
	if (gc_pid == 0) { /* has marked before the root was written */
		if (shale_lock_take(shale_store_dirfd(c.store), 1000, &lock,
				    NULL) < 0 ||
		    write(ready[1], "x", 1) != 1)
			_exit(1);
		nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
		_exit(unlinkat(shale_store_dirfd(c.store), path, 0) != 0);
	}
	CHECK(read(ready[0], &byte, 1) == 1);
	CHECK(has(c.store, &c.v[1]->digest));
	CHECK_INT(shale_store_settle(c.store, &c.v[1]->digest, 1, &err),
		  -ENOKEY);
	int status;
	CHECK(waitpid(gc_pid, &status, 0) == gc_pid && status == 0);
	close(ready[0]);
	close(ready[1]);
	end(&c);
}

TEST(a_version_whose_blobs_went_is_not_published)
{
	struct chain c = chain();
	struct shale_err err;
	struct shale_version_list list;
	struct shale_version next = {.trees = c.v[1]->trees,
				     .n_trees = c.v[1]->n_trees};

	gc(c.store, NULL);
	CHECK_INT(shale_store_publish(c.store, &next, "d", "late", false, &err),
		  -EUCLEAN);
	CHECK_OK(shale_store_versions(c.store, NULL, &list, &err));
	CHECK_INT(list.n, 2);
	shale_version_list_release(&list);
	end(&c);
}
