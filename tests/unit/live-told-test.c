/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/live/told.h"
#include "tests/lib/check.h"
#include "tests/unit/live-rig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* d/ with f and s/; e/ */
struct world {
	struct rig *rig;
	uint64_t d, e, f, s;
	struct shale_stale stale;
	struct shale_caller who;
};

static void begin(struct world *w)
{
	struct rig *rig = rig_new();

	*w = (struct world){.rig = rig, .who = {.stale = &w->stale}};
	w->d = rig_make(rig, "d", S_IFDIR | 0755);
	w->e = rig_make(rig, "e", S_IFDIR | 0755);
	w->f = rig_file(rig, "d/f", "file");
	w->s = rig_make(rig, "d/s", S_IFDIR | 0755);
}

static void ask(struct world *w, uint64_t ino)
{
	struct shale_node node;

	CHECK_INT(shale_live_getattr(w->rig->live, ino, &node), 0);
}

/* Make `name` in a directory. */
static void make(struct world *w, uint64_t dir, const char *name, uint32_t mode)
{
	const struct shale_make what = {.mode = mode};
	struct shale_node node;

	CHECK_INT(shale_live_make(w->rig->live, &w->who, dir, name,
				  strlen(name), &what, &node),
		  0);
}

static void move(struct world *w, const char *name, unsigned flags)
{
	CHECK_INT(shale_live_rename(w->rig->live, &w->who, w->d, name, 1, w->e,
				    name, 1, flags),
		  0);
}

/* "de": those that are stale. */
static const char *stale(struct world *w)
{
	const struct {
		uint64_t ino;
		char name;
	} names[] = {{w->d, 'd'}, {w->e, 'e'}, {w->f, 'f'}, {w->s, 's'}};
	static char text[SHALE_STALE_MAX + 1];
	unsigned n = 0;

	for (size_t i = 0; i < 4; i++)
		for (unsigned k = 0; k < w->stale.n; k++)
			if (w->stale.ino[k] == names[i].ino)
				text[n++] = names[i].name;
	CHECK_INT(n, w->stale.n);
	text[n] = '\0';
	w->stale.n = 0;
	return text;
}

TEST(a_directory_that_was_told_is_stale_after_a_change_of_its_names_once)
{
	struct world w;

	begin(&w);
	ask(&w, w.d);
	make(&w, w.d, "1", S_IFREG | 0644);
	CHECK_STR(stale(&w), "d");
	make(&w, w.d, "2", S_IFREG | 0644);
	CHECK_STR(stale(&w), "");
	ask(&w, w.d);
	ask(&w, w.d);
	CHECK_INT(shale_live_unlink(w.rig->live, &w.who, w.d, "1", 1), 0);
	CHECK_STR(stale(&w), "d");
	CHECK_INT(shale_live_unlink(w.rig->live, &w.who, w.d, "2", 1), 0);
	CHECK_STR(stale(&w), "");
	rig_free(w.rig);
}

static void ask_as(struct world *w, uint32_t thread, uint64_t ino)
{
	struct shale_node node;

	CHECK_INT(shale_live_getattr_for(w->rig->live, thread, ino, &node), 0);
}

TEST(what_only_the_one_that_changes_it_was_told_is_not_stale)
{
	struct world w;

	begin(&w);
	w.who.thread = 5;
	make(&w, w.d, "0", S_IFREG | 0644);
	CHECK_STR(stale(&w), "d");
	ask_as(&w, 5, w.d);
	ask_as(&w, 5, w.d);
	make(&w, w.d, "1", S_IFDIR | 0755);
	CHECK_STR(stale(&w), "");
	ask_as(&w, 6, w.d);
	make(&w, w.d, "2", S_IFREG | 0644);
	CHECK_STR(stale(&w), "d");
	ask_as(&w, 5, w.d);
	ask_as(&w, 6, w.d);
	make(&w, w.d, "3", S_IFREG | 0644);
	CHECK_STR(stale(&w), "d");
	ask_as(&w, 5, w.d);
	w.who.thread = 0; /* nobody knows whether it is the same */
	make(&w, w.d, "4", S_IFREG | 0644);
	CHECK_STR(stale(&w), "d");
	ask_as(&w, 1 << 22, w.d); /* no thread of Linux has that number */
	w.who.thread = 1 << 22;
	make(&w, w.d, "5", S_IFREG | 0644);
	CHECK_STR(stale(&w), "d");
	rig_free(w.rig);
}

TEST(a_look_up_and_a_listing_with_attributes_tell_a_plain_one_does_not)
{
	struct world w;

	begin(&w);
	make(&w, w.d, "0", S_IFREG | 0644);
	(void)stale(&w);
	CHECK_STR(rig_list(w.rig, ""), "d/ e/");
	make(&w, w.d, "1", S_IFREG | 0644);
	CHECK_STR(stale(&w), "");
	CHECK_INT(rig_ino(w.rig, "d"), w.d);
	make(&w, w.d, "2", S_IFREG | 0644);
	CHECK_STR(stale(&w), "d");
	rig_free(w.rig);
}

static bool take(void *arg, const char *name, size_t len,
		 const struct shale_node *node, uint64_t next)
{
	(void)name;
	(void)node;
	(void)next;
	*(size_t *)arg += len;
	return true;
}

TEST(a_listing_with_attributes_tells_them)
{
	struct world w;
	size_t len = 0;

	begin(&w);
	make(&w, w.d, "0", S_IFREG | 0644);
	(void)stale(&w);
	CHECK_INT(shale_live_readdir(w.rig->live, SHALE_ROOT_INO, 0, true, take,
				     &len),
		  0);
	make(&w, w.d, "1", S_IFREG | 0644);
	CHECK_STR(stale(&w), "d");
	rig_free(w.rig);
}

TEST(a_rename_makes_both_directories_and_what_it_moves_stale)
{
	struct world w;

	begin(&w);
	ask(&w, w.d);
	ask(&w, w.e);
	ask(&w, w.f);
	move(&w, "f", 0);
	CHECK_STR(stale(&w), "def");
	ask(&w, w.d);
	ask(&w, w.s);
	move(&w, "s", 0);
	CHECK_STR(stale(&w), "ds");
	rig_free(w.rig);
}

TEST(an_exchange_makes_four_stale)
{
	struct world w;

	begin(&w);
	make(&w, w.e, "f", S_IFDIR | 0755);
	uint64_t other = rig_ino(w.rig, "e/f");
	ask(&w, w.d);
	ask(&w, w.f);
	(void)stale(&w);
	move(&w, "f", RENAME_EXCHANGE);
	bool found = false;
	for (unsigned i = 0; i < w.stale.n; i++)
		found |= w.stale.ino[i] == other;
	CHECK(found);
	CHECK_INT(w.stale.n, 4);
	rig_free(w.rig);
}

TEST(what_the_answer_tells_is_not_stale)
{
	const struct shale_set set = {.what = SHALE_SET_MODE, .mode = 0600};
	struct world w;
	struct shale_node node;

	begin(&w);
	make(&w, w.d, "1", S_IFREG | 0644);
	(void)stale(&w);
	ask(&w, w.f);
	CHECK_INT(shale_live_link(w.rig->live, &w.who, w.f, w.d, "2", 1, &node),
		  0);
	CHECK_STR(stale(&w), "");
	CHECK_INT(shale_live_setattr(w.rig->live, &w.who, w.f, &set, &node), 0);
	CHECK_STR(stale(&w), "");
	CHECK_INT(shale_live_unlink(w.rig->live, &w.who, w.d, "2", 1), 0);
	CHECK_STR(stale(&w), "");
	rig_free(w.rig);
}

TEST(attributes_and_content_make_a_file_stale_for_who_wants_to_know)
{
	struct world w;

	begin(&w);
	ask(&w, w.f);
	CHECK_INT(shale_live_setxattr(w.rig->live, &w.who, w.f, "user.a", "1",
				      1, 0, false),
		  0);
	CHECK_STR(stale(&w), "f");
	ask(&w, w.f);
	CHECK_INT(shale_live_write(w.rig->live, &w.who, w.f, 0, "x", 1, false),
		  0);
	CHECK_STR(stale(&w), "f");
	ask(&w, w.f);
	w.who.stale = NULL;
	CHECK_INT(shale_live_write(w.rig->live, &w.who, w.f, 0, "y", 1, false),
		  0);
	CHECK_STR(stale(&w), "");
	rig_free(w.rig);
}

TEST(a_change_that_fails_makes_nothing_stale)
{
	const struct shale_make what = {.mode = S_IFREG | 0644};
	struct shale_node node;
	struct world w;

	begin(&w);
	ask(&w, w.d);
	CHECK_INT(
		shale_live_make(w.rig->live, &w.who, w.d, "f", 1, &what, &node),
		-EEXIST);
	CHECK_STR(stale(&w), "");
	rig_free(w.rig);
}

TEST(nodes_that_share_a_slot_are_never_taken_for_each_other)
{
	struct shale_told *told = calloc(1, sizeof(*told));
	const uint64_t a = 7, b = a + SHALE_TOLD_SLOTS;

	CHECK(shale_told_take(told, a, 0));
	CHECK(!shale_told_take(told, a, 0));
	shale_told_note(told, b, 0);
	CHECK(!shale_told_take(told, a, 0));
	shale_told_note(told, a, 3);
	CHECK(shale_told_take(told, b, 3));
	CHECK(!shale_told_take(told, b, 3));
	CHECK(shale_told_take(told, a, 3));
	free(told);
}

TEST(all_count_as_told_by_a_daemon_before)
{
	struct world w;

	begin(&w);
	make(&w, w.d, "1", S_IFREG | 0644);
	(void)stale(&w);
	rig_remount(w.rig);
	make(&w, w.d, "2", S_IFREG | 0644);
	CHECK_STR(stale(&w), "d");
	rig_free(w.rig);
}
