/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/base/cleanup.h"
#include "layers/ops/beneath.h"
#include "layers/ops/exclude.h"
#include "layers/ops/json_bytes.h"
#include "layers/ops/plan.h"
#include "tests/lib/check.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* ------------------------------------------------------------------- paths */

static int clean(const char *path, char *out)
{
	struct shale_err err;
	size_t len;
	memcpy(out, path, strlen(path) + 1);
	int r = shale_arrival_clean_path(out, &len, &err);
	return r < 0 ? r : (int)len;
}

TEST(paths_are_brought_into_one_form)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{"a/b", "a/b"}, {"/a/b/", "a/b"},   {"./a//./b", "a/b"},
		{"", ""},       {".", ""},          {"///", ""},
		{"...", "..."}, {"a/..b", "a/..b"}, {"./.", ""},
	};
	char out[64];
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CHECK_INT(clean(cases[i].in, out), strlen(cases[i].out));
		CHECK_STR(out, cases[i].out);
	}
}

TEST(paths_that_lead_out_are_refused)
{
	char out[64];
	CHECK_INT(clean("..", out), -EINVAL);
	CHECK_INT(clean("a/../b", out), -EINVAL);
	CHECK_INT(clean("/a/..", out), -EINVAL);
}

TEST(names_over_255_bytes_are_refused)
{
	char name[300], out[300];
	memset(name, 'n', 255);
	name[255] = '\0';
	CHECK_INT(clean(name, out), 255);
	memcpy(name + 255, "n", 2);
	CHECK_INT(clean(name, out), -EINVAL);
}

/* ----------------------------------------------------------------- exclude */

static bool excluded(const char *glob, const char *path, bool dir)
{
	struct shale_exclude ex = {&glob, 1};
	return shale_exclude_match_above(&ex, path, dir);
}

TEST(a_pattern_without_a_slash_is_held_against_the_last_name)
{
	CHECK(excluded("*.o", "a/b/c.o", false));
	CHECK(!excluded("*.o", "a/b.o.c", false));
	CHECK(excluded("*", ".hidden", false));
	CHECK(excluded("b", "a/b/c", false));
	CHECK(!excluded("b", "a/bb/c", false));
}

TEST(a_pattern_with_a_slash_is_held_against_the_whole_path)
{
	CHECK(excluded("a/*", "a/b", false));
	CHECK(excluded("/a/*", "a/b", false));
	CHECK(!excluded("b/*", "a/b/c", false));
	CHECK(excluded("a/b", "a/b/c/d", false));
}

TEST(a_pattern_that_ends_in_a_slash_matches_directories)
{
	CHECK(excluded("build/", "build", true));
	CHECK(!excluded("build/", "build", false));
	CHECK(excluded("build/", "x/build/y", false));
}

/* -------------------------------------------------------------------- plan */

static struct shale_arrival arrival(const char *path, uint32_t mode)
{
	return (struct shale_arrival){
		.path = path,
		.path_len = strlen(path),
		.attr = {.mode = mode, .mtime = {.tv_sec = 7}},
	};
}

static uint32_t add(struct shale_plan *plan, const char *path, uint32_t mode)
{
	struct shale_arrival a = arrival(path, mode);
	struct shale_err err;
	uint32_t name;
	CHECK_OK(shale_plan_add(plan, &a, &name, &err));
	return name;
}

/* Paths in walk order, with a space behind each. */
static const char *walk(struct shale_plan *plan)
{
	static char text[1024];
	cleanup_buf struct shale_buf path = {0};
	cleanup_free uint32_t *order = NULL;
	struct shale_err err;
	size_t n, at = 0;
	CHECK_OK(shale_plan_order(plan, &order, &n, &err));
	text[0] = '\0';
	for (size_t i = 1; i < n; i++) {
		CHECK_OK(shale_plan_path(plan, order[i], &path, &err));
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s ",
				       (char *)path.data);
	}
	return text;
}

static struct shale_plan_inode *at(struct shale_plan *plan, const char *path)
{
	uint32_t name = shale_plan_find(plan, path, strlen(path));
	CHECK(name != SHALE_PLAN_NONE);
	return shale_plan_inode(plan, shale_plan_name(plan, name)->inode);
}

TEST(a_plan_is_walked_by_the_bytes_of_names_directories_first)
{
	struct shale_plan plan;
	struct shale_err err;
	CHECK_OK(shale_plan_init(&plan, &err));
	add(&plan, "b/z", S_IFREG);
	add(&plan, "b", S_IFDIR | 0700);
	add(&plan, "b.c", S_IFREG);
	add(&plan, "a", S_IFREG);
	add(&plan, "b/y/x", S_IFREG);
	CHECK_STR(walk(&plan), "a b b/y b/y/x b/z b.c ");
	shale_plan_release(&plan);
}

TEST(missing_directories_are_made_and_told_apart)
{
	struct shale_plan plan;
	struct shale_err err;
	CHECK_OK(shale_plan_init(&plan, &err));
	add(&plan, "a/b/c", S_IFREG);
	CHECK(at(&plan, "a")->implied);
	CHECK_INT(at(&plan, "a")->attr.mode, S_IFDIR | 0755);
	CHECK_INT(at(&plan, "a/b")->attr.mtime.tv_sec, 7);
	add(&plan, "a", S_IFDIR | 0711);
	CHECK(!at(&plan, "a")->implied);
	CHECK_INT(at(&plan, "a")->attr.mode, S_IFDIR | 0711);
	CHECK_STR(walk(&plan), "a a/b a/b/c ");
	shale_plan_release(&plan);
}

TEST(what_is_replaced_goes_with_all_below_it)
{
	struct shale_plan plan;
	struct shale_err err;
	CHECK_OK(shale_plan_init(&plan, &err));
	add(&plan, "d/e/f", S_IFREG);
	add(&plan, "d/g", S_IFREG);
	add(&plan, "d", S_IFREG);
	CHECK_STR(walk(&plan), "d ");
	add(&plan, "d", S_IFDIR);
	CHECK_STR(walk(&plan), "d ");
	add(&plan, "d/e", S_IFREG);
	CHECK_STR(walk(&plan), "d d/e ");
	shale_plan_release(&plan);
}

TEST(nothing_can_be_below_a_file_or_a_symlink)
{
	struct shale_arrival below = arrival("f/x", S_IFREG);
	struct shale_plan plan;
	struct shale_err err;
	uint32_t name;
	CHECK_OK(shale_plan_init(&plan, &err));
	add(&plan, "f", S_IFREG);
	CHECK_INT(shale_plan_add(&plan, &below, &name, &err), -ENOTDIR);
	add(&plan, "f", S_IFLNK);
	CHECK_INT(shale_plan_add(&plan, &below, &name, &err), -ENOTDIR);
	shale_plan_release(&plan);
}

TEST(links_count_names_and_directories_their_subdirectories)
{
	struct shale_arrival link = arrival("d/l", S_IFREG);
	struct shale_plan plan;
	struct shale_err err;
	uint32_t name;
	CHECK_OK(shale_plan_init(&plan, &err));
	uint32_t f = shale_plan_name(&plan, add(&plan, "f", S_IFREG))->inode;
	add(&plan, "d/e", S_IFDIR);
	CHECK_OK(shale_plan_link(&plan, &link, f, &name, &err));
	shale_plan_count_links(&plan);
	CHECK_INT(at(&plan, "f")->attr.nlink, 2);
	CHECK_INT(at(&plan, "d")->attr.nlink, 3);
	CHECK_INT(at(&plan, "")->attr.nlink, 3);

	/* Its own name again changes nothing; the first name may go. */
	CHECK_OK(shale_plan_link(&plan, &link, f, &name, &err));
	add(&plan, "f", S_IFDIR);
	shale_plan_count_links(&plan);
	CHECK_INT(at(&plan, "d/l")->attr.nlink, 1);
	shale_plan_release(&plan);
}

TEST(a_plan_of_many_names_finds_each)
{
	struct shale_plan plan;
	struct shale_err err;
	char path[64];
	CHECK_OK(shale_plan_init(&plan, &err));
	for (int i = 0; i < 5000; i++) {
		snprintf(path, sizeof(path), "d%d/e/f%d", i % 7, i);
		add(&plan, path, S_IFREG);
	}
	for (int i = 0; i < 5000; i++) {
		snprintf(path, sizeof(path), "d%d/e/f%d", i % 7, i);
		CHECK(S_ISREG(at(&plan, path)->attr.mode));
	}
	CHECK_INT(shale_plan_find(&plan, "d1/e/f0", 7), SHALE_PLAN_NONE);
	shale_plan_release(&plan);
}

/* ------------------------------------------------------------------ others */

static const char *json(const char *data, size_t len)
{
	static struct shale_buf out;
	out.len = 0;
	CHECK_INT(shale_json_put_bytes(&out, "p", data, len), 0);
	return shale_buf_str(&out);
}

TEST(text_and_bytes_become_json)
{
	CHECK_STR(json("a", 1), "\"p\":\"a\"");
	CHECK_STR(json("a\"\\\n", 4), "\"p\":\"a\\\"\\\\\\u000a\"");
	CHECK_STR(json("\xc3\xa9", 2), "\"p\":\"\xc3\xa9\"");
	CHECK_STR(json("\xff", 1), "\"p\":\"\\\\xff\",\"p_b64\":\"/w==\"");
	CHECK_STR(json("a\xff\n", 3),
		  "\"p\":\"a\\\\xff\\\\x0a\",\"p_b64\":\"Yf8K\"");
	CHECK_STR(json("\xc0\xaf", 2),
		  "\"p\":\"\\\\xc0\\\\xaf\",\"p_b64\":\"wK8=\"");
	CHECK_STR(json("\xed\xa0\x80", 3),
		  "\"p\":\"\\\\xed\\\\xa0\\\\x80\",\"p_b64\":\"7aCA\"");
}

TEST(opening_beneath_follows_no_symlink_and_has_no_longest_path)
{
	cleanup_fd int top = open(shale_test_dir(), O_RDONLY | O_DIRECTORY);
	CHECK(top >= 0);
	CHECK_INT(symlinkat("/etc", top, "link"), 0);
	CHECK_INT(shale_beneath_open(top, "link", O_RDONLY, 0), -ELOOP);
	CHECK(shale_beneath_open(top, "link/passwd", O_RDONLY, 0) < 0);
	CHECK_INT(shale_beneath_open(top, "none", O_RDONLY, 0), -ENOENT);

	char name[201], path[40 * 201 + 1] = "";
	memset(name, 'd', 200);
	name[200] = '\0';
	int dir = dup(top);
	for (int i = 0; i < 40; i++) {
		CHECK_INT(mkdirat(dir, name, 0700), 0);
		int next = openat(dir, name, O_RDONLY | O_DIRECTORY);
		close(dir);
		dir = next;
		snprintf(path + strlen(path), sizeof(path) - strlen(path),
			 "%s%s", i ? "/" : "", name);
	}
	struct stat a, b;
	cleanup_fd int deep =
		shale_beneath_open(top, path, O_RDONLY | O_DIRECTORY, 0);
	CHECK(deep >= 0);
	CHECK(fstat(dir, &a) == 0 && fstat(deep, &b) == 0);
	CHECK(a.st_ino == b.st_ino);
	close(dir);
}
