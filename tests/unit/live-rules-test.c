/* SPDX-License-Identifier: Apache-2.0 */
/* The pure parts of the live tree: names, renames, ranges, ACLs. */
#include "fs/live/acl.h"
#include "fs/live/merge.h"
#include "fs/live/ranges.h"
#include "fs/live/rename.h"
#include "tests/lib/check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------ names */

/*
 * Drawn: what the base has (b or .), then the record (. none, x tombstone, o an
 * inode of an older epoch, n one of this epoch, k one that took the base's
 * place), then what is to happen (+ set, - remove); and what is recorded: x a
 * tombstone, . nothing, a a new offset, k the offset that was there.
 */
static const struct {
	const char *drawn;
	char recorded;
	uint32_t born;
} rows[] = {
	{"..+", 'a', 9}, {".x+", 'a', 4}, {".o+", 'k', 4}, {".n+", 'k', 9},
	{"b.+", 'k', 0}, {"bx+", 'a', 0}, {"bo+", 'k', 0}, {"bk+", 'k', 0},
	{"b.-", 'x', 0}, {"bk-", 'x', 0}, {"bo-", 'x', 0}, {"bn-", 'x', 0},
	{".o-", 'x', 4}, {".n-", '.', 0},
};

static struct shale_name_state state_of(const char *drawn)
{
	struct shale_name_state s = {0};

	if (drawn[0] == 'b') {
		s.base_ino = 5;
		s.base_type = 8;
		s.base_cookie = 17;
	}
	s.recorded = drawn[1] != '.';
	s.rec.epoch = s.rec.born = drawn[1] == 'n' ? 9 : 4;
	if (s.recorded && drawn[1] != 'x') {
		s.rec.ino = 6;
		s.rec.type = 8;
		s.rec.cookie = drawn[1] == 'k' ? 17 : SHALE_COOKIE_ADDED + 3;
	}
	return s;
}

TEST(names_merge_as_drawn)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *drawn = rows[i].drawn;
		struct shale_name_state s = state_of(drawn);
		struct shale_name_plan plan;
		uint64_t counter = 8;
		uint64_t had = s.recorded ? s.rec.cookie : s.base_cookie;

		if (drawn[2] == '+') {
			shale_merge_set(&s, 9, 7, 4, &counter, &plan);
			CHECK_INT(plan.rec.ino, 7);
			CHECK_INT(plan.rec.type, 4);
			CHECK_INT(plan.cookie_del, 0);
		} else {
			shale_merge_remove(&s, 9, &plan);
			CHECK_INT(plan.cookie_add, 0);
			CHECK_INT(plan.cookie_del,
				  had >= SHALE_COOKIE_ADDED ? had : 0);
		}
		char got = plan.erase        ? '.'
			   : !plan.rec.ino   ? 'x'
			   : plan.cookie_add ? 'a'
					     : 'k';
		if (got != rows[i].recorded)
			shale_test_fail(__FILE__, __LINE__, "%s: %c", drawn,
					got);
		CHECK_INT(counter, got == 'a' ? 9 : 8);
		if (got == 'a')
			CHECK_INT(plan.rec.cookie, SHALE_COOKIE_ADDED + 8);
		if (got == 'k')
			CHECK_INT(plan.rec.cookie, had);
		if (got != '.') {
			CHECK_INT(plan.rec.born, rows[i].born);
			CHECK_INT(plan.rec.epoch, 9);
		}
	}
}

/* ---------------------------------------------------------------- renames */

enum { XCH = 2, NOREP = 1, DIFF = 4 };

TEST(renames_are_decided_as_drawn)
{
	/* f file, d empty directory, D full one, . nothing, = the same inode */
	static const struct {
		const char *drawn;
		unsigned flags; /* DIFF: parents differ */
		int r, verdict, old_links, new_links;
	} table[] = {
		{"f.", 0, 0, SHALE_RENAME_MOVE, 0, 0},
		{"d.", DIFF, 0, SHALE_RENAME_MOVE, -1, 1},
		{"d.", 0, 0, SHALE_RENAME_MOVE, 0, 0},
		{"ff", 0, 0, SHALE_RENAME_REPLACE, 0, 0},
		{"f=", 0, 0, SHALE_RENAME_NOTHING, 0, 0},
		{"fd", 0, -EISDIR, 0, 0, 0},
		{"df", 0, -ENOTDIR, 0, 0, 0},
		{"dd", 0, 0, SHALE_RENAME_REPLACE, 0, -1},
		{"dd", DIFF, 0, SHALE_RENAME_REPLACE, -1, 0},
		{"dD", 0, -ENOTEMPTY, 0, 0, 0},
		{"ff", NOREP, -EEXIST, 0, 0, 0},
		{"f.", NOREP, 0, SHALE_RENAME_MOVE, 0, 0},
		{"f.", XCH, -ENOENT, 0, 0, 0},
		{"fD", XCH | DIFF, 0, SHALE_RENAME_EXCHANGE, 1, -1},
		{"Df", XCH | DIFF, 0, SHALE_RENAME_EXCHANGE, -1, 1},
		{"DD", XCH | DIFF, 0, SHALE_RENAME_EXCHANGE, 0, 0},
		{"Df", XCH, 0, SHALE_RENAME_EXCHANGE, 0, 0},
		{"ff", XCH | NOREP, -EINVAL, 0, 0, 0},
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		char a = table[i].drawn[0], b = table[i].drawn[1];
		struct shale_rename_facts facts = {
			.flags = table[i].flags & 3u,
			.same_parent = !(table[i].flags & DIFF),
			.src = 5,
			.dst = b == '.'   ? 0
			       : b == '=' ? 5
					  : 6,
			.src_dir = a != 'f',
			.dst_dir = b == 'd' || b == 'D',
			.dst_empty = b == 'd',
		};
		struct shale_rename_plan plan = {0};
		CHECK_INT(shale_rename_decide(&facts, &plan), table[i].r);
		if (table[i].r < 0)
			continue;
		CHECK_INT(plan.verdict, table[i].verdict);
		CHECK_INT(plan.old_links, table[i].old_links);
		CHECK_INT(plan.new_links, table[i].new_links);
	}
}

/* ----------------------------------------------------------------- ranges */

enum { SPAN = 200 };

static void compare(const struct shale_rec_content *c, const int *model)
{
	uint64_t end = 0, next;

	for (uint32_t i = 0; i < c->n_ranges; i++) {
		CHECK(c->ranges[i].len > 0);
		CHECK(i == 0 || c->ranges[i].off >= end);
		end = c->ranges[i].off + c->ranges[i].len;
	}
	for (int at = 0; at < SPAN; at++) {
		const struct shale_rec_range *r =
			shale_ranges_at(c, (uint64_t)at, &next);
		int got = r ? (int)(r->src + ((uint64_t)at - r->off)) : -1;
		CHECK_INT(got, model[at]);
		if (!r)
			CHECK(next > (uint64_t)at);
	}
}

TEST(ranges_cut_and_put_like_an_array)
{
	struct shale_rec_content c = {.size = SPAN};
	int model[SPAN];

	memset(model, -1, sizeof(model));
	for (int i = 0; i < 3000; i++) {
		uint64_t off = shale_test_random() % SPAN;
		uint64_t len = 1 + shale_test_random() % (SPAN - off);
		int shift = (int)(shale_test_random() % 3) * 1000;
		struct shale_rec_range r = {
			.off = off,
			.len = len,
			.ino = 1,
			.src = off + (uint64_t)shift,
		};
		CHECK_INT(shale_ranges_cut(&c, off, off + len), 0);
		for (uint64_t at = off; at < off + len; at++)
			model[at] = -1;
		if (shale_test_random() % 3) {
			CHECK_INT(shale_ranges_put(&c, &r), 0);
			for (uint64_t at = off; at < off + len; at++)
				model[at] = (int)at + shift;
		}
		compare(&c, model);
	}
	CHECK_INT(shale_ranges_cut(&c, 0, UINT64_MAX), 0);
	CHECK_INT(c.n_ranges, 0);
	shale_rec_content_release(&c);
}

TEST(ranges_that_carry_each_other_on_become_one)
{
	struct shale_rec_content c = {.size = 100};
	struct shale_rec_range r = {.len = 10, .ino = 4};

	for (int i = 0; i < 9; i++) { /* evens, then odds */
		r.off = r.src = (uint64_t)(i * 20 % 90);
		CHECK_INT(shale_ranges_put(&c, &r), 0);
	}
	r.off = r.src = 90;
	CHECK_INT(c.n_ranges, 1);
	CHECK_INT(shale_ranges_put(&c, &r), 0);
	CHECK_INT(c.n_ranges, 1);
	CHECK_INT(c.ranges[0].len, 100);
	CHECK_INT(shale_ranges_cut(&c, 40, 50), 0);
	r.off = r.src = 40;
	r.epoch = 3;
	CHECK_INT(shale_ranges_put(&c, &r), 0);
	CHECK_INT(c.n_ranges, 3);
	shale_rec_content_release(&c);
}

/* ------------------------------------------------------------------- ACLs */

TEST(malformed_acls_are_refused)
{
	uint8_t good[4 + 8 * 5] = {
		2,  0, 0, 0,                     /* */
		1,  0, 7, 0, 255, 255, 255, 255, /* user::rwx */
		2,  0, 4, 0, 10,  0,   0,   0,   /* user:10:r */
		4,  0, 5, 0, 255, 255, 255, 255, /* group::r-x */
		16, 0, 6, 0, 255, 255, 255, 255, /* mask::rw- */
		32, 0, 1, 0, 255, 255, 255, 255, /* other::--x */
	};
	uint8_t acl[sizeof(good)];
	uint32_t mode;
	bool equal;

	CHECK_INT(shale_acl_mode(good, sizeof(good), &mode, &equal), 0);
	CHECK_INT(mode, 0761);
	CHECK(!equal);
	for (size_t len = 0; len < sizeof(good); len++)
		if (len != 4)
			CHECK_INT(shale_acl_check(good, len), -EINVAL);
	memcpy(acl, good, sizeof(acl)), acl[0] = 1;
	CHECK_INT(shale_acl_check(acl, sizeof(acl)), -EINVAL);
	memcpy(acl, good, sizeof(acl)), acl[6] = 8;
	CHECK_INT(shale_acl_check(acl, sizeof(acl)), -EINVAL);
	memcpy(acl, good, sizeof(acl)), acl[12] = 1; /* two owners */
	CHECK_INT(shale_acl_check(acl, sizeof(acl)), -EINVAL);
	memcpy(acl, good, sizeof(acl)), acl[28] = 8; /* named, no mask */
	CHECK_INT(shale_acl_check(acl, sizeof(acl)), -EINVAL);
	memcpy(acl, good, sizeof(acl)), acl[12] = 3;
	CHECK_INT(shale_acl_check(acl, sizeof(acl)), -EINVAL);
}
