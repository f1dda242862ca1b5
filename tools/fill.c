/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/fill.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { WIDTH = 80 };

struct fill {
	int indent, at; /* columns */
	bool words;     /* there are some on this line */
	char last;      /* of the last one */
};

/* Of UTF-8, which help is, without wide characters. */
static int columns(const char *text, size_t len)
{
	int n = 0;
	for (size_t i = 0; i < len; i++)
		n += ((unsigned char)text[i] & 0xc0) != 0x80;
	return n;
}

static void end_line(struct fill *f)
{
	putchar('\n');
	f->at = 0;
	f->words = false;
}

static void put_word(struct fill *f, const char *word, size_t len, int gap)
{
	int width = columns(word, len);

	if (f->words && f->at + gap + width > WIDTH)
		end_line(f);
	if (!f->words)
		gap = f->at < f->indent ? f->indent - f->at : 0;
	printf("%*s%.*s", gap, "", (int)len, word);
	f->at += gap + width;
	f->words = true;
	f->last = word[len - 1];
}

static void put_words(struct fill *f, const char *line, size_t len)
{
	/* Two spaces between sentences, also where a line ended there. */
	int gap = f->last == '.' ? 2 : 1;

	for (size_t at = 0; at < len;) {
		size_t word = 0;
		while (at + word < len && line[at + word] != ' ')
			word++;
		if (word)
			put_word(f, line + at, word, gap);
		at += word;
		for (gap = 0; at < len && line[at] == ' '; at++)
			gap++;
	}
}

void shale_fill(const char *text, int indent)
{
	struct fill f = {.indent = indent, .at = indent};

	while (*text) {
		size_t len = strcspn(text, "\n");
		if (len && *text != ' ') {
			put_words(&f, text, len);
		} else {
			if (f.words)
				end_line(&f);
			printf("%.*s", (int)len, text);
			end_line(&f);
		}
		text += len + (text[len] == '\n');
	}
	if (f.words)
		end_line(&f);
}
