/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/output.h"

#include "layers/base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

/* Between two columns. */
enum { GAP = 2 };

struct cell {
	char *text;
	int width; /* on a terminal */
};

struct shale_columns {
	size_t columns, n, cap;
	struct cell *cells;
};

static void *must(void *p)
{
	if (p)
		return p;
	fputs("shale: out of memory\n", stderr);
	exit(1);
}

struct shale_columns *shale_columns_new(size_t columns)
{
	struct shale_columns *c = must(calloc(1, sizeof(*c)));
	c->columns = columns;
	return c;
}

static int display_width(const char *text)
{
	mbstate_t state = {0};
	size_t left = strlen(text);
	int width = 0;

	while (left) {
		wchar_t wc;
		size_t n = mbrtowc(&wc, text, left, &state);
		if (n == 0 || n > left) {
			/* Not in this locale's encoding: count bytes. */
			memset(&state, 0, sizeof(state));
			n = 1;
			width++;
		} else {
			int w = wcwidth(wc);
			width += w > 0 ? w : 0;
		}
		text += n;
		left -= n;
	}
	return width;
}

void shale_columns_add(struct shale_columns *c, const char *cell)
{
	if (c->n == c->cap) {
		c->cap = c->cap ? c->cap * 2 : 64;
		c->cells =
			must(reallocarray(c->cells, c->cap, sizeof(*c->cells)));
	}
	struct shale_buf text = {0};
	if (shale_escape(&text, cell, strlen(cell)) < 0)
		must(NULL);
	struct cell *to = &c->cells[c->n++];
	to->text = must(shale_buf_str(&text));
	to->width = display_width(to->text);
}

/* Columns of the terminal that standard output is; 0: it is none. */
static int terminal_width(void)
{
	struct winsize size;
	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

/* As much of `text` as `room` columns hold, and a mark that there is more. */
static void print_cut(const char *text, int room)
{
	mbstate_t state = {0};
	size_t at = 0, len = strlen(text);

	while (at < len) {
		wchar_t wc;
		size_t n = mbrtowc(&wc, text + at, len - at, &state);
		int w = 1;
		if (n == 0 || n > len - at) {
			memset(&state, 0, sizeof(state));
			n = 1;
		} else {
			w = wcwidth(wc) > 0 ? wcwidth(wc) : 0;
		}
		if (w > room)
			break;
		room -= w;
		at += n;
	}
	printf("%.*s\u2026", (int)at, text);
}

/* '>' or '<' in front of a heading; 0: none. */
static char mark(const struct shale_columns *c, size_t column)
{
	char first = c->cells[column].text[0];
	return first == '>' || first == '<' ? first : 0;
}

static void print_row(const struct shale_columns *c, size_t row,
		      const int *width, int screen)
{
	enum { LEAST = 8 }; /* less than that of a cell says nothing */
	int at = 0, gap = 0;

	for (size_t i = 0; i < c->columns; i++) {
		const struct cell *cell = &c->cells[row * c->columns + i];
		bool marked = row == 0 && mark(c, i);
		const char *text = cell->text + marked;
		int w = cell->width - marked, pad = width[i] - w;
		bool right = mark(c, i) == '>';
		if (*text)
			printf("%*s", gap + (right ? pad : 0), "");
		if (mark(c, i) == '<' && w > screen - at && at + LEAST < screen)
			print_cut(text, screen - at - 1);
		else
			fputs(text, stdout);
		/* Written when something follows: no line ends in spaces. */
		gap = (*text ? right ? 0 : pad : gap + width[i]) + GAP;
		at += width[i] + GAP;
	}
	putchar('\n');
}

void shale_columns_print(struct shale_columns *c, bool print)
{
	size_t rows = c->n / c->columns;
	int screen = terminal_width();
	int *width = must(calloc(c->columns, sizeof(*width)));

	for (size_t i = 0; i < rows * c->columns; i++) {
		int w = c->cells[i].width;
		if (i < c->columns && mark(c, i))
			w--;
		if (w > width[i % c->columns])
			width[i % c->columns] = w;
	}
	for (size_t row = 0; row < rows && print && rows > 1; row++)
		print_row(c, row, width, screen);

	for (size_t i = 0; i < c->n; i++)
		free(c->cells[i].text);
	free(c->cells);
	free(width);
	free(c);
}
