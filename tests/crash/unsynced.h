/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_TESTS_CRASH_UNSYNCED_H
#define SHALE_TESTS_CRASH_UNSYNCED_H

/*
 * What a power cut could take: files that were written and directories whose
 * names changed since they were last synced.
 */

#include "tests/crash/call.h"

#include <stdio.h>

struct unsynced;

struct unsynced *unsynced_new(void);
void unsynced_free(struct unsynced *set);

/* A call on something below the watched directory is about to be done. */
void unsynced_note(struct unsynced *set, const struct call *call);

/*
 * The power goes, at the worst moment: names and sizes are the new ones, as
 * file systems journal them by themselves, and content that was not synced is
 * what it was before, or zeros where there was none.
 */
void unsynced_lose(struct unsynced *set);

/* A line each: "unsynced content PATH", "unsynced names DIRECTORY". */
void unsynced_list(const struct unsynced *set, FILE *out);

#endif
