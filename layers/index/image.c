/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/index/image.h"

#include <errno.h>
#include <stdlib.h>

void shale_image_close(struct shale_image *image)
{
	if (!image)
		return;
	shale_index_close(image->index);
	for (size_t i = 0; i < image->n_trees; i++)
		shale_tree_close(image->trees[i]);
	free(image->trees);
	free(image);
}

void shale_image_relax(const struct shale_image *image)
{
	if (image->index)
		shale_index_relax(image->index);
	for (size_t i = 0; i < image->n_trees; i++)
		shale_tree_relax(image->trees[i]);
}

int shale_image_content(const struct shale_image *image, uint64_t ino,
			struct shale_content *out, struct shale_err *err)
{
	if (!image->index)
		return shale_content_resolve(out, image->trees, image->n_trees,
					     ino, err);
	if (shale_index_trees(image->index) != image->n_trees)
		return shale_err_say(err, EUCLEAN,
				     "the index is of other layers");
	return shale_content_of(out, image->index, image->trees, ino, err);
}

int shale_image_read(const struct shale_image *image, uint64_t ino,
		     uint64_t off, void *out, size_t len, size_t *got,
		     struct shale_err *err)
{
	struct shale_content content;

	int r = shale_image_content(image, ino, &content, err);
	if (r < 0)
		return r;
	return shale_content_read(&content, image->chunks, off, out, len, got,
				  err);
}
