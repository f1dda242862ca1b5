/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/check.h"
#include "tests/unit/live-rig.h"

#include <stdio.h>
#include <string.h>

struct reading {
	char names[4000];
	unsigned room;
	uint64_t next;
};

static bool take(void *arg, const char *name, size_t len,
		 const struct shale_node *node, uint64_t next)
{
	struct reading *r = arg;
	(void)node;
	if (!r->room)
		return false;
	r->room--;
	r->next = next;
	snprintf(r->names + strlen(r->names),
		 sizeof(r->names) - strlen(r->names), "%.*s ", (int)len, name);
	return true;
}

static void read_some(struct rig *rig, const char *dir, struct reading *r,
		      unsigned n)
{
	r->room = n;
	CHECK_INT(shale_live_readdir(rig->live, rig_ino(rig, dir), r->next,
				     true, take, r),
		  0);
}

TEST(reading_a_directory_goes_on_exactly_while_it_changes)
{
	struct rig *rig = rig_sample();
	struct reading r = {0};

	rig_file(rig, "d/n1", "");
	rig_file(rig, "d/n2", "");
	read_some(rig, "d", &r, 3);
	CHECK_STR(r.names, ". .. a ");
	CHECK_INT(rig_unlink(rig, "d/a"), 0);
	rig_file(rig, "d/a", "again"); /* a new offset: it comes once more */
	rig_file(rig, "e/t", "");
	CHECK_INT(rig_rename(rig, "e/t", "d/b", 0), 0); /* keeps its offset */
	rig_remount(rig);
	read_some(rig, "d", &r, 1);
	CHECK_STR(r.names, ". .. a b ");
	CHECK_INT(rig_unlink(rig, "d/b"), 0);
	CHECK_INT(rig_unlink(rig, "d/n1"), 0);
	read_some(rig, "d", &r, 100);
	CHECK_STR(r.names, ". .. a b s n2 a ");
	rig_free(rig);
}

TEST(a_listing_is_whole_in_pieces_of_any_size)
{
	struct rig *rig = rig_sample();
	char name[20];

	for (int i = 0; i < 30; i++) {
		snprintf(name, sizeof(name), "d/n%02d", i);
		rig_file(rig, name, "");
		if (i == 20) {
			rig_commit(rig);
			rig_remount(rig);
		}
	}
	for (int i = 0; i < 30; i += 3) {
		snprintf(name, sizeof(name), "d/n%02d", i);
		CHECK_INT(rig_unlink(rig, name), 0);
	}
	struct reading all = {0};
	read_some(rig, "d", &all, 1000);
	for (unsigned size = 1; size < 8; size++) {
		struct reading r = {0};
		for (int i = 0; i < 60; i++)
			read_some(rig, "d", &r, size);
		CHECK_STR(r.names, all.names);
	}
	rig_free(rig);
}
