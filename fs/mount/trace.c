/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/mount/trace.h"

#include "layers/base/clock.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { KEPT = 256 << 10 }; /* bytes that wait for a listener, at most */

struct shale_listener {
	struct shale_trace *trace;
	struct shale_listener *next;
	struct shale_buf lines;
	uint64_t lost;
};

struct shale_trace {
	atomic_bool wanted;
	pthread_mutex_t lock; /* all below */
	pthread_cond_t told;
	struct shale_listener *listeners;
};

int shale_trace_new(struct shale_trace **out, struct shale_err *err)
{
	struct shale_trace *trace = calloc(1, sizeof(*trace));
	if (!trace)
		return shale_err_set(err, ENOMEM, "trace");
	pthread_mutex_init(&trace->lock, NULL);
	shale_clock_cond_init(&trace->told);
	*out = trace;
	return 0;
}

void shale_trace_free(struct shale_trace *trace)
{
	if (!trace)
		return;
	pthread_cond_destroy(&trace->told);
	pthread_mutex_destroy(&trace->lock);
	free(trace);
}

bool shale_trace_wanted(const struct shale_trace *trace)
{
	return atomic_load_explicit(&trace->wanted, memory_order_relaxed);
}

static void tell(struct shale_listener *l, const char *line, size_t len)
{
	/* In order: what comes behind a line that was lost is lost, too. */
	if (l->lost || l->lines.len + len + 1 > KEPT ||
	    shale_buf_reserve(&l->lines, len + 1) < 0) {
		l->lost++;
		return;
	}
	(void)shale_buf_append(&l->lines, line, len);
	(void)shale_buf_append(&l->lines, "\n", 1);
}

void shale_trace_tell(struct shale_trace *trace, const char *line)
{
	if (!shale_trace_wanted(trace))
		return;
	pthread_mutex_lock(&trace->lock);
	for (struct shale_listener *l = trace->listeners; l; l = l->next)
		tell(l, line, strlen(line));
	pthread_cond_broadcast(&trace->told);
	pthread_mutex_unlock(&trace->lock);
}

int shale_trace_listen(struct shale_trace *trace, struct shale_listener **out,
		       struct shale_err *err)
{
	struct shale_listener *l = calloc(1, sizeof(*l));
	if (!l)
		return shale_err_set(err, ENOMEM, "trace");
	l->trace = trace;
	pthread_mutex_lock(&trace->lock);
	l->next = trace->listeners;
	trace->listeners = l;
	atomic_store(&trace->wanted, true);
	pthread_mutex_unlock(&trace->lock);
	*out = l;
	return 0;
}

int shale_listener_take(struct shale_listener *l, unsigned ms,
			struct shale_buf *lines, uint64_t *lost)
{
	struct timespec until = shale_clock_in(ms * UINT64_C(1000000));
	int r = 0;

	pthread_mutex_lock(&l->trace->lock);
	while (!l->lines.len && !l->lost && r == 0)
		r = pthread_cond_timedwait(&l->trace->told, &l->trace->lock,
					   &until);
	r = shale_buf_append(lines, l->lines.data, l->lines.len);
	if (r == 0) {
		*lost = l->lost;
		l->lines.len = 0;
		l->lost = 0;
	}
	pthread_mutex_unlock(&l->trace->lock);
	return r;
}

void shale_listener_close(struct shale_listener *l)
{
	if (!l)
		return;
	struct shale_trace *trace = l->trace;
	pthread_mutex_lock(&trace->lock);
	struct shale_listener **at = &trace->listeners;
	while (*at != l)
		at = &(*at)->next;
	*at = l->next;
	atomic_store(&trace->wanted, trace->listeners != NULL);
	pthread_mutex_unlock(&trace->lock);
	shale_buf_release(&l->lines);
	free(l);
}
