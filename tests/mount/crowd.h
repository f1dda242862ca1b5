/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_TESTS_CROWD_H
#define SHALE_TESTS_CROWD_H

/*
 * Several processes that do random operations of the overlay-truth test on a
 * mount and on a plain directory.  What can be compared at once is what one
 * process does at a time, so names are divided into plots:
 *
 *   - each process has the directory p<number> to itself;
 *   - the directories c0, c1, … belong to everybody; of their entries, those
 *     that start with g<number>- are one plot, worked on by who has its lock.
 *
 * An operation stays in its plot, but goes from one common directory to
 * another. And there are races, in which all processes do the same at the same
 * time, and it is known how many must succeed.
 */

#include "tests/mount/truth.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

enum { CROWD_MAX = 16, CROWD_COMMONS = 3, CROWD_GROUPS = 12 };

/* What is known of an operation whose process was told that the mount died. */
struct crowd_pending {
	bool set;
	int plot, common;
	struct truth_op op;
	long answered; /* bytes of an append, which the plain side has */
};

/* Shared by all processes. */
struct crowd {
	const char *mount, *plain;
	uint64_t seed;
	int processes;
	bool dies; /* the mount may: go on from there */

	_Atomic bool dead; /* it did, in this round */
	pthread_mutex_t group[CROWD_GROUPS];
	pthread_barrier_t together; /* all processes */
	uint64_t next[CROWD_MAX];   /* operation of each process */
	struct crowd_pending pending[CROWD_MAX];
	_Atomic unsigned won; /* of one race */
	uint64_t races;
};

/*
 * A plot's number is its process's, or CROWD_MAX + its group's.  -1: the path
 * is in no plot.
 */
int crowd_plot_of(const struct crowd *crowd, const char *path);

/* Both sides of a plot as seen from one common directory, without slots. */
struct crowd_view {
	struct truth_side mount, plain;
	char mount_path[512], plain_path[512];
};
int crowd_view_open(struct crowd_view *view, const struct crowd *crowd,
		    int plot, int common);
void crowd_view_close(struct crowd_view *view);

/* Is nobody left who serves the mount?  Never, unless it may die. */
bool crowd_is_dead(const struct crowd *crowd);

/* One process's part of a round: so many operations.  Returns its exit code;
 * says what differs on standard output. */
int crowd_work(struct crowd *crowd, int process, uint64_t operations);

/* One process's part of so many races, in each of which all take part. */
int crowd_race(struct crowd *crowd, int process, uint64_t races);

/*
 * The mount died and is back: bring both sides together where operations had
 * been sent and not been answered, and nowhere else.  Returns 0; 1: something
 * was lost, which is said.
 */
int crowd_settle(struct crowd *crowd);

#endif
