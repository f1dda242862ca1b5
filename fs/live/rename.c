/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/live/rename.h"

#include "fs/live/names.h"
#include "fs/live/sync.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

int shale_rename_decide(const struct shale_rename_facts *f,
			struct shale_rename_plan *out)
{
	bool exchange = f->flags & RENAME_EXCHANGE;
	bool noreplace = f->flags & RENAME_NOREPLACE;
	bool whiteout = f->flags & RENAME_WHITEOUT;

	if ((f->flags & ~(unsigned)(RENAME_EXCHANGE | RENAME_NOREPLACE |
				    RENAME_WHITEOUT)) ||
	    (exchange && (noreplace || whiteout)))
		return -EINVAL;
	if (f->dst && noreplace)
		return -EEXIST;
	if (!f->dst && exchange)
		return -ENOENT;
	if (f->into_itself)
		return -EINVAL;
	if (f->out_of_dst)
		return exchange ? -EINVAL : -ENOTEMPTY;

	*out = (struct shale_rename_plan){.verdict = SHALE_RENAME_NOTHING};
	if (f->src == f->dst)
		return 0;
	if (!f->dst) {
		out->verdict = SHALE_RENAME_MOVE;
	} else if (exchange) {
		out->verdict = SHALE_RENAME_EXCHANGE;
	} else {
		if (f->src_dir && !f->dst_dir)
			return -ENOTDIR;
		if (!f->src_dir && f->dst_dir)
			return -EISDIR;
		if (f->dst_dir && !f->dst_empty)
			return -ENOTEMPTY;
		out->verdict = SHALE_RENAME_REPLACE;
	}
	if (!f->same_parent) {
		out->old_links -= f->src_dir;
		out->new_links += f->src_dir;
	}
	if (out->verdict == SHALE_RENAME_REPLACE)
		out->new_links -= f->dst_dir;
	if (out->verdict == SHALE_RENAME_EXCHANGE && !f->same_parent) {
		out->new_links -= f->dst_dir;
		out->old_links += f->dst_dir;
	}
	return 0;
}

/* One rename, looked up. */
struct rename {
	struct shale_live *live;
	struct {
		uint64_t dir;
		const char *name;
		size_t len;
		struct shale_name_state state;
	} from, to;
	struct shale_rename_facts facts;
	struct shale_rename_plan plan;
};

/* Is `ino` the directory `dir` or one of those above it? */
static int above(struct shale_live *live, uint64_t ino, uint64_t dir, bool *out)
{
	*out = false;
	for (;;) {
		struct shale_live_node node;
		if (dir == ino) {
			*out = true;
			return 0;
		}
		if (dir == SHALE_ROOT_INO)
			return 0;
		int r = shale_node_load(live, dir, &node);
		if (r < 0)
			return r;
		if (!S_ISDIR(node.attr.mode))
			return -EUCLEAN;
		dir = node.attr.parent;
	}
}

static int look_up(struct rename *m)
{
	struct shale_live_node from, to, dst;

	int r = shale_node_load_dir(m->live, m->from.dir, &from);
	if (r == 0)
		r = shale_node_load_dir(m->live, m->to.dir, &to);
	if (r == 0)
		r = shale_names_find(m->live, &from, m->from.name, m->from.len,
				     &m->from.state);
	if (r == 0)
		r = shale_names_find(m->live, &to, m->to.name, m->to.len,
				     &m->to.state);
	if (r < 0)
		return r;

	struct shale_rename_facts *f = &m->facts;
	f->same_parent = m->from.dir == m->to.dir;
	f->src = shale_merge_ino(&m->from.state);
	f->dst = shale_merge_ino(&m->to.state);
	f->src_dir = shale_merge_type(&m->from.state) == S_IFDIR >> 12;
	f->dst_dir = shale_merge_type(&m->to.state) == S_IFDIR >> 12;
	if (!f->src)
		return -ENOENT;
	if (f->src_dir && !f->same_parent)
		r = above(m->live, f->src, m->to.dir, &f->into_itself);
	if (r == 0 && f->dst_dir && !f->same_parent)
		r = above(m->live, f->dst, m->from.dir, &f->out_of_dst);
	if (r == 0 && f->dst_dir && f->src_dir && f->src != f->dst) {
		r = shale_node_load(m->live, f->dst, &dst);
		if (r == 0)
			r = shale_names_empty(m->live, &dst);
		f->dst_empty = r == 0;
		if (r == -ENOTEMPTY)
			r = 0;
	}
	return r == 0 ? shale_rename_decide(f, &m->plan) : r;
}

static void move_to(struct shale_change *ch, struct shale_live_node *node,
		    uint64_t parent)
{
	if (S_ISDIR(node->attr.mode))
		node->attr.parent = parent;
	shale_change_touch(ch, node);
	shale_change_unsaid(ch, node);
}

/* A file that replaces another is known to fsyncs before its rename counts. */
static int commit_rename(struct rename *m, struct shale_change *ch,
			 const struct shale_live_node *src,
			 const struct shale_caller *who)
{
	if (m->plan.verdict != SHALE_RENAME_REPLACE || !S_ISREG(src->attr.mode))
		return shale_change_commit(ch, who);
	int r = shale_sync_replacing(m->live, src->ino);
	if (r < 0)
		return r;
	r = shale_change_commit(ch, who);
	shale_sync_replaced(m->live, src->ino, r == 0 ? ch->pos : 0);
	return r;
}

/* The old name stands for something else now, or is gone. */
static int leave(struct rename *m, struct shale_change *ch,
		 const struct shale_caller *who, struct shale_live_node *from)
{
	struct shale_make whiteout = {.mode = S_IFCHR};
	struct shale_live_node *node;

	if (!(m->facts.flags & RENAME_WHITEOUT)) {
		shale_names_remove(ch, from, m->from.name, m->from.len,
				   &m->from.state);
		return 0;
	}
	int r = shale_make_node(ch, from, who, &whiteout, &node);
	if (r == 0)
		shale_names_set(ch, from, m->from.name, m->from.len,
				&m->from.state, node->ino, whiteout.mode);
	return r;
}

static int carry_out(struct rename *m, const struct shale_caller *who)
{
	cleanup_change struct shale_change ch;
	struct shale_live_node *from, *to, *src, *dst = NULL;

	shale_change_init(&ch, m->live);
	int r = shale_change_load(&ch, m->from.dir, &from);
	if (r == 0)
		r = shale_change_load(&ch, m->to.dir, &to);
	if (r == 0)
		r = shale_change_load(&ch, m->facts.src, &src);
	if (r == 0 && m->facts.dst)
		r = shale_change_load(&ch, m->facts.dst, &dst);
	if (r < 0)
		return r;

	shale_names_set(&ch, to, m->to.name, m->to.len, &m->to.state, src->ino,
			src->attr.mode);
	move_to(&ch, src, to->ino);
	if (m->plan.verdict == SHALE_RENAME_EXCHANGE) {
		shale_names_set(&ch, from, m->from.name, m->from.len,
				&m->from.state, dst->ino, dst->attr.mode);
		move_to(&ch, dst, from->ino);
	} else {
		r = leave(m, &ch, who, from);
		if (r < 0)
			return r;
		if (dst)
			shale_change_unlink(&ch, dst);
	}
	from->attr.nlink += (uint32_t)m->plan.old_links;
	to->attr.nlink += (uint32_t)m->plan.new_links;
	return commit_rename(m, &ch, src, who);
}

int shale_live_rename(struct shale_live *live, const struct shale_caller *who,
		      uint64_t dir, const char *name, size_t len,
		      uint64_t new_dir, const char *new_name, size_t new_len,
		      unsigned flags)
{
	struct rename m = {
		.live = live,
		.from = {.dir = dir, .name = name, .len = len},
		.to = {.dir = new_dir, .name = new_name, .len = new_len},
		.facts = {.flags = flags},
	};
	struct shale_locks locks;

	int r = shale_names_check(name, len);
	if (r == 0)
		r = shale_names_check(new_name, new_len);
	if (r < 0)
		return r == -EEXIST ? -EBUSY : r;
	pthread_rwlock_rdlock(&live->freeze);
	pthread_mutex_lock(&live->names);
	r = look_up(&m);
	if (r == 0 && m.plan.verdict != SHALE_RENAME_NOTHING) {
		uint64_t inos[4] = {dir, new_dir, m.facts.src, m.facts.dst};
		shale_locks_take(live, &locks, inos, 4);
		r = carry_out(&m, who);
		shale_locks_drop(live, &locks);
	}
	pthread_mutex_unlock(&live->names);
	pthread_rwlock_unlock(&live->freeze);
	return r;
}
