/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/mount/opcount.h"
#include "fs/mount/trace.h"
#include "tests/lib/check.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static struct shale_err err;

/* ------------------------------------------------------------- counting */

enum { READ = 15, WRITE = 16, THREADS = 4, EACH = 20000 };

static void *note_many(void *arg)
{
	for (int i = 0; i < EACH; i++)
		shale_opcount_note(arg, READ, 1000, 4096, i % 4 == 0);
	return NULL;
}

TEST(what_threads_count_for_themselves_adds_up)
{
	struct shale_opcount *counts;
	struct shale_opcount_sum sum;
	pthread_t thread[THREADS];

	CHECK_OK(shale_opcount_new(&counts, &err));
	for (int i = 0; i < THREADS; i++)
		CHECK(!pthread_create(&thread[i], NULL, note_many, counts));
	/* Reading while they count is fine. */
	shale_opcount_sum(counts, READ, &sum);
	CHECK(sum.count <= THREADS * EACH);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	shale_opcount_sum(counts, READ, &sum);
	CHECK_INT(sum.count, THREADS * EACH);
	CHECK_INT(sum.failed, THREADS * EACH / 4);
	CHECK_INT(sum.ns, UINT64_C(1000) * THREADS * EACH);
	CHECK_INT(sum.bytes, UINT64_C(4096) * THREADS * EACH);
	CHECK_INT(sum.max_ns, 1000);
	shale_opcount_sum(counts, WRITE, &sum);
	CHECK_INT(sum.count, 0);
	CHECK_INT(shale_opcount_percentile(&sum, 500), 0);
	shale_opcount_free(counts);
}

/* Is it within an eighth? */
static bool near(uint64_t got, uint64_t want)
{
	return got >= want - want / 8 && got <= want + want / 8;
}

TEST(percentiles_are_near_what_was_measured)
{
	struct shale_opcount *counts;
	struct shale_opcount_sum sum;

	CHECK_OK(shale_opcount_new(&counts, &err));
	/* From 10 us to 10 ms, one each 10 us. */
	for (uint64_t i = 1; i <= 1000; i++)
		shale_opcount_note(counts, READ, i * 10000, 0, false);
	shale_opcount_sum(counts, READ, &sum);
	CHECK(near(shale_opcount_percentile(&sum, 500), 5000000));
	CHECK(near(shale_opcount_percentile(&sum, 900), 9000000));
	CHECK(near(shale_opcount_percentile(&sum, 990), 9900000));
	CHECK_INT(shale_opcount_percentile(&sum, 1000), 10000000);
	shale_opcount_free(counts);
}

TEST(times_of_any_size_have_their_place)
{
	static const uint64_t times[] = {
		0,         1, 127, 128, UINT64_C(1) << 36, UINT64_C(1) << 37,
		UINT64_MAX};
	struct shale_opcount *counts;
	struct shale_opcount_sum sum;

	CHECK_OK(shale_opcount_new(&counts, &err));
	for (size_t i = 0; i < sizeof(times) / sizeof(*times); i++) {
		shale_opcount_note(counts, WRITE, times[i], 0, false);
		shale_opcount_sum(counts, WRITE, &sum);
		CHECK_INT(sum.max_ns, times[i]);
		CHECK(shale_opcount_percentile(&sum, 1000) <= times[i]);
	}
	CHECK_INT(sum.bucket[0], 3);
	CHECK(sum.bucket[SHALE_OPCOUNT_BUCKETS - 1] >= 1);
	shale_opcount_free(counts);
}

/* ---------------------------------------------------------------- lines */

TEST(each_listener_hears_what_was_told_since_it_came)
{
	cleanup_buf struct shale_buf a = {0}, b = {0};
	struct shale_trace *trace;
	struct shale_listener *early, *late;
	uint64_t lost;

	CHECK_OK(shale_trace_new(&trace, &err));
	CHECK(!shale_trace_wanted(trace));
	shale_trace_tell(trace, "nobody");
	CHECK_OK(shale_trace_listen(trace, &early, &err));
	CHECK(shale_trace_wanted(trace));
	shale_trace_tell(trace, "one");
	CHECK_OK(shale_trace_listen(trace, &late, &err));
	shale_trace_tell(trace, "two");
	CHECK_INT(shale_listener_take(early, 0, &a, &lost), 0);
	CHECK_STR(shale_buf_str(&a), "one\ntwo\n");
	CHECK_INT(lost, 0);
	CHECK_INT(shale_listener_take(late, 0, &b, &lost), 0);
	CHECK_STR(shale_buf_str(&b), "two\n");
	/* Nothing more: it waits as long as it was told to. */
	CHECK_INT(shale_listener_take(late, 10, &b, &lost), 0);
	CHECK_STR(shale_buf_str(&b), "two\n");
	shale_listener_close(early);
	CHECK(shale_trace_wanted(trace));
	shale_listener_close(late);
	CHECK(!shale_trace_wanted(trace));
	shale_trace_free(trace);
}

TEST(who_does_not_listen_in_time_is_told_what_was_lost)
{
	cleanup_buf struct shale_buf lines = {0};
	struct shale_trace *trace;
	struct shale_listener *l;
	uint64_t lost, heard = 0;
	char line[1001];

	memset(line, 'x', 1000);
	line[1000] = '\0';
	CHECK_OK(shale_trace_new(&trace, &err));
	CHECK_OK(shale_trace_listen(trace, &l, &err));
	for (int i = 0; i < 1000; i++)
		shale_trace_tell(trace, line);
	shale_trace_tell(trace, "short"); /* there would be room for it */
	CHECK_INT(shale_listener_take(l, 0, &lines, &lost), 0);
	CHECK(lost > 0);
	for (size_t i = 0; i < lines.len; i++)
		heard += lines.data[i] == '\n';
	CHECK_INT(heard + lost, 1001);
	CHECK(!strstr(shale_buf_str(&lines), "short"));
	shale_trace_tell(trace, "then");
	lines.len = 0;
	CHECK_INT(shale_listener_take(l, 0, &lines, &lost), 0);
	CHECK_STR(shale_buf_str(&lines), "then\n");
	CHECK_INT(lost, 0);
	shale_listener_close(l);
	shale_trace_free(trace);
}
