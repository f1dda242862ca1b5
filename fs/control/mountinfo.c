/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/control/mountinfo.h"

#include "fs/control/control.h"
#include "layers/base/buf.h"
#include "layers/base/cleanup.h"
#include "layers/base/io.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

enum { MOUNTINFO_MAX = 64 << 20 };

void shale_mountinfo_release(struct shale_mountinfo *m)
{
	free(m->point);
	free(m->type);
	free(m->source);
	memset(m, 0, sizeof(*m));
}

struct field {
	const char *p;
	size_t len;
};

static bool is_octal(char c)
{
	return c >= '0' && c <= '7';
}

/* A field with its octal escapes (space, tab, newline, backslash) undone. */
static char *unescape(struct field f)
{
	char *out = malloc(f.len + 1);
	size_t n = 0;

	for (size_t i = 0; out && i < f.len; i++) {
		const char *p = f.p + i;
		if (*p == '\\' && f.len - i >= 4 && is_octal(p[1]) &&
		    is_octal(p[2]) && is_octal(p[3])) {
			out[n++] = (char)((p[1] - '0') << 6 |
					  (p[2] - '0') << 3 | (p[3] - '0'));
			i += 3;
		} else {
			out[n++] = *p;
		}
	}
	if (out)
		out[n] = '\0';
	return out;
}

/* The next field of [*p, end); false at the end of the line. */
static bool next_field(const char **p, const char *end, struct field *f)
{
	while (*p < end && **p == ' ')
		++*p;
	f->p = *p;
	while (*p < end && **p != ' ')
		++*p;
	f->len = (size_t)(*p - f->p);
	return f->len > 0;
}

struct line {
	struct field device, point, type, source;
};

/* "36 35 98:0 /root /point options tags… - type source options" */
static bool parse_line(const char *p, const char *end, struct line *out)
{
	struct field f;

	if (!next_field(&p, end, &f) || !next_field(&p, end, &f) ||
	    !next_field(&p, end, &out->device) || !next_field(&p, end, &f) ||
	    !next_field(&p, end, &out->point))
		return false;
	do {
		if (!next_field(&p, end, &f))
			return false;
	} while (f.len != 1 || *f.p != '-');
	return next_field(&p, end, &out->type) &&
	       next_field(&p, end, &out->source);
}

static bool is_at(struct field point, const char *dir)
{
	cleanup_free char *plain = unescape(point);
	return plain && !strcmp(plain, dir);
}

static int take_line(const struct line *line, struct shale_mountinfo *out,
		     struct shale_err *err)
{
	struct shale_mountinfo m = {
		.point = unescape(line->point),
		.type = unescape(line->type),
		.source = unescape(line->source),
	};
	cleanup_free char *device = unescape(line->device);
	if (!m.point || !m.type || !m.source || !device) {
		shale_mountinfo_release(&m);
		return shale_err_set(err, ENOMEM, "read the table of mounts");
	}
	if (sscanf(device, "%u:%u", &m.major, &m.minor) != 2)
		m.major = m.minor = 0;
	*out = m;
	return 0;
}

static bool comes_from(struct field source, const char *prefix)
{
	cleanup_free char *plain = unescape(source);
	return plain && !strncmp(plain, prefix, strlen(prefix));
}

/* The last line that names `dir`; with `source`, the first of such a source. */
static int search(const char *text, size_t len, const char *dir,
		  const char *source, struct shale_mountinfo *out,
		  struct shale_err *err)
{
	const char *end = text + len;
	struct line line, found = {0};

	for (const char *p = text; p < end && !(source && found.point.p);) {
		const char *eol = memchr(p, '\n', (size_t)(end - p));
		if (!eol)
			eol = end;
		if (parse_line(p, eol, &line) && is_at(line.point, dir) &&
		    (!source || comes_from(line.source, source)))
			found = line;
		p = eol + 1;
	}
	if (!found.point.p)
		return shale_err_say(err, ENOENT, "nothing is mounted at '%s'",
				     dir);
	return take_line(&found, out, err);
}

int shale_mountinfo_find(const char *text, size_t len, const char *dir,
			 struct shale_mountinfo *out, struct shale_err *err)
{
	return search(text, len, dir, NULL, out, err);
}

int shale_mountinfo_first(const char *text, size_t len, const char *dir,
			  const char *source, struct shale_mountinfo *out,
			  struct shale_err *err)
{
	return search(text, len, dir, source, out, err);
}

static int search_here(const char *dir, const char *source,
		       struct shale_mountinfo *out, struct shale_err *err)
{
	cleanup_buf struct shale_buf text = {0};
	int r = shale_read_file(AT_FDCWD, "/proc/self/mountinfo", MOUNTINFO_MAX,
				&text, err);
	if (r < 0)
		return r;
	return search((const char *)text.data, text.len, dir, source, out, err);
}

int shale_mountinfo_here(const char *dir, struct shale_mountinfo *out,
			 struct shale_err *err)
{
	return search_here(dir, NULL, out, err);
}

int shale_mountinfo_lowest(const char *dir, struct shale_mountinfo *out,
			   struct shale_err *err)
{
	return search_here(dir, "shale:", out, err);
}

char *shale_mountinfo_path(const char *dir)
{
	char *whole = realpath(dir, NULL);
	if (whole || errno == ENOENT || errno == ENOTDIR)
		return whole;

	/* A dead mount: only its parent can be looked at. */
	cleanup_free char *copy = strdup(dir);
	if (!copy)
		return NULL;
	size_t len = strlen(copy);
	while (len > 1 && copy[len - 1] == '/')
		copy[--len] = '\0';
	char *slash = strrchr(copy, '/');
	const char *name = slash ? slash + 1 : copy;
	if (!*name || !strcmp(name, ".") || !strcmp(name, "..")) {
		errno = ENOTCONN;
		return NULL;
	}
	cleanup_free char *parent = NULL;
	if (!slash) {
		parent = realpath(".", NULL);
	} else {
		*slash = '\0';
		parent = realpath(*copy ? copy : "/", NULL);
	}
	if (!parent || asprintf(&whole, "%s/%s",
				strcmp(parent, "/") ? parent : "", name) < 0)
		return NULL;
	return whole;
}

int shale_mountinfo_source(const char *source, char **store, char **id)
{
	static const char prefix[] = "shale:", middle[] = "/mounts/";
	if (strncmp(source, prefix, sizeof(prefix) - 1) != 0)
		return -ENOENT;
	source += sizeof(prefix) - 1;

	const char *last = strrchr(source, '/');
	size_t head = last ? (size_t)(last + 1 - source) : 0;
	size_t tail = sizeof(middle) - 1;
	if (head <= tail || strncmp(source + head - tail, middle, tail) != 0 ||
	    strlen(last + 1) != 16 ||
	    strspn(last + 1, "0123456789abcdef") != 16)
		return -ENOENT;

	char *s = strndup(source, head - tail), *i = strdup(last + 1);
	if (!s || !i) {
		free(s);
		free(i);
		return -ENOMEM;
	}
	*store = s;
	*id = i;
	return 0;
}

bool shale_mount_stands(const struct shale_mount_info *info)
{
	cleanup_free char *store = NULL, *id = NULL;
	struct shale_mountinfo m;

	if (shale_mountinfo_here(info->mountpoint, &m, NULL) < 0)
		return false;
	int r = shale_mountinfo_source(m.source, &store, &id);
	shale_mountinfo_release(&m);
	return r == 0 && !strcmp(id, info->id);
}

int shale_mount_find(const char *dir, char **store, char **id,
		     struct shale_err *err)
{
	struct shale_mountinfo m;
	cleanup_free char *path = shale_mountinfo_path(dir);
	if (!path)
		return shale_err_set(err, errno, "look at '%s'", dir);

	int r = shale_mountinfo_here(path, &m, err);
	if (r < 0)
		return r;
	r = shale_mountinfo_source(m.source, store, id);
	shale_mountinfo_release(&m);
	if (r == -ENOENT)
		shale_err_say(err, ENOENT,
			      "what is mounted at '%s' is not "
			      "Shale's",
			      dir);
	else if (r < 0)
		shale_err_set(err, -r, "look at '%s'", dir);
	return r;
}
