/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/output.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

static void print_row(const struct shale_columns *c, size_t row,
		      const int *width)
{
	for (size_t i = 0; i < c->columns; i++) {
		const struct cell *cell = &c->cells[row * c->columns + i];
		bool right = c->cells[i].text[0] == '>';
		const char *text = cell->text;
		int w = cell->width;
		if (row == 0 && right) {
			text++;
			w--;
		}
		int pad = width[i] - w;
		bool last = i + 1 == c->columns;
		printf("%*s%s%*s", right ? pad : 0, "", text,
		       last ? 0 : (right ? 0 : pad) + GAP, "");
	}
	putchar('\n');
}

void shale_columns_print(struct shale_columns *c, bool print)
{
	size_t rows = c->n / c->columns;
	int *width = must(calloc(c->columns, sizeof(*width)));

	for (size_t i = 0; i < rows * c->columns; i++) {
		int w = c->cells[i].width;
		if (i < c->columns && c->cells[i].text[0] == '>')
			w--;
		if (w > width[i % c->columns])
			width[i % c->columns] = w;
	}
	for (size_t row = 0; row < rows && print && rows > 1; row++)
		print_row(c, row, width);

	for (size_t i = 0; i < c->n; i++)
		free(c->cells[i].text);
	free(c->cells);
	free(width);
	free(c);
}
