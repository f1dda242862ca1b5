/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/store/shared.h"

#include "layers/base/buf.h"
#include "layers/base/cleanup.h"
#include "layers/store/compact_file.h"

#include <errno.h>
#include <string.h>

/* Merges of merges of merges: a version's trees written out have at most so
 * many; what is longer is left as it is. */
enum { WRITTEN_OUT_MAX = 1 << 16 };

/* ---------------------------------------------------------- known merges */

struct merges {
	struct shale_buf v; /* struct shale_compact_file, each owned */
};

static void release_merges(struct merges *m)
{
	struct shale_compact_file *f = (void *)m->v.data;
	for (size_t i = 0; i < m->v.len / sizeof(*f); i++)
		shale_compact_file_release(&f[i]);
	shale_buf_release(&m->v);
}

static int keep_merge(void *arg, const char *name,
		      const struct shale_compact_file *f)
{
	struct merges *m = arg;
	struct shale_compact_file copy = *f;
	size_t size = f->n_trees * sizeof(*f->trees);

	(void)name;
	copy.trees = malloc(size);
	if (!copy.trees)
		return -ENOMEM;
	memcpy(copy.trees, f->trees, size);
	if (shale_buf_append(&m->v, &copy, sizeof(copy)) == 0)
		return 0;
	free(copy.trees);
	return -ENOMEM;
}

static const struct shale_compact_file *
find_merge(const struct merges *m, const struct shale_digest *digest)
{
	const struct shale_compact_file *f = (const void *)m->v.data;
	for (size_t i = 0; i < m->v.len / sizeof(*f); i++)
		if (shale_digest_equal(&f[i].merged.digest, digest))
			return &f[i];
	return NULL;
}

/* ------------------------------------------------------------ written out */

/* A tree that is no merge, and how many trees of the version end with it. */
struct step {
	struct shale_digest digest;
	size_t ends; /* 0: it lies inside of one */
};

static int append_steps(const struct merges *m,
			const struct shale_digest *digest, size_t ends,
			struct shale_buf *out)
{
	cleanup_buf struct shale_buf todo = {0}; /* struct step, next on top */
	struct step s = {*digest, ends};
	int r = shale_buf_append(&todo, &s, sizeof(s));

	while (r == 0 && todo.len) {
		todo.len -= sizeof(s);
		memcpy(&s, todo.data + todo.len, sizeof(s));
		const struct shale_compact_file *f = find_merge(m, &s.digest);
		if (!f || out->len + todo.len > WRITTEN_OUT_MAX * sizeof(s)) {
			r = shale_buf_append(out, &s, sizeof(s));
			continue;
		}
		for (size_t i = f->n_trees; r == 0 && i-- > 0;) {
			struct step part = {
				f->trees[i],
				i + 1 == f->n_trees ? s.ends : 0,
			};
			r = shale_buf_append(&todo, &part, sizeof(part));
		}
	}
	return r;
}

static int write_out(const struct merges *m, const struct shale_version *v,
		     struct shale_buf *out)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < v->n_trees; i++)
		r = append_steps(m, &v->trees[i].digest, i + 1, out);
	return r;
}

/* ----------------------------------------------------------------- shared */

/* The last place up to which both say the same, and where both have a tree's
 * end. */
static void compare(const struct shale_buf *a, const struct shale_buf *b,
		    size_t *in_a, size_t *in_b)
{
	const struct step *x = (const void *)a->data;
	const struct step *y = (const void *)b->data;
	size_t n = (a->len < b->len ? a->len : b->len) / sizeof(*x);

	*in_a = *in_b = 0;
	for (size_t i = 0;
	     i < n && shale_digest_equal(&x[i].digest, &y[i].digest); i++) {
		if (!x[i].ends || !y[i].ends)
			continue;
		*in_a = x[i].ends;
		*in_b = y[i].ends;
	}
}

int shale_versions_shared(struct shale_store *store,
			  const struct shale_version *a,
			  const struct shale_version *b, size_t *in_a,
			  size_t *in_b, struct shale_err *err)
{
	SHALE_CLEANUP(release_merges) struct merges merges = {0};
	cleanup_buf struct shale_buf x = {0};
	cleanup_buf struct shale_buf y = {0};
	size_t least = a->n_trees < b->n_trees ? a->n_trees : b->n_trees;
	size_t n = 0;

	while (n < least &&
	       shale_digest_equal(&a->trees[n].digest, &b->trees[n].digest))
		n++;
	*in_a = *in_b = n;
	if (n == least)
		return 0;
	int r = shale_compact_each(store, keep_merge, &merges, NULL);
	if (r == -ENOMEM)
		return shale_err_set(err, ENOMEM, "compare versions");
	if (r < 0 || !merges.v.len)
		return 0; /* a cache: without it, what the lists say */
	if (write_out(&merges, a, &x) < 0 || write_out(&merges, b, &y) < 0)
		return shale_err_set(err, ENOMEM, "compare versions");
	compare(&x, &y, in_a, in_b);
	return 0;
}
