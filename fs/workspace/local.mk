# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += fs/workspace/libworkspace.a
fs_workspace_libworkspace_a_SOURCES = \
	fs/workspace/apply.c \
	fs/workspace/apply_journal.c \
	fs/workspace/db.c fs/workspace/db.h fs/workspace/db_impl.h \
	fs/workspace/db_open.c \
	fs/workspace/dirty.c fs/workspace/dirty.h \
	fs/workspace/env.c fs/workspace/env.h fs/workspace/env_impl.h \
	fs/workspace/env_txn.c fs/workspace/env_view.c \
	fs/workspace/file_failed.c fs/workspace/file_failed.h \
	fs/workspace/file_table.c fs/workspace/file_table.h \
	fs/workspace/files.c fs/workspace/files.h \
	fs/workspace/files_flush.c fs/workspace/files_impl.h \
	fs/workspace/files_keep.c fs/workspace/files_lend.c \
	fs/workspace/files_remove.c \
	fs/workspace/files_write.c \
	fs/workspace/handles.c fs/workspace/handles.h \
	fs/workspace/images.c \
	fs/workspace/info.c fs/workspace/info.h \
	fs/workspace/journal.c fs/workspace/journal.h \
	fs/workspace/journal_disk.h fs/workspace/journal_impl.h \
	fs/workspace/journal_map.c \
	fs/workspace/journal_open.c fs/workspace/journal_renew.c \
	fs/workspace/map64.c fs/workspace/map64.h \
	fs/workspace/ops.c fs/workspace/ops.h \
	fs/workspace/pieces.c fs/workspace/pieces.h \
	fs/workspace/recent.c fs/workspace/recent.h \
	fs/workspace/recover.c \
	fs/workspace/results.c fs/workspace/results.h \
	fs/workspace/segment.c fs/workspace/segment.h \
	fs/workspace/snapshot.c \
	fs/workspace/trash.c fs/workspace/trash.h \
	fs/workspace/workspace.c fs/workspace/workspace.h \
	fs/workspace/workspace_dir.c
fs_workspace_libworkspace_a_CPPFLAGS = $(AM_CPPFLAGS) $(LMDB_CFLAGS)

# What a program links for this room and those below it.
LIBS_WORKSPACE = fs/workspace/libworkspace.a $(LMDB_LIBS) $(JANSSON_LIBS) \
	$(LIBS_BASE)

check_PROGRAMS += tests/unit/db-test
TESTS += tests/unit/db-test
tests_unit_db_test_SOURCES = tests/unit/db-test.c tests/unit/db-marks.c \
	tests/unit/db-power.c tests/unit/db-rig.c tests/unit/db-rig.h
tests_unit_db_test_LDADD = tests/lib/libcheck.a $(LIBS_WORKSPACE)

check_PROGRAMS += tests/unit/env-test
TESTS += tests/unit/env-test
tests_unit_env_test_SOURCES = tests/unit/env-test.c
tests_unit_env_test_LDADD = tests/lib/libcheck.a $(LIBS_WORKSPACE)

check_PROGRAMS += tests/unit/files-test
TESTS += tests/unit/files-test
tests_unit_files_test_SOURCES = tests/unit/files-test.c
tests_unit_files_test_LDADD = tests/lib/libcheck.a $(LIBS_WORKSPACE)

check_PROGRAMS += tests/unit/handles-test
TESTS += tests/unit/handles-test
tests_unit_handles_test_SOURCES = tests/unit/handles-test.c
tests_unit_handles_test_LDADD = tests/lib/libcheck.a $(LIBS_WORKSPACE)

check_PROGRAMS += tests/unit/workspace-test
TESTS += tests/unit/workspace-test
tests_unit_workspace_test_SOURCES = tests/unit/workspace-test.c
tests_unit_workspace_test_LDADD = tests/lib/libcheck.a $(LIBS_WORKSPACE)

check_PROGRAMS += tests/unit/journal-test
TESTS += tests/unit/journal-test
tests_unit_journal_test_SOURCES = tests/unit/journal-test.c
tests_unit_journal_test_LDADD = tests/lib/libcheck.a $(LIBS_WORKSPACE)

check_PROGRAMS += tests/unit/recent-test
TESTS += tests/unit/recent-test
tests_unit_recent_test_SOURCES = tests/unit/recent-test.c
tests_unit_recent_test_LDADD = tests/lib/libcheck.a $(LIBS_WORKSPACE)

check_PROGRAMS += tests/unit/append-test
TESTS += tests/unit/append-test
tests_unit_append_test_SOURCES = tests/unit/append-test.c
tests_unit_append_test_LDADD = tests/lib/libcheck.a $(LIBS_WORKSPACE)

check_PROGRAMS += tests/unit/journal-map-test
TESTS += tests/unit/journal-map-test
tests_unit_journal_map_test_SOURCES = tests/unit/journal-map-test.c
tests_unit_journal_map_test_LDADD = tests/lib/libcheck.a $(LIBS_WORKSPACE)
