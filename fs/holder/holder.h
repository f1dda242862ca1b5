/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_HOLDER_HOLDER_H
#define SHALE_HOLDER_HOLDER_H

/*
 * The process that keeps a mount's kernel connection while its daemons come and
 * go.  It has the descriptor of /dev/fuse open, runs shalefs, and when that is
 * killed runs another, which takes over (fs/daemon/main.c, --takeover):
 * applications see a pause.  It reads no request and knows nothing of images,
 * so there is little in it that could fail.
 *
 * A daemon that ends on its own has said why: then the holder ends too, with
 * its exit code, and the kernel closes the connection.
 */

#include <stdbool.h>
#include <sys/types.h>

/* Exit code of shalefs --takeover: there is nothing that it could take over. */
enum { SHALE_EXIT_NO_TAKEOVER = 3 };

struct shale_holder {
	char **argv;       /* of shalefs, up to and with a NULL */
	const char *ready; /* descriptor for the first one to say that it serves
			    */
	int fuse;          /* the connection */
	int pocket[2];     /* fs/holder/pocket.h */
	pid_t child;       /* the daemon */
	int program;    /* the first one's file: it serves on when a newer one
			   cannot */
	bool fall_back; /* … run that one next */
	unsigned quick; /* daemons in a row that failed at once */
};

/* Run the first daemon and its successors.  Returns the exit code. */
int shale_holder_run(struct shale_holder *h);

#endif
