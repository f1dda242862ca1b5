/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/mount/standing.h"
#include "tests/lib/check.h"

#include <unistd.h>

TEST(who_is_in_a_group_keeps_its_setgid)
{
	static const char status[] = "Name:\tGroups: 7\nGroups:\t4 24 1000 \n"
				     "CapEff:\t0000000000000000\n";

	CHECK(shale_standing_of(status, 4));
	CHECK(shale_standing_of(status, 1000));
	CHECK(!shale_standing_of(status, 7));
	CHECK(!shale_standing_of(status, 100));
	CHECK(!shale_standing_of(status, 2));
}

TEST(so_does_who_has_the_capability)
{
	CHECK(shale_standing_of("Groups:\t\nCapEff:\t0000000000000010\n", 7));
	CHECK(!shale_standing_of("Groups:\t\nCapEff:\t00000000ffffffef\n", 7));
	CHECK(!shale_standing_of("CapEff:\t0000000000000000\nCapBnd:\t10\n",
				 0));
}

TEST(so_does_who_has_it_as_his_group_for_files)
{
	static const char status[] = "Gid:\t1\t2\t3\t4\nGroups:\t\n";

	CHECK(shale_standing_of(status, 4));
	CHECK(!shale_standing_of(status, 2));
}

TEST(root_is_who_is_that_for_files)
{
	CHECK(shale_standing_of_root("Uid:\t0\t0\t0\t0\n"));
	CHECK(shale_standing_of_root("Uid:\t7\t7\t7\t0\n"));
	CHECK(!shale_standing_of_root("Uid:\t0\t0\t0\t7\nGid:\t0\t0\t0\t0\n"));
	CHECK(!shale_standing_of_root("Uid:\t0\t0\t0\n"));
	CHECK(shale_standing_is_root(getpid()) == (geteuid() == 0));
}

TEST(a_text_that_says_nothing_allows_nothing)
{
	static const char *const texts[] = {"",
					    "\n",
					    "Groups:",
					    "Groups:\n",
					    "Groups: x 7\n",
					    "CapEff:",
					    "xGroups: 7\n"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		CHECK(!shale_standing_of(texts[i], 7) &&
		      !shale_standing_of_root(texts[i]));
}

TEST(a_process_that_has_ended_keeps_nothing)
{
	CHECK(!shale_standing_keeps_setgid(1 << 30, 7));
	CHECK(!shale_standing_is_root(1 << 30));
}
