/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ops/verify_files.h"

#include "layers/base/buf.h"
#include "layers/base/cleanup.h"
#include "layers/store/json.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

enum {
	PATHS_TOLD = 100,        /* of one version */
	METADATA_MAX = 64 << 20, /* bytes: larger ones are not parsed */
};

/* Looking for files of one version. */
struct search {
	struct shale_verify *v;
	const struct shale_verify_version *version;
	const struct shale_image *image;
	const struct shale_bad_chunks *bad;
	uint64_t told, more;
	uint64_t ino;
	uint64_t off, len; /* a run of bad bytes; len 0: none yet */
};

/* ---------------------------------------------------------------- telling */

/* The run, under each name of the file. */
static int tell_run(struct search *s, struct shale_err *err)
{
	struct shale_finding f = {
		.kind = SHALE_FOUND_PATH,
		.version = s->version->root->name,
		.manifest = &s->version->root->manifest,
		.offset = s->off,
		.length = s->len,
	};
	int r = 0;

	for (uint32_t n = 0; s->len && r == 0; n++) {
		cleanup_buf struct shale_buf path = {0};
		r = shale_index_path(s->image->index, s->ino, n, &path, err);
		if (r < 0 || !shale_buf_str(&path))
			break;
		if (s->told++ >= PATHS_TOLD) {
			s->more++;
			continue;
		}
		f.path = shale_buf_str(&path);
		f.path_len = path.len;
		shale_verify_found(s->v, &f);
	}
	s->len = 0;
	return r == -ENOENT ? 0 : r;
}

static int add_bytes(struct search *s, uint64_t off, uint64_t len,
		     struct shale_err *err)
{
	if (s->len && s->off + s->len == off) {
		s->len += len;
		return 0;
	}
	int r = tell_run(s, err);
	s->off = off;
	s->len = len;
	return r;
}

/* -------------------------------------------------------------- searching */

static const struct shale_bad_chunks *marks_of(const struct search *s,
					       const struct shale_tree *tree)
{
	for (size_t i = 0; i < s->image->n_trees; i++)
		if (s->image->trees[i] == tree)
			return &s->bad[i];
	return NULL;
}

/* A piece runs through chunks, from `chunk_off` of the first one on. */
static int search_piece(struct search *s, const struct shale_piece *p,
			struct shale_err *err)
{
	const struct shale_bad_chunks *bad =
		p->tree ? marks_of(s, p->tree) : NULL;
	uint64_t done = 0;

	if (!bad || !bad->bits)
		return 0;
	for (uint64_t i = p->chunk; done < p->len; i++) {
		struct shale_chunk c;
		int r = shale_tree_chunk(p->tree, i, &c, err);
		if (r < 0)
			return r;
		uint64_t skip = done ? 0 : p->chunk_off;
		if (c.len <= skip)
			return shale_err_say(err, EUCLEAN,
					     "%s: an extent beyond its chunk",
					     shale_tree_name(p->tree));
		uint64_t n = c.len - skip;
		n = n < p->len - done ? n : p->len - done;
		if (bad->bits[i / 8] >> i % 8 & 1)
			r = add_bytes(s, p->off + done, n, err);
		if (r < 0)
			return r;
		done += n;
	}
	return 0;
}

static int search_file(struct search *s, const struct shale_attr *attr,
		       struct shale_err *err)
{
	struct shale_content content;
	int r = shale_image_content(s->image, attr->ino, &content, err);

	s->ino = attr->ino;
	for (uint64_t off = 0; r == 0 && off < content.size;) {
		struct shale_piece piece;
		r = shale_content_piece(&content, off, content.size - off,
					&piece, err);
		if (r == 0)
			r = search_piece(s, &piece, err);
		if (r == 0)
			off += piece.len;
	}
	int t = tell_run(s, err);
	return r < 0 ? r : t;
}

static void tell_more(struct search *s)
{
	const struct shale_finding f = {
		.kind = SHALE_FOUND_MORE,
		.more = s->more,
		.version = s->version->root->name,
		.manifest = &s->version->root->manifest,
	};
	if (s->more)
		shale_verify_found(s->v, &f);
}

int shale_verify_files(struct shale_verify *v,
		       const struct shale_verify_version *version,
		       const struct shale_image *image,
		       const struct shale_bad_chunks *bad, bool *told,
		       struct shale_err *err)
{
	struct search s = {
		.v = v, .version = version, .image = image, .bad = bad};
	uint64_t n = shale_index_inodes(image->index);
	int r = 0;

	for (uint64_t i = 0; i < n && r == 0; i++) {
		struct shale_attr attr;
		r = shale_index_attr_nth(image->index, i, &attr, err);
		if (r == 0 && S_ISREG(attr.mode) && attr.size)
			r = search_file(&s, &attr, err);
		if (i % 4096 == 0 && !shale_verify_go_on(v, 0))
			break;
	}
	tell_more(&s);
	*told = s.told > 0;
	return r;
}

/* ----------------------------------------------------------------- layers */

int shale_verify_layer_paths(struct shale_verify *v,
			     const struct shale_verify_version *version,
			     const struct shale_verify_blob *metadata,
			     const struct shale_digest *layer, bool *told,
			     struct shale_err *err)
{
	cleanup_buf struct shale_buf text = {0};
	cleanup_json json_t *doc = NULL;
	struct search s = {.v = v, .version = version};
	struct shale_finding f = {
		.kind = SHALE_FOUND_LAYER,
		.blob = layer,
		.version = version->root->name,
		.manifest = &version->root->manifest,
	};
	const json_t *entry;
	size_t i;

	int r = shale_blobs_read(shale_store_blobs(v->store), &metadata->digest,
				 METADATA_MAX, &text, err);
	if (r == 0)
		r = shale_json_parse(&doc, text.data, text.len, "metadata.json",
				     err);
	if (r < 0) /* a help, no more */
		return shale_verify_is_damage(r) ? 0 : r;
	json_array_foreach(json_object_get(doc, "files"), i, entry)
	{
		f.path = json_string_value(json_object_get(entry, "path"));
		if (!f.path)
			continue;
		if (s.told++ >= PATHS_TOLD) {
			s.more++;
			continue;
		}
		f.path_len = strlen(f.path);
		shale_verify_found(v, &f);
	}
	tell_more(&s);
	*told = s.told > 0;
	return 0;
}
