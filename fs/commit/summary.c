/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/commit/summary.h"

#include "fs/commit/places.h"
#include "layers/ops/metadoc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct entry {
	union {
		size_t at; /* of the path, while texts are added */
		const char *path;
	};
	struct shale_attr attr; /* mode 0: deleted */
};

struct summary {
	const struct shale_delta *delta;
	struct shale_places places;
	struct shale_buf text;    /* paths, each with its NUL */
	struct shale_buf entries; /* struct entry */
};

static int add_entry(struct summary *s, const char *dir, const char *name,
		     size_t len, const struct shale_attr *attr)
{
	struct entry e = {.at = s->text.len, .attr = *attr};
	int r = shale_buf_append(&s->text, dir, strlen(dir));
	if (r == 0)
		r = shale_buf_append(&s->text, "/", 1);
	if (r == 0)
		r = shale_buf_append(&s->text, name, len);
	if (r == 0)
		r = shale_buf_append(&s->text, "", 1);
	return r < 0 ? r : shale_buf_append(&s->entries, &e, sizeof(e));
}

/* ------------------------------------------------- what the layer speaks of */

struct named {
	struct summary *s;
	const struct shale_attr *attr;
};

static int add_named(void *arg, const char *dir, const char *name, size_t len)
{
	const struct named *n = arg;
	return add_entry(n->s, dir, name, len, n->attr);
}

/* Every inode that the layer has, under all its names. */
static int add_inodes(struct summary *s)
{
	const struct shale_attr *said = (const void *)s->delta->said.data;
	size_t n = s->delta->said.len / sizeof(*said);
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		struct named named = {s, &said[i]};
		r = shale_places_each(&s->places, said[i].ino, add_named,
				      &named);
	}
	return r;
}

static int compare_ino(const void *key, const void *item)
{
	uint64_t ino = *(const uint64_t *)key;
	const struct shale_attr *attr = item;
	return ino < attr->ino ? -1 : ino > attr->ino;
}

/* What the layer says of a name whose inode it leaves alone, or of none. */
static int add_name(struct summary *s, const struct shale_records_name *n,
		    struct shale_err *err)
{
	const struct shale_buf *said = &s->delta->said;
	struct shale_inode in = {0};
	const char *dir;
	int r;

	if (n->ino && said->len &&
	    bsearch(&n->ino, said->data, said->len / sizeof(struct shale_attr),
		    sizeof(struct shale_attr), compare_ino))
		return 0;
	if (n->ino) {
		r = shale_delta_lower(s->delta, n->ino, &in, err);
	} else {
		bool has;
		r = shale_delta_lower_has(s->delta, n->dir, n->name, n->len,
					  &has, err);
		if (r == 0 && !has)
			return 0;
	}
	if (r == 0)
		r = shale_places_dir(&s->places, n->dir, &dir);
	if (r == -ENOENT)
		return 0; /* went with its directory */
	return r < 0 ? r : add_entry(s, dir, n->name, n->len, &in.attr);
}

static int add_names(struct summary *s, struct shale_err *err)
{
	const struct shale_records *records = s->delta->records;
	int r = 0;

	for (size_t i = 0; r == 0 && i < records->n; i++)
		if (records->names[i].epoch > s->delta->state.committed)
			r = add_name(s, &records->names[i], err);
	return r;
}

/* ----------------------------------------------------------------- document */

static int compare_paths(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->path,
		      ((const struct entry *)b)->path);
}

static int write_entries(struct summary *s, struct shale_metadoc *doc,
			 struct shale_err *err)
{
	struct entry *entries = (void *)s->entries.data;
	size_t n = s->entries.len / sizeof(*entries);
	int r = 0;

	for (size_t i = 0; i < n; i++)
		entries[i].path = (const char *)s->text.data + entries[i].at;
	if (n)
		qsort(entries, n, sizeof(*entries), compare_paths);
	for (size_t i = 0; r == 0 && i < n; i++) {
		const struct entry *e = &entries[i];
		size_t len = strlen(e->path);
		r = e->attr.mode
			    ? shale_metadoc_file(doc, e->path, len, &e->attr,
						 err)
			    : shale_metadoc_deleted(doc, e->path, len, err);
	}
	return r;
}

int shale_summary_write(const struct shale_delta *delta,
			const struct shale_index *base, const char *workspace,
			uint64_t bytes, const struct timespec *when, int fd,
			struct shale_layer_desc *out, struct shale_err *err)
{
	struct summary s = {
		.delta = delta,
		.places = {.records = delta->records, .base = base},
	};
	struct shale_metadoc doc;
	int r = shale_metadoc_begin(&doc, fd, err);
	if (r == 0)
		r = shale_metadoc_source(&doc, workspace, "workspace", bytes,
					 when, NULL, err);
	if (r == 0)
		r = add_inodes(&s);
	if (r == 0)
		r = add_names(&s, err);
	if (r == -ENOMEM)
		shale_err_set(err, ENOMEM, "metadata.json");
	if (r == 0)
		r = write_entries(&s, &doc, err);
	if (r == 0)
		r = shale_metadoc_finish(&doc, &out->digest, &out->size, err);
	shale_metadoc_release(&doc);
	shale_places_release(&s.places);
	shale_buf_release(&s.text);
	shale_buf_release(&s.entries);
	return r;
}
