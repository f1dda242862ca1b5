/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/base/cleanup.h"
#include "layers/base/clock.h"
#include "layers/base/text.h"
#include "tools/cmd.h"
#include "tools/output.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

enum {
	BAR_AFTER_MS = 1000,
	BAR_EVERY_MS = 100,
	LINE_EVERY_MS = 5000,
};

struct shale_progress {
	enum { SILENT, BAR, LINES, JSON } style;
	char *what;
	int64_t started, shown; /* milliseconds */
	bool drawn;
};

static int64_t now_ms(void)
{
	return (int64_t)(shale_clock_ns() / 1000000);
}

struct shale_progress *shale_progress_new(struct shale_ctx *ctx,
					  const char *what)
{
	struct shale_progress *p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;

	bool none = ctx->quiet || ctx->progress == SHALE_PROGRESS_NONE;
	bool terminal = isatty(STDERR_FILENO);
	if (none)
		p->style = SILENT;
	else if (ctx->json)
		p->style = JSON;
	else if (ctx->progress == SHALE_PROGRESS_PLAIN)
		p->style = LINES;
	else if (!terminal)
		p->style = SILENT;
	else
		p->style = BAR;
	p->what = strdup(what);
	p->started = p->shown = now_ms();
	return p;
}

static int terminal_width(void)
{
	struct winsize w;
	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &w) < 0 || w.ws_col < 20)
		return 80;
	return w.ws_col;
}

/* "import: 1.2 GiB of 3.0 GiB, 512 files, 410.0 MiB/s" */
static void describe(const struct shale_progress *p, uint64_t done,
		     uint64_t total, uint64_t items, struct shale_buf *out)
{
	char a[32], b[32];
	int64_t ms = now_ms() - p->started;

	shale_buf_printf(out, "%s: %s", p->what ? p->what : "",
			 shale_human_size(done, false, a));
	if (total)
		shale_buf_printf(
			out, " of %s (%u%%)", shale_human_size(total, false, b),
			(unsigned)((double)done * 100 / (double)total));
	if (items)
		shale_buf_printf(out, ", %llu files",
				 (unsigned long long)items);
	if (ms > 0)
		shale_buf_printf(out, ", %s/s",
				 shale_human_size((uint64_t)((double)done *
							     1000 / (double)ms),
						  false, a));
}

static void show_json(const struct shale_progress *p, uint64_t done,
		      uint64_t total, uint64_t items, const char *item)
{
	json_t *doc = json_pack("{s:s?, s:I, s:I}", "progress", p->what, "done",
				(json_int_t)done, "items", (json_int_t)items);
	if (total)
		json_object_set_new(doc, "total",
				    json_integer((json_int_t)total));
	if (item)
		shale_json_path(doc, item, strlen(item));
	if (doc && json_dumpf(doc, stderr, JSON_COMPACT) == 0)
		fputc('\n', stderr);
	json_decref(doc);
}

static void show_text(struct shale_progress *p, uint64_t done, uint64_t total,
		      uint64_t items, const char *item)
{
	cleanup_buf struct shale_buf line = {0};

	describe(p, done, total, items, &line);
	if (p->style == LINES) {
		fprintf(stderr, "%.*s\n", (int)line.len, (char *)line.data);
		return;
	}
	if (item) {
		shale_buf_append(&line, "  ", 2);
		shale_escape(&line, item, strlen(item));
	}
	int width = terminal_width() - 1;
	int len = line.len < (size_t)width ? (int)line.len : width;
	fprintf(stderr, "\r\033[K%.*s", len, (char *)line.data);
	fflush(stderr);
	p->drawn = true;
}

void shale_progress_set(struct shale_progress *p, uint64_t done, uint64_t total,
			uint64_t items, const char *item)
{
	if (!p || p->style == SILENT)
		return;

	int64_t now = now_ms();
	if (p->style == BAR && now - p->started < BAR_AFTER_MS)
		return;
	if (now - p->shown < (p->style == BAR ? BAR_EVERY_MS : LINE_EVERY_MS))
		return;
	p->shown = now;
	if (p->style == JSON)
		show_json(p, done, total, items, item);
	else
		show_text(p, done, total, items, item);
}

void shale_progress_clear(struct shale_progress *p)
{
	if (!p || !p->drawn)
		return;
	fputs("\r\033[K", stderr);
	fflush(stderr);
	p->drawn = false;
}

void shale_progress_free(struct shale_progress *p)
{
	if (!p)
		return;
	shale_progress_clear(p);
	free(p->what);
	free(p);
}
