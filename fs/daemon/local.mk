# SPDX-License-Identifier: Apache-2.0
bin_PROGRAMS += fs/shalefs
fs_shalefs_SOURCES = \
	fs/daemon/daemon.c fs/daemon/daemon.h \
	fs/daemon/helper.c fs/daemon/helper.h \
	fs/daemon/history.c fs/daemon/history.h \
	fs/daemon/log.c fs/daemon/log.h \
	fs/daemon/main.c \
	fs/daemon/mounted.c fs/daemon/mounted.h \
	fs/daemon/requests.c \
	fs/daemon/status.c \
	fs/daemon/trees.c fs/daemon/trees.h \
	fs/holder/pocket.c fs/holder/pocket.h
fs_shalefs_CPPFLAGS = $(AM_CPPFLAGS) -DSHALE_VERSION='"$(VERSION)"'
fs_shalefs_LDADD = $(LIBS_MOUNT) $(LIBS_LIVE) $(LIBS_WORKSPACE) \
	$(LIBS_CONTROL) $(LIBS_STORE)
