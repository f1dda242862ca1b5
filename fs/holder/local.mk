# SPDX-License-Identifier: Apache-2.0
#
# On its own: it links nothing of ours, and no library but the C library.
shalelibexec_PROGRAMS += fs/shalefs-holder
fs_shalefs_holder_SOURCES = \
	fs/holder/holder.c fs/holder/holder.h \
	fs/holder/main.c
fs_shalefs_holder_LDADD =
