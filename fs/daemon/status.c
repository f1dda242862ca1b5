/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/daemon/daemon.h"

#include "layers/base/cleanup.h"
#include "layers/blob/chunks.h"

#include <string.h>

/* How a mount is doing, as `shale status --mount` shows it. */

static void add_number(json_t *doc, const char *key, uint64_t value)
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
	add_number(doc, "inodes", counts.inodes);
	add_number(doc, "bytes", counts.bytes);
	add_number(doc, "dirty_inodes", counts.dirty_inodes);
	add_number(doc, "data_bytes", counts.data_bytes);
	add_number(doc, "used_bytes", counts.used_bytes);
	add_number(doc, "used_inodes", counts.used_inodes);
	if (counts.quota_bytes)
		add_number(doc, "quota_bytes", counts.quota_bytes);
	if (counts.quota_inodes)
		add_number(doc, "quota_inodes", counts.quota_inodes);
	add_number(doc, "epoch", counts.epoch);
	add_number(doc, "committed", counts.committed);
	add_number(doc, "journal_position", db.position);
	add_number(doc, "journal_applied", db.applied);
	add_number(doc, "journal_bytes", db.journal_bytes);
	add_number(doc, "database_bytes", db.lmdb_bytes);
	return 0;
}

static void add_totals(const struct shale_daemon *d, json_t *doc)
{
	uint64_t inodes, bytes;

	shale_forest_totals(d->forest, &inodes, &bytes);
	add_number(doc, "inodes", inodes);
	add_number(doc, "bytes", bytes);
}

/* When this daemon began to count: one that took over counts anew. */
static void add_since(const struct shale_daemon *d, json_t *doc)
{
	char text[32];
	struct tm tm;

	gmtime_r(&d->since, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	add_text(doc, "since", text);
	add_number(doc, "seconds", (uint64_t)(time(NULL) - d->since));
	json_object_set_new(doc, "takeover", json_boolean(d->opts.takeover));
}

static void add_kind(void *arg, const char *name,
		     const struct shale_opcount_sum *sum)
{
	json_t *kind = json_object();

	add_number(kind, "count", sum->count);
	add_number(kind, "failed", sum->failed);
	add_number(kind, "total_ns", sum->ns);
	add_number(kind, "mean_ns", sum->ns / sum->count);
	add_number(kind, "p50_ns", shale_opcount_percentile(sum, 500));
	add_number(kind, "p90_ns", shale_opcount_percentile(sum, 900));
	add_number(kind, "p99_ns", shale_opcount_percentile(sum, 990));
	add_number(kind, "max_ns", sum->max_ns);
	if (sum->bytes)
		add_number(kind, "bytes", sum->bytes);
	json_object_set_new(arg, name, kind);
}

static void add_requests(const struct shale_daemon *d, json_t *doc)
{
	struct shale_session_counts counts;
	json_t *kinds = json_object();

	shale_session_count(d->session, &counts);
	add_number(doc, "requests", counts.requests);
	add_number(doc, "errors", counts.errors);
	add_number(doc, "bytes_read", counts.bytes_read);
	add_number(doc, "bytes_written", counts.bytes_written);
	shale_session_kinds(d->session, add_kind, kinds);
	json_object_set_new(doc, "operations", kinds);
}

static void add_cache(const struct shale_daemon *d, json_t *doc)
{
	struct shale_chunks_stats stats;

	shale_chunks_stats(d->chunks, &stats);
	add_number(doc, "cache_hits", stats.hits);
	add_number(doc, "cache_misses", stats.misses);
	add_number(doc, "cache_prefetched", stats.prefetched);
	add_number(doc, "cache_bytes", stats.bytes);
	add_number(doc, "cache_limit", stats.limit);
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
	add_number(doc, "pid", (uint64_t)getpid());
	add_number(doc, "daemon_pid", (uint64_t)getpid());
	add_number(doc, "holder_pid", (uint64_t)d->opts.holder);
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
