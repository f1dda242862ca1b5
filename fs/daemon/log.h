/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_DAEMON_LOG_H
#define SHALE_DAEMON_LOG_H

#include <stdbool.h>

/*
 * The daemon's log: standard error in the foreground, else syslog.  `where`
 * (kept) begins each line.  Any thread.
 */
void shale_log_open(bool foreground, const char *where);
void shale_log(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* For those who look for it: the lowest priority of syslog. */
void shale_log_debug(const char *line);

#endif
