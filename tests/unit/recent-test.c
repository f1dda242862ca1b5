/* SPDX-License-Identifier: Apache-2.0 */
/* The newest value of each key, in memory. */
#include "fs/workspace/db.h"
#include "fs/workspace/recent.h"
#include "tests/lib/check.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

TEST(recent_keys_stay_until_their_last_change_is_dropped)
{
	struct shale_recent *recent = shale_recent_new();
	cleanup_buf struct shale_buf value = {0}, key = {0};

	for (uint64_t pos = 1; pos <= 3; pos++) {
		cleanup_batch struct shale_batch batch = {0};
		struct shale_recent_node *nodes;
		char own[2] = {'a' + (char)pos, 0};
		CHECK_INT(shale_batch_put(&batch, "same", 4, own, 1), 0);
		CHECK_INT(shale_batch_put(&batch, own, 1, own, 1), 0);
		CHECK_INT(shale_recent_prepare(recent, batch.ops.data,
					       batch.ops.len, &nodes),
			  0);
		shale_recent_insert(recent, nodes, pos);
	}
	shale_recent_drop(recent, 2);
	CHECK_INT(shale_recent_get(recent, "same", 4, &value),
		  SHALE_RECENT_VALUE);
	CHECK_MEM(value.data, "d", 1);
	CHECK_INT(shale_recent_get(recent, "b", 1, &value),
		  SHALE_RECENT_UNKNOWN);
	CHECK_INT(shale_recent_next(recent, "", 0, &key, &value),
		  SHALE_RECENT_VALUE);
	CHECK_MEM(key.data, "d", 1);
	shale_recent_drop(recent, 3);
	CHECK_INT(shale_recent_next(recent, "", 0, &key, &value),
		  SHALE_RECENT_UNKNOWN);
	shale_recent_free(recent);
}

/* -------------------------------------------------- against an array */

enum { KEYS = 40, LONGEST = 5 };

struct model {
	int len[KEYS]; /* of the value; -1: deleted, -2: never heard of */
	uint8_t value[KEYS];
	uint64_t pos[KEYS];
};

static size_t key_of(char key[4], int i)
{
	return (size_t)snprintf(key, 4, "%c%02d", 'a' + i % 3, i);
}

static void change(struct shale_recent *recent, struct model *model,
		   uint64_t pos)
{
	cleanup_batch struct shale_batch batch = {0};
	struct shale_recent_node *nodes;

	for (unsigned n = 1 + shale_test_random() % 3; n; n--) {
		int i = (int)(shale_test_random() % KEYS);
		int len = (int)(shale_test_random() % (LONGEST + 1)) - 1;
		uint8_t value[LONGEST];
		char key[4];
		size_t key_len = key_of(key, i);

		model->value[i] = (uint8_t)shale_test_random();
		memset(value, model->value[i], sizeof(value));
		if (len < 0)
			shale_batch_del(&batch, key, key_len);
		else
			shale_batch_put(&batch, key, key_len, value,
					(size_t)len);
		model->len[i] = len;
		model->pos[i] = pos;
	}
	CHECK_INT(shale_recent_prepare(recent, batch.ops.data, batch.ops.len,
				       &nodes),
		  0);
	shale_recent_insert(recent, nodes, pos);
}

static void drop(struct shale_recent *recent, struct model *model, uint64_t pos)
{
	shale_recent_drop(recent, pos);
	for (int i = 0; i < KEYS; i++)
		if (model->pos[i] <= pos)
			model->len[i] = -2;
}

static void check_value(const struct model *model, int i, const uint8_t *value,
			size_t len)
{
	CHECK_INT(len, model->len[i]);
	for (size_t at = 0; at < len; at++)
		CHECK_INT(value[at], model->value[i]);
}

static void check_keys(struct shale_recent *recent, const struct model *model)
{
	for (int i = 0; i < KEYS; i++) {
		cleanup_buf struct shale_buf value = {0};
		char key[4];
		size_t len = key_of(key, i);
		int want = model->len[i] == -2   ? SHALE_RECENT_UNKNOWN
			   : model->len[i] == -1 ? SHALE_RECENT_DELETED
						 : SHALE_RECENT_VALUE;
		CHECK_INT(shale_recent_get(recent, key, len, &value), want);
		if (want == SHALE_RECENT_VALUE)
			check_value(model, i, value.data, value.len);
	}
}

struct walk {
	const struct model *model;
	char last[4];
	size_t bytes;
	int n, stop;
};

static int walk(void *arg, const struct shale_op *op)
{
	struct walk *w = arg;
	char key[4] = {0};
	int i;

	CHECK_INT(op->key_len, 3);
	memcpy(key, op->key, 3);
	CHECK(strcmp(w->last, key) < 0);
	memcpy(w->last, key, sizeof(key));
	CHECK_INT(sscanf(key + 1, "%d", &i), 1);
	CHECK_INT(op->put, w->model->len[i] >= 0);
	if (op->put)
		check_value(w->model, i, op->value, op->value_len);
	w->bytes += op->key_len + op->value_len;
	return ++w->n == w->stop ? -EINTR : 0;
}

static void check_walk(struct shale_recent *recent, const struct model *model)
{
	struct walk all = {.model = model}, some = {.model = model, .stop = 1};
	int known = 0;

	for (int i = 0; i < KEYS; i++)
		known += model->len[i] != -2;
	CHECK_INT(shale_recent_each(recent, walk, &all), 0);
	CHECK_INT(all.n, known);
	CHECK_INT(all.bytes, shale_recent_bytes(recent));
	CHECK_INT(shale_recent_each(recent, walk, &some), known ? -EINTR : 0);
}

TEST(values_that_grow_shrink_go_and_come_back_are_the_last_ones)
{
	struct shale_recent *recent = shale_recent_new();
	struct model model;

	for (int i = 0; i < KEYS; i++)
		model.len[i] = -2;
	memset(model.pos, 0, sizeof(model.pos));
	for (uint64_t pos = 1; pos <= 3000; pos++) {
		change(recent, &model, pos);
		if (shale_test_random() % 8 == 0)
			drop(recent, &model,
			     pos - shale_test_random() % (pos < 40 ? pos : 40));
		check_keys(recent, &model);
		check_walk(recent, &model);
	}
	shale_recent_free(recent);
}
