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
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ----------------------------------------------------------------- damage */

static void write_index(struct shale_store *s, const void *data, size_t len)
{
	struct shale_err err;
	CHECK_OK(shale_file_replace(shale_store_dirfd(s), "index.json", data,
				    len, &err));
}

TEST(a_damaged_index_is_told_and_left_as_it_is)
{
	struct shale_store *s = stored_new();
	struct shale_err err;
	struct shale_version *found,
		*v = stored_publish(s, NULL, "a", "sales", "v1", false);
	cleanup_buf struct shale_buf good = {0}, now = {0};

	CHECK_OK(shale_read_file(shale_store_dirfd(s), "index.json", 1 << 20,
				 &good, &err));
	write_index(s, good.data, good.len / 2);
	CHECK_INT(shale_store_resolve(s, "sales:v1", NULL, &found, &err),
		  -EUCLEAN);
	CHECK(strstr(err.msg, "index.json is damaged"));
	CHECK(strstr(err.msg, "nothing was changed"));
	CHECK_INT(shale_store_publish(s, v, "sales", "v2", true, &err),
		  -EUCLEAN);
	CHECK_INT(shale_store_untag(s, "sales", "v1", true, &err), -EUCLEAN);
	CHECK_OK(shale_read_file(shale_store_dirfd(s), "index.json", 1 << 20,
				 &now, &err));
	CHECK_INT(now.len, good.len / 2);

	write_index(s, "", 0);
	CHECK_INT(shale_store_resolve(s, "sales:v1", NULL, &found, &err),
		  -EUCLEAN);
	CHECK(unlinkat(shale_store_dirfd(s), "index.json", 0) == 0);
	CHECK_INT(shale_store_resolve(s, "sales:v1", NULL, &found, &err),
		  -EUCLEAN);
	write_index(s, good.data, good.len);
	stored_is(s, "sales:v1", v);
	shale_version_free(v);
	shale_store_close(s);
}

TEST(a_damaged_or_missing_manifest_is_named)
{
	struct shale_store *s = stored_new();
	struct shale_err err;
	char text[SHALE_DIGEST_STR], path[100];
	struct shale_version *found,
		*v = stored_publish(s, NULL, "a", "sales", "v1", false);

	stored_flip(s, &v->digest);
	CHECK_INT(shale_store_resolve(s, "sales:v1", NULL, &found, &err),
		  -EUCLEAN);
	shale_digest_str(&v->digest, text);
	CHECK(strstr(err.msg, text));

	snprintf(path, sizeof(path), "blobs/sha256/%s", text + 7);
	CHECK(unlinkat(shale_store_dirfd(s), path, 0) == 0);
	CHECK_INT(shale_store_resolve(s, "sales:v1", NULL, &found, &err),
		  -EUCLEAN);
	CHECK(strstr(err.msg, text));

	struct shale_digest other = {{1}};
	CHECK_INT(shale_store_version(s, &other, &found, &err), -ENOKEY);
	shale_version_free(v);
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
