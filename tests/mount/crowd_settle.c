/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/mount/crowd.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What an operation that was not answered may have done. */
enum after {
	NOTHING,    /* it only reads */
	SAME_AGAIN, /* done once more, it gives what it gives if done once */
	OR_NOT,     /* all of it, or nothing */
	IN_PART,    /* anything in between: what it was about goes away */
};

static enum after after(const struct truth_op *op)
{
	switch (op->kind) {
	case OP_WRITE:
	case OP_TRUNCATE:
	case OP_PUNCH:
	case OP_ZERO:
	case OP_ALLOCATE:
	case OP_CHMOD:
	case OP_CHOWN:
	case OP_UTIMENS:
	case OP_COPY:
	case OP_RMTREE:
		return SAME_AGAIN;
	case OP_CREATE:
		return op->value % 2 ? OR_NOT : SAME_AGAIN; /* O_EXCL */
	case OP_APPEND:
	case OP_MKDIR:
	case OP_RMDIR:
	case OP_UNLINK:
	case OP_RENAME:
	case OP_NOREPLACE:
	case OP_EXCHANGE:
	case OP_LINK:
	case OP_SYMLINK:
	case OP_MKNOD:
	case OP_SETXATTR:
	case OP_REMOVEXATTR:
		return OR_NOT;
	case OP_MKTREE:
		return IN_PART;
	default:
		return NOTHING;
	}
}

enum { TOLD_MAX = 10 };

struct settling {
	struct crowd *crowd;
	bool differs[CROWD_MAX]; /* the plot of that process's operation */
	bool decided;            /* what may differ has been done */
	int told;
};

static int look(void *arg, const char *path, const char *why)
{
	struct settling *s = arg;
	int plot = crowd_plot_of(s->crowd, path);
	bool known = path[0] == 'c' && !strchr(path, '/'); /* links below it */

	for (int i = 0; !s->decided && i < s->crowd->processes; i++) {
		const struct crowd_pending *p = &s->crowd->pending[i];
		if (!p->set || p->plot != plot || after(&p->op) != OR_NOT)
			continue;
		s->differs[i] = known = true;
	}
	if (known && !s->decided)
		return 0;
	printf("# after recovery%s: %s\n",
	       s->decided ? ", with what was not answered" : "", why);
	return ++s->told == TOLD_MAX;
}

/* What had not been answered, for who must find out what is wrong. */
static int tell_pending(const struct crowd *crowd)
{
	char words[500];

	for (int i = 0; i < crowd->processes; i++) {
		const struct crowd_pending *p = &crowd->pending[i];
		if (!p->set)
			continue;
		truth_say(&p->op, words);
		printf("# not answered to process %d, in plot %d from c%d, "
		       "%ld bytes: %s\n",
		       i, p->plot, p->common, p->answered, words);
	}
	return 1;
}

/* Take from the plain side what it has of an append. */
static void take_back(const struct truth_side *plain,
		      const struct crowd_pending *p)
{
	struct stat st;

	int fd = openat(plain->root, p->op.a, O_WRONLY | O_NOFOLLOW);
	if (fd >= 0 && fstat(fd, &st) == 0)
		(void)!ftruncate(fd, st.st_size - p->answered);
	if (fd >= 0)
		close(fd);
}

/* On the plain side, and if asked on the mount first. */
static int again(struct crowd *crowd, const struct crowd_pending *p, bool both)
{
	struct crowd_view view;
	uint64_t got_hash = 0, want_hash = 0;
	struct truth_op op = p->op;
	long got = 0;
	char words[500];

	if (crowd_view_open(&view, crowd, p->plot, p->common) < 0)
		return 1;
	if (after(&op) == IN_PART)
		op.kind = OP_RMTREE;
	if (p->answered)
		take_back(&view.plain, p);
	if (both)
		got = truth_do(&view.mount, &op, &got_hash);
	long want = truth_do(&view.plain, &op, &want_hash);
	crowd_view_close(&view);
	if (!both || (got == want && got_hash == want_hash))
		return 0;
	truth_say(&op, words);
	printf("# done again after recovery: %s: result %ld, should be %ld\n",
	       words, got, want);
	return 1;
}

int crowd_settle(struct crowd *crowd)
{
	struct truth_side mount = {.path = crowd->mount};
	struct truth_side plain = {.path = crowd->plain};
	struct settling s = {.crowd = crowd};

	for (int i = 0; i < crowd->processes; i++) {
		const struct crowd_pending *p = &crowd->pending[i];
		if (p->set && after(&p->op) != NOTHING &&
		    after(&p->op) != OR_NOT && again(crowd, p, true))
			return 1;
	}
	if (truth_differences(&mount, &plain, look, &s) || s.told)
		return tell_pending(crowd);
	for (int i = 0; i < crowd->processes; i++)
		if (s.differs[i] && again(crowd, &crowd->pending[i], false))
			return 1;
	s.decided = true;
	if (truth_differences(&mount, &plain, look, &s) || s.told)
		return tell_pending(crowd);
	for (int i = 0; i < crowd->processes; i++)
		crowd->pending[i] = (struct crowd_pending){0};
	return 0;
}
