/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A crowd of processes on a Shale mount and, with the same operations, on a
 * plain directory: every result is compared at once, both whole trees after
 * every round.
 *
 *     crowd [--dies] MOUNT PLAIN SEED OPERATIONS ROUND PROCESSES HOOK
 *
 * OPERATIONS in rounds of ROUND, both of all processes together.  HOOK is a
 * program called as `HOOK midst N` while round N is under way and as
 * `HOOK round N` when it has ended and nothing is open; it exits 0 if all is
 * well, and 3 if this was the last round.  With --dies the mount may lose its
 * daemon and its holder: then `HOOK recover N` brings it back, what was
 * answered must be there, and there are no races.
 */
#include "tests/mount/crowd.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ENOUGH = 3, RACES_A_ROUND = 28 };

static int call_hook(const char *hook, const char *what, uint64_t round)
{
	char command[1024];

	snprintf(command, sizeof(command), "%s %s %llu >&2", hook, what,
		 (unsigned long long)round);
	int status = system(command);
	if (status == 0 || (WIFEXITED(status) && WEXITSTATUS(status) == ENOUGH))
		return WEXITSTATUS(status);
	printf("# %s of round %llu failed: status %#x\n", what,
	       (unsigned long long)round, status);
	return 1;
}

static struct crowd *new_crowd(void)
{
	pthread_mutexattr_t mutex;

	struct crowd *crowd = mmap(NULL, sizeof(*crowd), PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (crowd == MAP_FAILED)
		return NULL;
	pthread_mutexattr_init(&mutex);
	pthread_mutexattr_setpshared(&mutex, PTHREAD_PROCESS_SHARED);
	for (int i = 0; i < CROWD_GROUPS; i++)
		pthread_mutex_init(&crowd->group[i], &mutex);
	return crowd;
}

static void set_barrier(struct crowd *crowd)
{
	pthread_barrierattr_t attr;

	pthread_barrierattr_init(&attr);
	pthread_barrierattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_barrier_init(&crowd->together, &attr,
			     (unsigned)crowd->processes);
}

/* Directories that both sides must have. */
static int make_plots(const struct crowd *crowd)
{
	const char *top[] = {crowd->mount, crowd->plain};
	char path[1024];

	for (int i = 0; i < 2 * (crowd->processes + CROWD_COMMONS); i++) {
		int k = i / 2, common = k - crowd->processes;
		snprintf(path, sizeof(path), "%s/%c%d", top[i % 2],
			 common < 0 ? 'p' : 'c', common < 0 ? k : common);
		if (mkdir(path, 0755) < 0 && errno != EEXIST) {
			printf("# %s: %s\n", path, strerror(errno));
			return 1;
		}
	}
	return 0;
}

/* All of them work; one that fails ends the others. */
static int work(struct crowd *crowd, const char *hook, uint64_t round,
		uint64_t operations)
{
	pid_t pid[CROWD_MAX];
	int failed = 0, status;

	crowd->dead = false;
	fflush(stdout);
	for (int i = 0; i < crowd->processes; i++) {
		pid[i] = fork();
		if (pid[i] != 0)
			continue;
		int r = crowd_work(crowd, i, operations);
		if (r == 0 && !crowd->dies)
			r = crowd_race(crowd, i, RACES_A_ROUND);
		fflush(stdout);
		_exit(r);
	}
	if (call_hook(hook, "midst", round))
		failed = 1;
	for (int n = 0; n < crowd->processes; n++) {
		pid_t gone = wait(&status);
		for (int i = 0; i < crowd->processes; i++)
			pid[i] = pid[i] == gone ? 0 : pid[i];
		if (gone > 0 && status == 0)
			continue;
		if (!failed && WIFSIGNALED(status))
			printf("# a process ended: %s\n",
			       strsignal(WTERMSIG(status)));
		failed = 1;
		for (int i = 0; i < crowd->processes; i++)
			if (pid[i] > 0)
				kill(pid[i], SIGKILL);
	}
	crowd->races += RACES_A_ROUND;
	return failed;
}

/* 0; 1: a difference, which is said; ENOUGH. */
static int run_round(struct crowd *crowd, const char *hook, uint64_t round,
		     uint64_t operations)
{
	struct truth_side mount = {.path = crowd->mount};
	struct truth_side plain = {.path = crowd->plain};
	char why[1200];

	if (work(crowd, hook, round, operations))
		return 1;
	if (crowd_is_dead(crowd))
		crowd->dead = true;
	if (crowd->dead) {
		if (call_hook(hook, "recover", round) || crowd_settle(crowd))
			return 1;
	} else if (truth_compare(&mount, &plain, why)) {
		printf("# after round %llu: %s\n", (unsigned long long)round,
		       why);
		return 1;
	}
	return call_hook(hook, "round", round);
}

int main(int argc, char **argv)
{
	struct crowd *crowd = new_crowd();
	bool dies = argc > 1 && !strcmp(argv[1], "--dies");

	argv += dies;
	if (argc - dies != 8 || !crowd) {
		fprintf(stderr, "usage: crowd [--dies] MOUNT PLAIN SEED OPS "
				"ROUND PROCESSES HOOK\n");
		return 2;
	}
	crowd->dies = dies;
	crowd->mount = argv[1];
	crowd->plain = argv[2];
	crowd->seed = strtoull(argv[3], NULL, 0);
	uint64_t operations = strtoull(argv[4], NULL, 0);
	uint64_t a_round = strtoull(argv[5], NULL, 0);
	crowd->processes = (int)strtol(argv[6], NULL, 0);
	if (crowd->processes < 1 || crowd->processes > CROWD_MAX || !a_round)
		return 2;
	set_barrier(crowd);
	umask(022);
	if (make_plots(crowd))
		return 1;

	uint64_t done = 0, rounds = 0;
	for (int r = 0; r == 0 && done < operations; rounds++) {
		r = run_round(crowd, argv[7], rounds,
			      a_round / (uint64_t)crowd->processes);
		done = 0;
		for (int i = 0; i < crowd->processes; i++)
			done += crowd->next[i];
		if (r == 1)
			return 1;
		if (r == ENOUGH)
			operations = done;
	}
	printf("# %llu operations of %d processes in %llu rounds, %llu races, "
	       "seed %llu: no difference\n",
	       (unsigned long long)done, crowd->processes,
	       (unsigned long long)rounds,
	       dies ? 0 : (unsigned long long)crowd->races,
	       (unsigned long long)crowd->seed);
	return 0;
}
