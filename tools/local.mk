# SPDX-License-Identifier: Apache-2.0
#
# The common parts with main() are a library: every program adds a table of
# verbs (shale_verbs) and the files of those verbs.
noinst_LIBRARIES += tools/libtools.a
tools_libtools_a_SOURCES = \
	tools/cmd.h \
	tools/columns.c \
	tools/context.c \
	tools/exit.c \
	tools/global.c \
	tools/main.c \
	tools/opt.c tools/opt.h \
	tools/output.c tools/output.h \
	tools/program.c \
	tools/progress.c \
	tools/verbs.h

LIBS_TOOLS = tools/libtools.a $(LIBS_STORE) $(JANSSON_LIBS)

bin_PROGRAMS += tools/shale
tools_shale_SOURCES = \
	tools/cmd_browse.c \
	tools/cmd_help.c \
	tools/cmd_mount.c \
	tools/cmd_status.c \
	tools/cmd_umount.c \
	tools/mounting.c tools/mounting.h \
	tools/mounting_fd.c tools/mounting_fd.h \
	tools/verbs.c
tools_shale_CPPFLAGS = $(AM_CPPFLAGS) -DSHALE_VERSION='"$(VERSION)"'
tools_shale_LDADD = $(LIBS_TOOLS) $(LIBS_COMMIT) $(LIBS_CONTROL) $(LIBS_STORE)
