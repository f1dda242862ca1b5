/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_BASE_TURNS_H
#define SHALE_BASE_TURNS_H

/*
 * Ask the scheduler for short turns for this thread.  Who serves requests has
 * little to do each time, and somebody waits: on a busy processor it should be
 * soon that it runs, not long.  It gets no more time than others, and needs no
 * privilege.  Linux 6.12 and newer; on others nothing changes.
 */
void shale_turns_short(void);

#endif
