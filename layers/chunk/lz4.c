/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/chunk/lz4.h"

#include "layers/base/bytes.h"

#include <stdbool.h>

/*
 * A place is remembered by the low 16 bits of its offset.  So a candidate is
 * always less than 64 KiB back, which is as far as a match may reach; that the
 * place may really have been one further back, or never have been noted, costs
 * a comparison that fails.
 */

enum {
	MATCH_MIN = 4,
	LAST_MATCH = 12, /* matches begin so far before the end, or further */
	LAST_LITERALS = 5,
	SHORTEST = 32, /* less is not looked at */
	SLACK = 16,    /* copies write up to so much too much */
	SKIP_LOG = 6,  /* so many misses, and steps grow by one */
};

struct encoder {
	uint16_t *place;
	const uint8_t *in;
	size_t len;
	size_t last;   /* where a match may begin at the latest */
	size_t anchor; /* all before it is written */
	uint8_t *out, *end;
};

struct match {
	size_t at, from, len;
};

static inline uint64_t word(const uint8_t *p)
{
	struct le64 bytes;
	memcpy(&bytes, p, sizeof(bytes));
	return le64_get(bytes);
}

static inline uint32_t half(const uint8_t *p)
{
	struct le32 bytes;
	memcpy(&bytes, p, sizeof(bytes));
	return le32_get(bytes);
}

/* Of five bytes. */
static inline uint32_t hash(uint64_t w)
{
	return (uint32_t)((w << 24) * UINT64_C(889523592379) >>
			  (64 - SHALE_LZ4_HASH_BITS));
}

/* How many bytes from `a` on are those from `b` on, `b` being further. */
static inline size_t equal(const struct encoder *e, size_t a, size_t b)
{
	const size_t start = b, stop = e->len - LAST_LITERALS;

	for (; b + 8 <= stop; a += 8, b += 8) {
		uint64_t other = word(e->in + a) ^ word(e->in + b);
		if (other)
			return b - start + (size_t)__builtin_ctzll(other) / 8;
	}
	while (b < stop && e->in[a] == e->in[b]) {
		a++;
		b++;
	}
	return b - start;
}

/* Look up what stands at `at`, and note it.  True: `*from` begins alike. */
static inline bool look_up(struct encoder *e, size_t at, size_t *from)
{
	uint64_t w = word(e->in + at);
	uint16_t *place = &e->place[hash(w)];
	size_t back = (uint16_t)(at - *place);

	*place = (uint16_t)at;
	*from = at - back;
	return back != 0 && back <= at && half(e->in + *from) == (uint32_t)w;
}

/* The next match from `at` on; false: there is none to the end. */
static inline bool find(struct encoder *e, size_t at, struct match *m)
{
	size_t misses = 1 << SKIP_LOG;

	while (!look_up(e, at, &m->from)) {
		at += misses++ >> SKIP_LOG;
		if (at > e->last)
			return false;
	}
	m->at = at;
	m->len = MATCH_MIN + equal(e, m->from + MATCH_MIN, at + MATCH_MIN);
	return true;
}

/* A match that begins a byte later may be longer; and so on. */
static inline void improve(struct encoder *e, struct match *m)
{
	struct match next;

	while (m->at < e->last) {
		next.at = m->at + 1;
		if (!look_up(e, next.at, &next.from))
			return;
		/* its last bytes, if it is longer, before all of them */
		size_t tail = m->len - MATCH_MIN + 1;
		if (half(e->in + next.from + tail) !=
		    half(e->in + next.at + tail))
			return;
		next.len = MATCH_MIN +
			   equal(e, next.from + MATCH_MIN, next.at + MATCH_MIN);
		if (next.len <= m->len)
			return;
		*m = next;
	}
}

static inline void widen(const struct encoder *e, struct match *m)
{
	while (m->at > e->anchor && m->from > 0 &&
	       e->in[m->at - 1] == e->in[m->from - 1]) {
		m->at--;
		m->from--;
		m->len++;
	}
}

/* What is left of a length that was more than its four bits hold. */
static inline uint8_t *put_length(uint8_t *out, size_t left)
{
	for (; left >= 255; left -= 255)
		*out++ = 255;
	*out++ = (uint8_t)left;
	return out;
}

/* Literals from the anchor on, `n` of them, behind a token.  False: no room. */
static inline bool put_literals(struct encoder *e, size_t n, uint8_t **token)
{
	const uint8_t *from = e->in + e->anchor;
	uint8_t *out = e->out;

	if (n + n / 255 + SLACK > (size_t)(e->end - out))
		return false;
	*token = out++;
	**token = (uint8_t)((n < 15 ? n : 15) << 4);
	if (n >= 15)
		out = put_length(out, n - 15);
	if (n <= SLACK && e->len - e->anchor >= SLACK)
		memcpy(out, from, SLACK); /* one load, one store */
	else
		memcpy(out, from, n);
	e->out = out + n;
	return true;
}

static inline bool put_match(struct encoder *e, const struct match *m)
{
	size_t offset = m->at - m->from, more = m->len - MATCH_MIN;
	uint8_t *token;

	if (!put_literals(e, m->at - e->anchor, &token) ||
	    more / 255 + SLACK > (size_t)(e->end - e->out))
		return false;
	*e->out++ = (uint8_t)offset;
	*e->out++ = (uint8_t)(offset >> 8);
	*token |= (uint8_t)(more < 15 ? more : 15);
	if (more >= 15)
		e->out = put_length(e->out, more - 15);
	e->anchor = m->at + m->len;
	return true;
}

/* All sequences but the last.  False: it does not become shorter. */
static bool put_matches(struct encoder *e)
{
	struct match m;
	size_t at = 1;

	while (at <= e->last && find(e, at, &m)) {
		improve(e, &m);
		widen(e, &m);
		if (!put_match(e, &m))
			return false;
		at = e->anchor;
		if (at <= e->last)
			e->place[hash(word(e->in + at - 2))] =
				(uint16_t)(at - 2);
	}
	return true;
}

size_t shale_lz4_compress(struct shale_lz4 *state, const void *data, size_t len,
			  void *out)
{
	struct encoder e = {
		.place = state->place,
		.in = data,
		.len = len,
		.last = len > LAST_MATCH ? len - LAST_MATCH : 0,
		.out = out,
		.end = (uint8_t *)out + len + SLACK,
	};
	uint8_t *token;

	memset(state->place, 0, sizeof(state->place));
	if (len >= SHORTEST && !put_matches(&e))
		return 0;
	if (!put_literals(&e, len - e.anchor, &token))
		return 0;
	size_t stored = (size_t)(e.out - (uint8_t *)out);
	return stored < len ? stored : 0;
}
