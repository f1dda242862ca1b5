/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/live/names.h"

#include "layers/base/cleanup.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

static bool is_dots(const char *name, size_t len)
{
	return (len == 1 && name[0] == '.') ||
	       (len == 2 && name[0] == '.' && name[1] == '.');
}

int shale_names_check(const char *name, size_t len)
{
	if (len == 0)
		return -ENOENT;
	if (len > SHALE_NAME_MAX)
		return -ENAMETOOLONG;
	if (memchr(name, '/', len) || memchr(name, 0, len))
		return -EINVAL;
	return is_dots(name, len) ? -EEXIST : 0;
}

int shale_names_find(struct shale_live *live, const struct shale_live_node *dir,
		     const char *name, size_t len, struct shale_name_state *out)
{
	struct shale_name_state state = {0};

	if (dir->stored) {
		cleanup_buf struct shale_buf value = {0};
		struct shale_key key = shale_key_name(dir->ino, name, len);
		int r = shale_live_get(live, &key, &value);
		if (r == 0)
			r = shale_rec_name_decode(&value, &state.rec, NULL);
		if (r < 0 && r != -ENOENT)
			return r;
		state.recorded = r == 0;
	}
	if (dir->base) {
		struct shale_entry entry;
		struct shale_index_dir run;
		uint64_t pos;
		int r = shale_index_lookup(live->index, dir->ino, name, len,
					   &entry, &pos, NULL);
		if (r == 0)
			r = shale_index_dir(live->index, dir->ino, &run, NULL);
		if (r < 0 && r != -ENOENT)
			return r;
		if (r == 0) {
			state.base_ino = entry.ino;
			state.base_type = entry.type;
			state.base_cookie = 3 + pos - run.first;
		}
	}
	*out = state;
	return 0;
}

static void record(struct shale_change *ch, struct shale_live_node *dir,
		   const char *name, size_t len,
		   const struct shale_name_plan *plan)
{
	struct shale_key key = shale_key_name(dir->ino, name, len);

	if (plan->erase)
		shale_change_del(ch, &key);
	else
		shale_change_put_name(ch, dir->ino, name, len, &plan->rec);
	if (plan->cookie_del) {
		key = shale_key_cookie(dir->ino, plan->cookie_del);
		shale_change_del(ch, &key);
	}
	if (plan->cookie_add) {
		key = shale_key_cookie(dir->ino, plan->cookie_add);
		shale_change_put(ch, &key, name, len);
	}
	dir->attr.mtime = ch->now;
	shale_change_touch(ch, dir);
	shale_change_unsaid(ch, dir);
}

void shale_names_set(struct shale_change *ch, struct shale_live_node *dir,
		     const char *name, size_t len,
		     const struct shale_name_state *state, uint64_t ino,
		     uint32_t mode)
{
	struct shale_name_plan plan;

	shale_merge_set(state, ch->live->state.epoch, ino,
			(uint8_t)((mode & S_IFMT) >> 12),
			&dir->attr.next_cookie, &plan);
	record(ch, dir, name, len, &plan);
}

void shale_names_remove(struct shale_change *ch, struct shale_live_node *dir,
			const char *name, size_t len,
			const struct shale_name_state *state)
{
	struct shale_name_plan plan;

	shale_merge_remove(state, ch->live->state.epoch, &plan);
	record(ch, dir, name, len, &plan);
}

/* ---------------------------------------------------------------- reading */

int shale_live_lookup_for(struct shale_live *live, uint32_t thread,
			  uint64_t dir, const char *name, size_t len,
			  struct shale_node *out)
{
	struct shale_live_node parent, node;
	struct shale_name_state state;

	if (len > SHALE_NAME_MAX)
		return -ENAMETOOLONG;
	int r = shale_node_load_dir(live, dir, &parent);
	if (r < 0)
		return r;
	uint64_t ino = len == 1 ? dir : parent.attr.parent;
	if (!is_dots(name, len)) {
		r = shale_names_find(live, &parent, name, len, &state);
		if (r < 0)
			return r;
		ino = shale_merge_ino(&state);
		if (!ino)
			return -ENOENT;
	}
	shale_told_note(&live->told, ino, thread);
	r = shale_node_load(live, ino, &node);
	if (r == -ESTALE)
		return -ENOENT; /* removed since the name was read */
	return r < 0 ? r : shale_node_stat(live, &node, out);
}

int shale_live_lookup(struct shale_live *live, uint64_t dir, const char *name,
		      size_t len, struct shale_node *out)
{
	return shale_live_lookup_for(live, 0, dir, name, len, out);
}

int shale_live_getattr_for(struct shale_live *live, uint32_t thread,
			   uint64_t ino, struct shale_node *out)
{
	struct shale_live_node node;

	shale_told_note(&live->told, ino, thread);
	int r = shale_node_load(live, ino, &node);
	return r < 0 ? r : shale_node_stat(live, &node, out);
}

int shale_live_getattr(struct shale_live *live, uint64_t ino,
		       struct shale_node *out)
{
	return shale_live_getattr_for(live, 0, ino, out);
}

int shale_live_readlink(struct shale_live *live, uint64_t ino,
			struct shale_buf *target)
{
	struct shale_live_node node;
	struct shale_key key = shale_key_target(ino);
	cleanup_buf struct shale_buf value = {0};
	const char *text;
	uint32_t len;

	int r = shale_node_load(live, ino, &node);
	if (r < 0)
		return r;
	if (!S_ISLNK(node.attr.mode))
		return -EINVAL;
	if (node.base) {
		r = shale_index_target(live->index, ino, &text, &len, NULL);
		return r < 0 ? r : shale_buf_append(target, text, len);
	}
	r = shale_live_get(live, &key, &value);
	return r < 0 ? r : shale_buf_append(target, value.data, value.len);
}
