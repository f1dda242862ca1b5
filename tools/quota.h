/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_TOOLS_QUOTA_H
#define SHALE_TOOLS_QUOTA_H

#include <stdint.h>

/*
 * "10G", "500M,inodes=1000", "inodes=1000", "none".  K, M, G, T, P are powers
 * of 1024, with or without "iB".  0: no limit.  -EINVAL: it is none of these.
 */
int shale_quota_parse(const char *text, uint64_t *bytes, uint64_t *inodes);

#endif
