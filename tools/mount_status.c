/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/mount_status.h"

#include "layers/base/cleanup.h"
#include "layers/base/clock.h"
#include "tools/output.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* --------------------------------------------------------------- numbers */

/* The versions that are mounted, the last on top. */
static json_t *images_json(const struct shale_mount_info *info)
{
	json_t *images = json_array();

	for (size_t i = 0; i < info->n; i++)
		json_array_append_new(
			images,
			json_pack("{s:s, s:s*}", "manifest", info->manifests[i],
				  "ref", info->refs ? info->refs[i] : NULL));
	return images;
}

static void print_json(const struct shale_target *t, json_t *reply)
{
	json_object_del(reply, "ok");
	shale_json_path(reply, t->info.mountpoint, strlen(t->info.mountpoint));
	json_object_set_new(reply, "id", json_string(t->info.id));
	json_object_set_new(reply, "images", images_json(&t->info));
	shale_json_print(json_incref(reply));
}

static const char *time_text(json_int_t ns, char *out, size_t size)
{
	double us = (double)ns / 1000;

	if (us < 1000)
		snprintf(out, size, "%.1f us", us);
	else if (us < 1000000)
		snprintf(out, size, "%.1f ms", us / 1000);
	else
		snprintf(out, size, "%.1f s", us / 1000000);
	return out;
}

static const char *const times[] = {"mean_ns", "p50_ns", "p90_ns", "p99_ns",
				    "max_ns"};
enum { N_TIMES = sizeof(times) / sizeof(*times) };

static void print_operations(const json_t *operations)
{
	static const char *const heads[] = {
		">count", ">failed", ">mean", ">p50", ">p90", ">p99", ">max"};
	const char *name;
	json_t *op;
	char text[32];

	if (!json_object_size(operations))
		return;
	struct shale_columns *c = shale_columns_new(1 + 2 + N_TIMES);
	shale_columns_add(c, "operation");
	for (size_t i = 0; i < sizeof(heads) / sizeof(*heads); i++)
		shale_columns_add(c, heads[i]);
	json_object_foreach((json_t *)operations, name, op)
	{
		shale_columns_add(c, name);
		for (int i = 0; i < 2; i++) {
			snprintf(text, sizeof(text), "%lld",
				 (long long)json_integer_value(json_object_get(
					 op, i ? "failed" : "count")));
			shale_columns_add(c, text);
		}
		for (size_t i = 0; i < N_TIMES; i++)
			shale_columns_add(
				c, time_text(json_integer_value(json_object_get(
						     op, times[i])),
					     text, sizeof(text)));
	}
	putchar('\n');
	shale_columns_print(c, true);
}

void shale_mount_status_print(const struct shale_ctx *ctx,
			      const struct shale_target *t, json_t *reply)
{
	const char *key;
	json_t *value;

	if (ctx->json)
		return print_json(t, reply);
	printf("%-18s %s\n", "mountpoint", t->info.mountpoint);
	for (size_t i = 0; i < t->info.n; i++)
		printf("%-18s %s%s%s\n", "image", t->info.manifests[i],
		       t->info.refs ? "  " : "",
		       t->info.refs ? t->info.refs[i] : "");
	json_object_foreach(reply, key, value)
	{
		if (json_is_integer(value))
			printf("%-18s %lld\n", key,
			       (long long)json_integer_value(value));
		else if (json_is_string(value) && strcmp(key, "image") != 0)
			printf("%-18s %s\n", key, json_string_value(value));
	}
	print_operations(json_object_get(reply, "operations"));
}

/* ----------------------------------------------------------------- trace */

static void print_lines(const struct shale_ctx *ctx, const json_t *reply)
{
	const json_t *lines = json_object_get(reply, "lines");
	json_int_t lost = json_integer_value(json_object_get(reply, "lost"));

	for (size_t i = 0; i < json_array_size(lines); i++) {
		json_t *line = json_array_get(lines, i);
		if (ctx->json)
			shale_json_print(json_pack("{s:O}", "line", line));
		else
			puts(json_string_value(line));
	}
	if (lost && ctx->json)
		shale_json_print(json_pack("{s:I}", "lost", lost));
	else if (lost)
		printf("… %lld lines were lost: there are more than are "
		       "read\n",
		       (long long)lost);
	fflush(stdout);
}

/* Until the daemon goes, or who reads has seen enough. */
static int follow(struct shale_ctx *ctx, const struct shale_target *t)
{
	cleanup_control struct shale_control *c = NULL;

	int r = shale_control_connect(&c, shale_store_dirfd(t->store),
				      t->info.id, &ctx->err);
	while (r == 0 && !shale_interrupted() && !ferror(stdout)) {
		json_t *reply = NULL;
		r = shale_control_call(c, json_pack("{s:s}", "do", "trace"),
				       &reply, &ctx->err);
		if (r == 0)
			print_lines(ctx, reply);
		json_decref(reply);
	}
	return r;
}

int shale_mount_trace(struct shale_ctx *ctx, const struct shale_target *target)
{
	enum { TRIES = 100 };
	unsigned tries = 0;

	for (;;) {
		struct shale_mount_info now = {0};
		int r = follow(ctx, target);
		if (shale_interrupted())
			return shale_err_say(&ctx->err, EINTR, "interrupted");
		if (r == 0)
			return 0; /* nobody reads any more */
		/* One that dies is followed, unless the mount is gone. */
		bool there =
			shale_mount_read(shale_store_dirfd(target->store),
					 target->info.id, &now, NULL) == 0 &&
			now.pid;
		shale_mount_info_release(&now);
		if (!there)
			return 0;
		if (!shale_control_gone(r))
			return r;
		tries = r == -EPIPE || r == -ECONNRESET ? 0 : tries + 1;
		if (tries == TRIES)
			return r;
		shale_clock_pause(50);
	}
}
