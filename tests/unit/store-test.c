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
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
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

/* -------------------------------------------------------------- publishing */

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
	stored_flip(s, &a->digest);
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
