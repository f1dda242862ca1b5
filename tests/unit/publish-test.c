/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/store/store.h"

#include "layers/base/cleanup.h"
#include "layers/base/io.h"
#include "layers/store/lease.h"
#include "tests/lib/check.h"
#include "tests/unit/stored.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* -------------------------------------------------------------- publishing */

static void flip_blob(struct shale_store *s, const struct shale_digest *digest)
{
	char hex[65], path[100];
	uint8_t byte;
	shale_hex(hex, digest->b, 32);
	snprintf(path, sizeof(path), "blobs/sha256/%s", hex);
	CHECK(fchmodat(shale_store_dirfd(s), path, 0600, 0) == 0);
	int fd = openat(shale_store_dirfd(s), path, O_RDWR);
	CHECK(fd >= 0 && pread(fd, &byte, 1, 30) == 1);
	byte ^= 1;
	CHECK(pwrite(fd, &byte, 1, 30) == 1);
	close(fd);
}

static size_t lines(struct shale_store *s, const char *repo,
		    const struct shale_version *v, bool tagged)
{
	struct shale_version_list list;
	struct shale_err err;
	size_t n = 0;
	CHECK_OK(shale_store_versions(s, repo, &list, &err));
	for (size_t i = 0; i < list.n; i++)
		n += shale_digest_equal(&list.entries[i].digest, &v->digest) &&
		     !!list.entries[i].tag == tagged;
	shale_version_list_release(&list);
	return n;
}

TEST(moving_a_tag_never_loses_a_version)
{
	struct shale_store *s = stored_new();
	struct shale_err err;
	struct shale_version *a =
		stored_publish(s, NULL, "a", "sales", "v1", true);
	CHECK_INT(lines(s, "sales", a, true), 2);

	struct shale_version *b =
		stored_publish(s, a, "b", "sales", "v1", true);
	CHECK_INT(lines(s, "sales", a, true), 0);
	CHECK_INT(lines(s, "sales", a, false), 1);
	CHECK_INT(lines(s, "sales", b, true), 2);
	stored_is(s, "sales:v1", b);
	stored_is(s, "sales~1", a);

	CHECK_OK(shale_store_tag(s, &a->digest, "sales", "old", &err));
	CHECK_INT(lines(s, "sales", a, true), 1);
	CHECK_INT(lines(s, "sales", a, false), 0);
	CHECK_OK(shale_store_tag(s, &a->digest, "sales", "old", &err));
	CHECK_INT(lines(s, "sales", a, true), 1);
	shale_version_free(a);
	shale_version_free(b);
	shale_store_close(s);
}

TEST(a_tag_can_go_and_take_its_version_along)
{
	struct shale_store *s = stored_new();
	struct shale_err err;
	struct shale_version *v =
		stored_publish(s, NULL, "a", "sales", "v1", true);

	CHECK_INT(shale_store_untag(s, "sales", "v9", false, &err), -ENOKEY);
	CHECK_OK(shale_store_untag(s, "sales", "v1", true, &err));
	CHECK_INT(lines(s, NULL, v, true), 1); /* latest still names it */
	CHECK_OK(shale_store_untag(s, "sales", "latest", false, &err));
	CHECK_INT(lines(s, NULL, v, true), 0);
	CHECK_INT(lines(s, NULL, v, false), 1);
	CHECK_OK(shale_store_tag(s, &v->digest, "other", "x", &err));
	CHECK_OK(shale_store_tag(s, &v->digest, "sales", "y", &err));
	CHECK_OK(shale_store_untag(s, "other", "x", true, &err));
	CHECK_OK(shale_store_untag(s, "sales", "y", true, &err));
	CHECK_INT(lines(s, NULL, v, false), 0);
	CHECK_INT(shale_store_tag(s, &v->digest, "sales", "y", &err), -ENOKEY);
	shale_version_free(v);
	shale_store_close(s);
}

TEST(forgetting_takes_all_tags_of_the_versions_and_no_others)
{
	struct shale_store *s = stored_new();
	struct shale_version *v[4] = {0};
	struct shale_err err;
	size_t n;

	for (int i = 0; i < 4; i++) {
		char tag[4];
		snprintf(tag, sizeof(tag), "v%d", i);
		v[i] = stored_publish(s, i ? v[i - 1] : NULL, tag, "sales", tag,
				      true);
	}
	CHECK_OK(shale_store_tag(s, &v[1]->digest, "other", "kept", &err));
	struct shale_digest gone[] = {v[3]->digest, v[1]->digest, {{9}}};
	CHECK_OK(shale_store_forget(s, "sales", gone, 3, &n, &err));
	CHECK_INT(n, 2);
	CHECK_INT(lines(s, "sales", v[3], true), 0);
	CHECK_INT(lines(s, "sales", v[1], true), 0);
	CHECK_INT(lines(s, "other", v[1], true), 1);
	CHECK_INT(lines(s, "sales", v[0], true), 1);
	CHECK_INT(lines(s, "sales", v[2], true), 1);
	CHECK_OK(shale_store_forget(s, "sales", gone, 3, &n, &err));
	CHECK_INT(n, 0);

	struct shale_digest *foreign;
	CHECK_OK(shale_store_foreign(s, &foreign, &n, &err));
	CHECK_INT(n, 0);
	for (int i = 0; i < 4; i++)
		shale_version_free(v[i]);
	shale_store_close(s);
}

TEST(a_child_of_a_damaged_parent_can_be_published)
{
	struct shale_store *s = stored_new();
	struct shale_version *a =
		stored_publish(s, NULL, "a", "sales", "v1", true);
	flip_blob(s, &a->digest);
	struct shale_version *b =
		stored_publish(s, a, "b", "sales", "v2", true);
	stored_is(s, "sales:v2", b);
	shale_version_free(a);
	shale_version_free(b);
	shale_store_close(s);
}

TEST(creation_times_never_go_back)
{
	struct shale_store *s = stored_new();
	struct shale_version *v[5] = {0};

	v[0] = stored_publish(s, NULL, "f", "sales", NULL, false);
	for (int i = 1; i < 5; i++) {
		/* from a clock that stands in 1970 */
		struct shale_version c = *v[i - 1];
		struct shale_err err;
		c.repo = NULL;
		c.tags = NULL;
		c.n_tags = 0;
		c.description.parent = v[i - 1]->digest;
		c.description.has_parent = true;
		c.description.created = (struct timespec){1, 999999999};
		CHECK_OK(shale_store_publish(s, &c, i == 3 ? "other" : "sales",
					     NULL, false, &err));
		CHECK_OK(shale_store_version(s, &c.digest, &v[i], &err));
		struct timespec *was = &v[i - 1]->description.created;
		struct timespec *is = &v[i]->description.created;
		CHECK_INT((is->tv_sec - was->tv_sec) * 1000000000 +
				  is->tv_nsec - was->tv_nsec,
			  1);
	}
	for (int i = 0; i < 5; i++)
		shale_version_free(v[i]);
	shale_store_close(s);
}

TEST(a_version_tells_what_was_published)
{
	struct shale_store *s = stored_new();
	struct shale_version_list list;
	struct shale_err err;
	struct shale_version *a =
		stored_publish(s, NULL, "a", "h.org:5000/sales", "v1", false);
	struct shale_version *b =
		stored_publish(s, a, "b", "h.org:5000/sales", "v2", true);

	CHECK_STR(b->repo, "h.org:5000/sales");
	CHECK_INT(b->n_tags, 2);
	CHECK_INT(b->n_trees, 2);
	CHECK_STR(b->description.message, "b");
	CHECK_OK(shale_store_versions(s, NULL, &list, &err));
	CHECK_INT(list.n, 3);
	CHECK(shale_digest_equal(&list.entries[0].digest, &b->digest));
	CHECK(shale_digest_equal(&list.entries[0].parent, &a->digest));
	CHECK_INT(list.entries[0].size, b->trees[1].size);
	shale_version_list_release(&list);
	shale_version_free(a);
	shale_version_free(b);
	shale_store_close(s);
}

TEST(a_bad_name_is_refused_before_anything_is_written)
{
	struct shale_store *s = stored_new();
	struct shale_err err;
	struct shale_version *v =
		stored_publish(s, NULL, "a", "sales", "v1", false);

	CHECK_INT(shale_store_publish(s, v, "Sales", "v1", false, &err),
		  -EINVAL);
	CHECK_INT(shale_store_publish(s, v, "sales", "-v1", false, &err),
		  -EINVAL);
	CHECK_INT(shale_store_tag(s, &v->digest, "sales", "a/b", &err),
		  -EINVAL);
	CHECK_INT(lines(s, NULL, v, true), 1);
	shale_version_free(v);
	shale_store_close(s);
}

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

	flip_blob(s, &v->digest);
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
