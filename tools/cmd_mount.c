/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/control/mountinfo.h"
#include "fs/workspace/workspace.h"
#include "layers/base/cleanup.h"
#include "tools/mount_recover.h"
#include "tools/mount_upgrade.h"
#include "tools/mount_words.h"
#include "tools/mount_workspace.h"
#include "tools/quota.h"
#include "tools/sweep.h"
#include "tools/target.h"
#include "tools/verbs.h"

#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

enum { STACK_MAX = 32 };

/* What the command line said. */
struct asked {
	const char *workspace, *at, *quota;
	bool rw, ephemeral, foreground;
	struct shale_strings options;
	struct shale_mount_words words;
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
	char *manifests[STACK_MAX] = {NULL}, index[80], base[80];
	bool made = false;
	int r = 0;

	if (stack->n)
		r = shale_store_need_index(store, stack->v, stack->n, index,
					   base, &ctx->err);
	if (r == 0 && info->workspace)
		r = shale_mount_workspace_need(ctx, store, info->workspace,
					       stack->v, stack->n, a->refs,
					       a->ephemeral, &made);
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

static void report(const struct shale_ctx *ctx,
		   const struct shale_mount_info *info)
{
	if (!ctx->json)
		return;
	json_t *doc = json_object();
	shale_json_path(doc, info->mountpoint, strlen(info->mountpoint));
	json_object_set_new(doc, "id", json_string(info->id));
	if (info->workspace)
		json_object_set_new(doc, "workspace",
				    json_string(info->workspace));
	shale_json_print(doc);
}

/* A quota that is used up is no error, but surprises. */
static void warn_of_quota(struct shale_ctx *ctx, const struct asked *a,
			  const char *dir)
{
	SHALE_CLEANUP(shale_target_release) struct shale_target t = {0};
	json_t *reply = NULL;
	char used[32];

	if (!a->quota || a->foreground || shale_target_at(ctx, dir, &t) < 0 ||
	    shale_target_ask(ctx, &t, "status", &reply) < 0)
		return;
	json_int_t is[4] = {0};
	static const char *const names[] = {"used_bytes", "quota_bytes",
					    "used_inodes", "quota_inodes"};
	for (int i = 0; i < 4; i++)
		is[i] = json_integer_value(json_object_get(reply, names[i]));
	json_decref(reply);
	if ((is[1] && is[0] >= is[1]) || (is[3] && is[2] >= is[3]))
		shale_warn(ctx,
			   "the workspace holds as much as its quota lets it, "
			   "or more (%s, %lld inodes): until something is "
			   "deleted or committed nothing can be written",
			   shale_human_size((uint64_t)is[0], false, used),
			   (long long)is[2]);
}

/* Is it there already, as fstab's line asks? */
static bool is_there(struct shale_ctx *ctx, const char *dir,
		     const struct stack *stack, const char *workspace)
{
	SHALE_CLEANUP(shale_target_release) struct shale_target t = {0};
	char digest[SHALE_DIGEST_STR];

	if (shale_target_at(ctx, dir, &t) < 0 || !t.info.pid)
		return false;
	if (workspace || t.workspace)
		return workspace && t.workspace &&
		       !strcmp(workspace, t.workspace);
	bool same = t.info.n == stack->n && !strcmp(t.info.kind, "image");
	for (size_t i = 0; same && i < stack->n; i++)
		same = !strcmp(t.info.manifests[i],
			       shale_digest_str(&stack->v[i]->digest, digest));
	return same;
}

static int mount_it(struct shale_ctx *ctx, struct shale_store *store,
		    const struct asked *a, struct shale_mounting *how)
{
	SHALE_CLEANUP(release_stack) struct stack stack = {0};
	struct shale_mount_info info = {0};
	cleanup_free char *name = NULL, *path = NULL, *dir = NULL;

	int r = resolve_stack(ctx, store, a, &stack);
	if (r < 0)
		return r;
	if (a->rw) {
		path = shale_mountinfo_path(a->dir);
		r = shale_mount_workspace_name(ctx, a->workspace,
					       path ? path : a->dir,
					       a->ephemeral, &name);
	} else {
		how->flags |= MS_RDONLY;
	}
	if (r < 0 || (a->words.fstab && is_there(ctx, a->dir, &stack, name)))
		return r;
	shale_sweep(store, false);
	r = shale_mounting_point(ctx, a->dir, &dir);
	if (r == 0 && name)
		r = shale_mount_workspace_free(ctx, store, name);
	if (r < 0)
		return r;
	info.mountpoint = dir;
	info.workspace = name;
	r = start(ctx, store, a, &stack, &info, how);
	if (r < 0)
		return r;
	/* What was here before is not mounted again. */
	shale_sweep(store, false);
	report(ctx, &info);
	warn_of_quota(ctx, a, dir);
	return r;
}

/* Words say what options say; options win. */
static int merge_words(struct shale_ctx *ctx, struct asked *a,
		       struct shale_mounting *how)
{
	struct shale_mount_words *w = &a->words;
	uint64_t none;

	if (shale_mount_words_parse(w, how, &a->options, &ctx->err) < 0)
		return shale_usage(ctx, "%s", ctx->err.msg);
	if (w->store)
		ctx->store_path = w->store;
	a->workspace = a->workspace ? a->workspace : w->workspace;
	a->at = a->at ? a->at : w->at;
	a->quota = a->quota ? a->quota : w->quota;
	a->ephemeral |= w->ephemeral;
	a->rw = a->rw || w->rw || a->workspace || a->ephemeral;
	if (!a->quota && w->inodes)
		a->quota = "none";
	if (!a->quota)
		return 0;
	how->quota = true;
	if (shale_quota_parse(a->quota, &how->quota_bytes, &how->quota_inodes) <
	    0)
		return shale_usage(ctx,
				   "'%s' is no quota: SIZE[,inodes=N], or none",
				   a->quota);
	if (w->inodes) {
		cleanup_free char *text = NULL;
		if (asprintf(&text, "inodes=%s", w->inodes) < 0 ||
		    shale_quota_parse(text, &none, &how->quota_inodes) < 0)
			return shale_usage(ctx, "'%s' is no number of inodes",
					   w->inodes);
	}
	return 0;
}

/* What stands on the command line besides options. */
static int take_arguments(struct shale_ctx *ctx, struct asked *a,
			  const struct shale_mounting *how, char **argv, int n)
{
	if (n < (a->rw && !a->ephemeral ? 1 : 2))
		return shale_usage(ctx, "an image and a directory are needed");
	if (a->quota && !a->rw)
		return shale_usage(ctx, "a quota is of a writable mount: --rw, "
					"-w NAME or --ephemeral");
	if ((how->writeback || how->passthrough) && !a->rw)
		return shale_usage(ctx,
				   "-o %s is of a writable mount: --rw, "
				   "-w NAME or --ephemeral",
				   how->writeback ? "writeback"
						  : "passthrough");
	if (how->lean && a->rw)
		return shale_usage(ctx, "-o lean is of a read-only mount");
	if (how->writeback && how->passthrough)
		return shale_usage(ctx, "-o writeback and -o passthrough are "
					"two ways of writing: choose one");
	a->dir = argv[n - 1];
	a->refs = argv;
	a->n = (size_t)n - 1;
	/* fstab's first field cannot be empty. */
	if (a->n == 1 && a->rw && !a->ephemeral && a->words.fstab &&
	    !strcmp(argv[0], "none"))
		a->n = 0;
	return 0;
}

static int run_asked(struct shale_ctx *ctx, struct asked *a, char **argv, int n)
{
	struct shale_mounting how;
	struct shale_store *store;

	shale_mounting_default(&how);
	how.foreground = a->foreground;
	int r = merge_words(ctx, a, &how);
	if (r == 0)
		r = take_arguments(ctx, a, &how, argv, n);
	if (r != 0)
		return r;
	r = shale_ctx_store(ctx, false, &store);
	if (r < 0)
		return shale_fail(ctx, r);
	r = mount_it(ctx, store, a, &how);
	shale_store_close(store);
	return r < 0 ? shale_fail(ctx, r) : SHALE_EXIT_OK;
}

static int run_upgrade(struct shale_ctx *ctx, char **argv, int n)
{
	int code = SHALE_EXIT_OK;

	if (n < 1)
		return shale_usage(ctx, "which mounts?");
	for (int i = 0; i < n; i++) {
		int r = shale_mount_upgrade(ctx, argv[i]);
		if (r < 0)
			code = shale_fail(ctx, r);
	}
	return code;
}

static int run_recover(struct shale_ctx *ctx, const struct asked *a,
		       char **argv, int n, bool dry_run)
{
	if (a->rw || a->ephemeral || a->foreground || a->workspace || a->at ||
	    a->quota || a->options.n)
		return shale_usage(ctx, "--recover mounts with the options "
					"that there were: it takes none");
	return shale_mount_recover(ctx, argv, n, dry_run);
}

static int run(struct shale_ctx *ctx, int argc, char **argv)
{
	struct asked a = {0};
	bool upgrade = false, recover = false, dry_run = false;
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
		{"quota", 0, "SIZE[,inodes=N]",
		 "limit what the workspace holds; none lifts it",
		 SHALE_OPT_STRING, &a.quota},
		{"at", 0, "TIME", "the newest version made at or before TIME",
		 SHALE_OPT_STRING, &a.at},
		{"options", 'o', "OPTIONS",
		 "suid, dev, noexec, allow_other, writeback, passthrough, …",
		 SHALE_OPT_LIST, &a.options},
		{"foreground", 'f', NULL, "stay until unmounted",
		 SHALE_OPT_FLAG, &a.foreground},
		{"upgrade", 0, NULL,
		 "have the installed daemon take over the mount at DIR",
		 SHALE_OPT_FLAG, &upgrade},
		{"recover", 0, NULL,
		 "mount again what was mounted when the machine stopped",
		 SHALE_OPT_FLAG, &recover},
		{"dry-run", 'n', NULL, "with --recover: only say what would be",
		 SHALE_OPT_FLAG, &dry_run},
		{0},
	};
	int r = shale_opt_parse(ctx, &shale_cmd_mount, opts, argc, argv, &n);
	if (r != 0)
		return r > 0 ? SHALE_EXIT_OK : SHALE_EXIT_USAGE;
	r = recover   ? run_recover(ctx, &a, argv, n, dry_run)
	    : dry_run ? shale_usage(ctx, "--dry-run is for --recover")
	    : upgrade ? run_upgrade(ctx, argv, n)
		      : run_asked(ctx, &a, argv, n);
	shale_mount_words_release(&a.words);
	return r;
}

const struct shale_cmd shale_cmd_mount = {
	.name = "mount",
	.args = "[REF…] DIR | --upgrade DIR… | --recover [DIR…]",
	.summary = "mount a version, read-only or with a workspace",
	.detail =
		"Several REFs stack, the last on top.  Writable mounts keep "
		"what changes in a workspace;\n"
		"'shale mount -w NAME DIR' goes on with one, 'shale commit' "
		"makes a version of it.\n"
		"\n"
		"--quota counts 4 KiB for each block and 512 bytes for each "
		"inode that has changed since\n"
		"the last commit; a workspace keeps it until it is given "
		"another.  What needs more gets\n"
		"EDQUOT; deleting always works.  SIZE: 500M, 10G, …\n"
		"\n"
		"--recover mounts again, with the same options, what ended "
		"without 'shale umount': the\n"
		"machine stopped, or holder and daemon were killed.  Not "
		"those with --ephemeral or -f.\n"
		"It may run at every boot, and twice; what is mounted stays "
		"as it is.\n"
		"\n"
		"-o takes what mount(8) knows (ro, rw, suid, dev, noexec, "
		"noatime, …; nosuid and nodev\n"
		"unless said otherwise) and, as fstab needs it: store=DIR, "
		"workspace=NAME, ephemeral,\n"
		"quota=SIZE, inodes=N, at=TIME.  rw is --rw.  A line of "
		"fstab (with allow_suid and\n"
		"allow_dev, since mount(8) keeps suid and dev for itself):\n"
		"\n"
		"  sales:v1  /data  fuse.shalefs  workspace=data,quota=10G  0 "
		"0\n"
		"\n"
		"writeback lets the kernel keep what is written until the "
		"file is closed or flushed:\n"
		"small writes are faster.  Then nothing is committed while a "
		"file is open for writing,\n"
		"or discarded while mounted; errors come at close; files "
		"have no holes.\n"
		"\n"
		"passthrough has the kernel write files itself that are new "
		"or were emptied since the\n"
		"last commit: as fast as without Shale.  It needs root and "
		"Linux 6.9; without these it\n"
		"says so, and the mount is as any other.  Nothing is "
		"committed or discarded while such\n"
		"a file is open for writing or mapped; a quota counts it when "
		"it is closed.\n"
		"\n"
		"Three words leave out what makes reading faster: "
		"noreadahead (nothing is decompressed\n"
		"ahead of a reader), nopush (nothing is put into the kernel's "
		"cache before it is asked\n"
		"for; read-only mounts), nodirect (long streams, and small "
		"reads far apart, go through\n"
		"the page cache of the store's file system).\n"
		"\n"
		"lean (read-only mounts) is for trees that are searched by "
		"name: who only lists some\n"
		"thousand files and looks at none is given names without "
		"inodes from then on, so that the\n"
		"first find of a large tree takes half as long, and next to "
		"no memory of the kernel.  Who\n"
		"lists all files first and reads all of them later waits "
		"several times as long.",
	.run = run,
};
