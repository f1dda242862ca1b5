/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/daemon/daemon.h"

#include "layers/base/cleanup.h"
#include "layers/blob/chunks.h"
#include "layers/store/ref.h"

#include <string.h>

/* How a mount is doing, as `shale status --mount` shows it. */

void shale_add_number(json_t *doc, const char *key, uint64_t value)
{
	json_object_set_new(doc, key, json_integer((json_int_t)value));
}

static void add_text(json_t *doc, const char *key, const char *value)
{
	json_object_set_new(doc, key, json_string(value));
}

static int add_live(const struct shale_daemon *d, json_t *doc,
		    struct shale_err *err)
{
	struct shale_live_counts counts;
	struct shale_db_stats db;

	int r = shale_live_counts(d->live, &counts);
	if (r < 0)
		return shale_err_set(err, -r, "count what changed");
	shale_db_stats(d->ws->db, &db);
	shale_add_number(doc, "inodes", counts.inodes);
	shale_add_number(doc, "bytes", counts.bytes);
	shale_add_number(doc, "dirty_inodes", counts.dirty_inodes);
	shale_add_number(doc, "data_bytes", counts.data_bytes);
	shale_add_number(doc, "used_bytes", counts.used_bytes);
	shale_add_number(doc, "used_inodes", counts.used_inodes);
	if (counts.quota_bytes)
		shale_add_number(doc, "quota_bytes", counts.quota_bytes);
	if (counts.quota_inodes)
		shale_add_number(doc, "quota_inodes", counts.quota_inodes);
	shale_add_number(doc, "epoch", counts.epoch);
	shale_add_number(doc, "committed", counts.committed);
	shale_add_number(doc, "journal_position", db.position);
	shale_add_number(doc, "journal_applied", db.applied);
	shale_add_number(doc, "journal_bytes", db.journal_bytes);
	shale_add_number(doc, "database_bytes", db.lmdb_bytes);
	return 0;
}

static void add_totals(const struct shale_daemon *d, json_t *doc)
{
	uint64_t inodes, bytes;

	shale_forest_totals(d->forest, &inodes, &bytes);
	shale_add_number(doc, "inodes", inodes);
	shale_add_number(doc, "bytes", bytes);
}

/* When this daemon began to count: one that took over counts anew. */
static void add_since(const struct shale_daemon *d, json_t *doc)
{
	const struct timespec since = {.tv_sec = d->since};
	char text[40];

	shale_time_format(&since, text);
	add_text(doc, "since", text);
	shale_add_number(doc, "seconds", (uint64_t)(time(NULL) - d->since));
	json_object_set_new(doc, "takeover", json_boolean(d->opts.takeover));
}

static void add_kind(void *arg, const char *name,
		     const struct shale_opcount_sum *sum)
{
	json_t *kind = json_object();

	shale_add_number(kind, "count", sum->count);
	shale_add_number(kind, "failed", sum->failed);
	shale_add_number(kind, "total_ns", sum->ns);
	shale_add_number(kind, "mean_ns", sum->ns / sum->count);
	shale_add_number(kind, "p50_ns", shale_opcount_percentile(sum, 500));
	shale_add_number(kind, "p90_ns", shale_opcount_percentile(sum, 900));
	shale_add_number(kind, "p99_ns", shale_opcount_percentile(sum, 990));
	shale_add_number(kind, "max_ns", sum->max_ns);
	if (sum->bytes)
		shale_add_number(kind, "bytes", sum->bytes);
	json_object_set_new(arg, name, kind);
}

static void add_requests(const struct shale_daemon *d, json_t *doc)
{
	struct shale_session_counts counts;
	json_t *kinds = json_object();

	shale_session_count(d->session, &counts, add_kind, kinds);
	shale_add_number(doc, "requests", counts.requests);
	shale_add_number(doc, "errors", counts.errors);
	shale_add_number(doc, "bytes_read", counts.bytes_read);
	shale_add_number(doc, "bytes_written", counts.bytes_written);
	json_object_set_new(doc, "operations", kinds);
}

static void add_cache(const struct shale_daemon *d, json_t *doc)
{
	struct shale_chunks_stats stats;

	shale_chunks_stats(d->chunks, &stats);
	shale_add_number(doc, "cache_hits", stats.hits);
	shale_add_number(doc, "cache_misses", stats.misses);
	shale_add_number(doc, "cache_prefetched", stats.prefetched);
	shale_add_number(doc, "cache_bytes", stats.bytes);
	shale_add_number(doc, "cache_limit", stats.limit);
}

json_t *shale_daemon_status(struct shale_daemon *d, int *r,
			    struct shale_err *err)
{
	json_t *doc = json_object();

	add_text(doc, "kind", d->info.kind);
	add_text(doc, "version", SHALE_VERSION);
	if (d->info.n)
		add_text(doc, "image", d->info.manifests[0]);
	if (d->info.workspace)
		add_text(doc, "workspace", d->info.workspace);
	shale_add_number(doc, "pid", (uint64_t)getpid());
	shale_add_number(doc, "daemon_pid", (uint64_t)getpid());
	shale_add_number(doc, "holder_pid", (uint64_t)d->opts.holder);
	add_since(d, doc);
	add_requests(d, doc);
	add_cache(d, doc);
	*r = 0;
	if (d->live)
		*r = add_live(d, doc, err);
	else
		add_totals(d, doc);
	if (*r < 0) {
		json_decref(doc);
		return NULL;
	}
	return doc;
}
