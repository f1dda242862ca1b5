/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/workspace/ops.h"

#include "fs/workspace/db.h"
#include "fs/workspace/journal_disk.h"

#include <errno.h>

enum { FIRST = 512 }; /* bytes that a batch begins with */

void shale_batch_release(struct shale_batch *batch)
{
	if (!batch)
		return;
	shale_buf_release(&batch->ops);
	*batch = (struct shale_batch){0};
}

static int add(struct shale_batch *batch, uint8_t kind, const void *key,
	       size_t key_len, const void *value, size_t value_len)
{
	if (!key_len || key_len > SHALE_DB_KEY_MAX || !*(const uint8_t *)key)
		return -EINVAL;
	if (value_len > SHALE_JOURNAL_RECORD_MAX)
		return -E2BIG;

	struct shale_disk_op head = {
		.kind = kind,
		.key_len = le16_make((uint16_t)key_len),
		.value_len = le32_make((uint32_t)value_len),
	};
	size_t len = sizeof(head) + key_len + value_len;
	/* Room for what most batches are, at once. */
	if (shale_buf_reserve(&batch->ops,
			      !batch->n && len < FIRST ? FIRST : len) < 0)
		return -ENOMEM;
	shale_buf_append(&batch->ops, &head, sizeof(head));
	shale_buf_append(&batch->ops, key, key_len);
	shale_buf_append(&batch->ops, value, value_len);
	batch->n++;
	return 0;
}

int shale_batch_put(struct shale_batch *batch, const void *key, size_t key_len,
		    const void *value, size_t value_len)
{
	return add(batch, SHALE_OP_PUT, key, key_len, value, value_len);
}

int shale_batch_del(struct shale_batch *batch, const void *key, size_t key_len)
{
	return add(batch, SHALE_OP_DEL, key, key_len, NULL, 0);
}

int shale_ops_next(const uint8_t **data, size_t *len, struct shale_op *op)
{
	if (!*len)
		return 0;

	struct shale_disk_op head;
	if (*len < sizeof(head))
		return -EUCLEAN;
	memcpy(&head, *data, sizeof(head));
	size_t key_len = le16_get(head.key_len);
	size_t value_len = le32_get(head.value_len);
	size_t room = *len - sizeof(head);

	if ((head.kind != SHALE_OP_PUT && head.kind != SHALE_OP_DEL) ||
	    head.reserved || !key_len || key_len > SHALE_DB_KEY_MAX ||
	    key_len > room || value_len > room - key_len ||
	    (head.kind == SHALE_OP_DEL && value_len))
		return -EUCLEAN;

	op->put = head.kind == SHALE_OP_PUT;
	op->key = *data + sizeof(head);
	op->key_len = key_len;
	op->value = op->key + key_len;
	op->value_len = value_len;
	if (!op->key[0]) /* the database's own keys are not journalled */
		return -EUCLEAN;
	*data += sizeof(head) + key_len + value_len;
	*len -= sizeof(head) + key_len + value_len;
	return 1;
}
