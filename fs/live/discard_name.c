/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/live/discard.h"

#include "fs/live/merge.h"

#include <errno.h>
#include <string.h>

/* What an index has under a name, if it has the directory at all. */
static int look_up(const struct shale_index *index, uint64_t dir,
		   const char *name, size_t len, struct shale_entry *e,
		   uint64_t *pos)
{
	int r = shale_index_lookup(index, dir, name, len, e, pos, NULL);

	if (r == -ENOENT || r == -ENOTDIR) {
		*e = (struct shale_entry){0};
		return 0;
	}
	return r;
}

static int find_base(struct shale_live *live, uint64_t dir, const char *name,
		     size_t len, struct shale_name_state *state)
{
	struct shale_index_dir run;
	struct shale_entry e;
	uint64_t pos;

	int r = look_up(live->index, dir, name, len, &e, &pos);
	if (r < 0 || !e.ino)
		return r;
	r = shale_index_dir(live->index, dir, &run, NULL);
	state->base_ino = e.ino;
	state->base_type = e.type;
	state->base_cookie = 3 + pos - run.first;
	return r;
}

/* The directory's counter of names, which its I record keeps. */
static int count_names_of(struct shale_discard *d, uint64_t dir,
			  struct shale_rec_attr **out)
{
	size_t n = d->dirs.len / sizeof(struct shale_discard_dir);
	struct shale_discard_dir *last = (void *)d->dirs.data;
	struct shale_discard_dir fresh = {.ino = dir};

	if (!n || last[n - 1].ino != dir) {
		int r = shale_discard_attr(d, dir, &fresh.attr);
		if (r == 0)
			r = shale_buf_append(&d->dirs, &fresh, sizeof(fresh));
		if (r < 0)
			return r == -ENOENT ? -EUCLEAN : r;
		last = (void *)d->dirs.data;
		n++;
	}
	*out = &last[n - 1].attr;
	return 0;
}

/* The image has the name: as it was there, at an offset that is free. */
static int restore(struct shale_discard *d, uint64_t dir,
		   const struct shale_entry *e,
		   const struct shale_name_state *state,
		   struct shale_name_plan *plan)
{
	uint32_t committed = d->live->state.committed;
	struct shale_name_state there = *state;
	struct shale_rec_attr *counter;

	if (!state->rec.ino && state->base_ino)
		there.recorded = false; /* the base's own offset is free */
	int r = count_names_of(d, dir, &counter);
	if (r < 0)
		return r;
	shale_merge_set(&there, committed, e->ino, e->type,
			&counter->next_cookie, plan);
	if (state->base_ino)
		plan->rec.born = 0;
	else
		plan->rec.born = state->rec.born < committed ? state->rec.born
							     : committed;
	if (plan->cookie_add)
		shale_change_put_attr(&d->ch, dir, counter->epoch, counter);
	return 0;
}

static int decide(struct shale_discard *d, uint64_t dir,
		  const struct shale_entry *e,
		  const struct shale_name_state *state,
		  struct shale_name_plan *plan)
{
	*plan = (struct shale_name_plan){.erase = true};
	if (e->ino && e->ino != state->base_ino)
		return restore(d, dir, e, state, plan);
	if (!e->ino && state->base_ino) { /* a commit has deleted it */
		plan->erase = false;
		plan->rec.epoch = d->live->state.committed;
	}
	if (state->rec.cookie >= SHALE_COOKIE_ADDED)
		plan->cookie_del = state->rec.cookie;
	return 0;
}

static int note_stale(struct shale_discard *d, uint64_t dir, const char *name,
		      size_t len)
{
	struct shale_discard_stale head = {dir, len};

	int r = shale_buf_append(&d->names, &head, sizeof(head));
	return r < 0 ? r : shale_buf_append(&d->names, name, len);
}

int shale_discard_name(struct shale_discard *d, uint64_t dir, const char *name,
		       size_t len, const struct shale_rec_name *rec)
{
	struct shale_name_state state = {.recorded = true, .rec = *rec};
	struct shale_key key = shale_key_name(dir, name, len);
	struct shale_name_plan plan;
	struct shale_entry e;

	int r = look_up(d->last, dir, name, len, &e, NULL);
	if (r == 0)
		r = find_base(d->live, dir, name, len, &state);
	if (r == 0)
		r = decide(d, dir, &e, &state, &plan);
	if (r < 0)
		return r;
	if (plan.erase)
		shale_change_del(&d->ch, &key);
	else
		shale_change_put_name(&d->ch, dir, name, len, &plan.rec);
	if (plan.cookie_del) {
		key = shale_key_cookie(dir, plan.cookie_del);
		shale_change_del(&d->ch, &key);
	}
	if (plan.cookie_add) {
		key = shale_key_cookie(dir, plan.cookie_add);
		shale_change_put(&d->ch, &key, name, len);
	}
	return note_stale(d, dir, name, len);
}
