/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/daemon/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <syslog.h>

void shale_log_open(bool foreground, const char *where)
{
	openlog(where, LOG_PID | (foreground ? LOG_PERROR : 0), LOG_DAEMON);
}

void shale_log(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vsyslog(LOG_WARNING, fmt, ap);
	va_end(ap);
}

void shale_log_debug(const char *line)
{
	syslog(LOG_DEBUG, "%s", line);
}
