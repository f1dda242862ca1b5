/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/mount/lean.h"

#include "tests/lib/check.h"

#include <stdatomic.h>
#include <string.h>
#include <time.h>

enum {
	A = 4711, /* threads that list */
	B = 4712,
	FILES = 128, /* of a directory */
	/* Directories from one probe to the next, and before one is lean. */
	BEFORE = SHALE_LEAN_EVERY / FILES + 1,
	FIRST_LEAN = BEFORE * (SHALE_LEAN_TRUST + 1) - 1,
	DROPPED = 4096, /* that are counted */
	WAIT_S = 60,
};

/* What the kernel was told to forget, in which order. */
static struct world {
	struct shale_lean *lean;
	atomic_uint n;
	uint64_t dropped[DROPPED];
	uint64_t next; /* directory */
	uint64_t probe, probes;
} w;

static void forget(void *arg, uint64_t dir)
{
	(void)arg;
	w.dropped[atomic_load(&w.n) % DROPPED] = dir;
	atomic_fetch_add(&w.n, 1);
}

static void begin(void)
{
	struct shale_err err;

	memset(&w, 0, sizeof(w));
	w.next = 1000000;
	CHECK_OK(shale_lean_new(&w.lean, &err));
	shale_lean_to(w.lean, forget, NULL);
}

static void end(void)
{
	shale_lean_to(w.lean, NULL, NULL);
	shale_lean_free(w.lean);
}

/* As ro.c does it: is the listing of a new directory lean?  A probe is its
 * first file. */
static bool list_dir(uint32_t reader, uint64_t dir, uint64_t files)
{
	struct shale_lean_plan plan = shale_lean_begin(w.lean, reader, dir, 0);
	uint64_t probe = plan.probe && files ? dir + 1 : 0;

	CHECK(!plan.probe || !plan.lean);
	if (probe) {
		w.probe = probe;
		w.probes++;
	}
	shale_lean_end(w.lean, reader, files, probe);
	return plan.lean;
}

static bool list(uint32_t reader)
{
	w.next += 1000;
	return list_dir(reader, w.next, FILES);
}

static unsigned lean_of(uint32_t reader, unsigned dirs)
{
	unsigned n = 0;

	while (dirs--)
		n += list(reader);
	return n;
}

static void wait_for_drops(unsigned n)
{
	const struct timespec ms = {.tv_nsec = 1000000};

	for (unsigned i = 0; i < WAIT_S * 1000 && atomic_load(&w.n) < n; i++)
		nanosleep(&ms, NULL);
	CHECK_INT(atomic_load(&w.n), n);
}

/* Look at files of the directory that was listed last. */
static void look(unsigned files)
{
	for (unsigned i = 0; i < files; i++)
		shale_lean_looked(w.lean, w.next, w.next + 1 + i);
}

TEST(who_only_lists_is_given_names_alone_after_a_while)
{
	begin();
	CHECK_INT(lean_of(A, FIRST_LEAN), 0);
	CHECK_INT(w.probes, SHALE_LEAN_TRUST);
	CHECK_INT(lean_of(A, 100), 100);
	CHECK_INT(w.probes, SHALE_LEAN_TRUST);
	end();
}

TEST(a_tree_of_few_files_has_not_even_a_probe)
{
	begin();
	for (unsigned i = 0; i < SHALE_LEAN_EVERY; i++) {
		w.next += 1000;
		CHECK(!list_dir(A, w.next, 1));
	}
	CHECK_INT(w.probes, 0);
	end();
}

TEST(who_looks_at_what_he_lists_is_given_inodes_for_ever)
{
	begin();
	for (unsigned i = 0; i < 10 * FIRST_LEAN; i++) {
		CHECK(!list(A));
		if (w.probe)
			shale_lean_looked(w.lean, w.probe - 1, w.probe);
		w.probe = 0;
	}
	/* … at the price of one look-up in a thousand files */
	CHECK_INT(w.probes, 10 * FIRST_LEAN / BEFORE);
	CHECK_INT(atomic_load(&w.n), 0);
	end();
}

TEST(other_files_that_are_looked_up_say_nothing_of_who_lists)
{
	begin();
	for (unsigned i = 0; i < FIRST_LEAN; i++) {
		CHECK(!list(A));
		shale_lean_looked(w.lean, w.next, w.next + 2);
	}
	CHECK(list(A));
	end();
}

TEST(somebody_who_reads_gives_everybody_inodes)
{
	begin();
	CHECK_INT(lean_of(A, FIRST_LEAN + 1), 1);
	CHECK_INT(lean_of(B, FIRST_LEAN), 0);
	shale_lean_read(w.lean);
	CHECK_INT(lean_of(A, FIRST_LEAN), 0);
	CHECK_INT(lean_of(B, FIRST_LEAN), 0);
	CHECK(list(A));
	CHECK(list(B));
	end();
}

TEST(each_thread_has_to_be_known_for_itself)
{
	begin();
	CHECK_INT(lean_of(A, FIRST_LEAN + 1), 1);
	CHECK_INT(lean_of(B, FIRST_LEAN), 0);
	CHECK(list(B));
	end();
}

TEST(who_cannot_be_told_from_others_is_given_inodes)
{
	begin();
	CHECK_INT(lean_of(0, 3 * FIRST_LEAN), 0);
	CHECK_INT(w.probes, 0);
	end();
}

TEST(more_readers_than_are_remembered_are_given_inodes)
{
	begin();
	for (unsigned i = 0; i < 3 * FIRST_LEAN * (SHALE_LEAN_READERS + 1); i++)
		CHECK(!list(A + i % (SHALE_LEAN_READERS + 1)));
	end();
}

TEST(a_directory_goes_on_as_it_began)
{
	begin();
	/* One that is full of inodes, and as large as many. */
	CHECK(!shale_lean_begin(w.lean, A, 5, 0).lean);
	for (unsigned i = 0; i < 2 * FIRST_LEAN; i++) {
		shale_lean_end(w.lean, A, FILES, 0);
		struct shale_lean_plan plan = shale_lean_begin(
			w.lean, A, 5, 3 + UINT64_C(128) * (i + 1));
		CHECK(!plan.lean && !plan.probe);
	}
	/* A lean one: for who began it, and nobody else. */
	unsigned lean = lean_of(A, FIRST_LEAN + 1);
	CHECK(lean > 1);
	CHECK(shale_lean_begin(w.lean, A, w.next, 100).lean);
	CHECK(!shale_lean_begin(w.lean, A, w.next - 1000, 100).lean);
	CHECK(!shale_lean_begin(w.lean, B, w.next, 100).lean);
	/* … until its listing is dropped. */
	look(SHALE_LEAN_DROP);
	wait_for_drops(lean);
	CHECK(!shale_lean_begin(w.lean, A, w.next, 100).lean);
	end();
}

TEST(one_look_at_a_lean_listing_gives_inodes_again)
{
	begin();
	CHECK_INT(lean_of(A, FIRST_LEAN + 100), 100);
	look(1);
	CHECK_INT(lean_of(A, FIRST_LEAN), 0);
	CHECK_INT(lean_of(A, 10), 10);
	CHECK_INT(atomic_load(&w.n), 0); /* what is kept is kept */
	end();
}

TEST(many_looks_have_lean_listings_dropped_in_their_order)
{
	begin();
	CHECK_INT(lean_of(A, FIRST_LEAN), 0);
	uint64_t first = w.next + 1000;
	CHECK_INT(lean_of(A, 500), 500);
	look(SHALE_LEAN_DROP - 1);
	CHECK_INT(atomic_load(&w.n), 0);
	look(1);
	wait_for_drops(500);
	for (unsigned i = 0; i < 500; i++)
		CHECK_INT(w.dropped[i], first + 1000 * i);
	/* Looked at again, nothing is left to drop. */
	look(10 * SHALE_LEAN_DROP);
	CHECK_INT(atomic_load(&w.n), 500);
	end();
}

TEST(who_was_wrong_asks_twice_as_often)
{
	begin();
	CHECK_INT(lean_of(A, FIRST_LEAN + 1), 1);
	look(SHALE_LEAN_DROP);
	wait_for_drops(1);
	CHECK_INT(lean_of(A, FIRST_LEAN + BEFORE * SHALE_LEAN_TRUST), 0);
	CHECK(list(A));
	end();
}

TEST(a_directory_that_is_listed_with_inodes_is_not_dropped)
{
	begin();
	CHECK_INT(lean_of(A, FIRST_LEAN + 2), 2);
	CHECK(!list_dir(B, w.next, FILES));
	look(SHALE_LEAN_DROP);
	w.next -= 1000;
	look(SHALE_LEAN_DROP);
	wait_for_drops(1);
	CHECK_INT(w.dropped[0], w.next);
	end();
}

TEST(more_lean_listings_than_can_be_remembered_are_not_made)
{
	begin();
	CHECK_INT(lean_of(A, FIRST_LEAN), 0);
	CHECK_INT(lean_of(A, SHALE_LEAN_DIRS + 100), SHALE_LEAN_DIRS);
	end();
}

TEST(nothing_is_lean_while_nobody_can_drop_it)
{
	begin();
	shale_lean_to(w.lean, NULL, NULL);
	CHECK_INT(lean_of(A, 2 * FIRST_LEAN), 0);
	end();
	w.lean = NULL; /* as with -o nolean */
	CHECK_INT(lean_of(A, 2 * FIRST_LEAN), 0);
	look(1);
	shale_lean_read(w.lean);
}
