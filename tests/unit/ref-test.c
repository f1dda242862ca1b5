/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/store/ref.h"
#include "tests/lib/check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

TEST(a_reference_falls_into_its_parts)
{
	static const struct {
		const char *text, *repo, *tag, *digest;
		uint32_t ancestor;
	} good[] = {
		{"sales", "sales", "", "", 0},
		{"sales:v1", "sales", "v1", "", 0},
		{"a/b__c/d-e---f:V_1.2-x~3", "a/b__c/d-e---f", "V_1.2-x", "",
		 3},
		{"localhost:5000/x", "localhost:5000/x", "", "", 0},
		{"[::1]:5000/x:t", "[::1]:5000/x", "t", "", 0},
		{"Reg.Example.COM/a:1", "Reg.Example.COM/a", "1", "", 0},
		{"sales@sha256:abcdef", "sales", "", "abcdef", 0},
		{"sales:v1@abcdef12~", "sales", "v1", "abcdef12", 1},
		{"sha256:" HEX64, "", "", HEX64, 0},
		{"sha256:" HEX64 "~2", "", "", HEX64, 2},
		{"@sha256:" HEX64, "", "", HEX64, 0},
		{"sales~1~2", "sales", "", "", 3},
		{"sales~4294967295", "sales", "", "", 4294967295u},
		{"sales:5000", "sales", "5000", "", 0},
		{"0a1b2c3d", "0a1b2c3d", "", "", 0},
	};
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		struct shale_ref ref;
		struct shale_err err = {0};
		CHECK_OK(shale_ref_parse(good[i].text, &ref, &err));
		CHECK_STR(ref.repo, good[i].repo);
		CHECK_STR(ref.tag, good[i].tag);
		CHECK_STR(ref.digest, good[i].digest);
		CHECK_INT(ref.ancestor, good[i].ancestor);
	}
}

TEST(what_is_not_a_reference_is_refused)
{
	static const char *const bad[] = {
		"",
		"Sales",
		"a//b",
		"/a",
		"a/",
		"a..b",
		"a.-b",
		"-a",
		"a_",
		"a___b",
		"a:",
		"a:.x",
		"a:-x",
		"a b",
		"a:b c",
		"a@",
		"a@abc",
		"a@sha256:xyzxyz",
		"a@sha512:abcdef",
		"a@" HEX64 "0",
		"a~x",
		"a~-1",
		"a~4294967296",
		"a~99999999999999999999999",
		"a~3~4294967295",
		"a:b:c",
		"@",
		"~1",
		"a\nb",
		"-x.y:5/a",
		"host.x:123456/a",
		"[::zz]:5/a",
		"a@b@c",
		"r\xc3\xa9po",
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct shale_ref ref = {.ancestor = 77};
		struct shale_err err = {0};
		if (shale_ref_parse(bad[i], &ref, &err) != -EINVAL)
			shale_test_fail(__FILE__, __LINE__, "took '%s'",
					bad[i]);
		CHECK_INT(ref.ancestor, 77);
		CHECK(strstr(err.msg, "is not a reference"));
	}
}

TEST(names_of_any_length_are_handled)
{
	char text[1000];
	struct shale_ref ref;
	for (size_t n = 1; n < sizeof(text); n++) {
		memset(text, 'a', n);
		text[n] = '\0';
		CHECK_INT(shale_ref_parse(text, &ref, NULL),
			  n <= 255 ? 0 : -EINVAL);
	}
	for (size_t n = 3; n < sizeof(text); n++) {
		memset(text, 'a', n);
		text[1] = ':';
		text[n] = '\0';
		CHECK_INT(shale_ref_parse(text, &ref, NULL),
			  n - 2 <= 128 ? 0 : -EINVAL);
	}
}

TEST(a_path_inside_is_split_off_at_colon_slash)
{
	char ref[32];
	const char *path;
	struct shale_err err;

	CHECK_OK(shale_ref_split("sales:v1:/a:/b", ref, sizeof(ref), &path,
				 &err));
	CHECK_STR(ref, "sales:v1");
	CHECK_STR(path, "/a:/b");
	CHECK_OK(
		shale_ref_split("h:5000/sales", ref, sizeof(ref), &path, &err));
	CHECK_STR(ref, "h:5000/sales");
	CHECK(path == NULL);
	CHECK_INT(shale_ref_split(":/a", ref, sizeof(ref), &path, &err),
		  -EINVAL);
	CHECK_INT(shale_ref_split("0123456789abcdef0123456789abcdef:/", ref,
				  sizeof(ref), &path, &err),
		  -EINVAL);
}

TEST(times_are_read_as_they_are_written)
{
	static const struct {
		const char *text;
		int64_t sec;
		long nsec;
	} good[] = {
		{"1970-01-01T00:00:00Z", 0, 0},
		{"1970-01-01T01:00:00+01:00", 0, 0},
		{"2026-11-22T21:45:01.5Z", 1795383901, 500000000},
		{"2024-02-29 12:00:00-05:30", 1709227800, 0},
		{"1969-12-31T23:59:59.000000001Z", -1, 1},
		{"2026-06-01", 1780264800, 0}, /* midnight in Berlin: 22:00 */
		{"2026-01-01T12:00", 1767265200, 0},
		{"2026-01-01T12:00:30", 1767265230, 0},
	};
	setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		struct timespec t;
		struct shale_err err;
		CHECK_OK(shale_time_parse(good[i].text, &t, &err));
		CHECK_INT(t.tv_sec, good[i].sec);
		CHECK_INT(t.tv_nsec, good[i].nsec);
	}
}

TEST(an_age_is_counted_from_now)
{
	static const struct {
		const char *text;
		int64_t sec;
	} good[] = {{"90s", 90},      {"10m", 600},   {"2h", 7200},
		    {"3d", 259200},   {"1w", 604800}, {"1h30m", 5400},
		    {"2h ago", 7200}, {"now", 0},     {"0s", 0}};
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		struct timespec t, now;
		struct shale_err err;
		CHECK_OK(shale_time_parse(good[i].text, &t, &err));
		clock_gettime(CLOCK_REALTIME, &now);
		int64_t off = now.tv_sec - good[i].sec - t.tv_sec;
		CHECK(off >= 0 && off <= 2);
	}
}

TEST(what_is_not_a_time_is_refused)
{
	static const char *const bad[] = {"",
					  "yesterday",
					  "2026",
					  "2026-13-01",
					  "2026-00-01",
					  "2026-02-30",
					  "2025-02-29",
					  "2026-01-01T",
					  "2026-01-01T24:00",
					  "2h3",
					  "-2h",
					  "2y",
					  "h",
					  "2026-01-01Z",
					  "2026-01-01T12:00:00.Z",
					  "2026-1-1",
					  "2026-01-01T12:00+1",
					  "2h ago ",
					  "2026-01-01T12:00:00Zx"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct timespec t;
		if (shale_time_parse(bad[i], &t, NULL) != -EINVAL)
			shale_test_fail(__FILE__, __LINE__, "took '%s'",
					bad[i]);
	}
	struct timespec t;
	CHECK_INT(shale_time_parse_utc("2026-01-01T12:00:00", &t), -EINVAL);
	CHECK_INT(shale_time_parse_utc("2h", &t), -EINVAL);
}

TEST(a_year_keeps_its_four_digits)
{
	struct timespec t;
	char text[40];
	CHECK_INT(shale_time_parse_utc("0324-01-02T03:04:05Z", &t), 0);
	shale_time_format(&t, text);
	CHECK_STR(text, "0324-01-02T03:04:05Z");
	t.tv_sec = INT64_MAX;
	shale_time_format(&t, text);
	CHECK_STR(text, "9999-12-31T23:59:59Z");
	CHECK_INT(shale_time_parse_utc("0000-01-01T00:00:00Z", &t), -EINVAL);
	CHECK_INT(shale_time_parse_utc("0001-01-01T00:00:00+01:00", &t),
		  -EINVAL);
}

TEST(a_time_survives_its_text)
{
	for (int i = 0; i < 1000; i++) {
		struct timespec a = {
			.tv_sec = (time_t)(shale_test_random() % 253402300800u),
			.tv_nsec = (long)(shale_test_random() % 1000000000),
		};
		struct timespec b;
		char text[40];
		if (i % 4 == 0)
			a.tv_nsec = 0;
		shale_time_format(&a, text);
		CHECK_INT(shale_time_parse_utc(text, &b), 0);
		CHECK_INT(b.tv_sec, a.tv_sec);
		CHECK_INT(b.tv_nsec, a.tv_nsec);
	}
}
