/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_COMMIT_REFER_H
#define SHALE_COMMIT_REFER_H

#include "layers/blob/pack.h"
#include "layers/index/content.h"

/*
 * Refer to [off, off + len) of an image's content, chunk by chunk, at the
 * packer's place: nothing is read.  Beyond the content's end are zeros.
 */
int shale_refer_chunks(struct shale_pack *pack,
		       const struct shale_content *content, uint64_t off,
		       uint64_t len, struct shale_err *err);

#endif
