/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shalefs-holder FUSE READY PROGRAM ARGUMENT...: run PROGRAM (shalefs) on the
 * connection FUSE, and another whenever it is killed.  FUSE and READY are
 * descriptors, inherited.
 */
#include "fs/holder/holder.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

/* Out of the way of whoever mounted, unless they watch. */
static void leave_terminal(void)
{
	int null = open("/dev/null", O_RDWR);

	setsid();
	if (chdir("/") < 0 || null < 0)
		return;
	for (int fd = 0; fd < 3; fd++)
		dup2(null, fd);
	if (null > 2)
		close(null);
}

int main(int argc, char **argv)
{
	struct shale_holder h = {0};
	bool foreground = false;

	if (argc < 4) {
		fprintf(stderr, "shalefs-holder is started by `shale mount`\n");
		return 2;
	}
	for (int i = 4; i < argc; i++)
		foreground |= !strcmp(argv[i], "--foreground");
	h.fuse = (int)strtol(argv[1], NULL, 10);
	h.ready = argv[2];
	h.argv = argv + 3;
	openlog("shalefs-holder", LOG_PID | (foreground ? LOG_PERROR : 0),
		LOG_DAEMON);
	if (!foreground)
		leave_terminal();
	return shale_holder_run(&h);
}
