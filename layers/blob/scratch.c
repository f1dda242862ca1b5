/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/blob/scratch.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { KEPT = 8, PAGE = 4096, HUGE_PAGE = 2 << 20 };

struct shale_scratch {
	pthread_mutex_t lock;
	size_t size;
	unsigned n;
	uint8_t *kept[KEPT];
	uint8_t *slab; /* a huge page that some are parts of, or NULL */
};

static uint8_t *make(size_t size, size_t align)
{
	void *data;
	return posix_memalign(&data, align, size) == 0 ? data : NULL;
}

/* Nothing of it is memory before it is used. */
static void cut_slab(struct shale_scratch *s)
{
	s->slab = make(HUGE_PAGE, HUGE_PAGE);
	if (!s->slab)
		return;
	/* A hint: without huge pages it is as other memory is. */
	(void)madvise(s->slab, HUGE_PAGE, MADV_HUGEPAGE);
	for (size_t n = HUGE_PAGE / s->size; n-- > 0 && s->n < KEPT;)
		s->kept[s->n++] = s->slab + n * s->size;
}

struct shale_scratch *shale_scratch_new(size_t size, bool huge)
{
	struct shale_scratch *s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	pthread_mutex_init(&s->lock, NULL);
	s->size = size;
	if (huge && size % PAGE == 0 && size <= HUGE_PAGE)
		cut_slab(s);
	return s;
}

static bool in_slab(const struct shale_scratch *s, const uint8_t *data)
{
	return s->slab && (uintptr_t)data - (uintptr_t)s->slab < HUGE_PAGE;
}

void shale_scratch_free(struct shale_scratch *s)
{
	if (!s)
		return;
	while (s->n--)
		if (!in_slab(s, s->kept[s->n]))
			free(s->kept[s->n]);
	free(s->slab);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

uint8_t *shale_scratch_take(struct shale_scratch *s, size_t len)
{
	uint8_t *data = NULL;
	if (len > s->size)
		return make(len, PAGE);

	pthread_mutex_lock(&s->lock);
	if (s->n)
		data = s->kept[--s->n];
	pthread_mutex_unlock(&s->lock);
	return data ? data : make(s->size, PAGE);
}

void shale_scratch_give(struct shale_scratch *s, uint8_t *data, size_t len)
{
	if (len <= s->size) {
		pthread_mutex_lock(&s->lock);
		/* With a slab no others are kept, so its parts find room. */
		if (s->slab ? in_slab(s, data) : s->n < KEPT) {
			s->kept[s->n++] = data;
			data = NULL;
		}
		pthread_mutex_unlock(&s->lock);
	}
	free(data);
}
