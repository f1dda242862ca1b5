/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_TOOLS_LS_LINE_H
#define SHALE_TOOLS_LS_LINE_H

/*
 * Lines of `shale ls`, as coreutils' ls writes them, on standard output.
 */

#include "layers/index/index.h"

struct shale_ls_entry {
	struct shale_entry entry;
	struct shale_attr attr;
};

struct shale_ls_style {
	bool full;    /* -l */
	bool numeric; /* -n */
	bool human;   /* -h */
	bool escape;  /* a terminal reads it: no control characters */
};

/* A name, escaped if the style asks for it; no newline. */
void shale_ls_name(const struct shale_ls_style *style, const char *name,
		   size_t len);

/* The entries of one directory, columns aligned. */
int shale_ls_print(const struct shale_index *ix,
		   const struct shale_ls_style *style,
		   const struct shale_ls_entry *entry, size_t n,
		   struct shale_err *err);

/* One JSON object; its path is `dir`/name. */
int shale_ls_json(const struct shale_index *ix, const char *dir,
		  const struct shale_ls_entry *entry, struct shale_err *err);

#endif
