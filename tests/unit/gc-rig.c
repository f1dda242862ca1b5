/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/gc-rig.h"

#include "layers/store/hold.h"
#include "tests/lib/check.h"
#include "tests/unit/stored.h"

#include <string.h>
#include <time.h>

static int add_root(void *arg, shale_gc_add *add, void *to,
		    struct shale_err *err)
{
	return add(to, arg, "a test", err);
}

struct shale_gc_result gc(struct shale_store *store,
			  const struct shale_digest *root)
{
	struct shale_gc_result sum = {0};
	struct shale_err err;
	const struct shale_gc_opts opts = {.roots = root ? add_root : NULL,
					   .arg = (void *)root};
	CHECK_OK(shale_gc(store, &opts, &sum, &err));
	return sum;
}

bool has(struct shale_store *store, const struct shale_digest *digest)
{
	return shale_blobs_has(shale_store_blobs(store), digest);
}

struct shale_digest put(struct shale_store *store, const char *text)
{
	struct shale_digest digest;
	struct shale_err err;
	CHECK_OK(shale_blobs_put(shale_store_blobs(store), text, strlen(text),
				 &digest, &err));
	return digest;
}

void tick(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
}

struct chain chain(void)
{
	struct chain c = {.store = stored_new()};
	struct shale_err err;
	c.v[0] = stored_publish(c.store, NULL, "a", "d", "v1", false);
	c.v[1] = stored_publish(c.store, c.v[0], "b", "d", "v2", false);
	c.v[2] = stored_publish(c.store, c.v[0], "c", "d", "v3", false);
	CHECK_OK(shale_store_untag(c.store, "d", "v2", true, &err));
	tick();
	return c;
}

void end(struct chain *c)
{
	for (int i = 0; i < 3; i++)
		shale_version_free(c->v[i]);
	shale_store_close(c->store);
}

bool whole(const struct chain *c, int i)
{
	struct shale_version *v = NULL;
	struct shale_err err;
	bool good = shale_store_manifest(c->store, &c->v[i]->digest, &v,
					 &err) == 0 &&
		    shale_version_present(c->store, v, &err) == 0;
	shale_version_free(v);
	return good;
}
