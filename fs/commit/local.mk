# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += fs/commit/libcommit.a
fs_commit_libcommit_a_SOURCES = \
	fs/commit/changes.c fs/commit/changes.h \
	fs/commit/changes_find.c fs/commit/changes_impl.h \
	fs/commit/commit.c fs/commit/commit.h \
	fs/commit/delta.c fs/commit/delta.h \
	fs/commit/delta_content.c \
	fs/commit/dirs.c fs/commit/dirs.h \
	fs/commit/facts.c \
	fs/commit/levels.c fs/commit/levels.h \
	fs/commit/places.c fs/commit/places.h \
	fs/commit/records.c fs/commit/records.h \
	fs/commit/refer.c fs/commit/refer.h \
	fs/commit/resting.c fs/commit/resting.h \
	fs/commit/session.c fs/commit/session.h \
	fs/commit/stack.c fs/commit/stack.h \
	fs/commit/summary.c fs/commit/summary.h \
	fs/commit/undo.c fs/commit/undo.h

LIBS_COMMIT = fs/commit/libcommit.a $(LIBS_LIVE) $(LIBS_CONTROL) $(LIBS_OPS)

check_PROGRAMS += tests/unit/levels-test tests/unit/commit-test
TESTS += tests/unit/levels-test tests/unit/commit-test
tests_unit_levels_test_SOURCES = tests/unit/levels-test.c
tests_unit_levels_test_LDADD = tests/lib/libcheck.a $(LIBS_COMMIT)
tests_unit_commit_test_SOURCES = tests/unit/commit-test.c
tests_unit_commit_test_LDADD = tests/lib/libcheck.a $(LIBS_COMMIT)
