/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_TOOLS_FILL_H
#define SHALE_TOOLS_FILL_H

/* Prose of help: no line has more than 80 columns. */

/*
 * Print `text` to standard output, its lines joined and broken anew between
 * words.  An empty line stays, and so does one that begins with a space.  The
 * caller has printed up to column `indent`, where further lines begin.
 */
void shale_fill(const char *text, int indent);

#endif
