/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/live/merge.h"

uint64_t shale_merge_ino(const struct shale_name_state *state)
{
	return state->recorded ? state->rec.ino : state->base_ino;
}

uint8_t shale_merge_type(const struct shale_name_state *state)
{
	return state->recorded ? state->rec.type : state->base_type;
}

/* The epoch that made the name: 0 if the base has it. */
static uint32_t born_of(const struct shale_name_state *state, uint32_t epoch)
{
	if (state->base_ino)
		return 0;
	return state->recorded ? state->rec.born : epoch;
}

void shale_merge_set(const struct shale_name_state *state, uint32_t epoch,
		     uint64_t ino, uint8_t type, uint64_t *counter,
		     struct shale_name_plan *out)
{
	*out = (struct shale_name_plan){
		.rec =
			{
				.epoch = epoch,
				.ino = ino,
				.type = type,
				.born = born_of(state, epoch),
			},
	};
	if (state->recorded && state->rec.ino)
		out->rec.cookie = state->rec.cookie;
	else if (!state->recorded && state->base_ino)
		out->rec.cookie = state->base_cookie;
	else
		out->rec.cookie = out->cookie_add =
			SHALE_COOKIE_ADDED + (*counter)++;
}

void shale_merge_remove(const struct shale_name_state *state, uint32_t epoch,
			struct shale_name_plan *out)
{
	uint32_t born = born_of(state, epoch);

	/* Born in this epoch: no image, not even one being made, has it. */
	*out = (struct shale_name_plan){
		.erase = !state->base_ino && born == epoch,
		.rec = {.epoch = epoch, .born = born},
	};
	if (state->recorded && state->rec.cookie >= SHALE_COOKIE_ADDED)
		out->cookie_del = state->rec.cookie;
}
