/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/workspace/workspace.h"
#include "layers/base/cleanup.h"
#include "tools/mounting.h"
#include "tools/verbs.h"

#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/random.h>

enum { STACK_MAX = 32 };

/* What the command line said. */
struct asked {
	const char *workspace, *at, *quota;
	bool rw, ephemeral, foreground;
	struct shale_strings options;
	char **refs;
	size_t n;
	const char *dir;
};

/* The images to mount, bottom first. */
struct stack {
	struct shale_version *v[STACK_MAX];
	size_t n;
};

static void release_stack(struct stack *s)
{
	for (size_t i = 0; i < s->n; i++)
		shale_version_free(s->v[i]);
}

static int resolve_stack(struct shale_ctx *ctx, struct shale_store *store,
			 const struct asked *a, struct stack *out)
{
	if (a->n > STACK_MAX)
		return shale_err_say(&ctx->err, E2BIG,
				     "at most %d images make a stack",
				     STACK_MAX);
	for (size_t i = 0; i < a->n; i++) {
		int r = shale_ctx_resolve(ctx, store, a->refs[i], a->at,
					  &out->v[i]);
		if (r < 0)
			return r;
		out->n++;
	}
	return 0;
}

/* "10G", "500M,inodes=1000" */
static int parse_quota(const char *text, struct shale_mounting *how)
{
	static const char units[] = "KMGTP";
	char *end;

	unsigned long long n = strtoull(text, &end, 10);
	if (end == text)
		return -EINVAL;
	const char *unit = *end ? strchr(units, *end) : NULL;
	if (unit) {
		int shift = 10 * (int)(unit - units + 1);
		if (n > UINT64_MAX >> shift)
			return -EINVAL;
		n <<= shift;
		end++;
		if (!strncmp(end, "iB", 2))
			end += 2;
	}
	how->quota_bytes = n;
	if (!strncmp(end, ",inodes=", 8)) {
		const char *digits = end + 8;
		how->quota_inodes = strtoull(digits, &end, 10);
		if (end == digits)
			return -EINVAL;
	}
	return *end ? -EINVAL : 0;
}

/* The workspace's name: given, or after the directory. */
static char *workspace_name(const struct asked *a, const char *dir)
{
	uint8_t random[4];
	char hex[9], *name;

	if (a->workspace)
		return strdup(a->workspace);
	cleanup_free char *plain = shale_workspace_name_of(dir);
	if (!a->ephemeral || !plain)
		return steal_ptr(&plain);
	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return NULL;
	shale_hex(hex, random, sizeof(random));
	return asprintf(&name, "%s.%s", plain, hex) < 0 ? NULL : name;
}

/*
 * Make the workspace unless it is there.  `*made`: it was not, so it goes again
 * if the mount fails.
 */
static int need_workspace(struct shale_ctx *ctx, struct shale_store *store,
			  const struct asked *a, const struct stack *stack,
			  const char *name, bool *made)
{
	struct shale_workspace_info have = {0}, info = {.name = (char *)name};
	struct shale_digest base[STACK_MAX];

	*made = false;
	int r = shale_workspace_name_check(name, &ctx->err);
	if (r < 0)
		return r;
	if (stack->n == 0) {
		r = shale_workspace_read(shale_store_dirfd(store), name, &have,
					 &ctx->err);
		shale_workspace_info_release(&have);
		if (r == -ENOKEY)
			return shale_err_say(&ctx->err, ENOKEY,
					     "no workspace '%s'; name the "
					     "image that it starts from",
					     name);
		return r;
	}
	for (size_t i = 0; i < stack->n; i++)
		base[i] = stack->v[i]->digest;
	info.refs = a->refs;
	info.base = base;
	info.n_base = stack->n;
	clock_gettime(CLOCK_REALTIME, &info.created);
	r = shale_workspace_make(shale_store_dirfd(store), &info, &ctx->err);
	if (r == -EEXIST && a->ephemeral)
		return shale_err_say(&ctx->err, EEXIST,
				     "workspace '%s' is there already: it "
				     "cannot become an ephemeral one",
				     name);
	*made = r == 0;
	return r == -EEXIST ? 0 : r;
}

/* What the mount's state says; strings are borrowed from the caller. */
static int fill_info(struct shale_mount_info *info, const struct asked *a,
		     const struct stack *stack, char **manifests)
{
	for (size_t i = 0; i < stack->n; i++) {
		manifests[i] = malloc(SHALE_DIGEST_STR);
		if (!manifests[i])
			return -ENOMEM;
		shale_digest_str(&stack->v[i]->digest, manifests[i]);
	}
	info->refs = a->refs;
	info->manifests = manifests;
	info->n = stack->n;
	info->ephemeral = a->ephemeral;
	snprintf(info->kind, sizeof(info->kind), "%s",
		 info->workspace ? "rw" : "image");
	return 0;
}

static int start(struct shale_ctx *ctx, struct shale_store *store,
		 const struct asked *a, const struct stack *stack,
		 struct shale_mount_info *info,
		 const struct shale_mounting *how)
{
	char *manifests[STACK_MAX] = {NULL}, index[80];
	bool made = false;
	int r = 0;

	if (stack->n)
		r = shale_store_need_index(store, stack->v, stack->n, index,
					   &ctx->err);
	if (r == 0 && info->workspace)
		r = need_workspace(ctx, store, a, stack, info->workspace,
				   &made);
	if (r == 0) {
		r = fill_info(info, a, stack, manifests);
		if (r == 0)
			r = shale_mounting_start(ctx, store, info, how);
		if (r < 0 && made)
			(void)shale_workspace_remove(shale_store_dirfd(store),
						     info->workspace, NULL);
	}
	for (size_t i = 0; i < stack->n; i++)
		free(manifests[i]);
	return r;
}

static int mount_it(struct shale_ctx *ctx, struct shale_store *store,
		    const struct asked *a, struct shale_mounting *how)
{
	SHALE_CLEANUP(release_stack) struct stack stack = {0};
	struct shale_mount_info info = {0};

	int r = resolve_stack(ctx, store, a, &stack);
	if (r < 0)
		return r;
	cleanup_free char *dir = NULL;
	r = shale_mounting_point(ctx, a->dir, &dir);
	if (r < 0)
		return r;
	cleanup_free char *name = NULL;
	if (a->rw) {
		name = workspace_name(a, dir);
		if (!name)
			return shale_err_set(&ctx->err, ENOMEM, "mount");
	} else {
		how->flags |= MS_RDONLY;
	}
	info.mountpoint = dir;
	info.workspace = name;
	shale_mounting_sweep(store);
	r = start(ctx, store, a, &stack, &info, how);
	if (r == 0 && ctx->json) {
		json_t *doc = json_object();
		shale_json_path(doc, dir, strlen(dir));
		json_object_set_new(doc, "id", json_string(info.id));
		if (name)
			json_object_set_new(doc, "workspace",
					    json_string(name));
		shale_json_print(doc);
	}
	return r;
}

static int run(struct shale_ctx *ctx, int argc, char **argv)
{
	struct asked a = {0};
	struct shale_mounting how;
	struct shale_store *store;
	int n;
	const struct shale_opt opts[] = {
		{"rw", 0, NULL,
		 "writable, with a workspace named after DIR's path",
		 SHALE_OPT_FLAG, &a.rw},
		{"workspace", 'w', "NAME",
		 "writable, with that workspace, made or resumed",
		 SHALE_OPT_STRING, &a.workspace},
		{"ephemeral", 0, NULL,
		 "writable, with a workspace that goes at umount",
		 SHALE_OPT_FLAG, &a.ephemeral},
		{"quota", 0, "SIZE[,inodes=N]", "limit what may be written",
		 SHALE_OPT_STRING, &a.quota},
		{"at", 0, "TIME", "the newest version made at or before TIME",
		 SHALE_OPT_STRING, &a.at},
		{"options", 'o', "OPTIONS", "suid, dev, noexec, allow_other, …",
		 SHALE_OPT_LIST, &a.options},
		{"foreground", 'f', NULL, "stay until unmounted",
		 SHALE_OPT_FLAG, &a.foreground},
		{0},
	};
	int r = shale_opt_parse(ctx, &shale_cmd_mount, opts, argc, argv, &n);
	if (r != 0)
		return r > 0 ? SHALE_EXIT_OK : SHALE_EXIT_USAGE;

	a.rw = a.rw || a.workspace || a.ephemeral;
	if (n < (a.rw && !a.ephemeral ? 1 : 2))
		return shale_usage(ctx, "an image and a directory are needed");
	a.dir = argv[n - 1];
	a.refs = argv;
	a.n = (size_t)n - 1;
	shale_mounting_default(&how);
	how.foreground = a.foreground;
	r = shale_mounting_options(&how, &a.options, &ctx->err);
	if (r < 0)
		return shale_usage(ctx, "%s", ctx->err.msg);
	if (a.quota && parse_quota(a.quota, &how) < 0)
		return shale_usage(ctx, "'%s' is no quota: SIZE[,inodes=N]",
				   a.quota);

	r = shale_ctx_store(ctx, false, &store);
	if (r < 0)
		return shale_fail(ctx, r);
	r = mount_it(ctx, store, &a, &how);
	shale_store_close(store);
	return r < 0 ? shale_fail(ctx, r) : SHALE_EXIT_OK;
}

const struct shale_cmd shale_cmd_mount = {
	.name = "mount",
	.args = "[REF…] DIR",
	.summary = "mount a version, read-only or with a workspace",
	.detail = "Several REFs stack, the last on top.  Writable mounts "
		  "keep what changes in a workspace;\n"
		  "'shale mount -w NAME DIR' goes on with one, 'shale commit' "
		  "makes a version of it.",
	.run = run,
};
