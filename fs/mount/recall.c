/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/mount/recall.h"

#include "fs/mount/session.h"

void shale_recall(struct shale_session *s, const struct shale_stale *stale)
{
	for (unsigned i = 0; i < stale->n; i++)
		shale_session_forget_attr(s, stale->ino[i]);
}
