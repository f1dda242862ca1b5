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

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

TEST(a_prepared_merge_stays_while_its_trees_are_needed)
{
	struct chain c = chain();
	struct shale_err err;
	char name[SHALE_COMPACT_NAME], second[SHALE_COMPACT_NAME];
	struct shale_digest merged = put(c.store, "a merged tree");
	struct shale_digest twice = put(c.store, "a merge of that");
	struct shale_digest trees[2] = {c.v[2]->trees[0].digest,
					c.v[2]->trees[1].digest};
	struct shale_digest above[2] = {merged, trees[1]};
	struct shale_layer_desc names[2] = {{.digest = merged},
					    {.digest = trees[1]}};
	struct shale_compact_file f = {
		.merged = {merged, 13}, .trees = trees, .n_trees = 2};

	CHECK_OK(shale_compact_file_name(c.v[2]->trees, 2, name));
	CHECK_OK(shale_compact_file_write(c.store, name, &f, &err));
	f.merged = (struct shale_layer_desc){twice, 15};
	f.trees = above;
	CHECK_OK(shale_compact_file_name(names, 2, second));
	CHECK_OK(shale_compact_file_write(c.store, second, &f, &err));
	tick();

	CHECK_INT(gc(c.store, NULL).freed[SHALE_GC_MERGE].n, 0);
	CHECK(has(c.store, &merged));
	CHECK(has(c.store, &twice));
	CHECK_OK(shale_store_untag(c.store, "d", "v3", true, &err));
	CHECK_INT(gc(c.store, NULL).freed[SHALE_GC_MERGE].n, 2);
	CHECK(!has(c.store, &merged));
	CHECK(!has(c.store, &twice));
	CHECK_INT(shale_compact_file_read(c.store, name, &f, &err), -ENOENT);
	end(&c);
}

TEST(an_index_goes_with_the_trees_that_it_merges)
{
	struct chain c = chain();
	struct shale_err err;
	char name[80];

	for (int i = 0; i < 3; i++)
		CHECK_OK(shale_store_need_index(c.store, &c.v[i], 1, name, NULL,
						&err));
	CHECK_INT(gc(c.store, NULL).freed[SHALE_GC_INDEX].n, 1);
	CHECK_INT(gc(c.store, NULL).freed[SHALE_GC_INDEX].n, 0);
	end(&c);
}

TEST(files_of_dead_processes_go_and_those_of_the_living_stay)
{
	struct chain c = chain();
	struct shale_err err;
	char dead[64], living[64];
	int lease, fd, dir = shale_store_dirfd(c.store);

	CHECK_OK(shale_blobs_create(shale_store_blobs(c.store), &fd, dead,
				    &err));
	close(fd);
	close(openat(dir, ".index.json.77.tmp", O_CREAT | O_WRONLY, 0600));
	tick();
	CHECK_OK(shale_store_lease(c.store, &lease, &err));
	CHECK_OK(shale_blobs_create(shale_store_blobs(c.store), &fd, living,
				    &err));
	tick();
	CHECK_INT(gc(c.store, NULL).freed[SHALE_GC_TMP].n, 2);
	CHECK(faccessat(dir, ".index.json.77.tmp", F_OK, 0) < 0);
	struct stat st;
	CHECK(fstat(fd, &st) == 0 && st.st_nlink == 1);
	close(lease);
	CHECK_INT(gc(c.store, NULL).freed[SHALE_GC_TMP].n, 1);
	close(fd);
	end(&c);
}

/* ------------------------------------------------------------ doing nothing */

/* Names, inodes, sizes and times of all that is there, in one hash. */
static uint64_t picture(int dirfd, const char *name)
{
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY);
	DIR *dir = fdopendir(fd);
	uint64_t sum = 0;
	CHECK(dir);
	for (const struct dirent *d; (d = readdir(dir));) {
		struct stat st;
		struct {
			char name[256];
			uint64_t ino, size, s, ns;
		} key = {0};
		if (!strcmp(d->d_name, ".."))
			continue;
		CHECK(fstatat(fd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0);
		snprintf(key.name, sizeof(key.name), "%s", d->d_name);
		key.ino = st.st_ino;
		key.size = (uint64_t)st.st_size;
		key.s = (uint64_t)st.st_ctim.tv_sec;
		key.ns = (uint64_t)st.st_ctim.tv_nsec;
		sum += shale_xxh64(&key, sizeof(key));
		if (S_ISDIR(st.st_mode) && strcmp(d->d_name, ".") != 0)
			sum += picture(fd, d->d_name);
	}
	closedir(dir);
	return sum;
}

TEST(a_dry_run_tells_the_same_and_changes_nothing_at_all)
{
	struct chain c = chain();
	struct shale_gc_result told = {0};
	struct shale_err err;
	char name[80];
	int lease;

	CHECK_OK(shale_store_need_index(c.store, &c.v[1], 1, name, NULL, &err));
	CHECK_OK(shale_store_lease(c.store, &lease, &err));
	close(lease);
	tick();
	const struct shale_gc_opts opts = {.dry_run = true};
	uint64_t before = picture(shale_store_dirfd(c.store), ".");
	CHECK_OK(shale_gc(c.store, &opts, &told, &err));
	CHECK(picture(shale_store_dirfd(c.store), ".") == before);
	CHECK_INT(told.leases, 1);

	struct shale_gc_result done = gc(c.store, NULL);
	CHECK_MEM(&done.freed, &told.freed, sizeof(done.freed));
	CHECK_INT(done.freed[SHALE_GC_BLOB].n, 3);
	CHECK_INT(done.freed[SHALE_GC_INDEX].n, 1);
	CHECK(picture(shale_store_dirfd(c.store), ".") != before);
	end(&c);
}

TEST(what_cannot_be_told_is_a_reason_to_remove_nothing)
{
	struct chain c = chain();
	struct shale_err err;
	struct shale_gc_result sum;
	const struct shale_gc_opts opts = {0};
	char path[100] = "blobs/sha256/";

	shale_hex(path + strlen(path), c.v[2]->digest.b, 32);
	CHECK(renameat(shale_store_dirfd(c.store), path,
		       shale_store_dirfd(c.store), "tmp/away") == 0);
	CHECK_INT(shale_gc(c.store, &opts, &sum, &err), -EUCLEAN);
	CHECK(strstr(err.msg, "nothing is removed"));
	CHECK(whole(&c, 1));
	CHECK(renameat(shale_store_dirfd(c.store), "tmp/away",
		       shale_store_dirfd(c.store), path) == 0);
	gc(c.store, NULL);
	CHECK(whole(&c, 2));
	end(&c);
}

TEST(images_of_others_stay_with_all_that_they_name)
{
	struct chain c = chain();
	struct shale_err err;
	char layer_text[SHALE_DIGEST_STR], text[600], inner_text[600];
	struct shale_digest layer = put(c.store, "a layer of another tool");

	shale_digest_str(&layer, layer_text);
	snprintf(inner_text, sizeof(inner_text),
		 "{\"layers\":[{\"mediaType\":\"x\",\"digest\":\"%s\","
		 "\"size\":23}]}",
		 layer_text);
	struct shale_digest inner = put(c.store, inner_text);
	shale_digest_str(&inner, layer_text);
	snprintf(text, sizeof(text),
		 "{\"manifests\":[{\"mediaType\":\"" SHALE_MEDIA_MANIFEST
		 "\",\"digest\":\"%s\",\"size\":%zu}]}",
		 layer_text, strlen(inner_text));
	struct shale_digest outer = put(c.store, text);
	shale_digest_str(&outer, layer_text);
	char index[700];
	snprintf(index, sizeof(index),
		 "{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"%s\","
		 "\"digest\":\"%s\",\"size\":%zu}]}",
		 SHALE_MEDIA_INDEX, layer_text, strlen(text));
	CHECK_OK(shale_file_replace(shale_store_dirfd(c.store), "index.json",
				    index, strlen(index), &err));
	tick();
	gc(c.store, NULL);
	CHECK(has(c.store, &outer));
	CHECK(has(c.store, &inner));
	CHECK(has(c.store, &layer));
	CHECK(!has(c.store, &c.v[0]->digest));
	end(&c);
}
