/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_STORE_OCI_SCAN_H
#define SHALE_STORE_OCI_SCAN_H

/*
 * The common question, "which version has this tag?", without parsing all of
 * index.json: its cost is then that of one checksum over the text, not that of
 * the length of a history.
 *
 * An index.json that Shale has written carries the annotation SHALE_ANN_TEXT:
 * the XXH3-64 of the whole text, as 16 hexadecimal digits, taken with those
 * digits as zeros.  If it holds, the text is as we wrote it, and a descriptor
 * can be found by searching for what it says.  In all other cases (another tool
 * has written it, it is damaged, there is no such tag) the answer is "cannot
 * tell", and the document is decoded as a whole.
 */

#include "layers/store/oci.h"

#define SHALE_ANN_TEXT "vnd.shale.text"

/* Give an encoded index its annotation's value; it was 16 zeros so far. */
void shale_oci_seal(struct shale_buf *text);

/*
 * Make an index of just the descriptors of the version repo:tag and of its
 * ancestors up to the `ancestors`-th.  `text` is as it was afterwards.
 * Returns 0; -EAGAIN: cannot tell.
 */
int shale_oci_scan(struct shale_buf *text, const char *repo, const char *tag,
		   uint32_t ancestors, struct shale_oci_index **out);

#endif
