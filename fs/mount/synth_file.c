/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/mount/synth_impl.h"

#include "layers/base/cleanup.h"
#include "layers/base/hash.h"

#include <stdbool.h>
#include <string.h>

/*
 * A record: this, the name, the target.  Native integers: the file never
 * outlives the boot.
 */
struct head {
	uint64_t ino, parent;
	uint16_t name_len, target_len, kind, zero;
	uint32_t check; /* of all of it, with this as 0 */
	uint32_t zeros;
};

enum { TEXT_MAX = 4095 };

static uint32_t checksum(struct head head, const void *text)
{
	uint64_t sum;

	head.check = 0;
	sum = shale_xxh64(&head, sizeof(head));
	sum ^= shale_xxh64(text, (size_t)head.name_len + head.target_len) *
	       0x9e3779b97f4a7c15u;
	return (uint32_t)(sum ^ sum >> 32);
}

static int save_node(const struct shale_synth_node *node, struct shale_buf *out)
{
	size_t name_len = strlen(node->name),
	       target_len = node->target ? strlen(node->target) : 0;
	struct head head = {
		.ino = node->ino,
		.parent = node->parent,
		.kind = (uint16_t)node->kind,
		.name_len = (uint16_t)name_len,
		.target_len = (uint16_t)target_len,
	};

	if (name_len > TEXT_MAX || target_len > TEXT_MAX)
		return -ENAMETOOLONG;
	size_t at = out->len;
	int r = shale_buf_append(out, &head, sizeof(head));
	if (r == 0)
		r = shale_buf_append(out, node->name, name_len);
	if (r == 0 && target_len)
		r = shale_buf_append(out, node->target, target_len);
	if (r < 0)
		return r;
	head.check = checksum(head, out->data + at + sizeof(head));
	memcpy(out->data + at, &head, sizeof(head));
	return 0;
}

int shale_synth_save(const struct shale_synth *s, const struct shale_synth *old,
		     struct shale_buf *out)
{
	uint64_t from = old ? old->next_ino : SHALE_SYNTH_ROOT + 1;
	int r = 0;

	/* In the order of their numbers, so parents come first. */
	for (uint64_t ino = from; r == 0 && ino < s->next_ino; ino++)
		if (s->by_ino[ino])
			r = save_node(s->by_ino[ino], out);
	return r;
}

/* The record at `at`; false: it is torn, or none. */
static bool read_head(const uint8_t *at, size_t left, struct head *head)
{
	if (left < sizeof(*head))
		return false;
	memcpy(head, at, sizeof(*head));
	return head->name_len > 0 && head->name_len <= TEXT_MAX &&
	       head->target_len <= TEXT_MAX &&
	       left - sizeof(*head) >=
		       (size_t)head->name_len + head->target_len &&
	       head->check == checksum(*head, at + sizeof(*head));
}

/* Each has the number behind the one before. */
static bool is_sane(const struct shale_synth *s, const struct head *head,
		    const char *text)
{
	bool link = head->kind == SHALE_SYNTH_LINK;

	return head->kind <= SHALE_SYNTH_TREE && link == !!head->target_len &&
	       head->ino == s->next_ino && head->parent < head->ino &&
	       head->parent >= SHALE_SYNTH_ROOT &&
	       !memchr(text, '\0', (size_t)head->name_len + head->target_len) &&
	       !memchr(text, '/', head->name_len);
}

/* The last one to have a path is who keeps its number. */
static int put(struct shale_synth *s, const struct head *head, const char *text)
{
	struct shale_synth_node *node =
		(struct shale_synth_node *)shale_synth_lookup(
			s, head->parent, text, head->name_len);
	cleanup_free char *target = NULL;

	if (head->target_len) {
		target = strndup(text + head->name_len, head->target_len);
		if (!target)
			return -ENOMEM;
	}
	if (!node)
		node = shale_synth_put(s, head->parent, text, head->name_len,
				       (enum shale_synth_kind)head->kind,
				       target);
	if (!node)
		return -ENOMEM;
	free(node->target);
	node->target = steal_ptr(&target);
	node->kind = (enum shale_synth_kind)head->kind;
	node->ino = head->ino;
	s->next_ino = head->ino + 1;
	return 0;
}

int shale_synth_load(struct shale_synth **out, const void *data, size_t len,
		     size_t *used, struct shale_err *err)
{
	const struct timespec never = {0};
	const uint8_t *at = data;
	struct shale_synth *s;
	struct head head;
	int r = shale_synth_new(&s, NULL, &never);

	if (r < 0)
		return shale_err_set(err, -r, "list versions");
	while (r == 0 && read_head(at, len, &head)) {
		const char *text = (const char *)at + sizeof(head);
		size_t n = sizeof(head) + head.name_len + head.target_len;
		if (!is_sane(s, &head, text))
			r = shale_err_say(err, EUCLEAN,
					  "'names' is damaged at %zu",
					  (size_t)(at - (const uint8_t *)data));
		else if ((r = put(s, &head, text)) < 0)
			shale_err_set(err, -r, "list versions");
		at += n;
		len -= n;
	}
	if (r < 0) {
		shale_synth_unref(s);
		return r;
	}
	*used = (size_t)(at - (const uint8_t *)data);
	*out = s;
	return 0;
}
