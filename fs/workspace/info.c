/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/workspace/info.h"

#include "layers/base/cleanup.h"
#include "layers/base/io.h"

#include <jansson.h>
#include <string.h>

enum { INFO_VERSION = 1, INFO_BYTES = 1 << 20, BASE_MAX = 64 };

SHALE_DEFINE_CLEANUP(json, json_t *, json_decref);
#define cleanup_json SHALE_CLEANUP(shale_cleanup_json)

void shale_workspace_info_release(struct shale_workspace_info *info)
{
	if (!info)
		return;
	for (size_t i = 0; info->refs && i < info->n_base; i++)
		free(info->refs[i]);
	free(info->refs);
	free(info->base);
	free(info->name);
	*info = (struct shale_workspace_info){0};
}

int shale_workspace_info_encode(const struct shale_workspace_info *info,
				struct shale_buf *out, struct shale_err *err)
{
	cleanup_json json_t *images = json_array();
	for (size_t i = 0; i < info->n_base; i++) {
		char digest[SHALE_DIGEST_STR];
		json_array_append_new(
			images,
			json_pack("{s:s, s:s}", "ref", info->refs[i],
				  "manifest",
				  shale_digest_str(&info->base[i], digest)));
	}
	cleanup_json json_t *root = json_pack(
		"{s:i, s:s, s:O, s:{s:I, s:I}}", "version", INFO_VERSION,
		"name", info->name, "images", images, "created", "seconds",
		(json_int_t)info->created.tv_sec, "nanoseconds",
		(json_int_t)info->created.tv_nsec);
	if (root && (info->quota_bytes || info->quota_inodes))
		json_object_set_new(root, "quota",
				    json_pack("{s:I, s:I}", "bytes",
					      (json_int_t)info->quota_bytes,
					      "inodes",
					      (json_int_t)info->quota_inodes));
	if (root && info->generation)
		json_object_set_new(root, "generation",
				    json_integer((json_int_t)info->generation));
	if (root && info->ephemeral)
		json_object_set_new(root, "ephemeral", json_true());
	if (!root || json_array_size(images) != info->n_base)
		return shale_err_say(err, EINVAL,
				     "a name or reference is not UTF-8");
	cleanup_free char *text = json_dumps(root, JSON_INDENT(2));
	if (!text || shale_buf_append(out, text, strlen(text)) < 0)
		return shale_err_set(err, ENOMEM, "write workspace.json");
	return 0;
}

int shale_workspace_info_write(int dirfd,
			       const struct shale_workspace_info *info,
			       struct shale_err *err)
{
	cleanup_buf struct shale_buf text = {0};

	int r = shale_workspace_info_encode(info, &text, err);
	return r < 0 ? r
		     : shale_file_replace(dirfd, "workspace.json", text.data,
					  text.len, err);
}

static int damaged(struct shale_err *err, const char *what)
{
	return shale_err_say(err, EUCLEAN, "workspace.json: %s", what);
}

static int decode_image(const json_t *image, struct shale_workspace_info *info,
			size_t i, struct shale_err *err)
{
	const char *ref = json_string_value(json_object_get(image, "ref"));
	const char *manifest =
		json_string_value(json_object_get(image, "manifest"));

	if (!ref || !manifest ||
	    shale_digest_parse(manifest, &info->base[i]) < 0)
		return damaged(err, "an image is not described");
	info->refs[i] = strdup(ref);
	return info->refs[i] ? 0 : shale_err_set(err, ENOMEM, "read");
}

static int decode_created(const json_t *root, struct timespec *out,
			  struct shale_err *err)
{
	const json_t *created = json_object_get(root, "created");
	const json_t *s = json_object_get(created, "seconds");
	const json_t *ns = json_object_get(created, "nanoseconds");

	if (!json_is_integer(s) || !json_is_integer(ns) ||
	    json_integer_value(ns) < 0 || json_integer_value(ns) > 999999999)
		return damaged(err, "no time of creation");
	out->tv_sec = (time_t)json_integer_value(s);
	out->tv_nsec = (long)json_integer_value(ns);
	return 0;
}

/* A workspace without one has no limit. */
static int decode_quota(const json_t *root, struct shale_workspace_info *info,
			struct shale_err *err)
{
	const json_t *quota = json_object_get(root, "quota");
	const json_t *bytes = json_object_get(quota, "bytes");
	const json_t *inodes = json_object_get(quota, "inodes");

	if (!quota)
		return 0;
	if (!json_is_integer(bytes) || !json_is_integer(inodes) ||
	    json_integer_value(bytes) < 0 || json_integer_value(inodes) < 0)
		return damaged(err, "the quota is not two numbers");
	info->quota_bytes = (uint64_t)json_integer_value(bytes);
	info->quota_inodes = (uint64_t)json_integer_value(inodes);
	return 0;
}

static int decode_generation(const json_t *root,
			     struct shale_workspace_info *info,
			     struct shale_err *err)
{
	const json_t *n = json_object_get(root, "generation");

	if (n && (!json_is_integer(n) || json_integer_value(n) < 1 ||
		  json_integer_value(n) > UINT32_MAX))
		return damaged(err, "the generation is out of range");
	info->generation = (uint32_t)json_integer_value(n);
	return 0;
}

static int decode(const json_t *root, struct shale_workspace_info *info,
		  struct shale_err *err)
{
	const json_t *version = json_object_get(root, "version");
	const char *name = json_string_value(json_object_get(root, "name"));
	const json_t *images = json_object_get(root, "images");
	size_t n = json_array_size(images);

	if (!json_is_integer(version))
		return damaged(err, "no version");
	if (json_integer_value(version) != INFO_VERSION)
		return shale_err_say(err, EPROTONOSUPPORT,
				     "workspace.json: version %lld is newer "
				     "than this Shale",
				     (long long)json_integer_value(version));
	if (!name || !json_is_array(images) || n > BASE_MAX)
		return damaged(err, "no name or images");

	info->name = strdup(name);
	info->refs = calloc(n + 1, sizeof(*info->refs));
	info->base = calloc(n + 1, sizeof(*info->base));
	if (!info->name || !info->refs || !info->base)
		return shale_err_set(err, ENOMEM, "read workspace.json");
	info->n_base = n;
	for (size_t i = 0; i < n; i++) {
		int r = decode_image(json_array_get(images, i), info, i, err);
		if (r < 0)
			return r;
	}
	info->ephemeral = json_is_true(json_object_get(root, "ephemeral"));
	int r = decode_quota(root, info, err);
	if (r == 0)
		r = decode_generation(root, info, err);
	return r < 0 ? r : decode_created(root, &info->created, err);
}

int shale_workspace_info_decode(const void *data, size_t len,
				struct shale_workspace_info *out,
				struct shale_err *err)
{
	struct shale_workspace_info info = {0};
	json_error_t where;

	cleanup_json json_t *root =
		json_loadb(data, len, JSON_REJECT_DUPLICATES, &where);
	if (!root)
		return damaged(err, where.text);
	int r = decode(root, &info, err);
	if (r < 0) {
		shale_workspace_info_release(&info);
		return r;
	}
	*out = info;
	return 0;
}

int shale_workspace_info_read(int dirfd, struct shale_workspace_info *out,
			      struct shale_err *err)
{
	cleanup_buf struct shale_buf text = {0};

	int r = shale_read_file(dirfd, "workspace.json", INFO_BYTES, &text,
				err);
	if (r == -EFBIG)
		return damaged(err, "it is too large");
	return r < 0 ? r
		     : shale_workspace_info_decode(text.data, text.len, out,
						   err);
}
