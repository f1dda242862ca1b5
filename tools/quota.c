/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/quota.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Digits at *at, and behind them. */
static int number(const char **at, uint64_t *out)
{
	char *end;

	if (**at < '0' || **at > '9')
		return -EINVAL;
	errno = 0;
	*out = strtoull(*at, &end, 10);
	*at = end;
	return errno || *out > INT64_MAX ? -EINVAL : 0;
}

static int size(const char **at, uint64_t *out)
{
	static const char units[] = "KMGTP";

	int r = number(at, out);
	const char *unit = r == 0 && **at ? strchr(units, **at) : NULL;
	if (!unit)
		return r;
	int shift = 10 * (int)(unit - units + 1);
	if (*out > (uint64_t)INT64_MAX >> shift)
		return -EINVAL;
	*out <<= shift;
	*at += strncmp(*at + 1, "iB", 2) ? 1 : 3;
	return 0;
}

/* "inodes=N", all of the text. */
static int inode_count(const char *text, uint64_t *out)
{
	static const char word[] = "inodes=";

	if (strncmp(text, word, strlen(word)) != 0)
		return -EINVAL;
	text += strlen(word);
	int r = number(&text, out);
	return r == 0 && *text ? -EINVAL : r;
}

int shale_quota_parse(const char *text, uint64_t *bytes, uint64_t *inodes)
{
	uint64_t b = 0, n = 0;
	int r = 0;

	if (*text == 'i') {
		r = inode_count(text, &n);
	} else if (strcmp(text, "none") != 0) {
		r = size(&text, &b);
		if (r == 0 && *text == ',')
			r = inode_count(text + 1, &n);
		else if (r == 0 && *text)
			r = -EINVAL;
	}
	if (r < 0)
		return r;
	*bytes = b;
	*inodes = n;
	return 0;
}
