/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_BLOB_RECORD_H
#define SHALE_BLOB_RECORD_H

/*
 * The rules that one record keeps, whoever made it: the reader asks after
 * decoding, the builder before encoding.  Pure, private to this room.
 *
 * Each returns NULL, or what is wrong, in words.
 */

#include "layers/blob/tree.h"

const char *shale_inode_fault(const struct shale_inode *in);
const char *shale_dirent_fault(const struct shale_dirent *in);

/* Range only; whether the chunks have it is for who has the chunks. */
const char *shale_extent_fault(const struct shale_extent *in);

#endif
