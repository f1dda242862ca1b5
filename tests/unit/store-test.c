/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/store/store.h"

#include "layers/base/cleanup.h"
#include "layers/base/io.h"
#include "layers/store/lease.h"
#include "layers/store/lock.h"
#include "layers/store/oci.h"
#include "tests/lib/check.h"
#include "tests/unit/stored.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static mode_t mode_of(struct shale_store *store, const char *name)
{
	struct stat st;
	CHECK(fstatat(shale_store_dirfd(store), name, &st, 0) == 0);
	return st.st_mode & 07777;
}

/* ----------------------------------------------------------------- making */

TEST(a_store_is_made_on_first_use_for_its_owner_only)
{
	struct shale_store *store;
	struct shale_err err;
	char path[300];
	snprintf(path, sizeof(path), "%s/deep/er/store", shale_test_dir());

	mode_t old = umask(0);
	CHECK_INT(shale_store_open(&store, path, false, &err), -ENODATA);
	CHECK_OK(shale_store_open(&store, path, true, &err));
	umask(old);
	CHECK_INT(mode_of(store, "."), 0700);
	CHECK_INT(mode_of(store, "blobs/sha256"), 0700);
	CHECK_INT(mode_of(store, "index.json"), 0600);
	CHECK_INT(mode_of(store, "oci-layout"), 0600);
	CHECK_INT(mode_of(store, "lock"), 0600);

	cleanup_buf struct shale_buf text = {0};
	CHECK_OK(shale_read_file(shale_store_dirfd(store), "oci-layout", 100,
				 &text, &err));
	CHECK_STR(shale_buf_str(&text), "{\"imageLayoutVersion\":\"1.0.0\"}\n");
	shale_store_close(store);
	CHECK_OK(shale_store_open(&store, path, false, &err));
	shale_store_close(store);
}

TEST(a_directory_with_something_else_in_it_is_not_made_a_store)
{
	struct shale_store *store;
	struct shale_err err;
	char path[300], file[320];
	snprintf(path, sizeof(path), "%s/home", shale_test_dir());
	snprintf(file, sizeof(file), "%s/letter", path);
	CHECK(mkdir(path, 0755) == 0);
	close(open(file, O_CREAT | O_WRONLY, 0644));

	CHECK_INT(shale_store_open(&store, path, true, &err), -ENODATA);
	CHECK(strstr(err.msg, "it has 'letter'"));
	CHECK_INT(shale_store_open(&store, path, false, &err), -ENODATA);
	snprintf(file, sizeof(file), "%s/blobs", path);
	CHECK(access(file, F_OK) < 0);
}

TEST(a_layout_of_a_later_kind_is_left_alone)
{
	struct shale_store *store = stored_new();
	struct shale_err err;
	cleanup_free char *path = strdup(shale_store_path(store));

	CHECK_OK(shale_file_replace(shale_store_dirfd(store), "oci-layout",
				    "{\"imageLayoutVersion\":\"2.0.0\"}", 30,
				    &err));
	shale_store_close(store);
	CHECK_INT(shale_store_open(&store, path, true, &err), -EPROTONOSUPPORT);
}

/* ------------------------------------------------------------- references */

TEST(a_line_of_versions_resolves_by_tag_digest_ancestor_and_time)
{
	struct shale_store *s = stored_new();
	struct shale_version *v[4] = {0};
	struct shale_err err;
	char hex[65], text[200];

	for (int i = 0; i < 4; i++) {
		char tag[4], file[4];
		snprintf(tag, sizeof(tag), "v%d", i);
		snprintf(file, sizeof(file), "f%d", i);
		v[i] = stored_publish(s, i ? v[i - 1] : NULL, file, "sales",
				      i == 2 ? NULL : tag, i < 3);
	}
	stored_is(s, "sales:v0", v[0]);
	stored_is(s, "sales", v[2]);
	stored_is(s, "sales~1", v[1]);
	stored_is(s, "sales:v3~", v[2]);
	stored_is(s, "sales:v3~3", v[0]);
	shale_hex(hex, v[2]->digest.b, 32);
	stored_is(s, hex, v[2]);
	snprintf(text, sizeof(text), "sales@sha256:%s~2", hex);
	stored_is(s, text, v[0]);
	snprintf(text, sizeof(text), "%.10s", hex);
	stored_is(s, text, v[2]);
	snprintf(text, sizeof(text), "sha256:%.6s", hex);
	stored_is(s, text, v[2]);
	snprintf(text, sizeof(text), "sales:v0@%.10s~1", hex);
	stored_is(s, text, v[1]);

	for (int i = 0; i < 4; i++) {
		struct shale_version *found;
		CHECK_OK(shale_store_resolve(s, "sales:v3",
					     &v[i]->description.created, &found,
					     &err));
		CHECK(shale_digest_equal(&found->digest, &v[i]->digest));
		shale_version_free(found);
	}
	struct shale_version *none;
	struct timespec before = {1000, 0};
	CHECK_INT(shale_store_resolve(s, "sales", &before, &none, &err),
		  -ENOKEY);
	CHECK_INT(shale_store_resolve(s, hex, &before, &none, &err), -EINVAL);
	CHECK_INT(shale_store_resolve(s, "sales~3", NULL, &none, &err),
		  -ENOKEY);
	CHECK(strstr(err.msg, "it has 2 ancestors here"));
	for (int i = 0; i < 4; i++)
		shale_version_free(v[i]);
	shale_store_close(s);
}

static const char *why_not(struct shale_store *s, const char *ref)
{
	static char text[1100];
	struct shale_err err;
	struct shale_version *v;
	CHECK_INT(shale_store_resolve(s, ref, NULL, &v, &err), -ENOKEY);
	const char *path = shale_store_path(s), *at = strstr(err.msg, path);
	CHECK(at);
	snprintf(text, sizeof(text), "%.*sSTORE%s", (int)(at - err.msg),
		 err.msg, at + strlen(path));
	return text;
}

TEST(what_is_not_there_is_told_with_what_is)
{
	struct shale_store *s = stored_new();

	CHECK_STR(why_not(s, "sales"),
		  "no image 'sales' in STORE; there is none at all");
	struct shale_version *a =
		stored_publish(s, NULL, "a", "sales", "v1", true);
	struct shale_version *b =
		stored_publish(s, a, "b", "sales", "v2", true);
	struct shale_version *c =
		stored_publish(s, b, "c", "sales", "v3", true);
	CHECK_STR(why_not(s, "sales:v9"),
		  "no image 'sales:v9' in STORE; its versions: v1 v2 v3 "
		  "(latest)");
	CHECK_STR(why_not(s, "sale:v9"),
		  "no image 'sale:v9' in STORE; there are: sales");
	CHECK_STR(why_not(s, "sales@abcdef0123"),
		  "no image 'sales@abcdef0123' in STORE; its versions: v1 v2 "
		  "v3 (latest)");
	CHECK_STR(why_not(s, "abcdef0123"),
		  "no image 'abcdef0123' in STORE; there are: sales");
	for (int i = 0; i < 12; i++) {
		char repo[16];
		struct shale_err err;
		snprintf(repo, sizeof(repo), "r%02d", i);
		CHECK_OK(shale_store_tag(s, &a->digest, repo, "x", &err));
	}
	CHECK_STR(why_not(s, "q"),
		  "no image 'q' in STORE; there are: sales r00 r01 r02 r03 r04 "
		  "r05 r06 r07 r08 ...");
	shale_version_free(a);
	shale_version_free(b);
	shale_version_free(c);
	shale_store_close(s);
}

TEST(an_ambiguous_prefix_lists_what_it_may_be)
{
	struct shale_store *s = stored_new();
	struct shale_oci_index *ix = shale_oci_index_new();
	struct shale_version *found;
	struct shale_err err;
	cleanup_buf struct shale_buf text = {0};

	for (int i = 0; i < 3; i++) {
		struct shale_version_entry e = {
			.digest = {{0xab, 0xcd, 0xef, (uint8_t)i}},
			.repo = (char *)(i == 2 ? "other" : "sales"),
			.created = {i, 0},
		};
		CHECK_OK(shale_oci_index_add(ix, &e, 1, &err));
	}
	CHECK_OK(shale_oci_index_encode(ix, &text, &err));
	CHECK_OK(shale_file_replace(shale_store_dirfd(s), "index.json",
				    text.data, text.len, &err));
	CHECK_INT(shale_store_resolve(s, "sales@abcdef", NULL, &found, &err),
		  -ENOKEY);
	CHECK_STR(err.msg, "'sales@abcdef' is ambiguous; it may be "
			   "abcdef00000000000000 abcdef01000000000000");
	CHECK_INT(shale_store_resolve(s, "abcdef", NULL, &found, &err),
		  -ENOKEY);
	CHECK(strstr(err.msg, "abcdef02000000000000"));
	/* one is meant, and its manifest is not there */
	CHECK_INT(shale_store_resolve(s, "abcdef02", NULL, &found, &err),
		  -EUCLEAN);
	shale_oci_index_free(ix);
	shale_store_close(s);
}

/* -------------------------------------------------------- several processes */

TEST(the_lock_names_its_holder_and_ends_with_it)
{
	struct shale_store *s = stored_new();
	struct shale_err err;
	int lock = -1, ready[2];
	CHECK(pipe(ready) == 0);

	pid_t pid = fork();
	if (pid == 0) {
		if (shale_lock_take(shale_store_dirfd(s), 0, &lock, NULL) < 0 ||
		    write(ready[1], "x", 1) != 1)
			_exit(1);
		pause();
	}
	char c, text[64];
	CHECK(read(ready[0], &c, 1) == 1);
	CHECK_INT(shale_lock_take(shale_store_dirfd(s), 20, &lock, &err),
		  -EBUSY);
	snprintf(text, sizeof(text), "locked by process %d (", (int)pid);
	CHECK(strstr(err.msg, text));

	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	CHECK_OK(shale_lock_take(shale_store_dirfd(s), 0, &lock, &err));
	shale_lock_release(&lock);
	close(ready[0]);
	close(ready[1]);
	shale_store_close(s);
}

TEST(several_processes_publish_into_one_repository)
{
	enum { PROCESSES = 4, EACH = 6 };
	struct shale_store *s = stored_new();
	struct shale_version_list list;
	struct shale_err err;

	for (int p = 0; p < PROCESSES; p++)
		if (fork() == 0) {
			for (int i = 0; i < EACH; i++) {
				char name[16];
				snprintf(name, sizeof(name), "p%d.%d", p, i);
				shale_version_free(stored_publish(
					s, NULL, name, "sales", name, true));
			}
			_exit(0);
		}
	for (int p = 0; p < PROCESSES; p++) {
		int status;
		CHECK(wait(&status) > 0 && status == 0);
	}
	CHECK_OK(shale_store_versions(s, "sales", &list, &err));
	CHECK_INT(list.n, PROCESSES * EACH + 1);
	for (size_t i = 1; i < list.n; i++) {
		const struct timespec *a = &list.entries[i - 1].created,
				      *b = &list.entries[i].created;
		bool same = shale_digest_equal(&list.entries[i - 1].digest,
					       &list.entries[i].digest);
		CHECK(same || a->tv_sec > b->tv_sec ||
		      (a->tv_sec == b->tv_sec && a->tv_nsec > b->tv_nsec));
	}
	shale_version_list_release(&list);
	shale_store_close(s);
}

TEST(a_publisher_that_is_killed_leaves_the_old_state_or_the_new)
{
	struct shale_store *s = stored_new();
	struct shale_err err;

	for (int round = 0; round < 12; round++) {
		int done[2];
		CHECK(pipe(done) == 0);
		pid_t pid = fork();
		if (pid == 0) {
			for (int i = 0;; i++) {
				char name[24];
				snprintf(name, sizeof(name), "r%d.%d", round,
					 i);
				shale_version_free(stored_publish(
					s, NULL, name, "sales", name, true));
				if (write(done[1], &i, sizeof(i)) < 0)
					_exit(0);
			}
		}
		int last = -1, i;
		usleep(2000 + (useconds_t)(shale_test_random() % 20000));
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		close(done[1]);
		while (read(done[0], &i, sizeof(i)) == sizeof(i))
			last = i;
		close(done[0]);
		for (i = 0; i <= last; i++) {
			char ref[32];
			struct shale_version *v;
			snprintf(ref, sizeof(ref), "sales:r%d.%d", round, i);
			CHECK_OK(shale_store_resolve(s, ref, NULL, &v, &err));
			shale_version_free(v);
		}
	}
	shale_store_close(s);
}

TEST(a_lease_lives_as_long_as_its_process)
{
	struct shale_store *s = stored_new();
	struct shale_leases leases;
	struct shale_err err;
	struct shale_digest image = {{7}};
	int own, other;

	CHECK_OK(shale_leases_read(s, -1, &leases, &err));
	CHECK(!leases.any);
	shale_leases_release(&leases);

	CHECK_OK(shale_store_lease(s, &own, &err));
	CHECK_OK(shale_store_lease(s, &other, &err));
	CHECK_OK(shale_lease_add(other, &image, &err));
	CHECK_OK(shale_lease_add(other, &image, &err));
	CHECK_OK(shale_leases_read(s, own, &leases, &err));
	CHECK(leases.any);
	CHECK_INT(leases.n, 2);
	CHECK(shale_digest_equal(&leases.images[1], &image));
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	CHECK(now.tv_sec - leases.oldest.tv_sec < 10);
	shale_leases_release(&leases);

	close(other);
	CHECK_OK(shale_leases_read(s, own, &leases, &err));
	CHECK(!leases.any && leases.n == 0);
	shale_leases_release(&leases);
	CHECK_OK(shale_leases_read(s, -1, &leases, &err));
	CHECK(leases.any); /* our own, for somebody else */
	shale_leases_release(&leases);
	close(own);
	shale_store_close(s);
}
