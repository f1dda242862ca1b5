/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_STORE_JSON_H
#define SHALE_STORE_JSON_H

/*
 * Checked access to JSON that may be hostile.  Each function says in `err`
 * which field is wrong and returns -EUCLEAN.
 */

#include "layers/base/buf.h"
#include "layers/base/cleanup.h"
#include "layers/base/hash.h"
#include "layers/store/version.h"

#include <jansson.h>

SHALE_DEFINE_CLEANUP(json, json_t *, json_decref);
#define cleanup_json SHALE_CLEANUP(shale_cleanup_json)

/* Parse an object; `what` names the document. */
int shale_json_parse(json_t **out, const void *data, size_t len,
		     const char *what, struct shale_err *err);

/* Append the document's compact text. */
int shale_json_dump(const json_t *doc, struct shale_buf *out,
		    struct shale_err *err);

/* Set a string; NULL is left out.  -EILSEQ: not UTF-8. */
int shale_json_set_text(json_t *object, const char *key, const char *text,
			struct shale_err *err);
/* Set a number.  -EOVERFLOW above 2^63 - 1. */
int shale_json_set_number(json_t *object, const char *key, uint64_t value,
			  struct shale_err *err);

/* A string, or NULL if it is absent and `optional`. */
int shale_json_text(const json_t *object, const char *key, bool optional,
		    const char **out, struct shale_err *err);
/* The same, copied. */
int shale_json_text_copy(const json_t *object, const char *key, char **out,
			 struct shale_err *err);
/* A number from 0 to 2^63 - 1. */
int shale_json_number(const json_t *object, const char *key, uint64_t *out,
		      struct shale_err *err);
/* "sha256:…"; `*has` (may be NULL: required) says whether there is one. */
int shale_json_digest(const json_t *object, const char *key, bool *has,
		      struct shale_digest *out, struct shale_err *err);
int shale_json_time(const json_t *object, const char *key, struct timespec *out,
		    struct shale_err *err);

/* An OCI descriptor. */
json_t *shale_json_descriptor(const char *media_type,
			      const struct shale_layer_desc *d);
int shale_json_descriptor_get(const json_t *object, const char **media_type,
			      struct shale_layer_desc *out,
			      struct shale_err *err);

#endif
