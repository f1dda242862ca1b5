/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/workspace/workspace.h"
#include "layers/base/io.h"
#include "tests/lib/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct shale_err err;

static int new_store(void)
{
	static int n;
	char path[400];
	snprintf(path, sizeof(path), "%s/store-%d", shale_test_dir(), n++);
	CHECK(mkdir(path, 0700) == 0);
	return open(path, O_RDONLY | O_DIRECTORY);
}

static char *refs[] = {"sales:v1", "extra:latest"};
static struct shale_digest base[2] = {{{1, 2, 3}}, {{4, 5, 6}}};

static int make(int store, const char *name)
{
	struct shale_workspace_info info = {
		.name = (char *)(uintptr_t)name,
		.refs = refs,
		.base = base,
		.n_base = 2,
		.created = {1234567890, 987654321},
	};
	return shale_workspace_make(store, &info, &err);
}

TEST(what_a_workspace_was_made_from_is_read_again)
{
	struct shale_workspace_info info;
	int store = new_store();

	CHECK_OK(make(store, "work-1"));
	CHECK_INT(make(store, "work-1"), -EEXIST);
	CHECK_STR(err.msg, "there is a workspace 'work-1' already");
	CHECK_OK(shale_workspace_read(store, "work-1", &info, &err));
	CHECK_STR(info.name, "work-1");
	CHECK_INT(info.n_base, 2);
	CHECK_STR(info.refs[1], "extra:latest");
	CHECK(shale_digest_equal(&info.base[1], &base[1]));
	CHECK_INT(info.created.tv_sec, 1234567890);
	CHECK_INT(info.created.tv_nsec, 987654321);
	shale_workspace_info_release(&info);
	CHECK_INT(shale_workspace_read(store, "nope", &info, &err), -ENOKEY);
	close(store);
}

TEST(names_that_could_lead_elsewhere_are_refused)
{
	char longname[200];
	memset(longname, 'a', sizeof(longname));
	longname[101] = 0;
	const char *bad[] = {"",    ".",  "..",       "a/b", ".x",
			     "a b", "-x", "\xc3\xa4", "a\n", longname};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		CHECK_INT(shale_workspace_name_check(bad[i], &err), -EINVAL);
		CHECK_INT(make(AT_FDCWD, bad[i]), -EINVAL);
	}
	longname[100] = 0;
	CHECK_INT(shale_workspace_name_check(longname, &err), 0);
}

TEST(a_directory_gives_a_name_that_is_usable_and_its_own)
{
	const char *dirs[] = {"/",           "/mnt/data",
			      "/srv/data",   "/a/b c/d\xc3\xa4",
			      "/x/..hidden", "/x/-"};
	for (size_t i = 0; i < 6; i++) {
		char *name = shale_workspace_name_of(dirs[i]);
		CHECK_INT(shale_workspace_name_check(name, &err), 0);
		free(name);
	}
	char *a = shale_workspace_name_of("/mnt/data");
	char *b = shale_workspace_name_of("/srv/data");
	char *c = shale_workspace_name_of("/mnt/data/");
	CHECK(strncmp(a, "data-", 5) == 0);
	CHECK_INT(strlen(a), 13);
	CHECK(strcmp(a, b) != 0);
	CHECK_STR(a, c);
	free(a);
	free(b);
	free(c);
}

static void try_from_another_process(int store)
{
	struct shale_workspace *ws;
	if (shale_workspace_open(&ws, store, "w", &err) != -EBUSY)
		_exit(1);
	if (!strstr(err.msg, "workspace 'w' is in use by process ") ||
	    !strstr(err.msg, "(mounted on /data)"))
		_exit(2);
	if (shale_workspace_remove(store, "w", &err) != -EBUSY)
		_exit(3);
	_exit(0);
}

TEST(a_workspace_has_one_owner_and_others_learn_who)
{
	struct shale_workspace *ws;
	int store = new_store(), status;

	CHECK_OK(make(store, "w"));
	CHECK_OK(shale_workspace_open(&ws, store, "w", &err));
	CHECK_OK(shale_workspace_note(ws, "mounted on /data", &err));
	pid_t pid = fork();
	if (pid == 0)
		try_from_another_process(store);
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK_INT(status, 0);
	CHECK_OK(shale_workspace_close(ws, &err));
	CHECK_OK(shale_workspace_remove(store, "w", &err));
	CHECK_INT(shale_workspace_open(&ws, store, "w", &err), -ENOKEY);
	CHECK_INT(shale_workspace_remove(store, "w", &err), -ENOKEY);
	close(store);
}

TEST(state_and_contents_survive_reopening)
{
	struct shale_workspace *ws;
	cleanup_batch struct shale_batch batch = {0};
	cleanup_buf struct shale_buf value = {0};
	char got[5];
	int store = new_store();

	CHECK_OK(make(store, "w"));
	CHECK_OK(shale_workspace_open(&ws, store, "w", &err));
	CHECK_OK(shale_files_write(ws->files, 9, 1, "data!", 5, 0, &err));
	CHECK_INT(shale_batch_put(&batch, "key", 3, "value", 5), 0);
	CHECK_OK(shale_db_commit(ws->db, &batch, NULL, NULL, &err));
	CHECK_OK(shale_workspace_close(ws, &err));
	CHECK_OK(shale_workspace_open(&ws, store, "w", &err));
	CHECK_OK(shale_db_get(ws->db, "key", 3, &value, &err));
	CHECK_MEM(value.data, "value", 5);
	CHECK_OK(shale_files_read(ws->files, 9, 1, got, 5, 0, &err));
	CHECK_MEM(got, "data!", 5);
	CHECK_OK(shale_workspace_close(ws, &err));
	close(store);
}

TEST(all_workspaces_are_listed_and_debris_is_not)
{
	char **names;
	size_t n;
	int store = new_store();

	CHECK_OK(shale_workspace_list(store, &names, &n, &err));
	CHECK_INT(n, 0);
	free(names);
	CHECK_OK(make(store, "b"));
	CHECK_OK(make(store, "a"));
	/* What a process left that died while it made or removed one. */
	CHECK(mkdirat(store, "workspaces/.tmp.4194999.x", 0700) == 0);
	CHECK(mkdirat(store, "workspaces/.tmp.4194999.x/db", 0700) == 0);
	CHECK_OK(shale_workspace_list(store, &names, &n, &err));
	CHECK_INT(n, 2);
	CHECK_STR(names[0], "a");
	CHECK_STR(names[1], "b");
	free(names[0]);
	free(names[1]);
	free(names);
	CHECK_OK(make(store, "c"));
	CHECK(faccessat(store, "workspaces/.tmp.4194999.x", F_OK, 0) < 0);
	close(store);
}

TEST(a_damaged_description_is_named_as_such)
{
	static const char *const bad[] = {
		"",
		"{",
		"[]",
		"{\"version\":1}",
		"{\"version\":1,\"name\":\"w\",\"images\":[{}],\"created\":"
		"{\"seconds\":1,\"nanoseconds\":1}}",
		"{\"version\":1,\"name\":\"w\",\"images\":[],\"created\":"
		"{\"seconds\":1,\"nanoseconds\":1000000000}}",
		"{\"version\":1,\"version\":1}",
	};
	struct shale_workspace_info info;
	int store = new_store();

	CHECK_OK(make(store, "w"));
	int dir = openat(store, "workspaces/w", O_RDONLY | O_DIRECTORY);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		CHECK_OK(shale_file_replace(dir, "workspace.json", bad[i],
					    strlen(bad[i]), &err));
		CHECK_INT(shale_workspace_read(store, "w", &info, &err),
			  -EUCLEAN);
	}
	CHECK_OK(shale_file_replace(dir, "workspace.json", "{\"version\":2}",
				    13, &err));
	CHECK_INT(shale_workspace_read(store, "w", &info, &err),
		  -EPROTONOSUPPORT);
	close(dir);
	close(store);
}

TEST(images_that_a_workspace_needs_are_listed_until_they_are_let_go)
{
	struct shale_workspace *ws;
	struct shale_digest *list, three[3] = {{{1}}, {{2}}, {{3}}};
	int store = new_store();
	size_t n;

	CHECK_OK(make(store, "w"));
	CHECK_OK(shale_workspace_images(store, "w", &list, &n, &err));
	CHECK_INT(n, 0);
	CHECK_OK(shale_workspace_open(&ws, store, "w", &err));
	CHECK_OK(shale_workspace_need_images(ws, three, 2, &err));
	CHECK_OK(shale_workspace_need_images(ws, three, 3, &err));
	CHECK_OK(shale_workspace_images(store, "w", &list, &n, &err));
	CHECK_INT(n, 3);
	CHECK_MEM(list, three, sizeof(three));
	free(list);
	CHECK_OK(shale_workspace_keep_images(ws, &three[1], 1, &err));
	CHECK_OK(shale_workspace_images(store, "w", &list, &n, &err));
	CHECK_INT(n, 1);
	CHECK(shale_digest_equal(&list[0], &three[1]));
	free(list);
	CHECK_OK(shale_workspace_close(ws, &err));

	int fd = openat(store, "workspaces/w/images", O_WRONLY | O_TRUNC);
	CHECK(write(fd, "sha256:12\n", 10) == 10);
	close(fd);
	CHECK_INT(shale_workspace_images(store, "w", &list, &n, &err),
		  -EUCLEAN);
	CHECK(strstr(err.msg, "is no digest"));
	CHECK_OK(shale_workspace_images(store, "gone", &list, &n, &err));
	CHECK_INT(n, 0);
	close(store);
}

TEST(a_quota_is_kept_and_may_change)
{
	struct shale_workspace_info info = {
		.name = (char *)(uintptr_t)"work",
		.refs = refs,
		.base = base,
		.n_base = 2,
		.ephemeral = true,
		.generation = UINT32_MAX,
	};
	struct shale_workspace *ws;
	int store = new_store();

	CHECK_OK(shale_workspace_make(store, &info, &err));
	CHECK_OK(shale_workspace_open(&ws, store, "work", &err));
	CHECK_INT(ws->info.quota_bytes, 0);
	CHECK_OK(shale_workspace_set_quota(ws, 1 << 20, 5, &err));
	CHECK_OK(shale_workspace_close(ws, &err));
	CHECK_OK(shale_workspace_read(store, "work", &info, &err));
	CHECK_INT(info.quota_bytes, 1 << 20);
	CHECK_INT(info.quota_inodes, 5);
	CHECK_INT(info.generation, UINT32_MAX);
	CHECK(info.ephemeral);
	CHECK_STR(info.refs[0], refs[0]);
	shale_workspace_info_release(&info);
	CHECK(shale_workspace_bytes(store, "work") > 0);
	close(store);
}
