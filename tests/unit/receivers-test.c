/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/mount/receivers.h"
#include "tests/lib/check.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RECEIVERS = 2, WAITING = 3, BYTES = 4096 };

/*
 * Requests are messages of one letter: 'w' lets go and waits, 'n' is served at
 * once.  The kernel's descriptor is played by a socket whose other end goes
 * away with bytes unread: reading fails then.
 */
struct rig {
	struct shale_receivers all;
	int ours, theirs;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned waiting, served; /* so many */
	bool open;                /* nobody needs to wait any more */
	bool held;                /* who lets go has no receiver any more */
	int result;
	struct shale_err err;
};
static struct rig rig;

static void wait_for(const unsigned *count, unsigned n)
{
	pthread_mutex_lock(&rig.lock);
	while (*count < n)
		pthread_cond_wait(&rig.changed, &rig.lock);
	pthread_mutex_unlock(&rig.lock);
}

static void serve(struct shale_receiver *r)
{
	bool waits = r->in[0] == 'w';

	if (waits)
		shale_receivers_let_go(&rig.all);
	pthread_mutex_lock(&rig.lock);
	if (waits) {
		rig.held |= shale_receivers_own(&rig.all) != NULL;
		rig.waiting++;
		pthread_cond_broadcast(&rig.changed);
		while (!rig.open)
			pthread_cond_wait(&rig.changed, &rig.lock);
	}
	rig.served++;
	pthread_cond_broadcast(&rig.changed);
	pthread_mutex_unlock(&rig.lock);
}

static void *run(void *arg)
{
	(void)arg;
	const struct shale_receivers_opts opts = {
		.fd = rig.ours,
		.n = RECEIVERS,
		.waiting = WAITING,
		.size = BYTES,
	};
	rig.result = shale_receivers_run(&rig.all, &opts, &rig.err);
	return NULL;
}

static void start(void)
{
	struct shale_err err = {0};
	int fds[2];

	rig = (struct rig){.lock = PTHREAD_MUTEX_INITIALIZER,
			   .changed = PTHREAD_COND_INITIALIZER};
	CHECK_INT(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
	rig.ours = fds[0];
	rig.theirs = fds[1];
	CHECK_OK(shale_receivers_init(&rig.all, serve, &err));
	CHECK_INT(pthread_create(&rig.thread, NULL, run, NULL), 0);
}

static void ask(const char *letters)
{
	for (; *letters; letters++)
		CHECK_INT(write(rig.theirs, letters, 1), 1);
}

static void let_all_go_on(void)
{
	pthread_mutex_lock(&rig.lock);
	rig.open = true;
	pthread_cond_broadcast(&rig.changed);
	pthread_mutex_unlock(&rig.lock);
}

static void stop(void)
{
	CHECK_INT(write(rig.ours, "x", 1), 1); /* unread */
	close(rig.theirs);
	pthread_join(rig.thread, NULL);
	close(rig.ours);
	shale_receivers_release(&rig.all);
}

TEST(requests_are_served_while_more_wait_than_there_are_receivers)
{
	start();
	ask("wwww");
	wait_for(&rig.waiting, RECEIVERS + WAITING - 1);
	ask("nnn");
	wait_for(&rig.served, 3);
	let_all_go_on();
	wait_for(&rig.served, 3 + RECEIVERS + WAITING - 1);
	CHECK(!rig.held);
	stop();
}

TEST(whoever_waited_serves_again)
{
	unsigned served = 0;

	start();
	let_all_go_on();
	for (int i = 0; i < 200; i++) {
		ask("wnwwwwwn");
		wait_for(&rig.served, served += 8);
	}
	stop();
}

TEST(an_error_of_reading_ends_it_and_is_told)
{
	start();
	stop();
	CHECK_INT(rig.result, -ECONNRESET);
	CHECK(strstr(rig.err.msg, "read requests"));
}
