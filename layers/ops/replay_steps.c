/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/replay_impl.h"

#include "layers/base/cleanup.h"

#include <errno.h>
#include <string.h>

int shale_replay_add_step(void *arg, const struct shale_difference *d)
{
	struct shale_replaying *rp = arg;
	struct shale_replay_step step = {.d = *d};

	step.d.path = strdup(d->path);
	if (step.d.path &&
	    shale_buf_append(&rp->steps, &step, sizeof(step)) == 0)
		return 0;
	free((char *)step.d.path);
	return shale_err_set(rp->err, ENOMEM, "replay");
}

static bool is_dir(const struct shale_attr *attr)
{
	return S_ISDIR(attr->mode);
}

/* Must what was there go before what comes can be made? */
static bool removes(const struct shale_difference *d)
{
	return d->letter == 'D' ||
	       (d->letter == 'T' && (is_dir(&d->was) || is_dir(&d->is)));
}

/* What is in a directory goes before it. */
static int remove_all(struct shale_replaying *rp)
{
	struct shale_replay_step *step = (void *)rp->steps.data;
	int r = 0;
	for (size_t i = rp->steps.len / sizeof(*step); r == 0 && i-- > 0;) {
		if (!removes(&step[i].d))
			continue;
		r = shale_replay_stopped(rp);
		if (r == 0)
			r = shale_replay_remove(rp, &step[i]);
	}
	return r;
}

/* A directory that was made whole, or is none here, whose inside may follow. */
struct outer {
	const char *path;
	bool whole;
};

/*
 * Is the path in one of those?  They are left behind when no path in them can
 * come any more: paths ascend as strcmp() has it.
 */
static const struct outer *find_outer(struct shale_buf *outers,
				      const char *path)
{
	const struct outer *v = (const void *)outers->data;
	size_t n = outers->len / sizeof(*v), len = 0;

	for (; n; n--) {
		len = strlen(v[n - 1].path);
		if (!strncmp(path, v[n - 1].path, len) &&
		    (uint8_t)path[len] <= '/')
			break;
	}
	outers->len = n * sizeof(*v);
	for (size_t i = 0; i < n; i++) {
		len = strlen(v[i].path);
		if (!strncmp(path, v[i].path, len) && path[len] == '/')
			return &v[i];
	}
	return NULL;
}

/* A step of the first round: what is around the others is known then. */
static int apply_first(struct shale_replaying *rp,
		       struct shale_replay_step *step, struct shale_buf *outers)
{
	bool whole = false, shut = step->failed && is_dir(&step->d.is);
	const struct outer *in = find_outer(outers, step->d.path);
	int r = 0;

	step->covered = in && in->whole;
	step->shut = in && !in->whole;
	if (step->shut)
		return 0;
	if (!step->failed) {
		r = shale_replay_stopped(rp);
		if (r == 0)
			r = shale_replay_apply(rp, step, &whole, &shut);
	}
	struct outer out = {step->d.path, whole && !step->failed};
	if (r == 0 && (whole || shut) &&
	    shale_buf_append(outers, &out, sizeof(out)) < 0)
		r = shale_err_set(rp->err, ENOMEM, "replay");
	return r;
}

static int apply_later(struct shale_replaying *rp,
		       struct shale_replay_step *step)
{
	bool whole, shut;
	int r = step->failed ? 0 : shale_replay_stopped(rp);
	return r < 0 || step->failed
		       ? r
		       : shale_replay_apply(rp, step, &whole, &shut);
}

static int apply_all(struct shale_replaying *rp)
{
	struct shale_replay_step *step = (void *)rp->steps.data;
	size_t n = rp->steps.len / sizeof(*step);
	cleanup_buf struct shale_buf outers = {0};
	int r = 0;

	for (int round = 0; r == 0 && round < SHALE_REPLAY_ROUNDS; round++) {
		for (size_t i = 0; r == 0 && i < n; i++) {
			if (step[i].d.letter == 'D' ||
			    (int)step[i].round != round)
				continue;
			r = round ? apply_later(rp, &step[i])
				  : apply_first(rp, &step[i], &outers);
		}
		if (r == 0)
			r = shale_replay_batch_flush(rp);
	}
	return r;
}

/* Directories in which an earlier attempt has worked: it did not come to
 * giving them their times. */
static int touch_all(struct shale_replaying *rp)
{
	const struct shale_replay_step *step = (void *)rp->steps.data;
	size_t n = rp->steps.len / sizeof(*step);
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		if (!step[i].failed && !step[i].shut)
			r = shale_replay_touch(rp, step[i].d.path, false);
	return r;
}

int shale_replay_steps(struct shale_replaying *rp)
{
	int r = remove_all(rp);
	if (r == 0)
		r = apply_all(rp);
	int touched = rp->again ? touch_all(rp) : 0;
	return r < 0 ? r : touched;
}

void shale_replay_steps_release(struct shale_replaying *rp)
{
	struct shale_replay_step *step = (void *)rp->steps.data;
	for (size_t i = 0; i < rp->steps.len / sizeof(*step); i++)
		free((char *)step[i].d.path);
	char **dir = (void *)rp->dirs.data;
	for (size_t i = 0; i < rp->dirs.len / sizeof(*dir); i++)
		free(dir[i]);
	shale_buf_release(&rp->steps);
	shale_buf_release(&rp->dirs);
	shale_buf_release(&rp->batch);
	shale_replay_links_release(&rp->links);
}
