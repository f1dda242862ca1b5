/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_MOUNT_RECALL_H
#define SHALE_MOUNT_RECALL_H

/*
 * Attributes that the kernel shall not believe any more, also those of answers
 * that it has not taken in yet.
 *
 * A kernel keeps attributes that it is told unless it has learnt of a newer
 * change: each inode has a version, and what was asked for before the version
 * was raised is dropped.  It raises the version of an inode whose attributes an
 * answer brings, of one that it wrote to and of one that lost a name; not of
 * the directory of a name that came, went or was renamed, of what was renamed,
 * of one whose xattrs changed, or whose space did.  Of those it only drops what
 * it has: a GETATTR, LOOKUP or READDIRPLUS that was served before the change,
 * and whose caller comes to run after the change's, brings the old attributes
 * back, to stay.  So who serves such a change has the version raised before he
 * answers it, if there may be such a caller (struct shale_stale).
 *
 * It is sent by the thread that serves the request.  The general rule is not to
 * (L5), since most notifications wait for locks that the kernel holds until it
 * is answered.  This one takes none of an inode or a page; it would wait for an
 * inode that is being freed, but what the request works on is held by its
 * caller (and by its open file, when the kernel itself writes back pages).
 */

struct shale_session;
struct shale_stale;

void shale_recall(struct shale_session *s, const struct shale_stale *stale);

#endif
