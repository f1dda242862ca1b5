/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands in for libFuzzer's main() in an ordinary build: runs the harness on
 * every file of the folder named on the command line, as it is, cut short at
 * several places, and with bytes changed, and prints TAP.  A finding is a
 * crash, a sanitizer's report, or the alarm.
 */
#include "layers/base/buf.h"
#include "layers/base/io.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MUTATIONS = 64, LIMIT = 16 << 20, SECONDS = 60 };

static void run_file(const struct shale_buf *file)
{
	LLVMFuzzerTestOneInput(file->data, file->len);
	for (size_t i = 0; i < 16 && i < file->len; i++)
		LLVMFuzzerTestOneInput(file->data, file->len * i / 16);

	cleanup_buf struct shale_buf copy = {0};
	uint32_t state = 12345;
	for (int i = 0; file->len && i < MUTATIONS; i++) {
		copy.len = 0;
		shale_buf_append(&copy, file->data, file->len);
		for (int k = 0; k < 3; k++) {
			state = state * 1664525 + 1013904223;
			copy.data[(state >> 8) % copy.len] =
				(uint8_t)(state >> 3);
		}
		LLVMFuzzerTestOneInput(copy.data, copy.len);
	}
}

int main(int argc, char **argv)
{
	DIR *dir = argc == 2 ? opendir(argv[1]) : NULL;
	if (!dir) {
		printf("1..1\nnot ok 1 - no corpus: %s\n",
		       argc == 2 ? argv[1] : "name its folder");
		return 1;
	}

	int files = 0, bad = 0;
	struct dirent *entry;
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		cleanup_buf struct shale_buf file = {0};
		struct shale_err err;
		if (shale_read_file(dirfd(dir), entry->d_name, LIMIT, &file,
				    &err) < 0) {
			printf("# %s\n", err.msg);
			bad++;
			continue;
		}
		alarm(SECONDS);
		run_file(&file);
		files++;
	}
	closedir(dir);
	printf("1..1\n%s 1 - %d inputs and changed copies of them\n",
	       files && !bad ? "ok" : "not ok", files);
	return files && !bad ? 0 : 1;
}
