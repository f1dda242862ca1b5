# SPDX-License-Identifier: Apache-2.0
check_LIBRARIES += tests/lib/libcheck.a
tests_lib_libcheck_a_SOURCES = tests/lib/check.c tests/lib/check.h

# What is true of the source as a whole.
SOURCE_TESTS = tests/layering.test
READER_TESTS = tests/reader/reader.test
# Real mounts, of the programs as they were built.
MOUNT_TESTS = \
	tests/readme.test \
	tests/mount/applications.test \
	tests/mount/commit.test \
	tests/mount/containers.test \
	tests/mount/cow.test \
	tests/mount/crowd.test \
	tests/mount/damage.test \
	tests/mount/direct.test \
	tests/mount/discard.test \
	tests/mount/everyday.test \
	tests/mount/foreign-layers.test \
	tests/mount/freeze.test \
	tests/mount/fstab.test \
	tests/mount/gc.test \
	tests/mount/interrupt.test \
	tests/mount/limits.test \
	tests/mount/kills.test \
	tests/mount/layers.test \
	tests/mount/overlay.test \
	tests/mount/owners.test \
	tests/mount/posix.test \
	tests/mount/postgres.test \
	tests/mount/powercut.test \
	tests/mount/quota.test \
	tests/mount/recover.test \
	tests/mount/sharing.test \
	tests/mount/space.test \
	tests/mount/stack.test \
	tests/mount/status.test \
	tests/mount/symlinks.test \
	tests/mount/takeover.test \
	tests/mount/truth.test \
	tests/mount/umount.test \
	tests/mount/unprivileged.test \
	tests/mount/watch.test \
	tests/mount/workspaces.test
TESTS += $(SOURCE_TESTS) $(MOUNT_TESTS) $(READER_TESTS)
dist_check_SCRIPTS += $(SOURCE_TESTS) $(MOUNT_TESTS) $(READER_TESTS)

check_PROGRAMS += tests/lib/gendata tests/mount/crowd tests/mount/posix \
	tests/mount/truth
tests_lib_gendata_SOURCES = tests/lib/gendata.c
tests_mount_crowd_SOURCES = tests/mount/crowd.c tests/mount/crowd.h \
	tests/mount/crowd_race.c tests/mount/crowd_settle.c \
	tests/mount/crowd_work.c tests/mount/truth.h \
	tests/mount/truth_compare.c tests/mount/truth_make.c \
	tests/mount/truth_op.c
tests_mount_crowd_LDADD = $(LIBS_BASE)
tests_mount_posix_SOURCES = tests/mount/posix.c tests/mount/posix.h \
	tests/mount/posix_beside.c \
	tests/mount/posix_content.c tests/mount/posix_dir.c \
	tests/mount/posix_name.c tests/mount/posix_open.c \
	tests/mount/posix_right.c
tests_mount_posix_LDADD = tests/lib/libcheck.a
tests_mount_truth_SOURCES = tests/mount/truth.c tests/mount/truth.h \
	tests/mount/truth_compare.c tests/mount/truth_make.c \
	tests/mount/truth_op.c
tests_mount_truth_LDADD = $(LIBS_BASE)

# What tests source, and what tests/run calls.
EXTRA_DIST += tests/lib/crowd.sh tests/lib/fsx_load.py tests/lib/hammer.py \
	tests/lib/killer.py tests/lib/limits.py tests/lib/loads.sh \
	tests/lib/mount.sh tests/lib/pauses.py tests/lib/pg.sh tests/long.sh tests/on-mount \
	tests/reader/check.py tests/reader/compare.py tests/reader/reader.py \
	tests/reader/stack.py
EXTRA_DIST += tests/lib/bad_archives.py tests/lib/idmap_bind.py \
	tests/lib/inotified.py tests/lib/lmdb_writers.py \
	tests/lib/oci_layers.py tests/lib/overlay_ops.py tests/lib/pg_ids.py \
	tests/lib/postgres.py tests/lib/processes.py tests/lib/space.py \
	tests/lib/sqlite_writers.py \
	tests/lib/while_reading.py

# What also runs under sanitizers: all that needs no mount, and the two mount
# tests that go through most of the daemon.
print-sanitized-tests:
	@echo $(filter tests/unit/% tests/fuzz/%,$(TESTS)) \
		tests/mount/commit.test tests/mount/truth.test
# And under ThreadSanitizer, in long mode.
print-threaded-tests:
	@echo $(filter tests/unit/%,$(TESTS)) tests/mount/commit.test \
		tests/mount/crowd.test tests/mount/kills.test \
		tests/mount/takeover.test
.PHONY: print-sanitized-tests print-threaded-tests

include tests/bench/local.mk
include tests/crash/local.mk
include tests/fuzz/local.mk
include tests/power/local.mk
