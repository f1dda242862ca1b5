/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/gc_impl.h"

#include "layers/base/buf.h"
#include "layers/base/cleanup.h"
#include "layers/base/io.h"
#include "layers/blob/blobs_sweep.h"
#include "layers/store/compact_file.h"
#include "layers/store/hold.h"
#include "layers/store/lock.h"
#include "layers/store/oci.h"
#include "tests/lib/check.h"
#include "tests/unit/stored.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---------------------------------------------------------------- helpers */

static int add_root(void *arg, shale_gc_add *add, void *to,
		    struct shale_err *err)
{
	return add(to, arg, "a test", err);
}

static struct shale_gc_result gc(struct shale_store *store,
				 const struct shale_digest *root)
{
	struct shale_gc_result sum = {0};
	struct shale_err err;
	const struct shale_gc_opts opts = {.roots = root ? add_root : NULL,
					   .arg = (void *)root};
	CHECK_OK(shale_gc(store, &opts, &sum, &err));
	return sum;
}

static bool has(struct shale_store *store, const struct shale_digest *digest)
{
	return shale_blobs_has(shale_store_blobs(store), digest);
}

static struct shale_digest put(struct shale_store *store, const char *text)
{
	struct shale_digest digest;
	struct shale_err err;
	CHECK_OK(shale_blobs_put(shale_store_blobs(store), text, strlen(text),
				 &digest, &err));
	return digest;
}

/* Times of files come by ticks: what comes next is later. */
static void tick(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
}

/* A chain of three, of which the middle one is forgotten. */
struct chain {
	struct shale_store *store;
	struct shale_version *v[3];
};

static struct chain chain(void)
{
	struct chain c = {.store = stored_new()};
	struct shale_err err;
	c.v[0] = stored_publish(c.store, NULL, "a", "d", "v1", false);
	c.v[1] = stored_publish(c.store, c.v[0], "b", "d", "v2", false);
	c.v[2] = stored_publish(c.store, c.v[0], "c", "d", "v3", false);
	CHECK_OK(shale_store_untag(c.store, "d", "v2", true, &err));
	tick();
	return c;
}

static void end(struct chain *c)
{
	for (int i = 0; i < 3; i++)
		shale_version_free(c->v[i]);
	shale_store_close(c->store);
}

static bool whole(const struct chain *c, int i)
{
	struct shale_version *v = NULL;
	struct shale_err err;
	bool good = shale_store_manifest(c->store, &c->v[i]->digest, &v,
					 &err) == 0 &&
		    shale_version_present(c->store, v, &err) == 0;
	shale_version_free(v);
	return good;
}

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

/* ------------------------------------------------------------------ caches */

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
