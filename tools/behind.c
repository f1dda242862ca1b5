/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/behind.h"

#include "layers/store/compact.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

enum { NICE = 10 };

/* Locks, pipes and the terminal stay with who started us. */
static void leave(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; fd <= 2; fd++)
		dup2(null, fd);
	close_range(3, ~0u, 0);
	setsid();
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
}

void shale_compact_behind(const struct shale_store *store,
			  const struct shale_version *v)
{
	struct shale_store *own;

	if (v->n_trees < 3 || fork() != 0)
		return;
	leave();
	if (nice(NICE) < 0) {
		/* then as everybody else */
	}
	if (chdir("/") == 0 &&
	    shale_store_open(&own, shale_store_path(store), false, NULL) == 0)
		(void)shale_compact_prepare(own, v, NULL);
	_exit(0);
}
