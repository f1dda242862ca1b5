/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_TESTS_MEMORY_FILE_H
#define SHALE_TESTS_MEMORY_FILE_H

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* A file that is nowhere, with these bytes, for what opens descriptors. */
static inline int memory_file(const void *data, size_t size)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	return fd;
}

#endif
