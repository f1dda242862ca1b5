/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/mount/opcount.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum {
	STEPS = 4,        /* buckets of an octave */
	FIRST_OCTAVE = 7, /* all below 2^7 ns is in the first bucket */
	LINE = 64,
};

/* One kind, one thread, which alone writes it. */
struct row {
	_Atomic uint64_t count, failed, bytes, ns, max_ns;
	_Atomic uint64_t bucket[SHALE_OPCOUNT_BUCKETS];
};

struct thread {
	struct thread *next;
	struct row *_Atomic row[SHALE_OPCOUNT_KINDS]; /* once there is any */
};

struct shale_opcount {
	pthread_key_t mine; /* this thread's struct thread */
	struct thread *_Atomic threads;
};

int shale_opcount_new(struct shale_opcount **out, struct shale_err *err)
{
	struct shale_opcount *counts = calloc(1, sizeof(*counts));
	if (!counts)
		return shale_err_set(err, ENOMEM, "count requests");
	int r = pthread_key_create(&counts->mine, NULL);
	if (r) {
		free(counts);
		return shale_err_set(err, r, "count requests");
	}
	*out = counts;
	return 0;
}

void shale_opcount_free(struct shale_opcount *counts)
{
	if (!counts)
		return;
	for (struct thread *t = atomic_load(&counts->threads); t;) {
		struct thread *next = t->next;
		for (unsigned i = 0; i < SHALE_OPCOUNT_KINDS; i++)
			free(atomic_load(&t->row[i]));
		free(t);
		t = next;
	}
	pthread_key_delete(counts->mine);
	free(counts);
}

/* ------------------------------------------------------------- buckets */

static unsigned bucket_of(uint64_t ns)
{
	if (ns < 1u << FIRST_OCTAVE)
		return 0;
	unsigned octave = 63 - (unsigned)__builtin_clzll(ns);
	unsigned step = (unsigned)(ns >> (octave - 2)) & (STEPS - 1);
	unsigned i = 1 + (octave - FIRST_OCTAVE) * STEPS + step;
	return i < SHALE_OPCOUNT_BUCKETS ? i : SHALE_OPCOUNT_BUCKETS - 1;
}

/* The least that is in a bucket. */
static uint64_t lower(unsigned bucket)
{
	if (bucket == 0)
		return 0;
	unsigned octave = FIRST_OCTAVE + (bucket - 1) / STEPS;
	unsigned step = (bucket - 1) % STEPS;
	return (UINT64_C(1) << octave) + ((uint64_t)step << (octave - 2));
}

uint64_t shale_opcount_percentile(const struct shale_opcount_sum *sum,
				  unsigned per_mille)
{
	uint64_t total = 0, seen = 0;

	for (unsigned i = 0; i < SHALE_OPCOUNT_BUCKETS; i++)
		total += sum->bucket[i];
	if (!total)
		return 0;
	double wanted = (double)total * per_mille / 1000;
	for (unsigned i = 0; i < SHALE_OPCOUNT_BUCKETS; i++) {
		uint64_t n = sum->bucket[i];
		if (n && (double)(seen + n) >= wanted) {
			double part = (wanted - (double)seen) / (double)n;
			uint64_t low = lower(i);
			uint64_t high = i + 1 < SHALE_OPCOUNT_BUCKETS
						? lower(i + 1)
						: sum->max_ns;
			if (high > sum->max_ns)
				high = sum->max_ns;
			return high <= low
				       ? low
				       : low + (uint64_t)(part *
							  (double)(high - low));
		}
		seen += n;
	}
	return sum->max_ns;
}

/* ------------------------------------------------------------ counting */

static struct thread *this_thread(struct shale_opcount *counts)
{
	struct thread *t = pthread_getspecific(counts->mine);
	if (t)
		return t;
	t = calloc(1, sizeof(*t));
	if (!t || pthread_setspecific(counts->mine, t)) {
		free(t);
		return NULL;
	}
	t->next = atomic_load(&counts->threads);
	while (!atomic_compare_exchange_weak(&counts->threads, &t->next, t))
		;
	return t;
}

static struct row *this_row(struct shale_opcount *counts, unsigned kind)
{
	struct thread *t = this_thread(counts);
	if (!t)
		return NULL;
	struct row *row =
		atomic_load_explicit(&t->row[kind], memory_order_relaxed);
	if (row)
		return row;
	size_t size = (sizeof(*row) + LINE - 1) / LINE * LINE;
	row = aligned_alloc(LINE, size);
	if (!row)
		return NULL;
	*row = (struct row){0};
	atomic_store_explicit(&t->row[kind], row, memory_order_release);
	return row;
}

/* Nobody else writes it: no locked instruction is needed. */
static void add(_Atomic uint64_t *to, uint64_t n)
{
	atomic_store_explicit(
		to, atomic_load_explicit(to, memory_order_relaxed) + n,
		memory_order_relaxed);
}

void shale_opcount_note(struct shale_opcount *counts, unsigned kind,
			uint64_t ns, uint64_t bytes, bool failed)
{
	struct row *row = this_row(counts, kind);
	if (!row)
		return;
	add(&row->count, 1);
	add(&row->ns, ns);
	add(&row->bucket[bucket_of(ns)], 1);
	if (bytes)
		add(&row->bytes, bytes);
	if (failed)
		add(&row->failed, 1);
	if (ns > atomic_load_explicit(&row->max_ns, memory_order_relaxed))
		atomic_store_explicit(&row->max_ns, ns, memory_order_relaxed);
}

static uint64_t get(const _Atomic uint64_t *from)
{
	return atomic_load_explicit(from, memory_order_relaxed);
}

static void add_row(const struct row *row, struct shale_opcount_sum *out)
{
	out->count += get(&row->count);
	out->failed += get(&row->failed);
	out->bytes += get(&row->bytes);
	out->ns += get(&row->ns);
	if (out->max_ns < get(&row->max_ns))
		out->max_ns = get(&row->max_ns);
	for (unsigned i = 0; i < SHALE_OPCOUNT_BUCKETS; i++)
		out->bucket[i] += get(&row->bucket[i]);
}

void shale_opcount_sum(struct shale_opcount *counts, unsigned kind,
		       struct shale_opcount_sum *out)
{
	*out = (struct shale_opcount_sum){0};
	for (struct thread *t = atomic_load(&counts->threads); t; t = t->next) {
		const struct row *row = atomic_load_explicit(
			&t->row[kind], memory_order_acquire);
		if (row)
			add_row(row, out);
	}
}
