/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/change_line.h"

#include "layers/base/buf.h"
#include "layers/base/text.h"
#include "tools/output.h"

#include <errno.h>
#include <stdio.h>

static void print_json(const struct shale_change_line *line)
{
	char letter[2] = {line->letter, '\0'};
	json_t *doc = json_pack("{s:s}", "change", letter);

	shale_json_path(doc, line->path, line->len);
	if (line->sizes && line->letter != 'A')
		json_object_set_new(doc, "old_size",
				    json_integer((json_int_t)line->old_size));
	if (line->sizes && line->letter != 'D')
		json_object_set_new(doc, "new_size",
				    json_integer((json_int_t)line->new_size));
	shale_json_print(doc);
}

static void print_sizes(const struct shale_change_line *line)
{
	char was[32], is[32];

	shale_human_size(line->old_size, false, was);
	shale_human_size(line->new_size, false, is);
	if (line->letter == 'A' || line->letter == 'D')
		printf("  (%s)", line->letter == 'A' ? is : was);
	else if (line->old_size != line->new_size)
		printf("  (%s -> %s)", was, is);
}

int shale_change_line(const struct shale_ctx *ctx,
		      const struct shale_change_line *line)
{
	cleanup_buf struct shale_buf text = {0};

	if (ctx->json) {
		print_json(line);
		return 0;
	}
	if (shale_escape(&text, line->path, line->len) < 0 ||
	    !shale_buf_str(&text))
		return -ENOMEM;
	printf("%c %s", line->letter, (char *)text.data);
	if (line->sizes)
		print_sizes(line);
	putchar('\n');
	return 0;
}
