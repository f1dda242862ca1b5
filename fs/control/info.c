/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/control/control.h"

#include "layers/base/cleanup.h"
#include "layers/base/hash.h"
#include "layers/base/io.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_LIST = 4096 };

static void free_list(char **v, size_t n)
{
	for (size_t i = 0; v && i < n; i++)
		free(v[i]);
	free(v);
}

void shale_mount_info_release(struct shale_mount_info *info)
{
	free(info->mountpoint);
	free(info->workspace);
	free(info->repo);
	free(info->options);
	free_list(info->refs, info->n);
	free_list(info->manifests, info->n);
	free_list(info->leased, info->n_leased);
	free(info->index);
	free(info->base);
	memset(info, 0, sizeof(*info));
}

static json_t *list_json(char *const *v, size_t n)
{
	json_t *list = json_array();
	for (size_t i = 0; v && i < n; i++)
		json_array_append_new(list, json_string_nocheck(v[i]));
	return list;
}

static json_t *text_json(const char *text)
{
	return text ? json_string_nocheck(text) : json_null();
}

/* A path may hold any bytes; JSON may not. */
static void set_mountpoint(json_t *doc, const char *path)
{
	json_t *text = json_string(path);
	if (text)
		json_object_set_new(doc, "mountpoint", text);
	else
		json_object_set_new(doc, "mountpoint_hex",
				    shale_control_hex(path));
}

int shale_mount_write(int store_dirfd, const struct shale_mount_info *info,
		      struct shale_err *err)
{
	json_t *doc = json_object();
	set_mountpoint(doc, info->mountpoint);
	json_object_set_new(doc, "kind", text_json(info->kind));
	json_object_set_new(doc, "workspace", text_json(info->workspace));
	json_object_set_new(doc, "repo", text_json(info->repo));
	json_object_set_new(doc, "ephemeral", json_boolean(info->ephemeral));
	json_object_set_new(doc, "options", text_json(info->options));
	json_object_set_new(doc, "boot", text_json(info->boot));
	json_object_set_new(doc, "refs", list_json(info->refs, info->n));
	json_object_set_new(doc, "manifests",
			    list_json(info->manifests, info->n));
	json_object_set_new(doc, "leased",
			    list_json(info->leased, info->n_leased));
	json_object_set_new(doc, "index", text_json(info->index));
	if (info->base)
		json_object_set_new(doc, "base", text_json(info->base));
	cleanup_free char *text = json_dumps(doc, JSON_INDENT(1));
	json_decref(doc);
	if (!text)
		return shale_err_set(err, ENOMEM, "write a mount's state");

	/* What outlives the machine is again.json, so it is not flushed. */
	char path[64], fresh[64];
	snprintf(path, sizeof(path), "mounts/%s/info.json", info->id);
	snprintf(fresh, sizeof(fresh), "mounts/%s/info.new", info->id);
	cleanup_fd int fd =
		openat(store_dirfd, fresh,
		       O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return shale_err_set(err, errno, "make '%s'", fresh);
	int r = shale_write_full(fd, text, strlen(text), fresh, err);
	if (r == 0 && renameat(store_dirfd, fresh, store_dirfd, path) < 0)
		r = shale_err_set(err, errno, "replace '%s'", path);
	return r;
}

/* A string member; absent or null is NULL. */
static int get_text(const json_t *doc, const char *key, char **out)
{
	const json_t *v = json_object_get(doc, key);
	if (!v || json_is_null(v))
		return 0;
	if (!json_is_string(v))
		return -EUCLEAN;
	*out = strdup(json_string_value(v));
	return *out ? 0 : -ENOMEM;
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
				      : -1;
}

int shale_control_bytes(const json_t *text, char **out)
{
	const char *hex = json_string_value(text);
	size_t n = 0;

	if (!hex)
		return -EUCLEAN;
	cleanup_free char *bytes = malloc(strlen(hex) / 2 + 1);
	if (!bytes)
		return -ENOMEM;
	for (const char *p = hex; *p; p += 2) {
		int high = hex_digit(p[0]), low = hex_digit(p[1]);
		if (high < 0 || low < 0 || high + low == 0)
			return -EUCLEAN;
		bytes[n++] = (char)(high << 4 | low);
	}
	bytes[n] = '\0';
	*out = steal_ptr(&bytes);
	return 0;
}

json_t *shale_control_hex(const char *bytes)
{
	size_t len = strlen(bytes);
	cleanup_free char *hex = malloc(2 * len + 1);

	if (!hex)
		return NULL;
	shale_hex(hex, (const uint8_t *)bytes, len);
	return json_string(hex);
}

static int get_mountpoint(const json_t *doc, char **out)
{
	int r = get_text(doc, "mountpoint", out);
	if (r < 0 || *out)
		return r;
	return shale_control_bytes(json_object_get(doc, "mountpoint_hex"), out);
}

static int get_list(const json_t *doc, const char *key, bool digests,
		    char ***out, size_t *n)
{
	const json_t *list = json_object_get(doc, key);
	size_t size = json_array_size(list);
	struct shale_digest digest;

	if ((list && !json_is_array(list)) || size > MAX_LIST)
		return -EUCLEAN;
	char **v = calloc(size + 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	for (size_t i = 0; i < size; i++) {
		const char *s = json_string_value(json_array_get(list, i));
		if (!s || (digests && shale_digest_parse(s, &digest) < 0)) {
			free_list(v, i);
			return -EUCLEAN;
		}
		v[i] = strdup(s);
		if (!v[i]) {
			free_list(v, i);
			return -ENOMEM;
		}
	}
	*out = v;
	*n = size;
	return 0;
}

static int get_boot(const json_t *doc, struct shale_mount_info *info)
{
	cleanup_free char *boot = NULL;

	int r = get_text(doc, "boot", &boot);
	if (r < 0 || !boot)
		return r;
	int n = snprintf(info->boot, sizeof(info->boot), "%s", boot);
	return n < (int)sizeof(info->boot) ? 0 : -EUCLEAN;
}

static int fill(const json_t *doc, struct shale_mount_info *info)
{
	cleanup_free char *kind = NULL;
	char **refs = NULL;
	size_t n_refs = 0;

	int r = get_mountpoint(doc, &info->mountpoint);
	if (r == 0)
		r = get_text(doc, "kind", &kind);
	if (r == 0)
		r = get_text(doc, "workspace", &info->workspace);
	if (r == 0)
		r = get_text(doc, "repo", &info->repo);
	if (r == 0)
		r = get_text(doc, "index", &info->index);
	if (r == 0)
		r = get_text(doc, "base", &info->base);
	if (r == 0)
		r = get_text(doc, "options", &info->options);
	if (r == 0)
		r = get_boot(doc, info);
	if (r == 0)
		r = get_list(doc, "manifests", true, &info->manifests,
			     &info->n);
	if (r == 0)
		r = get_list(doc, "leased", true, &info->leased,
			     &info->n_leased);
	if (r == 0)
		r = get_list(doc, "refs", false, &refs, &n_refs);
	if (r == 0 && n_refs && n_refs != info->n)
		r = -EUCLEAN;
	if (r == 0 && n_refs) {
		info->refs = refs;
		refs = NULL;
	}
	free_list(refs, n_refs);
	if (r < 0)
		return r;
	if (!kind || (strcmp(kind, "image") && strcmp(kind, "rw") &&
		      strcmp(kind, "browse")))
		return -EUCLEAN;
	snprintf(info->kind, sizeof(info->kind), "%s", kind);
	info->ephemeral = json_is_true(json_object_get(doc, "ephemeral"));
	return 0;
}

int shale_mount_parse(const void *text, size_t len,
		      struct shale_mount_info *out, struct shale_err *err)
{
	struct shale_mount_info info = {0};
	json_error_t why;

	json_t *doc = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
	if (!doc)
		return shale_err_say(err, EUCLEAN, "info.json: %s", why.text);
	int r = fill(doc, &info);
	json_decref(doc);
	if (r < 0) {
		shale_mount_info_release(&info);
		return shale_err_set(err, -r, "info.json");
	}
	*out = info;
	return 0;
}
