/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/mount/op.h"

#include "fs/mount/ops.h"
#include "fs/mount/raw.h"
#include "layers/base/cleanup.h"
#include "layers/base/clock.h"

#include <time.h>

/* What is asked, before any of it is done: names may be others afterwards. */
static char *describe(const struct shale_receiver *r)
{
	struct shale_buf line = {0};
	struct timespec now;
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &now);
	localtime_r(&now.tv_sec, &tm);
	(void)shale_buf_printf(&line, "%02d:%02d:%02d.%06ld ", tm.tm_hour,
			       tm.tm_min, tm.tm_sec, now.tv_nsec / 1000);
	shale_raw_describe(r, &line);
	return shale_buf_str(&line); /* its memory is the text's */
}

void shale_op_begin(struct shale_op *op, const struct shale_receiver *r)
{
	struct shale_session *s = r->session;

	*op = (struct shale_op){
		.kind = shale_raw_kind(r),
		.bytes = shale_raw_brings(r),
	};
	if (s->greeted && (s->opts.trace || shale_trace_wanted(s->trace)))
		op->asked = describe(r);
	pthread_setspecific(s->op, op);
	op->start = shale_clock_ns();
}

static void tell(struct shale_session *s, const struct shale_op *op,
		 uint64_t ns, const struct iovec *iov, int n)
{
	cleanup_buf struct shale_buf line = {0};

	(void)shale_buf_printf(&line, "%s = ", op->asked);
	shale_raw_outcome(op->kind, iov, n, &line);
	(void)shale_buf_printf(&line, " (%.1f us)", (double)ns / 1000);
	const char *text = shale_buf_str(&line);
	if (text)
		shale_trace_tell(s->trace, text);
	if (text && s->opts.trace)
		s->opts.trace(s->opts.arg, text);
}

static void finish(struct shale_session *s, struct shale_op *op,
		   const struct iovec *iov, int n)
{
	uint64_t ns = shale_clock_ns() - op->start;

	pthread_setspecific(s->op, NULL);
	shale_opcount_note(s->counts, op->kind, ns,
			   op->bytes + shale_raw_takes(op->kind, iov, n),
			   shale_raw_failed(iov, n));
	if (op->asked)
		tell(s, op, ns, iov, n);
	free(op->asked);
}

void shale_op_answered(struct shale_session *s, const struct iovec *iov, int n)
{
	struct shale_op *op = pthread_getspecific(s->op);
	if (op && !shale_raw_unasked(iov, n))
		finish(s, op, iov, n);
}

void shale_op_end(struct shale_session *s)
{
	struct shale_op *op = pthread_getspecific(s->op);
	if (op)
		finish(s, op, NULL, 0);
}
