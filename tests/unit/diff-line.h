/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_TESTS_DIFF_LINE_H
#define SHALE_TESTS_DIFF_LINE_H

#include "layers/base/buf.h"
#include "layers/ops/diff.h"
#include "tests/lib/check.h"

#include <string.h>

/* For shale_diff(): appends its line to `arg`, a struct shale_buf. */
static inline int diff_line(void *arg, const struct shale_difference *d)
{
	CHECK(strlen(d->path) == d->len && d->letter);
	CHECK((d->old_ino == 0) == (d->letter == 'A'));
	CHECK((d->new_ino == 0) == (d->letter == 'D'));
	return shale_buf_printf(arg, "%c %s\n", d->letter, d->path);
}

#endif
