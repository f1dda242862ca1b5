/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/mount/crowd.h"

#include "layers/base/cleanup.h"
#include "layers/base/hash.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

/* One process: its views of all plots that it may work on. */
struct worker {
	struct crowd *crowd;
	int number;
	struct crowd_view own;
	struct crowd_view group[CROWD_GROUPS]; /* the slots are of the plot */
	int common[2][CROWD_COMMONS];          /* descriptors: mount, plain */
};

int crowd_plot_of(const struct crowd *crowd, const char *path)
{
	int number, common, end = 0;

	if (sscanf(path, "p%d%n", &number, &end) == 1 &&
	    (path[end] == '/' || !path[end]) && number < crowd->processes)
		return number;
	if (sscanf(path, "c%d/g%d-", &common, &number) == 2)
		return CROWD_MAX + number;
	return -1;
}

static void dir_of(char *out, size_t size, const char *top, int plot,
		   int common)
{
	if (plot < CROWD_MAX)
		snprintf(out, size, "%s/p%d", top, plot);
	else
		snprintf(out, size, "%s/c%d", top, common);
}

int crowd_view_open(struct crowd_view *view, const struct crowd *crowd,
		    int plot, int common)
{
	memset(view, 0, sizeof(*view));
	dir_of(view->mount_path, sizeof(view->mount_path), crowd->mount, plot,
	       common);
	dir_of(view->plain_path, sizeof(view->plain_path), crowd->plain, plot,
	       common);
	view->mount.path = view->mount_path;
	view->plain.path = view->plain_path;
	int r = truth_attach(&view->mount);
	return truth_attach(&view->plain) < 0 ? -EIO : r;
}

void crowd_view_close(struct crowd_view *view)
{
	truth_detach(&view->mount);
	truth_detach(&view->plain);
}

/* Look at the plot from another common directory; open files stay. */
static void turn(struct worker *w, struct crowd_view *view, int plot,
		 int common)
{
	dir_of(view->mount_path, sizeof(view->mount_path), w->crowd->mount,
	       plot, common);
	dir_of(view->plain_path, sizeof(view->plain_path), w->crowd->plain,
	       plot, common);
	view->mount.root = w->common[0][common];
	view->plain.root = w->common[1][common];
}

/* Paths of the operation become those of a plot, seen from `common`. */
static void put_in_plot(struct truth_op *op, int plot, int other)
{
	char path[sizeof(op->a)];

	if (plot < CROWD_MAX)
		return;
	snprintf(path, sizeof(path), "g%d-%.100s", plot - CROWD_MAX, op->a);
	strcpy(op->a, path);
	snprintf(path, sizeof(path), "../c%d/g%d-%.100s", other,
		 plot - CROWD_MAX, op->b);
	strcpy(op->b, path);
}

/* What a common directory shows of a plot, while others change it. */
static long list_plot(int fd, const char *prefix, uint64_t *hash)
{
	const struct dirent *entry;
	long n = 0;

	*hash = 0;
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY);
	if (copy < 0)
		return -errno;
	DIR *dir = fdopendir(copy);
	if (!dir) {
		n = -errno;
		close(copy);
		return n;
	}
	errno = 0;
	while ((entry = readdir(dir))) {
		if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0)
			continue;
		*hash += shale_xxh64(entry->d_name, strlen(entry->d_name)) +
			 entry->d_type;
		n++;
	}
	if (errno)
		n = -errno;
	closedir(dir);
	return n;
}

bool crowd_is_dead(const struct crowd *crowd)
{
	struct statfs st;

	return crowd->dies && statfs(crowd->mount, &st) < 0;
}

/* Was the mount gone before this was answered? */
static bool unanswered(const struct crowd *crowd, const struct truth_op *op,
		       long r)
{
	if (!crowd->dies)
		return false;
	if (r == -ENOTCONN || r == -ECONNABORTED)
		return true;
	if (r == -EIO) /* what the kernel had kept */
		return crowd_is_dead(crowd);
	/* These do many things, and do not tell; a write that begins or ends in
	 * a page that the kernel has not read comes in parts. */
	bool parts = op->kind == OP_MKTREE || op->kind == OP_RMTREE ||
		     (op->kind == OP_WRITE && r < (long)op->len) ||
		     (op->kind == OP_APPEND && r < (long)op->len);
	return parts && crowd_is_dead(crowd);
}

/* The mount died in it: what may be done, and what is. */
static void leave_pending(struct worker *w, struct crowd_view *view, int plot,
			  int common, const struct truth_op *op, long r)
{
	struct crowd_pending *p = &w->crowd->pending[w->number];
	struct truth_op part = *op;
	uint64_t hash;

	*p = (struct crowd_pending){
		.set = true, .plot = plot, .common = common, .op = *op};
	if (op->kind != OP_APPEND || r <= 0)
		return;
	p->answered = r;
	part.len = (uint64_t)r;
	truth_do(&view->plain, &part, &hash);
}

static int tell(const struct worker *w, const struct truth_op *op, long got,
		long want, bool differs)
{
	char words[500];

	truth_say(op, words);
	printf("# process %d, operation %llu: %s: result %ld (%s), should be "
	       "%ld (%s)%s\n",
	       w->number, (unsigned long long)w->crowd->next[w->number], words,
	       got, got < 0 ? strerror((int)-got) : "-", want,
	       want < 0 ? strerror((int)-want) : "-",
	       differs ? "; what was seen differs" : "");
	return 1;
}

/* One operation on both sides.  0; 1: they differ; 2: the mount died. */
static int both(struct worker *w, struct crowd_view *view, int plot, int common,
		const struct truth_op *op)
{
	uint64_t got_hash, want_hash;

	long got = truth_do(&view->mount, op, &got_hash);
	if (unanswered(w->crowd, op, got)) {
		leave_pending(w, view, plot, common, op, got);
		return 2;
	}
	long want = truth_do(&view->plain, op, &want_hash);
	if (got == want && got_hash == want_hash)
		return 0;
	if (op->kind == OP_READDIR && crowd_is_dead(w->crowd))
		return 2;
	return tell(w, op, got, want, got == want);
}

static int compare_listing(struct worker *w, const struct truth_op *op,
			   int group, int common)
{
	uint64_t got_hash, want_hash;
	char prefix[16];

	snprintf(prefix, sizeof(prefix), "g%d-", group);
	long got = list_plot(w->common[0][common], prefix, &got_hash);
	if (unanswered(w->crowd, op, got))
		return 2;
	long want = list_plot(w->common[1][common], prefix, &want_hash);
	if (got == want && got_hash == want_hash)
		return 0;
	return tell(w, op, got, want, got == want);
}

/* Some operations cannot be done over again when the mount died in them. */
static bool is_for_the_living(enum truth_kind kind)
{
	return kind == OP_MMAP || kind == OP_OPEN || kind == OP_FD_WRITE ||
	       kind == OP_FD_TRUNCATE || kind == OP_FD_CHMOD;
}

static int step(struct worker *w, uint64_t number)
{
	struct crowd *crowd = w->crowd;
	struct truth_op op;
	uint64_t seed = crowd->seed * CROWD_MAX + (uint64_t)w->number;

	truth_make(&op, seed, number);
	uint64_t draw = shale_xxh64(&op, sizeof(op));
	if (op.kind == OP_REMOUNT || op.kind == OP_COMMIT ||
	    (crowd->dies && is_for_the_living(op.kind)))
		return 0;
	if (draw % 2) {
		if (op.kind == OP_COMPARE && !crowd->dies) {
			char why[1200];
			if (!truth_compare(&w->own.mount, &w->own.plain, why))
				return 0;
			printf("# process %d: %s\n", w->number, why);
			return 1;
		}
		return both(w, &w->own, w->number, 0, &op);
	}

	int group = (int)(draw >> 8 & 0xff) % CROWD_GROUPS;
	int common = (int)(draw >> 16 & 0xff) % CROWD_COMMONS;
	put_in_plot(&op, CROWD_MAX + group,
		    (int)(draw >> 24 & 0xff) % CROWD_COMMONS);
	pthread_mutex_lock(&crowd->group[group]);
	int r = crowd->dead ? 2 : 0;
	turn(w, &w->group[group], CROWD_MAX + group, common);
	if (r == 0 && op.kind == OP_COMPARE)
		r = compare_listing(w, &op, group, common);
	else if (r == 0)
		r = both(w, &w->group[group], CROWD_MAX + group, common, &op);
	if (r == 2)
		crowd->dead = true;
	pthread_mutex_unlock(&crowd->group[group]);
	return r;
}

static int open_worker(struct worker *w)
{
	char path[1024];

	if (crowd_view_open(&w->own, w->crowd, w->number, 0) < 0)
		return -1;
	for (int i = 0; i < CROWD_COMMONS; i++) {
		for (int side = 0; side < 2; side++) {
			snprintf(path, sizeof(path), "%s/c%d",
				 side ? w->crowd->plain : w->crowd->mount, i);
			w->common[side][i] = open(path, O_RDONLY | O_DIRECTORY);
			if (w->common[side][i] < 0)
				return -1;
		}
	}
	for (int i = 0; i < CROWD_GROUPS; i++) {
		struct crowd_view *view = &w->group[i];
		view->mount.path = view->mount_path;
		view->plain.path = view->plain_path;
		for (int slot = 0; slot < TRUTH_SLOTS; slot++)
			view->mount.fd[slot] = view->plain.fd[slot] = -1;
	}
	return 0;
}

int crowd_work(struct crowd *crowd, int process, uint64_t operations)
{
	static struct worker w;

	w.crowd = crowd;
	w.number = process;
	if (open_worker(&w) < 0) {
		if (crowd_is_dead(crowd))
			return 0;
		printf("# process %d: %s\n", process, strerror(errno));
		return 1;
	}
	for (uint64_t i = 0; i < operations && !crowd->dead; i++) {
		int r = step(&w, crowd->next[process]);
		if (r == 1)
			return 1;
		crowd->next[process]++;
		if (r == 2)
			crowd->dead = true;
	}
	return 0; /* the end of the process closes what is open */
}
