/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHALE_BASE_ERR_H
#define SHALE_BASE_ERR_H

/*
 * What went wrong, in words.  Lives on the caller's stack, is passed as the
 * last parameter, and may be NULL.  Functions return 0 or -errno and say the
 * rest here; nobody below main() and the FUSE callbacks prints.
 *
 * Codes with a fixed meaning in Shale (tools/exit.c maps them to exit codes):
 *   -EUCLEAN  damaged data: a checksum or a structure does not hold
 *   -EPROTONOSUPPORT  written by a newer Shale
 *   -ENOKEY   no such reference, path inside an image, or workspace
 *   -EBUSY    locked by a living process
 *   -ENODATA  no store
 */
struct shale_err {
	char msg[1024];
};

/*
 * Say what failed; the text of `errnum` (positive) is appended after ": ".
 * Returns -errnum.
 */
int shale_err_set(struct shale_err *err, int errnum, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* As above without appending the text of `errnum`: the message says it all. */
int shale_err_say(struct shale_err *err, int errnum, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Put "context: " before what `err` holds.  Returns `r` unchanged. */
int shale_err_wrap(struct shale_err *err, int r, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
