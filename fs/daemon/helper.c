/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/daemon/helper.h"

#include "layers/base/cleanup.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What mount(8) takes for a failure. */
enum { MOUNT_USAGE = 1, MOUNT_FAILED = 32 };

/* mount(8) may call us by a link of this name. */
static bool is_link_of_mount(const char *program)
{
	const char *slash = strrchr(program, '/');
	return !strncmp(slash ? slash + 1 : program, "mount.", 6);
}

bool shale_helper_asked(int argc, char **argv)
{
	return argc > 1 && (is_link_of_mount(argv[0]) || argv[1][0] != '-');
}

static bool cut_last(char *options, const char *word)
{
	size_t len = strlen(options), n = strlen(word);

	if (len < n || strcmp(options + len - n, word) != 0 ||
	    (len > n && options[len - n - 1] != ','))
		return false;
	options[len > n ? len - n - 1 : 0] = '\0';
	return true;
}

void shale_helper_cut_added(char *options)
{
	(void)cut_last(options, "suid");
	(void)cut_last(options, "dev");
}

/* `shale` stands beside this program, or in a build tree in tools/. */
static char *find_shale(void)
{
	static const char *const places[] = {"", "/../tools"};
	char self[4096], *path = NULL;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n <= 0)
		return NULL;
	self[n] = '\0';
	int dir = (int)(strrchr(self, '/') - self);
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		if (asprintf(&path, "%.*s%s/shale", dir, self, places[i]) < 0)
			return NULL;
		if (access(path, X_OK) == 0)
			return path;
		free(path);
		path = NULL;
	}
	return NULL;
}

struct asked {
	char *options;
	bool fake, foreground;
};

/* mount(8)'s -f is a rehearsal; FUSE programs' own is the foreground. */
static int parse(struct asked *a, int argc, char **argv)
{
	bool link = is_link_of_mount(argv[0]);
	int c;

	while ((c = getopt(argc, argv, "sfnvN:o:t:")) != -1) {
		switch (c) {
		case 'o':
			a->options = optarg;
			break;
		case 'f':
			a->fake = link;
			a->foreground = !link;
			break;
		case 's':
		case 'v':
		case 'n':
		case 'N':
		case 't':
			break;
		default:
			return -EINVAL;
		}
	}
	return argc - optind == 2 ? 0 : -EINVAL;
}

int shale_helper_run(int argc, char **argv)
{
	struct asked a = {0};
	static char shale[] = "shale", mount[] = "mount", dash_o[] = "-o",
		    word[] = "x-shale.fstab", dash_f[] = "-f", end[] = "--";
	char *out[12];
	int n = 0;

	if (parse(&a, argc, argv) < 0) {
		fprintf(stderr, "usage: shalefs REF DIR [-o OPTIONS]; see "
				"'shale mount --help'\n");
		return MOUNT_USAGE;
	}
	if (a.fake)
		return 0;
	if (a.options && !is_link_of_mount(argv[0]))
		shale_helper_cut_added(a.options);
	out[n++] = shale;
	out[n++] = mount;
	out[n++] = dash_o;
	out[n++] = word;
	if (a.options && *a.options) {
		out[n++] = dash_o;
		out[n++] = a.options;
	}
	if (a.foreground)
		out[n++] = dash_f;
	out[n++] = end;
	out[n++] = argv[optind];
	out[n++] = argv[optind + 1];
	out[n] = NULL;
	cleanup_free char *path = find_shale();
	if (path)
		execv(path, out);
	execvp(shale, out);
	fprintf(stderr, "shalefs: cannot run 'shale': %s\n", strerror(errno));
	return MOUNT_FAILED;
}
