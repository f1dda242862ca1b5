/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_TOOLS_OUTPUT_H
#define SHALE_TOOLS_OUTPUT_H

/*
 * What people read: aligned columns, times, and names that may hold anything.
 */

#include "layers/base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

/* "2026-11-22 21:45" in local time.  `out`: 32 bytes; returns it. */
char *shale_human_time(const struct timespec *t, char *out);

/*
 * Append `word` as a shell reads it: as it is where nothing in it means
 * anything to a shell, else in quotes, and with controls as $'\\n'.  0,
 * -ENOMEM.
 */
struct shale_buf;
int shale_quote(struct shale_buf *out, const char *word);

/* The first 12 digits of a digest.  `out`: 13 bytes; returns it. */
struct shale_digest;
char *shale_short_digest(const struct shale_digest *digest, char *out);

/*
 * A table that is printed when all of it is known.  Cells are escaped.  The
 * first row is the heading; a heading that starts with '>' makes its column
 * right-aligned, one with '<' is prose: it comes last, and on a terminal only
 * what fits into the line is shown.  Out of memory ends the program: there is
 * nothing else to do with a table.
 */
struct shale_columns;
struct shale_columns *shale_columns_new(size_t columns);
void shale_columns_add(struct shale_columns *c, const char *cell);
/* Print it unless `print` is false (nothing but a heading: neither), and free
 * it. */
void shale_columns_print(struct shale_columns *c, bool print);

#endif
