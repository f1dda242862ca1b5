/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/ls_line.h"

#include "layers/base/cleanup.h"
#include "layers/base/text.h"
#include "layers/store/ref.h"
#include "tools/cmd.h"
#include "tools/output.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

void shale_ls_name(const struct shale_ls_style *style, const char *name,
		   size_t len)
{
	cleanup_buf struct shale_buf text = {0};
	if (style->escape && shale_escape(&text, name, len) == 0)
		fwrite(text.data, 1, text.len, stdout);
	else
		fwrite(name, 1, len, stdout);
}

static char type_letter(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR:
		return 'd';
	case S_IFLNK:
		return 'l';
	case S_IFIFO:
		return 'p';
	case S_IFSOCK:
		return 's';
	case S_IFCHR:
		return 'c';
	case S_IFBLK:
		return 'b';
	}
	return '-';
}

/* "drwxr-sr-t"; `out` has 11 bytes. */
static void mode_text(uint32_t mode, char *out)
{
	static const char rwx[] = "rwxrwxrwx";
	out[0] = type_letter(mode);
	for (int i = 0; i < 9; i++)
		out[i + 1] = mode & (0400u >> i) ? rwx[i] : '-';
	if (mode & S_ISUID)
		out[3] = mode & S_IXUSR ? 's' : 'S';
	if (mode & S_ISGID)
		out[6] = mode & S_IXGRP ? 's' : 'S';
	if (mode & S_ISVTX)
		out[9] = mode & S_IXOTH ? 't' : 'T';
	out[10] = '\0';
}

/* The cells of a long line that need aligning. */
struct cells {
	char links[16], owner[64], group[64], size[40];
};

static void owner_text(bool group, uint32_t id, bool numeric, char *out)
{
	const char *name = NULL;
	if (!numeric && group) {
		const struct group *gr = getgrgid(id);
		name = gr ? gr->gr_name : NULL;
	} else if (!numeric) {
		const struct passwd *pw = getpwuid(id);
		name = pw ? pw->pw_name : NULL;
	}
	if (name)
		snprintf(out, 64, "%s", name);
	else
		snprintf(out, 64, "%u", id);
}

static void fill_cells(const struct shale_ls_style *style,
		       const struct shale_attr *attr,
		       const struct shale_attr *before, struct cells *c)
{
	/* Looking a name up is slow; neighbours have the same owner. */
	if (!before || before->uid != attr->uid)
		owner_text(false, attr->uid, style->numeric, c->owner);
	if (!before || before->gid != attr->gid)
		owner_text(true, attr->gid, style->numeric, c->group);
	snprintf(c->links, sizeof(c->links), "%u", attr->nlink);
	if (S_ISCHR(attr->mode) || S_ISBLK(attr->mode))
		snprintf(c->size, sizeof(c->size), "%u, %u", attr->rdev_major,
			 attr->rdev_minor);
	else
		shale_human_size(attr->size, !style->human, c->size);
}

static void widen(int *width, const char *text)
{
	int len = (int)strlen(text);
	if (*width < len)
		*width = len;
}

static int print_target(const struct shale_index *ix,
			const struct shale_ls_style *style, uint64_t ino,
			struct shale_err *err)
{
	const char *target;
	uint32_t len;
	int r = shale_index_target(ix, ino, &target, &len, err);
	if (r == 0) {
		fputs(" -> ", stdout);
		shale_ls_name(style, target, len);
	}
	return r;
}

static int print_long(const struct shale_index *ix,
		      const struct shale_ls_style *style,
		      const struct shale_ls_entry *entry, size_t n,
		      struct shale_err *err)
{
	struct cells c;
	int links = 0, owner = 0, group = 0, size = 0, r = 0;
	for (size_t i = 0; i < n; i++) {
		fill_cells(style, &entry[i].attr, i ? &entry[i - 1].attr : NULL,
			   &c);
		widen(&links, c.links);
		widen(&owner, c.owner);
		widen(&group, c.group);
		widen(&size, c.size);
	}
	for (size_t i = 0; i < n && r == 0; i++) {
		const struct shale_ls_entry *e = &entry[i];
		char mode[11], when[32];
		fill_cells(style, &e->attr, i ? &e[-1].attr : NULL, &c);
		mode_text(e->attr.mode, mode);
		printf("%s %*s %-*s %-*s %*s %s ", mode, links, c.links, owner,
		       c.owner, group, c.group, size, c.size,
		       shale_human_time(&e->attr.mtime, when));
		shale_ls_name(style, e->entry.name, e->entry.name_len);
		if (S_ISLNK(e->attr.mode))
			r = print_target(ix, style, e->attr.ino, err);
		putchar('\n');
	}
	return r;
}

int shale_ls_print(const struct shale_index *ix,
		   const struct shale_ls_style *style,
		   const struct shale_ls_entry *entry, size_t n,
		   struct shale_err *err)
{
	if (style->full)
		return print_long(ix, style, entry, n, err);
	for (size_t i = 0; i < n; i++) {
		shale_ls_name(style, entry[i].entry.name,
			      entry[i].entry.name_len);
		putchar('\n');
	}
	return 0;
}

static const char *type_word(uint32_t mode)
{
	switch (type_letter(mode)) {
	case 'd':
		return "directory";
	case 'l':
		return "symlink";
	case 'p':
		return "fifo";
	case 's':
		return "socket";
	case 'c':
		return "char";
	case 'b':
		return "block";
	}
	return "file";
}

static int json_target(const struct shale_index *ix, json_t *doc, uint64_t ino,
		       struct shale_err *err)
{
	const char *target;
	uint32_t len;
	int r = shale_index_target(ix, ino, &target, &len, err);
	if (r == 0)
		shale_json_bytes(doc, "target", target, len);
	return r;
}

int shale_ls_json(const struct shale_index *ix, const char *dir,
		  const struct shale_ls_entry *entry, struct shale_err *err)
{
	const struct shale_attr *attr = &entry->attr;
	cleanup_buf struct shale_buf path = {0};
	size_t len = strlen(dir);
	char when[40], mode[8];
	int r = 0;

	if (shale_buf_append(&path, dir, len) < 0 ||
	    (len && dir[len - 1] != '/' &&
	     shale_buf_append(&path, "/", 1) < 0) ||
	    shale_buf_append(&path, entry->entry.name, entry->entry.name_len) <
		    0)
		return shale_err_set(err, ENOMEM, "list");
	shale_time_format(&attr->mtime, when);
	snprintf(mode, sizeof(mode), "%04o", attr->mode & 07777);
	json_t *doc = json_object();
	shale_json_path(doc, (char *)path.data, path.len);
	json_object_set_new(doc, "type", json_string(type_word(attr->mode)));
	json_object_set_new(doc, "mode", json_string(mode));
	json_object_set_new(doc, "inode", json_integer((json_int_t)attr->ino));
	json_object_set_new(doc, "nlink", json_integer(attr->nlink));
	json_object_set_new(doc, "uid", json_integer(attr->uid));
	json_object_set_new(doc, "gid", json_integer(attr->gid));
	json_object_set_new(doc, "size", json_integer((json_int_t)attr->size));
	json_object_set_new(doc, "mtime", json_string(when));
	if (S_ISCHR(attr->mode) || S_ISBLK(attr->mode)) {
		json_object_set_new(doc, "major",
				    json_integer(attr->rdev_major));
		json_object_set_new(doc, "minor",
				    json_integer(attr->rdev_minor));
	}
	if (S_ISLNK(attr->mode))
		r = json_target(ix, doc, attr->ino, err);
	if (r < 0)
		json_decref(doc);
	else
		shale_json_print(doc);
	return r;
}
