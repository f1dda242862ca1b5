/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/import.h"

#include "layers/base/cleanup.h"
#include "layers/ops/import_layer.h"
#include "layers/store/compact.h"
#include "layers/store/hold.h"
#include "layers/store/lease.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { CHUNK_CACHE = 32 << 20 };

int shale_import_check(struct shale_import *imp, struct shale_err *err)
{
	if (imp->opts.cancelled && imp->opts.cancelled(imp->opts.arg))
		return shale_err_say(err, EINTR, "interrupted");
	return 0;
}

void shale_import_problem(struct shale_import *imp, const char *path,
			  const char *fmt, ...)
{
	char what[512];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	imp->result.problems++;
	if (imp->opts.problem)
		imp->opts.problem(imp->opts.arg, path, what);
}

void shale_import_show(struct shale_import *imp, const char *path)
{
	/* How much an archive holds is known when it has been read. */
	uint64_t total = imp->done > imp->total ? 0 : imp->total;
	if (imp->opts.progress)
		imp->opts.progress(imp->opts.arg, imp->done, total, imp->files,
				   path);
}

/* ------------------------------------------------------------ begin and end */

static int set_prefix(struct shale_import *imp, struct shale_err *err)
{
	imp->prefix = strdup(imp->opts.prefix ? imp->opts.prefix : "");
	if (!imp->prefix)
		return shale_err_set(err, ENOMEM, "import");
	return shale_arrival_clean_path(imp->prefix, &imp->prefix_len, err);
}

static int begin_packing(struct shale_import *imp, struct shale_err *err)
{
	struct shale_pack_opts opts = {
		.codec = imp->opts.codec,
		.threads = imp->opts.threads,
	};
	if (imp->lower) {
		opts.lower = imp->lower->trees;
		opts.n_lower = imp->lower->n_trees;
	}
	int r = shale_store_chunks(imp->store, CHUNK_CACHE, &imp->feed.chunks,
				   err);
	if (r == 0)
		r = shale_tree_build_new(&imp->build, err);
	if (r == 0)
		r = shale_pack_new(&imp->pack, imp->blobs, imp->feed.chunks,
				   imp->build, &opts, err);
	imp->feed.pack = imp->pack;
	imp->feed.build = imp->build;
	return r;
}

/* What is made, and what it goes on from, stays until it is published. */
static int take_lease(struct shale_import *imp, struct shale_err *err)
{
	const struct shale_version *onto = imp->opts.onto;
	int r = shale_store_lease(imp->store, &imp->lease, err);
	if (r < 0 || !onto)
		return r;
	r = shale_lease_add(imp->lease, &onto->digest, err);
	return r < 0 ? r
		     : shale_store_settle(imp->store, &onto->digest, 1, err);
}

/* What the version's own tree will stand on, and refers to. */
static int open_lower(struct shale_import *imp, struct shale_err *err)
{
	if (!imp->opts.onto)
		return 0;
	int r = shale_compact_use(imp->store, imp->opts.onto, &imp->below,
				  &imp->n_below, err);
	return r < 0 ? r
		     : shale_compact_open(imp->store, imp->below, imp->n_below,
					  &imp->lower, err);
}

int shale_import_new(struct shale_import **out, struct shale_store *store,
		     const struct shale_import_opts *opts,
		     struct shale_err *err)
{
	struct shale_import *imp = calloc(1, sizeof(*imp));
	if (!imp)
		return shale_err_set(err, ENOMEM, "import");
	imp->store = store;
	imp->blobs = shale_store_blobs(store);
	imp->lease = -1;
	imp->opts = *opts;
	if (opts->layer)
		imp->opts.checksum = true;
	pthread_mutex_init(&imp->opener_lock, NULL);
	clock_gettime(CLOCK_REALTIME, &imp->started);

	int r = take_lease(imp, err);
	if (r == 0)
		r = set_prefix(imp, err);
	if (r == 0)
		r = shale_plan_init(&imp->plan, err);
	if (r == 0)
		r = open_lower(imp, err);
	if (r == 0)
		r = begin_packing(imp, err);
	if (r == 0)
		shale_import_open_parent(imp);
	if (r < 0) {
		shale_import_free(imp);
		return r;
	}
	*out = imp;
	return 0;
}

static size_t count_sources(const struct shale_import *imp)
{
	return imp->sources.len / sizeof(struct shale_source);
}

static struct shale_source *source_at(const struct shale_import *imp, size_t i)
{
	return (struct shale_source *)(void *)imp->sources.data + i;
}

void shale_import_free(struct shale_import *imp)
{
	if (!imp)
		return;
	(void)shale_import_parent(imp, NULL);
	shale_alike_free(imp->early.alike);
	shale_pack_free(imp->pack);
	shale_tree_build_free(imp->build);
	shale_feed_release(&imp->feed);
	shale_onto_close(&imp->onto);
	shale_image_close(imp->lower);
	free(imp->below);
	shale_plan_release(&imp->plan);
	shale_inodemap_release(&imp->links);
	shale_buf_release(&imp->unplaced);
	shale_inodemap_release(&imp->adopted);
	const struct shale_read_root *root = (void *)imp->roots.data;
	for (size_t i = 0; i < count_sources(imp); i++) {
		free(source_at(imp, i)->name);
		if (root[i].fd >= 0)
			close(root[i].fd);
	}
	shale_buf_release(&imp->sources);
	shale_buf_release(&imp->roots);
	shale_buf_release(&imp->large);
	pthread_mutex_destroy(&imp->opener_lock);
	free(imp->prefix);
	shale_lease_end(&imp->lease);
	free(imp);
}

/* ----------------------------------------------------------------- sources */

int shale_import_source(struct shale_import *imp, const char *name,
			const char *kind, const struct stat *st, int rootfd,
			struct shale_err *err)
{
	struct shale_source source = {
		.name = strdup(name),
		.kind = kind,
		.mtime = st->st_mtim,
		.size = S_ISREG(st->st_mode) ? (uint64_t)st->st_size : 0,
	};
	struct shale_read_root root = {
		.fd = rootfd,
		.prefix = imp->prefix_len + (imp->prefix_len != 0),
	};
	if (source.name && count_sources(imp) < UINT16_MAX &&
	    shale_buf_reserve(&imp->sources, sizeof(source)) == 0 &&
	    shale_buf_append(&imp->roots, &root, sizeof(root)) == 0) {
		imp->plan.source = (uint16_t)count_sources(imp);
		return shale_buf_append(&imp->sources, &source, sizeof(source));
	}
	free(source.name);
	if (rootfd >= 0)
		close(rootfd);
	return shale_err_set(err, ENOMEM, "sources");
}

struct shale_source *shale_import_last_source(const struct shale_import *imp)
{
	return source_at(imp, count_sources(imp) - 1);
}

int shale_import_full_path(const struct shale_import *imp,
			   struct shale_arrival *arrival, struct shale_buf *buf,
			   struct shale_err *err)
{
	if (!imp->prefix_len)
		return 0;
	buf->len = 0;
	if (shale_buf_printf(buf, "%s%s%s", imp->prefix,
			     arrival->path_len ? "/" : "", arrival->path) < 0 ||
	    !shale_buf_str(buf))
		return shale_err_set(err, ENOMEM, "a path");
	arrival->path = (const char *)buf->data;
	arrival->path_len = buf->len;
	return 0;
}

int shale_import_arrive(struct shale_import *imp, struct shale_arrival *arrival,
			struct shale_buf *buf, uint32_t linked, uint32_t *name,
			struct shale_err *err)
{
	int r = shale_import_full_path(imp, arrival, buf, err);
	if (r < 0)
		return r;
	if (linked != SHALE_PLAN_NONE)
		return shale_plan_link(&imp->plan, arrival, linked, name, err);

	r = shale_plan_add(&imp->plan, arrival, name, err);
	if (r == 0) {
		uint32_t inode = shale_plan_name(&imp->plan, *name)->inode;
		shale_plan_inode(&imp->plan, inode)->source =
			(uint16_t)(count_sources(imp) - 1);
	}
	return r;
}

/* ------------------------------------------------------------- publication */

/* A root that no source spoke of has the time of the newest entry. */
static void date_root(struct shale_import *imp)
{
	struct shale_plan_inode *root = shale_plan_inode(&imp->plan, 0);
	if (!root->implied)
		return;
	for (uint32_t i = 1; i < shale_plan_inodes(&imp->plan); i++) {
		const struct shale_plan_inode *in =
			shale_plan_inode(&imp->plan, i);
		const struct timespec *a = &in->attr.mtime,
				      *b = &root->attr.mtime;
		if (in->names &&
		    (a->tv_sec > b->tv_sec ||
		     (a->tv_sec == b->tv_sec && a->tv_nsec > b->tv_nsec)))
			root->attr.mtime = *a;
	}
}

static int say_sources(struct shale_import *imp, struct shale_metadoc *doc,
		       struct shale_err *err)
{
	int r = 0;
	for (size_t i = 0; i < count_sources(imp) && r == 0; i++) {
		const struct shale_source *s = source_at(imp, i);
		r = shale_metadoc_source(
			doc, s->name, s->kind, s->size, &s->mtime,
			s->has_digest ? &s->digest : NULL, err);
	}
	return r;
}

/* The content of what was packed from an archive and then replaced. */
static int forget_replaced(struct shale_import *imp, struct shale_err *err)
{
	int r = 0;
	for (uint32_t i = 0; i < shale_plan_inodes(&imp->plan) && r == 0; i++) {
		const struct shale_plan_inode *in =
			shale_plan_inode(&imp->plan, i);
		if (!in->names && in->content == SHALE_PLAN_PACKED)
			r = shale_tree_build_forget(imp->build, in->attr.ino,
						    err);
	}
	return r;
}

/* Stages 2 to 4. */
static int make_tree(struct shale_import *imp, struct shale_metadoc *doc,
		     struct shale_err *err)
{
	cleanup_free uint32_t *order = NULL;
	size_t n;
	int r = imp->opts.layer ? shale_import_settle(imp, err) : 0;
	if (r < 0)
		return r;
	date_root(imp);
	r = shale_plan_order(&imp->plan, &order, &n, err);
	if (r == 0)
		r = shale_import_number(imp, order, n, err);
	if (r == 0)
		r = shale_import_read(imp, order, n, err);
	if (r == 0)
		r = forget_replaced(imp, err);
	if (r < 0)
		return r;
	r = say_sources(imp, doc, err);
	if (r == 0 && imp->opts.layer && imp->opts.onto)
		r = shale_import_losses(imp, doc, &imp->inodes, &imp->bytes,
					err);
	else if (r == 0)
		shale_plan_count_links(&imp->plan);
	if (r == 0)
		r = shale_import_emit(imp, order, n, doc, err);
	return r;
}

/* The three blobs of a version on their way. */
struct blobs {
	struct shale_blob_tmp file[3]; /* tree, metadata, data */
	uint64_t size[3];
};
enum { TREE, METADATA, DATA };

static void abandon(struct shale_import *imp, struct blobs *b)
{
	for (int i = 0; i < 3; i++) {
		if (b->file[i].fd < 0)
			continue;
		close(b->file[i].fd);
		shale_blobs_abandon(imp->blobs, b->file[i].name);
	}
}

static int describe(struct shale_import *imp, struct shale_version *v,
		    const struct blobs *b, struct shale_err *err)
{
	const struct shale_version *parent = imp->opts.onto;
	struct shale_description *d = &v->description;
	d->created = imp->started;
	d->has_parent = parent != NULL;
	if (parent)
		d->parent = parent->digest;
	d->next_ino = imp->onto.next_ino;
	d->inodes = imp->inodes + imp->result.inodes;
	d->bytes = imp->bytes + imp->result.bytes;
	v->has_metadata = true;
	v->metadata = (struct shale_layer_desc){b->file[METADATA].digest,
						b->size[METADATA]};

	size_t n = imp->n_below;
	v->trees = calloc(n + 1, sizeof(*v->trees));
	if (!v->trees)
		return shale_err_set(err, ENOMEM, "a version");
	if (n)
		memcpy(v->trees, imp->below, n * sizeof(*imp->below));
	v->trees[n] =
		(struct shale_layer_desc){b->file[TREE].digest, b->size[TREE]};
	v->n_trees = n + 1;
	return shale_version_list_data(imp->store, v, err);
}

static int publish(struct shale_import *imp, struct shale_version *v,
		   struct blobs *b, struct shale_err *err)
{
	struct shale_pack_stats stats = {0};
	int r = shale_pack_finish(imp->pack, &b->file[DATA], &b->size[DATA],
				  &stats, err);
	if (r == 0)
		r = shale_tree_build_renumber(
			imp->build, SHALE_IMPORT_UNPLACED,
			(const void *)imp->unplaced.data,
			imp->unplaced.len / sizeof(uint64_t), err);
	if (r == 0)
		r = shale_blobs_create(imp->blobs, &b->file[TREE].fd,
				       b->file[TREE].name, err);
	if (r == 0)
		r = shale_tree_build_finish(
			imp->build, b->file[TREE].fd, imp->onto.next_ino,
			&b->file[TREE].digest, &b->size[TREE], err);
	if (r == 0)
		r = shale_import_check(imp, err);
	if (r == 0)
		r = shale_blobs_publish(imp->blobs, b->file,
					b->file[DATA].fd < 0 ? 2 : 3, err);
	imp->result.shared = stats.shared;
	imp->result.stored = b->size[TREE] + b->size[DATA];
	return r < 0 ? r : describe(imp, v, b, err);
}

static bool anything(const struct shale_import_result *sum)
{
	return sum->added || sum->changed || sum->deleted;
}

static int make_version(struct shale_import *imp, struct shale_version *v,
			struct blobs *b, struct shale_err *err)
{
	struct shale_metadoc doc = {0};
	int r = shale_blobs_create(imp->blobs, &b->file[METADATA].fd,
				   b->file[METADATA].name, err);
	if (r == 0)
		r = shale_metadoc_begin(&doc, b->file[METADATA].fd, err);
	if (r == 0)
		r = make_tree(imp, &doc, err);
	if (r == 0)
		r = shale_metadoc_finish(&doc, &b->file[METADATA].digest,
					 &b->size[METADATA], err);
	shale_metadoc_release(&doc);
	if (r < 0)
		return r;
	imp->result.nothing_changed = imp->opts.onto && !anything(&imp->result);
	return imp->result.nothing_changed ? 0 : publish(imp, v, b, err);
}

int shale_import_finish(struct shale_import *import,
			struct shale_version *version, const char *repo,
			const char *tag, bool latest,
			struct shale_import_result *result,
			struct shale_err *err)
{
	struct blobs blobs = {.file = {{.fd = -1}, {.fd = -1}, {.fd = -1}}};

	int r = shale_import_parent(import, err);
	if (r == 0)
		r = make_version(import, version, &blobs, err);
	abandon(import, &blobs);
	if (r < 0)
		return r;
	if (!import->result.nothing_changed) {
		r = shale_store_publish(import->store, version, repo, tag,
					latest, err);
		if (r < 0)
			return r;
	}
	*result = import->result;
	return 0;
}
