/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/control/control.h"
#include "fs/control/line.h"
#include "layers/base/cleanup.h"
#include "tests/lib/check.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define DIGEST                                                                 \
	"sha256:"                                                              \
	"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static struct shale_err err;

static int open_store(void)
{
	static int n;
	char path[300];
	snprintf(path, sizeof(path), "%s/store%d", shale_test_dir(), n++);
	CHECK(mkdir(path, 0700) == 0);
	int fd = open(path, O_RDONLY | O_DIRECTORY);
	CHECK(fd >= 0);
	return fd;
}

static int make(int store, const char *mountpoint, struct shale_mount_info *i)
{
	static char *refs[] = {(char *)"sales:v1"};
	static char *manifests[] = {(char *)DIGEST};
	int lock;

	*i = (struct shale_mount_info){
		.mountpoint = (char *)mountpoint,
		.kind = "rw",
		.workspace = (char *)"w",
		.refs = refs,
		.manifests = manifests,
		.n = 1,
		.options = (char *)"nosuid,allow_other",
	};
	CHECK_OK(shale_mount_make(store, i, &lock, &err));
	return lock;
}

TEST(a_mount_s_state_is_read_back_as_it_was_written)
{
	int store = open_store();
	struct shale_mount_info made, read;
	int lock = make(store, "/mnt/\xff\x01 x", &made);

	CHECK(write(lock, "4711\n", 5) == 5);
	CHECK_OK(shale_mount_read(store, made.id, &read, &err));
	CHECK_STR(read.mountpoint, "/mnt/\xff\x01 x");
	CHECK_STR(read.kind, "rw");
	CHECK_STR(read.workspace, "w");
	CHECK_INT(read.n, 1);
	CHECK_STR(read.manifests[0], DIGEST);
	CHECK_STR(read.refs[0], "sales:v1");
	CHECK_STR(read.options, "nosuid,allow_other");
	CHECK_STR(read.boot, made.boot);
	CHECK(strlen(read.boot) == 36);
	CHECK_INT(read.pid, 4711);
	CHECK(!read.index && !read.ephemeral);
	shale_mount_info_release(&read);
	close(lock);
	close(store);
}

TEST(a_mount_whose_lock_is_free_is_not_running_and_is_swept)
{
	int store = open_store();
	struct shale_mount_info dead, live, read = {0};
	char id[17];

	int lock = make(store, "/mnt/dead", &dead);
	close(lock);
	lock = make(store, "/mnt/live", &live);
	CHECK_OK(shale_mount_read(store, dead.id, &read, &err));
	CHECK_INT(read.pid, 0);
	shale_mount_info_release(&read);

	shale_mount_sweep(store, NULL, NULL);
	CHECK_INT(shale_mount_read(store, dead.id, &read, &err), -ENOENT);
	CHECK_OK(shale_mount_of_workspace(store, "w", id, &err));
	CHECK_STR(id, live.id);
	CHECK_INT(shale_mount_of_workspace(store, "v", id, &err), -ENOENT);

	CHECK_OK(shale_mount_wait(store, dead.id, 0, &err));
	shale_mount_remove(store, live.id);
	close(lock);
	close(store);
}

TEST(hostile_state_files_are_refused)
{
	static const char *const texts[] = {
		"",
		"[]",
		"{}",
		"{\"mountpoint\":1,\"kind\":\"rw\"}",
		"{\"mountpoint\":\"/m\",\"kind\":\"other\"}",
		"{\"mountpoint\":\"/m\",\"kind\":\"rw\",\"manifests\":[1]}",
		("{\"mountpoint\":\"/m\",\"kind\":\"rw\",\"manifests\":"
		 "[\"sha256:12\"]}"),
		"{\"mountpoint\":\"/m\",\"kind\":\"rw\",\"refs\":[\"a\"]}",
		"{\"mountpoint_hex\":\"2f0\",\"kind\":\"rw\"}",
		"{\"mountpoint_hex\":\"2f00\",\"kind\":\"rw\"}",
		"{\"mountpoint\":\"/m\",\"kind\":\"rw\",\"leased\":{}}",
		"{\"mountpoint\":\"/m\",\"kind\":\"rw\",\"options\":1}",
		"{\"mountpoint\":\"/m\",\"kind\":\"rw\",\"boot\":[]}",
		("{\"mountpoint\":\"/m\",\"kind\":\"rw\",\"boot\":"
		 "\"0123456789012345678901234567890123456789\"}"),
	};
	struct shale_mount_info info;

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		CHECK_INT(shale_mount_parse(texts[i], strlen(texts[i]), &info,
					    &err),
			  -EUCLEAN);
}

TEST(requests_that_are_not_objects_with_a_verb_are_refused)
{
	static const char *const lines[] = {
		"",
		"x",
		"1",
		"[\"do\"]",
		"{}",
		"{\"do\":1}",
		"{\"do\":null}",
		"{\"do\":\"a\"} x",
		"\0{}",
		"{\"do\":\"a\",\"do\":\"b\"}",
		"\xff",
	};
	json_t *request;
	const char *what;

	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++)
		CHECK_INT(shale_control_parse(lines[i], strlen(lines[i]),
					      &request, &what, &err),
			  -EINVAL);

	/* as deep as jansson lets it, and no deeper */
	char deep[20000];
	memset(deep, '[', sizeof(deep));
	CHECK_INT(
		shale_control_parse(deep, sizeof(deep), &request, &what, &err),
		-EINVAL);
}

TEST(a_line_may_come_in_pieces_and_several_at_once)
{
	int fds[2];
	cleanup_buf struct shale_buf text = {0};
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
	struct shale_line line = {.fd = fds[0]};

	CHECK(write(fds[1], "{}\n{\"a\":1}\n{\"b", 14) == 14);
	CHECK_INT(shale_line_read(&line, &text), 1);
	CHECK_INT(text.len, 2);
	CHECK_INT(shale_line_read(&line, &text), 1);
	CHECK_INT(text.len, 7);
	CHECK(write(fds[1], "\":2}\n", 5) == 5);
	CHECK_INT(shale_line_read(&line, &text), 1);
	CHECK_MEM(text.data, "{\"b\":2}", 7);
	close(fds[1]);
	CHECK_INT(shale_line_read(&line, &text), 0);
	close(fds[0]);
	shale_buf_release(&line.in);
}

static void *write_long(void *arg)
{
	static char junk[1 << 16];
	int fd = *(int *)arg;
	memset(junk, 'x', sizeof(junk));
	for (int i = 0; i < 32; i++)
		if (send(fd, junk, sizeof(junk), MSG_NOSIGNAL) < 0)
			break;
	return NULL;
}

TEST(a_line_without_end_is_cut_off)
{
	int fds[2];
	pthread_t thread;
	cleanup_buf struct shale_buf text = {0};
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
	struct shale_line line = {.fd = fds[0]};

	CHECK(pthread_create(&thread, NULL, write_long, &fds[1]) == 0);
	CHECK_INT(shale_line_read(&line, &text), -EMSGSIZE);
	close(fds[0]);
	pthread_join(thread, NULL);
	close(fds[1]);
	shale_buf_release(&line.in);
}

static atomic_int ended, requests;

static json_t *request(void *arg, void **session, const char *what,
		       const json_t *doc, int *r, struct shale_err *e)
{
	(void)doc;
	atomic_fetch_add(&requests, 1);
	if (!strcmp(what, "status")) {
		*session = arg;
		return json_pack("{s:i}", "n", 7);
	}
	*r = shale_err_say(e, ENOTSUP, "no '%s' here", what);
	return NULL;
}

static void end(void *arg, void *session)
{
	if (session == arg)
		atomic_fetch_add(&ended, 1);
}

TEST(a_daemon_answers_and_learns_when_a_connection_ends)
{
	int place, store = open_store();
	struct shale_mount_info made;
	struct shale_control_server *server;
	struct shale_control *c;
	struct shale_control_ops ops = {
		.request = request, .end = end, .arg = &place};
	struct stat st;
	char name[64];
	json_t *reply;

	int lock = make(store, "/mnt", &made);
	CHECK_INT(shale_control_connect(&c, store, made.id, &err), -ENOENT);
	snprintf(name, sizeof(name), "mounts/%s", made.id);
	int dir = openat(store, name, O_RDONLY | O_DIRECTORY);
	CHECK_OK(shale_control_serve(&server, dir, &ops, &err));
	CHECK(fstatat(dir, "ctl", &st, 0) == 0);
	CHECK_INT(st.st_mode & 07777, 0600);

	CHECK_OK(shale_control_connect(&c, store, made.id, &err));
	CHECK_OK(shale_control_call(c, json_pack("{s:s}", "do", "status"),
				    &reply, &err));
	CHECK_INT(json_integer_value(json_object_get(reply, "n")), 7);
	json_decref(reply);
	CHECK_INT(shale_control_call(c, json_pack("{s:s}", "do", "dance"),
				     &reply, &err),
		  -ENOTSUP);
	CHECK_STR(err.msg, "no 'dance' here");
	CHECK_INT(shale_control_call(c, json_array(), &reply, &err), -EINVAL);
	shale_control_close(c);

	/* one that is open when the daemon ends */
	CHECK_OK(shale_control_connect(&c, store, made.id, &err));
	CHECK_OK(shale_control_call(c, json_pack("{s:s}", "do", "status"), NULL,
				    &err));
	shale_control_stop(server);
	CHECK_INT(atomic_load(&ended), 2);
	CHECK_INT(atomic_load(&requests), 3);
	CHECK_INT(shale_control_call(c, json_pack("{s:s}", "do", "status"),
				     NULL, &err),
		  -EPIPE);
	shale_control_close(c);
	CHECK_INT(shale_control_connect(&c, store, made.id, &err),
		  -ECONNREFUSED);
	close(dir);
	close(lock);
	close(store);
}
