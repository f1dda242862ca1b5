/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/store/oci.h"

#include "layers/store/oci_scan.h"
#include "tests/lib/check.h"
#include "tests/unit/stored.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct shale_oci_index *good_index(void)
{
	struct shale_oci_index *ix = shale_oci_index_new();
	struct shale_err err;
	struct shale_version_entry e = {
		.digest = stored_digest(1),
		.repo = (char *)"sales",
		.tag = (char *)"v1",
		.created = {1000000, 0},
		.size = 5000,
	};
	CHECK(ix);
	CHECK_OK(shale_oci_index_add(ix, &e, 700, &err));
	e.tag = NULL;
	e.digest = stored_digest(2);
	e.parent = stored_digest(1);
	e.has_parent = true;
	e.created = (struct timespec){2000000, 5};
	CHECK_OK(shale_oci_index_add(ix, &e, 701, &err));
	e.repo = (char *)"registry.example.org:5000/a/b";
	e.tag = (char *)"latest";
	CHECK_OK(shale_oci_index_add(ix, &e, 701, &err));
	return ix;
}

static bool same_entries(const struct shale_oci_index *a,
			 const struct shale_oci_index *b)
{
	if (shale_oci_index_count(a) != shale_oci_index_count(b))
		return false;
	for (size_t i = 0; i < shale_oci_index_count(a); i++) {
		const struct shale_version_entry *x = shale_oci_index_entry(a,
									    i),
						 *y = shale_oci_index_entry(b,
									    i);
		if (!shale_digest_equal(&x->digest, &y->digest) ||
		    strcmp(x->repo, y->repo) || !x->tag != !y->tag ||
		    (x->tag && strcmp(x->tag, y->tag)) ||
		    x->created.tv_sec != y->created.tv_sec ||
		    x->created.tv_nsec != y->created.tv_nsec ||
		    x->has_parent != y->has_parent ||
		    (x->has_parent &&
		     !shale_digest_equal(&x->parent, &y->parent)) ||
		    x->size != y->size ||
		    shale_oci_index_manifest_size(a, i) !=
			    shale_oci_index_manifest_size(b, i))
			return false;
	}
	return true;
}

TEST(an_index_survives_its_text)
{
	struct shale_oci_index *a = good_index(), *b;
	struct shale_err err;
	cleanup_buf struct shale_buf text = {0};

	CHECK_OK(shale_oci_index_encode(a, &text, &err));
	CHECK_OK(shale_oci_index_decode(&b, text.data, text.len, &err));
	CHECK(same_entries(a, b));
	CHECK(strstr(shale_buf_str(&text),
		     "\"org.opencontainers.image.ref.name\":\"sales:v1\""));
	shale_oci_index_free(a);
	shale_oci_index_free(b);
}

TEST(an_index_cut_short_anywhere_is_damaged)
{
	struct shale_oci_index *a = good_index(), *b;
	cleanup_buf struct shale_buf text = {0};

	CHECK_INT(shale_oci_index_encode(a, &text, NULL), 0);
	for (size_t n = 0; n < text.len; n++)
		CHECK_INT(shale_oci_index_decode(&b, text.data, n, NULL),
			  -EUCLEAN);
	shale_oci_index_free(a);
}

TEST(an_index_with_any_bit_flipped_says_the_same_or_is_damaged)
{
	struct shale_oci_index *a = good_index(), *b;
	cleanup_buf struct shale_buf text = {0};

	CHECK_INT(shale_oci_index_encode(a, &text, NULL), 0);
	for (size_t i = 0; i < text.len * 8; i++) {
		text.data[i / 8] ^= (uint8_t)(1 << i % 8);
		int r = shale_oci_index_decode(&b, text.data, text.len, NULL);
		if (r == 0) {
			if (!same_entries(a, b))
				shale_test_fail(__FILE__, __LINE__,
						"bit %zu: %.40s", i,
						text.data + i / 8);
			shale_oci_index_free(b);
		} else {
			CHECK_INT(r, -EUCLEAN);
		}
		text.data[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	shale_oci_index_free(a);
}

TEST(descriptors_and_fields_of_others_are_kept)
{
	static const char text[] =
		"{\"schemaVersion\":2,\"annotations\":{\"k\":\"v\"},"
		"\"manifests\":[{\"mediaType\":\"m\",\"digest\":"
		"\"sha256:"
		"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015"
		"ad\",\"size\":7,\"platform\":{\"os\":\"linux\"}}]}";
	struct shale_oci_index *ix, *good = good_index();
	struct shale_err err;
	struct shale_digest digest, abc;
	cleanup_buf struct shale_buf out = {0};

	shale_sha256("abc", 3, &abc);
	CHECK_OK(shale_oci_index_decode(&ix, text, strlen(text), &err));
	CHECK_INT(shale_oci_index_count(ix), 0);
	CHECK_OK(shale_oci_index_foreign(ix, 0, &digest));
	CHECK(shale_digest_equal(&digest, &abc));
	CHECK_INT(shale_oci_index_foreign(ix, 1, &digest), -ENOENT);
	CHECK_OK(shale_oci_index_add(ix, shale_oci_index_entry(good, 0), 9,
				     &err));
	CHECK_OK(shale_oci_index_encode(ix, &out, &err));
	const char *s = shale_buf_str(&out);
	CHECK(strstr(s, "\"platform\":{\"os\":\"linux\"}"));
	CHECK(strstr(s, "\"annotations\":{\"k\":\"v\","));
	CHECK(strstr(s, "sales:v1"));
	shale_oci_index_free(ix);
	shale_oci_index_free(good);
}

/* v0 … v99, a line; every third has a second tag in another repository. */
static struct shale_oci_index *long_index(void)
{
	struct shale_oci_index *ix = shale_oci_index_new();
	struct shale_err err;
	for (int i = 0; i < 100; i++) {
		char tag[8];
		snprintf(tag, sizeof(tag), "v%d", i);
		struct shale_version_entry e = {
			.digest = stored_digest(i),
			.repo = (char *)"sales",
			.tag = i % 10 == 9 ? NULL : tag,
			.created = {1000 + i, 7},
			.parent = stored_digest(i - 1),
			.has_parent = i > 0,
			.size = 1,
		};
		CHECK_OK(shale_oci_index_add(ix, &e, 9, &err));
		e.repo = (char *)"h.org:5000/sales";
		e.tag = tag;
		if (i % 3 == 0)
			CHECK_OK(shale_oci_index_add(ix, &e, 9, &err));
	}
	return ix;
}

TEST(a_tag_is_found_without_decoding_all)
{
	struct shale_oci_index *ix = long_index(), *part;
	cleanup_buf struct shale_buf text = {0};

	CHECK_INT(shale_oci_index_encode(ix, &text, NULL), 0);
	for (int i = 0; i < 100; i++) {
		char tag[8];
		snprintf(tag, sizeof(tag), "v%d", i);
		int r = shale_oci_scan(&text, "sales", tag, i < 4 ? 0 : 4,
				       &part);
		CHECK_INT(r, i % 10 == 9 ? -EAGAIN : 0);
		if (r < 0)
			continue;
		/* all descriptors of each version, in the order of the line */
		size_t at = 0;
		for (int k = i; k >= (i < 4 ? i : i - 4); k--) {
			struct shale_digest d = stored_digest(k);
			for (int n = 0; n < 1 + (k % 3 == 0); n++, at++)
				CHECK(shale_digest_equal(
					&shale_oci_index_entry(part, at)
						 ->digest,
					&d));
		}
		CHECK_INT(shale_oci_index_count(part), at);
		shale_oci_index_free(part);
	}
	CHECK_INT(shale_oci_scan(&text, "sales", "v", 0, &part), -EAGAIN);
	CHECK_INT(shale_oci_scan(&text, "sale", "v1", 0, &part), -EAGAIN);
	CHECK_INT(shale_oci_scan(&text, "sales", "v2", 3, &part), -EAGAIN);
	CHECK_INT(shale_oci_scan(&text, "sales", "v90", 33, &part), -EAGAIN);
	shale_oci_index_free(ix);
}

TEST(a_text_that_is_not_as_written_is_not_scanned)
{
	struct shale_oci_index *ix = good_index(), *part;
	cleanup_buf struct shale_buf text = {0};

	CHECK_INT(shale_oci_index_encode(ix, &text, NULL), 0);
	CHECK_INT(shale_oci_scan(&text, "sales", "v1", 0, &part), 0);
	shale_oci_index_free(part);
	for (size_t i = 0; i < text.len * 8; i++) {
		text.data[i / 8] ^= (uint8_t)(1 << i % 8);
		CHECK_INT(shale_oci_scan(&text, "sales", "v1", 0, &part),
			  -EAGAIN);
		text.data[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	size_t len = text.len;
	for (text.len = 0; text.len < len; text.len++)
		CHECK_INT(shale_oci_scan(&text, "sales", "v1", 0, &part),
			  -EAGAIN);
	text.len = len;
	struct shale_buf empty = {0};
	shale_oci_seal(&empty);
	CHECK_INT(shale_oci_scan(&empty, "sales", "v1", 0, &part), -EAGAIN);
	shale_oci_index_free(ix);
}

TEST(a_tag_that_stands_twice_is_damage)
{
	struct shale_oci_index *a = good_index(), *b;
	struct shale_err err = {0};
	cleanup_buf struct shale_buf text = {0};

	CHECK_OK(shale_oci_index_set_tag(a, 1, "v1", &err));
	CHECK_OK(shale_oci_index_encode(a, &text, &err));
	CHECK_INT(shale_oci_index_decode(&b, text.data, text.len, &err),
		  -EUCLEAN);
	CHECK_STR(err.msg, "index.json is damaged: entry 1: 'sales:v1' stands "
			   "twice");
	shale_oci_index_free(a);
}

TEST(tags_can_be_set_taken_away_and_entries_removed)
{
	struct shale_oci_index *a = good_index(), *b;
	struct shale_err err = {0};
	cleanup_buf struct shale_buf text = {0};

	CHECK_OK(shale_oci_index_set_tag(a, 0, NULL, &err));
	CHECK_OK(shale_oci_index_set_tag(a, 1, "v2", &err));
	shale_oci_index_remove(a, 2);
	CHECK_OK(shale_oci_index_encode(a, &text, &err));
	CHECK_OK(shale_oci_index_decode(&b, text.data, text.len, &err));
	CHECK_INT(shale_oci_index_count(b), 2);
	CHECK(shale_oci_index_entry(b, 0)->tag == NULL);
	CHECK_STR(shale_oci_index_entry(b, 1)->tag, "v2");
	shale_oci_index_free(a);
	shale_oci_index_free(b);
}
