/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/cmd.h"

#include "layers/base/text.h"
#include "tests/lib/check.h"
#include "tools/opt.h"
#include "tools/output.h"
#include "tools/quota.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct shale_cmd cmd = {
	.name = "test", .args = "ARG", .summary = "Test"};

struct parsed {
	struct shale_ctx ctx;
	bool a, b;
	const char *text;
	struct shale_strings list;
	char *left[8];
	int n;
};

/* What a command says on its way is not for the test's output. */
static int quietly(int fd)
{
	int keep = dup(fd);
	FILE *null = fopen("/dev/null", "w");
	fflush(NULL);
	dup2(fileno(null), fd);
	fclose(null);
	return keep;
}

static void loudly(int fd, int keep)
{
	fflush(NULL);
	dup2(keep, fd);
	close(keep);
}

/* Words are separated by single spaces. */
static int parse(const char *words, struct parsed *p)
{
	static char text[200];
	char *argv[20];
	int argc = 0;
	*p = (struct parsed){.ctx = {.verb = "test"}};
	const struct shale_opt opts[] = {
		{"all", 'a', NULL, "", SHALE_OPT_FLAG, &p->a},
		{"big", 'b', NULL, "", SHALE_OPT_FLAG, &p->b},
		{"text", 't', "TEXT", "", SHALE_OPT_STRING, &p->text},
		{"label", 0, "K=V", "", SHALE_OPT_LIST, &p->list},
		{0}};

	snprintf(text, sizeof(text), "test %s", words);
	for (char *at = text; at; argc++) {
		argv[argc] = at;
		at = strchr(at, ' ');
		if (at)
			*at++ = '\0';
	}
	int err = quietly(STDERR_FILENO), out = quietly(STDOUT_FILENO);
	int r = shale_opt_parse(&p->ctx, &cmd, opts, argc, argv, &p->n);
	loudly(STDERR_FILENO, err);
	loudly(STDOUT_FILENO, out);
	for (int i = 0; r == 0 && i < p->n; i++)
		p->left[i] = argv[i];
	return r;
}

TEST(a_word_is_quoted_as_a_shell_reads_it)
{
	static const struct {
		const char *word, *quoted;
	} cases[] = {
		{"/srv/data-1.0", "/srv/data-1.0"},
		{"", "''"},
		{"a b", "'a b'"},
		{"it's", "'it'\\''s'"},
		{"$(x)", "'$(x)'"},
		{"~", "'~'"},
		{"a\nb", "$'a\\x0ab'"},
		{"'\\\n", "$'\\'\\\\\\x0a'"},
		{"\xff z", "'\xff z'"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		cleanup_buf struct shale_buf out = {0};
		CHECK_INT(shale_quote(&out, cases[i].word), 0);
		CHECK_STR(shale_buf_str(&out), cases[i].quoted);
	}
}

TEST(options_and_arguments_mix)
{
	struct parsed p;
	CHECK_INT(parse("x -a y --text=z", &p), 0);
	CHECK(p.a && !p.b && p.n == 2);
	CHECK_STR(p.text, "z");
	CHECK_STR(p.left[0], "x");
	CHECK_STR(p.left[1], "y");
	CHECK_INT(parse("-ab -tfoo --label k=v --label=l=w", &p), 0);
	CHECK(p.a && p.b && p.n == 0);
	CHECK_STR(p.text, "foo");
	CHECK_INT(p.list.n, 2);
	CHECK_STR(p.list.v[0], "k=v");
	CHECK_STR(p.list.v[1], "l=w");
	CHECK_INT(parse("-abt -x -", &p), 0);
	CHECK_STR(p.text, "-x");
	CHECK_STR(p.left[0], "-");
	CHECK_INT(parse("-a -- -b --text", &p), 0);
	CHECK(p.a && !p.b && p.n == 2);
	CHECK_INT(parse("--text=", &p), 0);
	CHECK_STR(p.text, "");
}

TEST(options_before_the_verb_are_taken_behind_it_too)
{
	struct parsed p;
	CHECK_INT(parse("--json -qvv --store /s --progress=plain x", &p), 0);
	CHECK(p.ctx.json && p.ctx.quiet && p.ctx.verbose == 2);
	CHECK_STR(p.ctx.store_path, "/s");
	CHECK_INT(p.ctx.progress, SHALE_PROGRESS_PLAIN);
	CHECK_INT(p.n, 1);
}

TEST(wrong_usage_is_told_from_help)
{
	struct parsed p;
	CHECK_INT(parse("--nope", &p), -EINVAL);
	CHECK_INT(parse("-x", &p), -EINVAL);
	CHECK_INT(parse("-ax", &p), -EINVAL);
	CHECK_INT(parse("--text", &p), -EINVAL);
	CHECK_INT(parse("-t", &p), -EINVAL);
	CHECK_INT(parse("--all=yes", &p), -EINVAL);
	CHECK_INT(parse("--store", &p), -EINVAL);
	CHECK_INT(parse("--progress=loud", &p), -EINVAL);
	CHECK_INT(parse("--help", &p), 1);
	CHECK_INT(parse("x -h", &p), 1);
}

TEST(sizes_read_well)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} good[] = {{0, "0 B"},
		    {1023, "1023 B"},
		    {1024, "1.0 KiB"},
		    {1536, "1.5 KiB"},
		    {1048524, "1023.9 KiB"},
		    {1048570, "1.0 MiB"},
		    {UINT64_C(5) << 40, "5.0 TiB"},
		    {UINT64_MAX, "16.0 EiB"}};
	char out[32];
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		CHECK_STR(shale_human_size(good[i].bytes, false, out),
			  good[i].text);
	CHECK_STR(shale_human_size(1536, true, out), "1536");
}

static const char *escaped(const char *text)
{
	static char out[200];
	cleanup_buf struct shale_buf buf = {0};
	CHECK_INT(shale_escape(&buf, text, strlen(text)), 0);
	snprintf(out, sizeof(out), "%s", shale_buf_str(&buf));
	return out;
}

TEST(a_terminal_never_sees_control_characters)
{
	CHECK_STR(escaped("plain \xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"),
		  "plain \xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
	CHECK_STR(escaped("a\x1b[2Jb"), "a\\x1b[2Jb");
	CHECK_STR(escaped("tab\tnew\nline\x7f"), "tab\\x09new\\x0aline\\x7f");
	CHECK_STR(escaped("\xc2\x9b"), "\\xc2\\x9b");
	CHECK_STR(escaped("back\\slash"), "back\\\\slash");
	CHECK_STR(escaped("latin \xe9"), "latin \\xe9");
	CHECK_STR(escaped("\xed\xa0\x80"), "\\xed\\xa0\\x80");
	CHECK_STR(escaped("\xc0\xaf"), "\\xc0\\xaf");
	CHECK_STR(escaped("cut \xe2\x82"), "cut \\xe2\\x82");
}

TEST(a_path_that_is_not_utf8_comes_in_base64_too)
{
	static const struct {
		const char *path, *text, *b64;
	} good[] = {{"/a\n", "/a\n", NULL},
		    {"/\xff", "/\\xff", "L/8="},
		    {"/x\xff", "/x\\xff", "L3j/"},
		    {"/xy\xff", "/xy\\xff", "L3h5/w=="}};
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		json_t *o = json_object();
		shale_json_path(o, good[i].path, strlen(good[i].path));
		CHECK_STR(json_string_value(json_object_get(o, "path")),
			  good[i].text);
		const char *b64 =
			json_string_value(json_object_get(o, "path_b64"));
		CHECK(!b64 == !good[i].b64);
		if (b64)
			CHECK_STR(b64, good[i].b64);
		json_decref(o);
	}
}

static int code_of(int r, bool wrong_usage)
{
	struct shale_ctx ctx = {
		.verb = "test", .wrong_usage = wrong_usage, .lease = -1};
	int keep = quietly(STDERR_FILENO);
	int code = shale_fail(&ctx, r);
	loudly(STDERR_FILENO, keep);
	return code;
}

TEST(every_kind_of_failure_has_its_exit_code)
{
	CHECK_INT(code_of(-ENODATA, false), 10);
	CHECK_INT(code_of(-EBUSY, false), 11);
	CHECK_INT(code_of(-ENOKEY, false), 13);
	CHECK_INT(code_of(-EUCLEAN, false), 14);
	CHECK_INT(code_of(-EIO, false), 1);
	CHECK_INT(code_of(-ENOSPC, false), 15);
	CHECK_INT(code_of(-EDQUOT, false), 15);
	CHECK_INT(code_of(-EINTR, false), 130);
	CHECK_INT(code_of(-EINVAL, false), 1);
	CHECK_INT(code_of(-EINVAL, true), 2);
	CHECK_INT(code_of(-EACCES, false), 1);
	CHECK_INT(code_of(-ENOENT, true), 1);
}

TEST(a_quota_is_a_size_or_a_number_of_inodes_or_both)
{
	static const struct {
		const char *text;
		int r;
		uint64_t bytes, inodes;
	} t[] = {
		{"10", 0, 10, 0},
		{"4K", 0, 4096, 0},
		{"4KiB", 0, 4096, 0},
		{"2M,inodes=7", 0, 2 << 20, 7},
		{"inodes=7", 0, 0, 7},
		{"none", 0, 0, 0},
		{"0", 0, 0, 0},
		{"", -EINVAL, 1, 1},
		{"-1", -EINVAL, 1, 1},
		{" 1", -EINVAL, 1, 1},
		{"1x", -EINVAL, 1, 1},
		{"1Mi", -EINVAL, 1, 1},
		{"1M,", -EINVAL, 1, 1},
		{"1M,inodes", -EINVAL, 1, 1},
		{"1M,inodes=", -EINVAL, 1, 1},
		{"1M,inodes=-1", -EINVAL, 1, 1},
		{"1Minodes=1", -EINVAL, 1, 1},
		{"8191P", 0, UINT64_C(8191) << 50, 0},
		{"8192P", -EINVAL, 1, 1},
		{"99999999999999999999", -EINVAL, 1, 1},
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++) {
		uint64_t bytes = 1, inodes = 1;
		CHECK_INT(shale_quota_parse(t[i].text, &bytes, &inodes),
			  t[i].r);
		CHECK_INT(bytes, t[i].bytes);
		CHECK_INT(inodes, t[i].inodes);
	}
}
