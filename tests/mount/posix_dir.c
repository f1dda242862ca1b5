/* SPDX-License-Identifier: Apache-2.0 */
/* Directories of many entries, that change while they are read. */
#include "tests/mount/posix.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * In `many`, a name for each number: $POSIX_MANY of them if they come from the
 * image, else $POSIX_ENTRIES.
 */
static unsigned entries(void)
{
	bool image = access("many/0", F_OK) == 0;
	const char *given = getenv(image ? "POSIX_MANY" : "POSIX_ENTRIES");

	return given ? (unsigned)strtoul(given, NULL, 10) : 5000;
}

static void fill(unsigned n)
{
	char name[32];

	if (access("many/0", F_OK) == 0)
		return; /* from the image */
	POSIX_OK(mkdir("many", 0755));
	int dir = open("many", O_RDONLY | O_DIRECTORY);
	for (unsigned i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "%u", i);
		POSIX_OK(mknodat(dir, name, S_IFREG | 0644, 0));
	}
	close(dir);
}

/* Entries whose names are numbers, as they are read: how often each came. */
struct seen {
	uint8_t *times;
	unsigned n, others;
};

static void note(struct seen *seen, const struct dirent *entry)
{
	char *end;
	unsigned long i = strtoul(entry->d_name, &end, 10);

	if (*end || i >= seen->n)
		seen->others++;
	else
		seen->times[i]++;
}

static void remove_number(int dir, unsigned i)
{
	char name[32];

	snprintf(name, sizeof(name), "%u", i);
	POSIX_OK(unlinkat(dir, name, 0));
}

static void add_name(int dir, unsigned i)
{
	char name[32];

	snprintf(name, sizeof(name), "new%u", i);
	POSIX_OK(mknodat(dir, name, S_IFREG | 0600, 0));
}

/*
 * At every 50th entry one number goes, one is renamed away, and one name
 * comes.  Numbers that are left alone are 0 modulo 3.
 */
static void change(int dir, unsigned step, unsigned n)
{
	unsigned gone = step * 3 + 1, moved = step * 3 + 2;
	char from[32], to[32];

	if (moved >= n)
		return;
	remove_number(dir, gone);
	snprintf(from, sizeof(from), "%u", moved);
	snprintf(to, sizeof(to), "moved%u", moved);
	POSIX_OK(renameat(dir, from, dir, to));
	add_name(dir, step);
}

POSIX(a_directory_that_changes_while_it_is_read_is_complete)
{
	struct seen seen = {.n = entries()};
	unsigned read = 0;
	struct dirent *entry;

	fill(seen.n);
	seen.times = calloc(seen.n, 1);
	DIR *dir = opendir("many");
	CHECK(dir);
	while ((entry = readdir(dir))) {
		note(&seen, entry);
		if (++read % 50 == 0)
			change(dirfd(dir), read / 50, seen.n);
	}
	closedir(dir);
	for (unsigned i = 0; i < seen.n; i++) {
		CHECK(seen.times[i] <= 1);
		if (i % 3 == 0)
			CHECK_INT(seen.times[i], 1);
	}
	free(seen.times);
}

POSIX(deleting_what_is_read_empties_a_directory)
{
	struct dirent *entry;
	unsigned n = entries(), gone = 0;

	fill(n);
	DIR *dir = opendir("many");
	CHECK(dir);
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		POSIX_OK(unlinkat(dirfd(dir), entry->d_name, 0));
		gone++;
	}
	closedir(dir);
	CHECK_INT(gone, n);
	POSIX_OK(rmdir("many"));
}

POSIX(telldir_and_seekdir_find_the_same_place_again)
{
	enum { PLACES = 64 };
	struct {
		long at;
		char next[256];
	} place[PLACES];
	unsigned n = entries(), step = n / PLACES, read = 0, places = 0;
	struct dirent *entry;

	fill(n);
	DIR *dir = opendir("many");
	CHECK(dir);
	for (;;) {
		long at = telldir(dir);
		entry = readdir(dir);
		if (!entry)
			break;
		if (read++ % step == 0 && places < PLACES) {
			place[places].at = at;
			strcpy(place[places++].next, entry->d_name);
		}
	}
	CHECK_INT(places, PLACES);
	for (unsigned i = 0; i < n; i += 10) { /* others go, others come */
		char name[32];
		snprintf(name, sizeof(name), "%u", i);
		for (unsigned p = 0; p < PLACES; p++)
			if (strcmp(place[p].next, name) == 0)
				name[0] = '\0';
		if (name[0])
			POSIX_OK(unlinkat(dirfd(dir), name, 0));
		add_name(dirfd(dir), i);
	}
	for (unsigned p = PLACES; p-- > 0;) {
		seekdir(dir, place[p].at);
		entry = readdir(dir);
		CHECK(entry);
		CHECK_STR(entry->d_name, place[p].next);
	}
	closedir(dir);
}

POSIX(rewinding_shows_what_has_come_and_gone)
{
	struct dirent *entry;
	bool inner = false, fresh = false;
	DIR *dir = opendir("dir");

	while (readdir(dir))
		;
	POSIX_OK(unlink("dir/inner"));
	close(posix_make("dir/fresh", 0600));
	rewinddir(dir);
	while ((entry = readdir(dir))) {
		inner |= strcmp(entry->d_name, "inner") == 0;
		fresh |= strcmp(entry->d_name, "fresh") == 0;
	}
	closedir(dir);
	CHECK(!inner);
	CHECK(fresh);
}

POSIX(entries_tell_number_and_type_as_stat_does)
{
	struct dirent *entry;
	struct stat st;
	unsigned n = 0;

	POSIX_OK(mkfifo("fifo", 0600));
	POSIX_OK(mknod("dev", S_IFCHR | 0600, 0x103));
	POSIX_OK(rename("twin", "dir/twin"));
	int fd = open("file", O_WRONLY);
	CHECK_INT(write(fd, "x", 1), 1);
	close(fd);
	DIR *dir = opendir(".");
	while ((entry = readdir(dir))) {
		POSIX_OK(lstat(entry->d_name, &st));
		CHECK_INT(entry->d_type, (st.st_mode & S_IFMT) >> 12);
		CHECK_INT(entry->d_ino, st.st_ino);
		n++;
	}
	closedir(dir);
	CHECK_INT(n, 8);
	POSIX_OK(stat(".", &st));
	CHECK_INT(st.st_nlink, 3);
}
