/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/mount/ops.h"
#include "fs/mount/raw.h"

#include <inttypes.h>
#include <linux/fuse.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

/* What others get to know of a session: its log, counts, lines of a trace. */

enum { LOG_A_SECOND = 10 };

bool shale_session_may_log(struct shale_session *s)
{
	int64_t now = time(NULL);

	if (atomic_exchange(&s->log_second, now) != now)
		atomic_store(&s->log_count, 0);
	return s->opts.log && atomic_fetch_add(&s->log_count, 1) < LOG_A_SECOND;
}

void shale_session_log(const struct shale_session *s, const char *fmt, ...)
{
	char line[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	s->opts.log(s->opts.arg, line);
}

void shale_session_count(struct shale_session *s,
			 struct shale_session_counts *out,
			 void (*fn)(void *arg, const char *name,
				    const struct shale_opcount_sum *sum),
			 void *arg)
{
	*out = (struct shale_session_counts){
		.errors = atomic_load(&s->errors),
	};
	for (unsigned kind = 0; kind < SHALE_OPCOUNT_KINDS; kind++) {
		struct shale_opcount_sum sum;
		shale_opcount_sum(s->counts, kind, &sum);
		const char *name = shale_raw_name(kind);
		out->requests += sum.count;
		if (kind == FUSE_READ)
			out->bytes_read = sum.bytes;
		else if (kind == FUSE_WRITE)
			out->bytes_written = sum.bytes;
		if (sum.count)
			fn(arg, name ? name : "unknown", &sum);
	}
}

int shale_session_listen(struct shale_session *s, struct shale_listener **out,
			 struct shale_err *err)
{
	return shale_trace_listen(s->trace, out, err);
}

void shale_session_path(struct shale_session *s, uint64_t id, bool search,
			struct shale_buf *out)
{
	size_t len = out->len;

	if (s->opts.forest)
		return shale_forest_name(s->opts.forest, id, out);
	if (shale_live_path(s->opts.live, id, search, out) == 0)
		return;
	out->len = len;
	(void)shale_buf_printf(out, "inode %" PRIu64, id);
}
