/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/store/oci.h"

#include "tests/lib/check.h"
#include "tests/unit/stored.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------ description */

static void good_description(struct shale_description *d)
{
	static struct shale_label labels[] = {
		{(char *)"team", (char *)"sales"},
		{(char *)"empty", (char *)""},
	};
	static struct shale_digest also[2];

	also[0] = stored_digest(70);
	also[1] = stored_digest(71);
	*d = (struct shale_description){
		.author = (char *)"A. N. Other <a@example.org>",
		.message = (char *)"quarter\nthree: \"r\xc3\xa9sum\xc3\xa9\"",
		.data_version = (char *)"2026.3",
		.labels = labels,
		.n_labels = 2,
		.created = {1795383901, 123456789},
		.parent = stored_digest(7),
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
	config = (struct shale_layer_desc){stored_digest(99), 321};
	return &config;
}

static void good_version(struct shale_version *v)
{
	*v = (struct shale_version){0};
	good_description(&v->description);
	for (int i = 0; i < 3; i++)
		trees[i] =
			(struct shale_layer_desc){stored_digest(i), 1000u + i};
	for (int i = 0; i < 2; i++)
		data[i] = (struct shale_layer_desc){stored_digest(10 + i),
						    1u << i};
	v->trees = trees;
	v->n_trees = 3;
	v->data = data;
	v->n_data = 2;
	v->metadata = (struct shale_layer_desc){stored_digest(20), 5};
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
