/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/blob/scratch.h"

#include <pthread.h>
#include <stdlib.h>

enum { KEPT = 8, PAGE = 4096 };

struct shale_scratch {
	pthread_mutex_t lock;
	size_t size;
	unsigned n;
	uint8_t *kept[KEPT];
};

struct shale_scratch *shale_scratch_new(size_t size)
{
	struct shale_scratch *s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	pthread_mutex_init(&s->lock, NULL);
	s->size = size;
	return s;
}

void shale_scratch_free(struct shale_scratch *s)
{
	if (!s)
		return;
	while (s->n)
		free(s->kept[--s->n]);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static uint8_t *make(size_t size)
{
	void *data;
	return posix_memalign(&data, PAGE, size) == 0 ? data : NULL;
}

uint8_t *shale_scratch_take(struct shale_scratch *s, size_t len)
{
	uint8_t *data = NULL;
	if (len > s->size)
		return make(len);

	pthread_mutex_lock(&s->lock);
	if (s->n)
		data = s->kept[--s->n];
	pthread_mutex_unlock(&s->lock);
	return data ? data : make(s->size);
}

void shale_scratch_give(struct shale_scratch *s, uint8_t *data, size_t len)
{
	if (len <= s->size) {
		pthread_mutex_lock(&s->lock);
		if (s->n < KEPT) {
			s->kept[s->n++] = data;
			data = NULL;
		}
		pthread_mutex_unlock(&s->lock);
	}
	free(data);
}
