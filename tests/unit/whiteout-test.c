/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/base/cleanup.h"
#include "layers/ops/plan.h"
#include "layers/ops/whiteout.h"
#include "tests/lib/check.h"

#include <string.h>
#include <sys/stat.h>

enum {
	E = SHALE_WHITEOUT_ENTRY,
	N = SHALE_WHITEOUT_NAME,
	A = SHALE_WHITEOUT_ALL,
	S = SHALE_WHITEOUT_SKIP
};

static struct shale_arrival entry(const char *path, uint32_t mode)
{
	return (struct shale_arrival){
		.path = path,
		.path_len = strlen(path),
		.attr = {.mode = mode},
	};
}

static int read_oci(const char *path, uint32_t mode, struct shale_whiteout *out)
{
	struct shale_arrival a = entry(path, mode);
	struct shale_err err;
	return shale_whiteout_read(SHALE_LAYER_OCI, &a, out, &err);
}

TEST(names_that_begin_with_wh_are_marks_of_an_oci_layer)
{
	static const struct {
		const char *path;
		int what;
		const char *name;
	} cases[] = {
		{"a", E, "a"},
		{".wh.a", N, "a"},
		{"d/e/.wh.a b", N, "a b"},
		{"d/.wh..hidden", N, ".hidden"},
		{"d/.wh..wh..opq", A, ".wh..wh..opq"},
		{".wh..wh.plnk", S, ".wh..wh.plnk"},
		{"d/.wh", E, ".wh"},
		{"d/x.wh.a", E, "x.wh.a"},
		{".wh.d/a", E, "a"},
		{"", E, ""},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct shale_whiteout w;
		CHECK_INT(read_oci(cases[i].path, S_IFREG, &w), 0);
		CHECK_INT(w.what, cases[i].what);
		CHECK_INT(w.name_len, strlen(cases[i].name));
		CHECK_MEM(w.name, cases[i].name, w.name_len);
	}
}

TEST(a_whiteout_of_nothing_that_could_be_is_refused)
{
	struct shale_whiteout w;
	CHECK_INT(read_oci("d/.wh.", S_IFREG, &w), -EBADMSG);
	CHECK_INT(read_oci("d/.wh..", S_IFREG, &w), -EBADMSG);
	CHECK_INT(read_oci("d/.wh...", S_IFREG, &w), -EBADMSG);
	CHECK_INT(read_oci("d/.wh.a", S_IFDIR, &w), -EBADMSG);
}

/* One entry of an upper directory with one xattr. */
static int read_upper(uint32_t mode, const char *key, const char *value,
		      struct shale_whiteout *out, struct shale_buf *list)
{
	struct shale_arrival a = entry("d/n", mode);
	struct shale_err err;
	list->len = 0;
	if (key)
		CHECK_OK(shale_xattr_append(list, key, value, strlen(value),
					    &err));
	a.xattrs = list->data;
	a.xattr_len = (uint32_t)list->len;
	return shale_whiteout_read(SHALE_LAYER_OVERLAY, &a, out, &err);
}

TEST(devices_and_xattrs_are_marks_of_an_upper_directory)
{
	cleanup_buf struct shale_buf l = {0};
	struct shale_whiteout w;
	CHECK_INT(read_upper(S_IFCHR, NULL, NULL, &w, &l), 0);
	CHECK_INT(w.what, N);
	CHECK_MEM(w.name, "n", w.name_len);
	CHECK_INT(read_upper(S_IFBLK, NULL, NULL, &w, &l), 0);
	CHECK_INT(w.what, E);
	CHECK_INT(read_upper(S_IFREG, "user.overlay.whiteout", "", &w, &l), 0);
	CHECK_INT(w.what, N);
	CHECK_INT(read_upper(S_IFDIR, "user.overlay.whiteout", "", &w, &l), 0);
	CHECK_INT(w.what, E);
	CHECK_INT(read_upper(S_IFDIR, "trusted.overlay.opaque", "y", &w, &l),
		  0);
	CHECK(w.opaque);
	CHECK_INT(read_upper(S_IFDIR, "trusted.overlay.opaque", "x", &w, &l),
		  0);
	CHECK(!w.opaque);
	CHECK_INT(read_upper(S_IFDIR, "user.overlay.redirect", "/a/b", &w, &l),
		  0);
	CHECK_INT(w.redirect_len, 4);
	CHECK_MEM(w.redirect, "/a/b", 4);
	CHECK_INT(read_upper(S_IFDIR, "user.overlay.redirect", "a", &w, &l), 0);
	CHECK_INT(w.redirect_len, 1);
	CHECK_INT(read_upper(S_IFDIR, "user.opaque", "y", &w, &l), 0);
	CHECK(!w.opaque);
}

TEST(what_an_upper_directory_cannot_say_is_refused)
{
	cleanup_buf struct shale_buf l = {0};
	struct shale_whiteout w;
	char far[300] = "/";
	memset(far + 1, 'x', 256);
	CHECK_INT(read_upper(S_IFREG, "trusted.overlay.metacopy", "", &w, &l),
		  -EBADMSG);
	CHECK_INT(read_upper(S_IFDIR, "trusted.overlay.redirect", "", &w, &l),
		  -EBADMSG);
	CHECK_INT(
		read_upper(S_IFDIR, "trusted.overlay.redirect", "a/b", &w, &l),
		-EBADMSG);
	CHECK_INT(read_upper(S_IFDIR, "trusted.overlay.redirect", far, &w, &l),
		  -EBADMSG);
}

TEST(overlayfs_s_own_xattrs_go_and_the_others_stay)
{
	cleanup_buf struct shale_buf in = {0}, out = {0};
	struct shale_xattr x;
	struct shale_err err;
	CHECK_OK(shale_xattr_append(&in, "trusted.overlay.origin", "1", 1,
				    &err));
	CHECK_OK(shale_xattr_append(&in, "trusted.own", "22", 2, &err));
	CHECK_OK(shale_xattr_append(&in, "user.overlay.impure", "y", 1, &err));
	CHECK_OK(shale_xattr_append(&in, "user.overlays", "3", 1, &err));
	CHECK_OK(shale_whiteout_strip(in.data, (uint32_t)in.len, &out, &err));
	uint32_t at = 0, n = 0;
	while (shale_xattr_next(out.data, (uint32_t)out.len, &at, &x, &err) > 0)
		n++;
	CHECK_INT(n, 2);
	CHECK_INT(shale_xattr_find(out.data, (uint32_t)out.len, "trusted.own",
				   &x, &err),
		  0);
	CHECK_INT(shale_xattr_find(out.data, (uint32_t)out.len, "user.overlays",
				   &x, &err),
		  0);
}

/* ------------------------------------------------------ marks in a plan */

static uint32_t add(struct shale_plan *plan, const char *path, uint32_t mode)
{
	struct shale_arrival a = entry(path, mode);
	struct shale_err err;
	uint32_t name;
	CHECK_OK(shale_plan_add(plan, &a, &name, &err));
	return name;
}

static void hide(struct shale_plan *plan, const char *path)
{
	struct shale_arrival a = entry(path, S_IFREG);
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	struct shale_err err;
	if (strcmp(name, "*") == 0)
		CHECK_OK(shale_plan_hide_all(plan, &a, &err));
	else
		CHECK_OK(shale_plan_hide(plan, &a, name, strlen(name), &err));
}

static bool there(const struct shale_plan *plan, const char *path)
{
	return shale_plan_find(plan, path, strlen(path)) != SHALE_PLAN_NONE;
}

TEST(a_whiteout_hides_earlier_sources_and_not_its_own)
{
	struct shale_plan plan;
	struct shale_err err;
	CHECK_OK(shale_plan_init(&plan, &err));
	add(&plan, "d/old", S_IFREG);
	add(&plan, "d/e/old", S_IFREG);
	plan.source = 1;
	add(&plan, "d/e/new", S_IFREG);
	hide(&plan, "d");
	CHECK(!there(&plan, "d/old"));
	CHECK(!there(&plan, "d/e/old"));
	CHECK(there(&plan, "d/e/new"));
	uint32_t d = shale_plan_find(&plan, "d", 1);
	const struct shale_plan_name *n = shale_plan_name(&plan, d);
	CHECK(n->hidden);
	CHECK(shale_plan_inode(&plan, n->inode)->opaque);
	CHECK(shale_plan_inode(&plan, n->inode)->implied);
	shale_plan_release(&plan);
}

TEST(the_order_of_a_mark_and_its_siblings_does_not_matter)
{
	for (int first = 0; first < 2; first++) {
		struct shale_plan plan;
		struct shale_err err;
		CHECK_OK(shale_plan_init(&plan, &err));
		add(&plan, "d/old", S_IFREG);
		plan.source = 1;
		if (first)
			hide(&plan, "d/*");
		add(&plan, "d/new", S_IFREG);
		if (!first)
			hide(&plan, "d/*");
		CHECK(!there(&plan, "d/old"));
		CHECK(there(&plan, "d/new"));
		shale_plan_release(&plan);
	}
}

TEST(a_file_of_an_earlier_source_gives_way_to_a_directory)
{
	struct shale_plan plan;
	struct shale_err err;
	CHECK_OK(shale_plan_init(&plan, &err));
	add(&plan, "f", S_IFREG);
	plan.source = 1;
	uint32_t below = add(&plan, "f/below", S_IFREG);
	CHECK(there(&plan, "f/below"));
	/* … and hides what a lower layer has there for good. */
	CHECK(shale_plan_name(&plan, shale_plan_name(&plan, below)->parent)
		      ->hidden);
	shale_plan_release(&plan);
}
