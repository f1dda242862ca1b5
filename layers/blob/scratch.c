/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/blob/scratch.h"

#include "layers/chunk/cut.h"

#include <pthread.h>
#include <stdlib.h>

enum {
	KEPT = 8,
	SIZE = SHALE_CHUNK_MAX, /* longer ones are rare, and not kept */
};

struct shale_scratch {
	pthread_mutex_t lock;
	unsigned n;
	uint8_t *kept[KEPT];
};

struct shale_scratch *shale_scratch_new(void)
{
	struct shale_scratch *s = calloc(1, sizeof(*s));
	if (s)
		pthread_mutex_init(&s->lock, NULL);
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

uint8_t *shale_scratch_take(struct shale_scratch *s, size_t len)
{
	uint8_t *data = NULL;
	if (len > SIZE)
		return malloc(len);

	pthread_mutex_lock(&s->lock);
	if (s->n)
		data = s->kept[--s->n];
	pthread_mutex_unlock(&s->lock);
	return data ? data : malloc(SIZE);
}

void shale_scratch_give(struct shale_scratch *s, uint8_t *data, size_t len)
{
	if (len <= SIZE) {
		pthread_mutex_lock(&s->lock);
		if (s->n < KEPT) {
			s->kept[s->n++] = data;
			data = NULL;
		}
		pthread_mutex_unlock(&s->lock);
	}
	free(data);
}
