/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_TOOLS_TREE_DIGEST_H
#define SHALE_TOOLS_TREE_DIGEST_H

/*
 * A digest of what an image holds, whatever its chunks, codecs, layers and
 * inode numbers: two images have the same one if their trees cannot be told
 * apart.
 *
 * It is the SHA-256 of one record an entry.  The root comes first, with an
 * empty path; the entries of a directory follow it, by name (as bytes), each
 * directory with all below it at its place.  All integers are little-endian.
 *
 *     le32 length of the path, the path ("a/b", no slash before it)
 *     le32 mode with its type        le32 uid       le32 gid
 *     le64 mtime, seconds            le32 mtime, nanoseconds
 *     le32 number of xattrs; each, by name (as bytes): le32 length of the name,
 *          the name, le32 length of the value, the value
 *     one byte that says what follows:
 *       'd'  directory, fifo or socket: nothing
 *       'f'  regular file: le64 size, SHA-256 of its content (32 bytes)
 *       'l'  symlink: le32 length of the target, the target
 *       'b'  device: le32 major, le32 minor
 *       '='  another name of a non-directory that came before: le32 length of
 *            its first path, that path
 */

#include "tools/cmd.h"

/*
 * Of an open image with its index.  Reads all contents.  -EINTR when the user
 * wants to stop.
 */
int shale_tree_digest(struct shale_ctx *ctx, const struct shale_image *image,
		      struct shale_digest *out);

#endif
