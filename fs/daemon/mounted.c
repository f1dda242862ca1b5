/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/daemon/mounted.h"

#include "fs/daemon/history.h"
#include "layers/base/cleanup.h"
#include "layers/base/text.h"
#include "layers/store/hold.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ------------------------------------------------------------------ images */

/*
 * Link an index that is in use into the state, as `as`: no cache can take it
 * away.  `*kept` becomes its name; no name, no index.
 */
static int keep_index(struct shale_daemon *d, const char *name, const char *as,
		      char **kept, struct shale_err *err)
{
	char from[96];

	free(*kept);
	*kept = NULL;
	if (!*name)
		return 0;
	snprintf(from, sizeof(from), "indexes/%.80s", name);
	if (linkat(d->dirfd, from, d->state, as, 0) < 0 && errno != EEXIST)
		return shale_err_set(err, errno, "keep index '%s'", name);
	*kept = strdup(name);
	return *kept ? 0 : shale_err_set(err, ENOMEM, "keep an index");
}

/* The other way round: no cache may lack what the last daemon served from. */
static void offer_index(const struct shale_daemon *d, const char *as,
			const char *name)
{
	char to[96];

	if (!name)
		return;
	snprintf(to, sizeof(to), "indexes/%.80s", name);
	(void)linkat(d->state, as, d->dirfd, to, 0);
}

/* Open what is mounted; its manifests are read once. */
static int open_base(struct shale_daemon *d, struct shale_err *err)
{
	struct shale_version *stack[32] = {0};
	char name[80], base[80];
	/* The mount's state names it by now, or its workspace does. */
	int r = shale_store_settle(d->store, d->base.manifest, d->base.n, err);

	for (uint32_t i = 0; r == 0 && i < d->base.n; i++)
		r = shale_store_manifest(d->store, &d->base.manifest[i],
					 &stack[i], err);
	if (r == 0)
		r = shale_store_need_index(d->store, stack, d->base.n, name,
					   base, err);
	if (r == 0)
		r = keep_index(d, base, "index.1", &d->info.base, err);
	if (r == 0)
		r = keep_index(d, name, "index.0", &d->info.index, err);
	if (r == 0)
		r = shale_store_open_image(d->store, stack, d->base.n,
					   &d->image, err);
	for (uint32_t i = 0; i < d->base.n; i++)
		shale_version_free(stack[i]);
	return r;
}

static int parse_manifests(const struct shale_mount_info *info,
			   struct shale_rec_image *out, struct shale_err *err)
{
	if (info->n > sizeof(out->manifest) / sizeof(*out->manifest))
		return shale_err_say(err, E2BIG,
				     "a stack has at most 32 images");
	out->n = (uint32_t)info->n;
	for (size_t i = 0; i < info->n; i++)
		if (shale_digest_parse(info->manifests[i], &out->manifest[i]) <
		    0)
			return shale_err_say(err, EINVAL, "'%s' is no digest",
					     info->manifests[i]);
	return 0;
}

/* --------------------------------------------------------------- read-only */

static int open_readonly(struct shale_daemon *d, struct shale_err *err)
{
	int r = parse_manifests(&d->info, &d->base, err);
	if (r == 0)
		r = open_base(d, err);
	return r < 0 ? r
		     : shale_forest_single(&d->forest, d->image,
					   &d->opts.reading, err);
}

static int open_version(void *arg, uint32_t tree, struct shale_image **out,
			struct shale_err *err)
{
	struct shale_daemon *d = arg;
	struct shale_digest manifest;

	int r = shale_history_tree(d->history, tree, &manifest);
	if (r == 0)
		r = shale_daemon_lease(d, &manifest, 1, err);
	if (r == 0)
		r = shale_store_settle(d->store, &manifest, 1, err);
	if (r == 0)
		r = shale_store_open_manifests(d->store, &manifest, 1, true,
					       out, err);
	return r;
}

static int top_of(void *arg, struct shale_synth **out, struct shale_err *err)
{
	const struct shale_daemon *d = arg;
	return shale_history_top(d->history, out, err);
}

static int open_history(struct shale_daemon *d, struct shale_err *err)
{
	const struct shale_forest_opts opts = {top_of, open_version, d};
	int r = shale_history_new(&d->history, d->store, d->info.repo, d->state,
				  d->opts.takeover, err);
	return r < 0 ? r : shale_forest_many(&d->forest, &opts, err);
}

/* --------------------------------------------------------------- workspace */

static int open_content(void *arg, const struct shale_rec_image *which,
			struct shale_image **out, struct shale_err *err)
{
	const struct shale_daemon *d = arg;
	return shale_store_open_manifests(d->store, which->manifest, which->n,
					  false, out, err);
}

static int open_indexed(void *arg, const struct shale_rec_image *which,
			struct shale_image **out, struct shale_err *err)
{
	const struct shale_daemon *d = arg;
	return shale_store_open_manifests(d->store, which->manifest, which->n,
					  true, out, err);
}

static bool same_image(const struct shale_rec_image *a,
		       const struct shale_digest *b, size_t n)
{
	if (a->n != n)
		return false;
	for (uint32_t i = 0; i < a->n; i++)
		if (!shale_digest_equal(&a->manifest[i], &b[i]))
			return false;
	return true;
}

/* "sales:v1 (sha256:0123456789ab)", and so on for each image of a stack. */
static const char *spell(struct shale_buf *out, char *const *refs,
			 const struct shale_digest *manifests, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char text[SHALE_DIGEST_STR];
		shale_digest_str(&manifests[i], text);
		(void)shale_buf_printf(out, "%s%s%s%.19s%s", i ? " " : "",
				       refs ? refs[i] : "", refs ? " (" : "",
				       text, refs ? ")" : "");
	}
	const char *s = shale_buf_str(out);
	return s ? s : "?";
}

/*
 * Is the image that the user named what the workspace is based on: what it was
 * made from, or what it last committed?
 */
static int check_base(struct shale_daemon *d, struct shale_err *err)
{
	const struct shale_workspace_info *ws = &d->ws->info;
	struct shale_rec_image asked;

	int r = parse_manifests(&d->info, &asked, err);
	if (r < 0 || asked.n == 0 ||
	    same_image(&asked, d->base.manifest, d->base.n) ||
	    same_image(&asked, ws->base, ws->n_base))
		return r;
	cleanup_buf struct shale_buf is = {0}, not = {0};
	return shale_err_say(
		err, EINVAL, "workspace '%s' is based on %s, not on %s",
		d->info.workspace,
		spell(&is,
		      same_image(&d->base, ws->base, ws->n_base) ? ws->refs
								 : NULL,
		      d->base.manifest, d->base.n),
		spell(&not, d->info.refs, asked.manifest, asked.n));
}

/* Write down what is really mounted. */
static int settle_info(struct shale_daemon *d, struct shale_err *err)
{
	char **manifests = calloc(d->base.n + 1, sizeof(*manifests));
	char text[SHALE_DIGEST_STR];

	if (!manifests)
		return shale_err_set(err, ENOMEM, "note what is mounted");
	for (uint32_t i = 0; i < d->base.n; i++)
		manifests[i] =
			strdup(shale_digest_str(&d->base.manifest[i], text));
	for (size_t i = 0; i < d->info.n; i++) {
		free(d->info.manifests[i]);
		if (d->info.refs)
			free(d->info.refs[i]);
	}
	free(d->info.manifests);
	free(d->info.refs);
	d->info.refs = NULL;
	d->info.manifests = manifests;
	d->info.n = d->base.n;
	return 0;
}

/* Who asks for the workspace meanwhile is told where it is. */
static int note_holder(struct shale_daemon *d, struct shale_err *err)
{
	cleanup_free char *text = NULL;

	if (asprintf(&text, "mounted on '%s'", d->info.mountpoint) < 0)
		return shale_err_set(err, ENOMEM, "open the workspace");
	/* On a full disk the message is poorer, that is all. */
	(void)shale_workspace_note(d->ws, text, NULL);
	return 0;
}

/* A first daemon chooses the base; it stays while the connection lives. */
static int choose_base(struct shale_daemon *d, struct shale_err *err)
{
	if (d->opts.takeover)
		return parse_manifests(&d->info, &d->base, err);
	int r = shale_live_base_of(d->ws, &d->base, err);
	if (r == 0)
		r = check_base(d, err);
	if (r == 0 && d->opts.quota)
		r = shale_workspace_set_quota(d->ws, d->opts.quota_bytes,
					      d->opts.quota_inodes, err);
	return r < 0 ? r : settle_info(d, err);
}

/* Its lock is in the holder's pocket from then on, whoever serves. */
static int open_workspace(struct shale_daemon *d, struct shale_err *err)
{
	int lock = -1;

	if (d->opts.takeover)
		(void)shale_pocket_peek(&d->opts.pocket, &lock);
	int r = shale_workspace_reopen(&d->ws, d->dirfd, d->info.workspace,
				       lock, err);
	if (r < 0 || lock >= 0)
		return r;
	r = shale_pocket_put(&d->opts.pocket, d->ws->lock);
	return r < 0 ? shale_err_set(err, -r, "keep the workspace's lock") : 0;
}

static int open_writable(struct shale_daemon *d, struct shale_err *err)
{
	struct shale_live_opts opts = {
		.open_image = open_content,
		.open_indexed = open_indexed,
		.arg = d,
		.takeover = d->opts.takeover,
		.no_ahead = d->opts.reading.no_ahead,
	};

	if (!d->info.workspace)
		return shale_err_say(err, EINVAL, "which workspace?");
	int r = open_workspace(d, err);
	if (r == 0)
		r = note_holder(d, err);
	if (r == 0)
		r = choose_base(d, err);
	if (r == 0)
		r = open_base(d, err);
	if (r == 0)
		r = shale_handles_open(&d->handles, d->ws->dirfd,
				       !d->opts.takeover, err);
	if (r < 0)
		return r;
	opts.quota_bytes = d->ws->info.quota_bytes;
	opts.quota_inodes = d->ws->info.quota_inodes;
	return shale_live_open(&d->live, d->ws, d->handles, d->image, &d->base,
			       &opts, err);
}

int shale_mounted_open(struct shale_daemon *d, struct shale_err *err)
{
	if (d->opts.takeover) {
		offer_index(d, "index.1", d->info.base);
		offer_index(d, "index.0", d->info.index);
	}
	if (!strcmp(d->info.kind, "rw"))
		return open_writable(d, err);
	if (!strcmp(d->info.kind, "browse"))
		return open_history(d, err);
	return open_readonly(d, err);
}

/* ------------------------------------------------------------------- label */

void shale_mounted_label(struct shale_daemon *d)
{
	cleanup_buf struct shale_buf images = {0}, text = {0}, path = {0};
	const struct shale_workspace_info *ws = d->ws ? &d->ws->info : NULL;
	char *const *refs = d->info.refs;

	/* What a workspace was made from had a name; what it committed has
	 * whatever name it has now. */
	if (ws)
		refs = same_image(&d->base, ws->base, ws->n_base) ? ws->refs
								  : NULL;
	if (ws)
		(void)shale_buf_printf(&text, "workspace '%s' of ", ws->name);
	if (d->history)
		(void)shale_buf_printf(&text, "history");
	else
		(void)shale_buf_printf(
			&text, "%s",
			spell(&images, refs, d->base.manifest, d->base.n));
	(void)shale_escape(&path, d->info.mountpoint,
			   strlen(d->info.mountpoint));
	const char *where = shale_buf_str(&path);
	(void)shale_buf_printf(&text, " on '%s'", where ? where : "?");
	const char *label = shale_buf_str(&text);
	d->label = label ? strdup(label) : NULL;
}
