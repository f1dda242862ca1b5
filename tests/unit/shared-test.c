/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/store/shared.h"

#include "layers/store/compact_file.h"
#include "tests/lib/check.h"
#include "tests/unit/stored.h"

#include <string.h>

/* Trees are letters: 'a' is the digest that begins with it. */
static struct shale_layer_desc tree(char letter)
{
	return (struct shale_layer_desc){.digest = {{(uint8_t)letter}},
					 .size = 1};
}

static size_t trees(struct shale_layer_desc *out, const char *letters)
{
	size_t n = strlen(letters);
	CHECK(n <= 16);
	for (size_t i = 0; i < n; i++)
		out[i] = tree(letters[i]);
	return n;
}

/* The store knows that `whole` stands for these. */
static void merge(struct shale_store *store, char whole, const char *parts)
{
	struct shale_layer_desc part[16];
	struct shale_digest digest[16];
	struct shale_compact_file f = {.merged = tree(whole), .trees = digest};
	char name[SHALE_COMPACT_NAME];
	struct shale_err err;

	f.n_trees = trees(part, parts);
	for (size_t i = 0; i < f.n_trees; i++)
		digest[i] = part[i].digest;
	CHECK_INT(shale_compact_file_name(part, f.n_trees, name), 0);
	CHECK_OK(shale_compact_file_write(store, name, &f, &err));
}

static void check_shared(struct shale_store *store, const char *a,
			 const char *b, size_t in_a, size_t in_b)
{
	struct shale_layer_desc x[16], y[16];
	struct shale_version v = {.trees = x}, w = {.trees = y};
	struct shale_err err;
	size_t n, m;

	v.n_trees = trees(x, a);
	w.n_trees = trees(y, b);
	CHECK_OK(shale_versions_shared(store, &v, &w, &n, &m, &err));
	CHECK_INT(n, in_a);
	CHECK_INT(m, in_b);
	CHECK_OK(shale_versions_shared(store, &w, &v, &m, &n, &err));
	CHECK_INT(n, in_a);
	CHECK_INT(m, in_b);
}

TEST(the_trees_at_the_bottom_that_are_the_same_are_shared)
{
	struct shale_store *store = stored_new();
	check_shared(store, "abc", "abc", 3, 3);
	check_shared(store, "abc", "abcde", 3, 3);
	check_shared(store, "abcx", "abcde", 3, 3);
	check_shared(store, "abc", "xbc", 0, 0);
	shale_store_close(store);
}

TEST(a_merged_tree_is_what_it_was_merged_from)
{
	struct shale_store *store = stored_new();
	merge(store, 'M', "abcd");
	check_shared(store, "abcde", "Mef", 5, 2);
	check_shared(store, "abcd", "M", 4, 1);
	check_shared(store, "abcdx", "Mef", 4, 1);
	shale_store_close(store);
}

TEST(merges_of_merges_are_written_out)
{
	struct shale_store *store = stored_new();
	merge(store, 'M', "abcd");
	merge(store, 'N', "Mef");
	check_shared(store, "abcdefg", "Ngh", 7, 2);
	check_shared(store, "Mefg", "Ngh", 4, 2);
	shale_store_close(store);
}

TEST(what_ends_inside_of_a_merged_tree_is_not_shared)
{
	struct shale_store *store = stored_new();
	merge(store, 'M', "bcd");
	check_shared(store, "abc", "aMe", 1, 1);
	check_shared(store, "abcd", "aMe", 4, 2);
	shale_store_close(store);
}

TEST(a_merge_that_names_itself_ends)
{
	struct shale_store *store = stored_new();
	merge(store, 'M', "MM");
	check_shared(store, "Ma", "xa", 0, 0);
	shale_store_close(store);
}
