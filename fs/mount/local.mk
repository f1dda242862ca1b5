# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += fs/mount/libmount.a
fs_mount_libmount_a_SOURCES = \
	fs/mount/fill.c fs/mount/fill.h \
	fs/mount/forest.c fs/mount/forest.h \
	fs/mount/forest_image.c fs/mount/forest_impl.h \
	fs/mount/greeting.c fs/mount/greeting.h \
	fs/mount/lean.c fs/mount/lean.h \
	fs/mount/op.c fs/mount/op.h \
	fs/mount/opcount.c fs/mount/opcount.h \
	fs/mount/ops.h \
	fs/mount/push.c fs/mount/push.h \
	fs/mount/raw.c fs/mount/raw.h \
	fs/mount/raw_op.c \
	fs/mount/raw_open.c \
	fs/mount/recall.c fs/mount/recall.h \
	fs/mount/receivers.c fs/mount/receivers.h \
	fs/mount/reply.c \
	fs/mount/ro.c \
	fs/mount/rw.c fs/mount/rw.h \
	fs/mount/rw_data.c \
	fs/mount/rw_names.c \
	fs/mount/session.c fs/mount/session.h \
	fs/mount/standing.c fs/mount/standing.h \
	fs/mount/synth.c fs/mount/synth.h \
	fs/mount/synth_file.c fs/mount/synth_impl.h \
	fs/mount/trace.c fs/mount/trace.h \
	fs/mount/watch.c
fs_mount_libmount_a_CPPFLAGS = $(AM_CPPFLAGS) $(FUSE_CFLAGS)

# What a program links for this room and those below it.
LIBS_MOUNT = fs/mount/libmount.a $(LIBS_LIVE) $(FUSE_LIBS)

check_PROGRAMS += tests/unit/fill-test
TESTS += tests/unit/fill-test
tests_unit_fill_test_SOURCES = tests/unit/fill-test.c \
	tests/unit/layers.c tests/unit/layers.h
tests_unit_fill_test_LDADD = tests/lib/libcheck.a fs/mount/libmount.a \
	$(LIBS_LIVE)

check_PROGRAMS += tests/unit/receivers-test
TESTS += tests/unit/receivers-test
tests_unit_receivers_test_SOURCES = tests/unit/receivers-test.c
tests_unit_receivers_test_LDADD = tests/lib/libcheck.a fs/mount/libmount.a \
	$(LIBS_BASE)

check_PROGRAMS += tests/unit/lean-test
TESTS += tests/unit/lean-test
tests_unit_lean_test_SOURCES = tests/unit/lean-test.c
tests_unit_lean_test_LDADD = tests/lib/libcheck.a fs/mount/libmount.a \
	$(LIBS_WORKSPACE)

check_PROGRAMS += tests/unit/push-test
TESTS += tests/unit/push-test
tests_unit_push_test_SOURCES = tests/unit/push-test.c \
	tests/unit/layers.c tests/unit/layers.h
tests_unit_push_test_LDADD = tests/lib/libcheck.a fs/mount/libmount.a \
	$(LIBS_LIVE)

check_PROGRAMS += tests/unit/standing-test
TESTS += tests/unit/standing-test
tests_unit_standing_test_SOURCES = tests/unit/standing-test.c
tests_unit_standing_test_LDADD = tests/lib/libcheck.a fs/mount/libmount.a \
	$(LIBS_BASE)

check_PROGRAMS += tests/unit/synth-test
TESTS += tests/unit/synth-test
tests_unit_synth_test_SOURCES = tests/unit/synth-test.c
tests_unit_synth_test_LDADD = tests/lib/libcheck.a fs/mount/libmount.a \
	$(LIBS_BASE)

check_PROGRAMS += tests/unit/watch-test
TESTS += tests/unit/watch-test
tests_unit_watch_test_SOURCES = tests/unit/watch-test.c
tests_unit_watch_test_LDADD = tests/lib/libcheck.a fs/mount/libmount.a \
	$(LIBS_BASE)

BINDING_TESTS = \
	tests/mount/browse.test tests/mount/browse-takeover.test \
	tests/mount/lean.test \
	tests/mount/mountpoints.test tests/mount/passthrough.test \
	tests/mount/patch.test \
	tests/mount/reading.test \
	tests/mount/readonly.test \
	tests/mount/writable.test \
	tests/mount/writeback.test
TESTS += $(BINDING_TESTS)
dist_check_SCRIPTS += $(BINDING_TESTS)
