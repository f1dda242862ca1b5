/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/store/oci.h"

#include "layers/store/oci_scan.h"
#include "tests/lib/check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct shale_digest digest_of(int n)
{
	struct shale_digest d;
	shale_sha256(&n, sizeof(n), &d);
	return d;
}

/* ------------------------------------------------------------ description */

static void good_description(struct shale_description *d)
{
	static struct shale_label labels[] = {
		{(char *)"team", (char *)"sales"},
		{(char *)"empty", (char *)""},
	};
	static struct shale_digest also[2];

	also[0] = digest_of(70);
	also[1] = digest_of(71);
	*d = (struct shale_description){
		.author = (char *)"A. N. Other <a@example.org>",
		.message = (char *)"quarter\nthree: \"r\xc3\xa9sum\xc3\xa9\"",
		.data_version = (char *)"2026.3",
		.labels = labels,
		.n_labels = 2,
		.created = {1795383901, 123456789},
		.parent = digest_of(7),
		.has_parent = true,
		.next_ino = 4711,
		.inodes = 4000,
		.bytes = 1ull << 62,
		.also = also,
		.n_also = 2,
	};
}

TEST(a_description_survives_its_text)
{
	struct shale_description a, b;
	struct shale_err err = {0};
	cleanup_buf struct shale_buf text = {0};

	good_description(&a);
	CHECK_OK(shale_oci_description_encode(&a, &text, &err));
	CHECK_OK(shale_oci_description_decode(text.data, text.len, &b, &err));
	CHECK_STR(b.author, a.author);
	CHECK_STR(b.message, a.message);
	CHECK_STR(b.data_version, a.data_version);
	CHECK_INT(b.n_labels, 2);
	CHECK_STR(b.labels[0].key, "team");
	CHECK_STR(b.labels[1].value, "");
	CHECK_INT(b.created.tv_sec, a.created.tv_sec);
	CHECK_INT(b.created.tv_nsec, a.created.tv_nsec);
	CHECK(b.has_parent && shale_digest_equal(&a.parent, &b.parent));
	CHECK_INT(b.n_also, 2);
	CHECK(shale_digest_equal(&a.also[1], &b.also[1]));
	CHECK_INT(b.next_ino, 4711);
	CHECK_INT(b.inodes, 4000);
	CHECK_INT(b.bytes, 1ll << 62);
	shale_description_release(&b);
}

TEST(a_description_with_nothing_given_survives_too)
{
	struct shale_description a = {.next_ino = 2}, b;
	struct shale_err err = {0};
	cleanup_buf struct shale_buf text = {0};

	CHECK_OK(shale_oci_description_encode(&a, &text, &err));
	CHECK_OK(shale_oci_description_decode(text.data, text.len, &b, &err));
	CHECK(!b.author && !b.message && !b.has_parent && !b.n_labels);
	shale_description_release(&b);
}

TEST(a_message_that_is_not_utf8_is_refused_at_encoding)
{
	struct shale_description d;
	struct shale_err err = {0};
	cleanup_buf struct shale_buf text = {0};

	good_description(&d);
	d.message = (char *)"r\xe9sum\xe9";
	CHECK_INT(shale_oci_description_encode(&d, &text, &err), -EILSEQ);
	CHECK_STR(err.msg, "message is not UTF-8");
	good_description(&d);
	d.bytes = UINT64_MAX;
	CHECK_INT(shale_oci_description_encode(&d, &text, &err), -EOVERFLOW);
}

static int decode_description_text(const char *text)
{
	struct shale_description d = {0};
	struct shale_err err = {0};
	int r = shale_oci_description_decode(text, strlen(text), &d, &err);
	if (r == 0)
		shale_description_release(&d);
	else
		CHECK(err.msg[0]);
	return r;
}

TEST(a_hostile_description_is_refused)
{
#define D "\"created\":\"2026-01-01T00:00:00Z\",\"inodes\":1,\"bytes\":1"
	static const char *const bad[] = {
		"",
		"{}",
		"[]",
		"null",
		"{" D "}",
		"{" D ",\"nextInode\":1}",
		"{" D ",\"nextInode\":-5}",
		"{" D ",\"nextInode\":1.5}",
		"{" D ",\"nextInode\":\"7\"}",
		"{" D ",\"nextInode\":1099511627777}",
		"{" D ",\"nextInode\":99999999999999999999999}",
		"{" D ",\"nextInode\":7,\"nextInode\":8}",
		"{" D ",\"nextInode\":7,\"author\":5}",
		"{" D ",\"nextInode\":7,\"author\":null}",
		"{" D ",\"nextInode\":7,\"author\":\"a\\u0000b\"}",
		"{" D ",\"nextInode\":7,\"author\":\"\xff\"}",
		"{" D ",\"nextInode\":7,\"labels\":[]}",
		"{" D ",\"nextInode\":7,\"labels\":{\"a\":1}}",
		"{" D ",\"nextInode\":7,\"labels\":{\"a\":\"\",\"a\":\"\"}}",
		"{" D ",\"nextInode\":7,\"parent\":\"sha256:12\"}",
		"{" D ",\"nextInode\":7,\"also\":{}}",
		"{" D ",\"nextInode\":7,\"also\":[\"x\"]}",
		"{" D ",\"nextInode\":7,\"also\":[null]}",
		"{" D ",\"nextInode\":7} trailing",
		"{\"created\":\"yesterday\",\"inodes\":1,\"bytes\":1,"
		"\"nextInode\":7}",
		"{\"created\":\"2h\",\"inodes\":1,\"bytes\":1,"
		"\"nextInode\":7}",
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (decode_description_text(bad[i]) != -EUCLEAN)
			shale_test_fail(__FILE__, __LINE__, "took '%s'",
					bad[i]);
	CHECK_INT(decode_description_text("{" D ",\"nextInode\":7,"
					  "\"later\":{\"x\":[1]}}"),
		  0);
}

TEST(a_deeply_nested_description_is_refused)
{
	cleanup_buf struct shale_buf text = {0};
	for (int i = 0; i < 100000; i++)
		shale_buf_append(&text, "[", 1);
	struct shale_description d;
	CHECK_INT(shale_oci_description_decode(text.data, text.len, &d, NULL),
		  -EUCLEAN);
	CHECK_INT(shale_oci_description_decode(
			  text.data, SHALE_DESCRIPTION_LIMIT + 1, &d, NULL),
		  -EUCLEAN);
}

/* --------------------------------------------------------------- manifest */

static struct shale_layer_desc trees[3], data[2];
static const struct shale_layer_desc *config_of(void)
{
	static struct shale_layer_desc config;
	config = (struct shale_layer_desc){digest_of(99), 321};
	return &config;
}

static void good_version(struct shale_version *v)
{
	*v = (struct shale_version){0};
	good_description(&v->description);
	for (int i = 0; i < 3; i++)
		trees[i] = (struct shale_layer_desc){digest_of(i), 1000u + i};
	for (int i = 0; i < 2; i++)
		data[i] = (struct shale_layer_desc){digest_of(10 + i), 1u << i};
	v->trees = trees;
	v->n_trees = 3;
	v->data = data;
	v->n_data = 2;
	v->metadata = (struct shale_layer_desc){digest_of(20), 5};
	v->has_metadata = true;
}

static int decode_manifest(const void *text, size_t len,
			   struct shale_version *v)
{
	struct shale_layer_desc config;
	struct shale_err err = {0};
	*v = (struct shale_version){0};
	int r = shale_oci_manifest_decode(text, len, v, &config, &err);
	if (r < 0) {
		CHECK(err.msg[0]);
		free(v->trees);
		free(v->data);
	}
	return r;
}

TEST(a_manifest_lists_trees_bottom_first_then_data_then_metadata)
{
	struct shale_version a, b = {0};
	struct shale_layer_desc config;
	struct shale_err err = {0};
	cleanup_buf struct shale_buf text = {0};

	good_version(&a);
	CHECK_OK(shale_oci_manifest_encode(&a, config_of(), &text, &err));
	CHECK_OK(shale_oci_manifest_decode(text.data, text.len, &b, &config,
					   &err));
	CHECK_INT(b.n_trees, 3);
	CHECK_INT(b.n_data, 2);
	CHECK(shale_digest_equal(&config.digest, &config_of()->digest));
	CHECK_INT(config.size, 321);
	for (int i = 0; i < 3; i++) {
		CHECK(shale_digest_equal(&b.trees[i].digest, &trees[i].digest));
		CHECK_INT(b.trees[i].size, 1000 + i);
	}
	CHECK(shale_digest_equal(&b.data[1].digest, &data[1].digest));
	CHECK(b.has_metadata);
	CHECK_INT(b.metadata.size, 5);

	const char *s = shale_buf_str(&text);
	CHECK(strstr(s, "\"artifactType\":\"application/vnd.shale.image.v1\""));
	CHECK(strstr(s, "\"schemaVersion\":2"));
	const char *t = strstr(s, "shale.tree.v1"), *d = strstr(s, "data.v1");
	CHECK(t && d && t < d && d < strstr(s, "metadata.v1+json"));
	free(b.trees);
	free(b.data);
}

TEST(a_manifest_cut_short_anywhere_is_refused)
{
	struct shale_version a, b;
	cleanup_buf struct shale_buf text = {0};

	good_version(&a);
	CHECK_INT(shale_oci_manifest_encode(&a, config_of(), &text, NULL), 0);
	for (size_t n = 0; n < text.len; n++)
		CHECK_INT(decode_manifest(text.data, n, &b), -EUCLEAN);
}

TEST(a_manifest_with_any_bit_flipped_never_crashes)
{
	struct shale_version a, b;
	cleanup_buf struct shale_buf text = {0};

	good_version(&a);
	CHECK_INT(shale_oci_manifest_encode(&a, config_of(), &text, NULL), 0);
	for (size_t i = 0; i < text.len * 8; i++) {
		text.data[i / 8] ^= (uint8_t)(1 << i % 8);
		if (decode_manifest(text.data, text.len, &b) == 0) {
			free(b.trees);
			free(b.data);
		}
		text.data[i / 8] ^= (uint8_t)(1 << i % 8);
	}
}

/* Encode a good manifest, replace the first `from` by `to`, decode. */
static int decode_changed(const char *from, const char *to)
{
	struct shale_version a, b;
	cleanup_buf struct shale_buf text = {0}, changed = {0};

	good_version(&a);
	CHECK_INT(shale_oci_manifest_encode(&a, config_of(), &text, NULL), 0);
	const char *s = shale_buf_str(&text), *at = strstr(s, from);
	CHECK(at);
	shale_buf_append(&changed, s, (size_t)(at - s));
	shale_buf_printf(&changed, "%s%s", to, at + strlen(from));
	int r = decode_manifest(changed.data, changed.len, &b);
	if (r == 0) {
		free(b.trees);
		free(b.data);
	}
	return r;
}

TEST(a_hostile_manifest_is_refused)
{
	static const struct {
		const char *from, *to;
	} bad[] = {
		{"\"config\":{", "\"config\":[{"},
		{"\"config\":", "\"cfg\":"},
		{"\"layers\":[", "\"layers\":7,\"l\":["},
		{"\"layers\":[", "\"layers\":[],\"l\":["},
		{"\"layers\":[", "\"layers\":[7,"},
		{"\"layers\":[", "\"layers\":[{},"},
		{"\"layers\":[", "\"layers\":[[],"},
		{"\"size\":1000", "\"size\":-1"},
		{"\"size\":1000", "\"size\":1e3"},
		{"\"size\":1000", "\"size\":9223372036854775808"},
		{"\"size\":1000", "\"size\":\"1000\""},
		{"\"size\":1000", "\"size\":1000,\"size\":1000"},
		{"\"digest\":\"sha256:", "\"digest\":\""},
		{"\"digest\":\"sha256:", "\"digest\":\"sha512:"},
		{"\"digest\":\"sha256:", "\"digest\":\"sha256:../"},
		{"data.v1", "metadata.v1+json"},
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (decode_changed(bad[i].from, bad[i].to) != -EUCLEAN)
			shale_test_fail(__FILE__, __LINE__, "took %s",
					bad[i].to);
	CHECK_INT(decode_changed("\"layers\"", "\"later\":[{}],\"layers\""), 0);
}

TEST(layers_of_another_kind_are_not_guessed_at)
{
	CHECK_INT(decode_changed("shale.tree.v1", "shale.tree.v2"),
		  -EPROTONOSUPPORT);
	CHECK_INT(decode_changed("shale.image.v1", "other.image.v1"),
		  -EPROTONOSUPPORT);
	CHECK_INT(
		decode_changed("shale.description.v1", "shale.description.v2"),
		-EPROTONOSUPPORT);
	CHECK_INT(decode_changed("\"schemaVersion\":2", "\"schemaVersion\":1"),
		  -EPROTONOSUPPORT);
}

/* ------------------------------------------------------------- index.json */

static struct shale_oci_index *good_index(void)
{
	struct shale_oci_index *ix = shale_oci_index_new();
	struct shale_err err;
	struct shale_version_entry e = {
		.digest = digest_of(1),
		.repo = (char *)"sales",
		.tag = (char *)"v1",
		.created = {1000000, 0},
		.size = 5000,
	};
	CHECK(ix);
	CHECK_OK(shale_oci_index_add(ix, &e, 700, &err));
	e.tag = NULL;
	e.digest = digest_of(2);
	e.parent = digest_of(1);
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
			.digest = digest_of(i),
			.repo = (char *)"sales",
			.tag = i % 10 == 9 ? NULL : tag,
			.created = {1000 + i, 7},
			.parent = digest_of(i - 1),
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
			struct shale_digest d = digest_of(k);
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
