/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/store/take.h"
#include "tests/lib/check.h"
#include "tests/unit/stored.h"

#include <errno.h>

/* A store with the line v1, v2 of "sales" (tagged so), and a stranger in
 * "other". */
static struct shale_store *store;
static struct shale_version *v1, *v2, *stranger;

static void setup(void)
{
	store = stored_new();
	v1 = stored_publish(store, NULL, "a", "sales", "v1", false);
	v2 = stored_publish(store, v1, "b", "sales", "v2", false);
	stranger = stored_publish(store, NULL, "c", "other", "x", false);
}

static void teardown(void)
{
	shale_version_free(v1);
	shale_version_free(v2);
	shale_version_free(stranger);
	shale_store_close(store);
}

static struct shale_take take_one(const struct shale_version *v,
				  const char *repo, const char *tag, bool force)
{
	struct shale_err err = {0};
	struct shale_take item = {.version = v, .repo = repo, .tag = tag};
	CHECK_OK(shale_store_take(store, &item, 1, force, &err));
	return item;
}

TEST(a_new_tag_is_set)
{
	setup();
	struct shale_take t = take_one(v1, "sales", "gold", false);
	CHECK_INT(t.outcome, SHALE_TAKEN_NEW);
	CHECK(!t.new_version);
	stored_is(store, "sales:gold", v1);
	teardown();
}

TEST(a_tag_that_names_it_already_stays)
{
	setup();
	CHECK_INT(take_one(v1, "sales", "v1", false).outcome, SHALE_TAKEN_SAME);
	stored_is(store, "sales:v1", v1);
	teardown();
}

TEST(a_tag_moves_forward_along_its_line)
{
	setup();
	CHECK_INT(take_one(v2, "sales", "v1", false).outcome,
		  SHALE_TAKEN_FORWARD);
	stored_is(store, "sales:v1", v2);
	teardown();
}

TEST(a_tag_does_not_move_back)
{
	setup();
	CHECK_INT(take_one(v1, "sales", "v2", false).outcome,
		  SHALE_TAKEN_OLDER);
	stored_is(store, "sales:v2", v2);
	teardown();
}

TEST(a_tag_of_another_line_stays_and_the_version_comes_in)
{
	setup();
	struct shale_take t = take_one(stranger, "sales", "v2", false);
	CHECK_INT(t.outcome, SHALE_TAKEN_KEPT);
	CHECK(t.new_version);
	CHECK(shale_digest_equal(&t.was, &v2->digest));
	stored_is(store, "sales:v2", v2);
	teardown();
}

TEST(force_moves_any_tag_and_loses_no_version)
{
	setup();
	struct shale_version_list list;
	struct shale_err err = {0};
	CHECK_INT(take_one(stranger, "sales", "v2", true).outcome,
		  SHALE_TAKEN_MOVED);
	stored_is(store, "sales:v2", stranger);
	CHECK_OK(shale_store_versions(store, "sales", &list, &err));
	CHECK_INT(list.n, 3);
	shale_version_list_release(&list);
	teardown();
}

TEST(a_version_without_a_tag_comes_in)
{
	setup();
	struct shale_take t = take_one(stranger, "sales", NULL, false);
	CHECK_INT(t.outcome, SHALE_TAKEN_NEW);
	CHECK(t.new_version);
	CHECK(!take_one(stranger, "sales", NULL, false).new_version);
	teardown();
}

TEST(a_version_whose_blobs_are_not_here_is_refused)
{
	setup();
	struct shale_err err = {0};
	struct shale_version copy = *v2;
	struct shale_take item = {
		.version = &copy, .repo = "sales", .tag = "v3"};
	copy.digest.b[0] ^= 1;
	CHECK_INT(shale_store_take(store, &item, 1, false, &err), -ENOKEY);
	teardown();
}
