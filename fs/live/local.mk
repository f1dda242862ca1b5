# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += fs/live/liblive.a
fs_live_liblive_a_SOURCES = \
	fs/live/acl.c fs/live/acl.h \
	fs/live/attr.c \
	fs/live/blockmap.c fs/live/blockmap.h \
	fs/live/body.c fs/live/body.h \
	fs/live/body_lent.c \
	fs/live/body_seek.c \
	fs/live/body_space.c \
	fs/live/body_write.c \
	fs/live/change.c fs/live/change.h \
	fs/live/commit.c \
	fs/live/content.c \
	fs/live/copy.c \
	fs/live/discard.c fs/live/discard.h \
	fs/live/discard_inode.c \
	fs/live/discard_name.c \
	fs/live/discard_paths.c \
	fs/live/discard_scope.c fs/live/discard_scope.h \
	fs/live/flush.c fs/live/flush.h \
	fs/live/impl.h \
	fs/live/key.c \
	fs/live/lend.c fs/live/lend.h \
	fs/live/lend_back.c \
	fs/live/link.c \
	fs/live/live.c fs/live/live.h \
	fs/live/loans.c \
	fs/live/make.c \
	fs/live/merge.c fs/live/merge.h \
	fs/live/names.c fs/live/names.h \
	fs/live/node.c fs/live/node.h \
	fs/live/orphan.c fs/live/orphan.h \
	fs/live/path.c \
	fs/live/quota.c fs/live/quota.h \
	fs/live/ranges.c fs/live/ranges.h \
	fs/live/readahead.c fs/live/readahead.h \
	fs/live/readdir.c \
	fs/live/rebase.c \
	fs/live/record.c fs/live/record.h \
	fs/live/record_disk.h \
	fs/live/rename.c fs/live/rename.h \
	fs/live/resume.c fs/live/resume.h \
	fs/live/settle.c fs/live/settle.h \
	fs/live/source.c fs/live/source.h \
	fs/live/sync.c fs/live/sync.h \
	fs/live/told.c fs/live/told.h \
	fs/live/xattr.c fs/live/xattr.h

# What a program links for this room and those below it.
LIBS_LIVE = fs/live/liblive.a $(LIBS_WORKSPACE) $(LIBS_INDEX)

check_PROGRAMS += tests/unit/record-test
TESTS += tests/unit/record-test
tests_unit_record_test_SOURCES = tests/unit/record-test.c
tests_unit_record_test_LDADD = tests/lib/libcheck.a $(LIBS_LIVE)

live_rig = tests/unit/live-rig.c tests/unit/live-rig.h \
	tests/unit/live-rig-image.c tests/unit/live-rig-image.h

check_PROGRAMS += tests/unit/live-test
TESTS += tests/unit/live-test
tests_unit_live_test_SOURCES = tests/unit/live-test.c \
	tests/unit/live-attributes.c tests/unit/live-listing.c $(live_rig)
tests_unit_live_test_LDADD = tests/lib/libcheck.a $(LIBS_LIVE)

check_PROGRAMS += tests/unit/live-model-test
TESTS += tests/unit/live-model-test
tests_unit_live_model_test_SOURCES = tests/unit/live-model-test.c \
	tests/unit/live-model-discard.c tests/unit/live-model-ops.c \
	tests/unit/live-model.h $(live_rig)
tests_unit_live_model_test_LDADD = tests/lib/libcheck.a $(LIBS_LIVE)

check_PROGRAMS += tests/unit/live-rules-test
TESTS += tests/unit/live-rules-test
tests_unit_live_rules_test_SOURCES = tests/unit/live-rules-test.c
tests_unit_live_rules_test_LDADD = tests/lib/libcheck.a $(LIBS_LIVE)

check_PROGRAMS += tests/unit/live-content-test
TESTS += tests/unit/live-content-test
tests_unit_live_content_test_SOURCES = tests/unit/live-content-test.c $(live_rig)
tests_unit_live_content_test_LDADD = tests/lib/libcheck.a $(LIBS_LIVE)

check_PROGRAMS += tests/unit/live-lend-test
TESTS += tests/unit/live-lend-test
tests_unit_live_lend_test_SOURCES = tests/unit/live-lend-test.c \
	tests/unit/live-lend-cuts.c tests/unit/live-lend-rig.c \
	tests/unit/live-lend.h $(live_rig)
tests_unit_live_lend_test_LDADD = tests/lib/libcheck.a $(LIBS_LIVE)

check_PROGRAMS += tests/unit/live-sync-test
TESTS += tests/unit/live-sync-test
tests_unit_live_sync_test_SOURCES = tests/unit/live-sync-test.c $(live_rig)
tests_unit_live_sync_test_LDADD = tests/lib/libcheck.a $(LIBS_LIVE)

check_PROGRAMS += tests/unit/live-cut-test
TESTS += tests/unit/live-cut-test
tests_unit_live_cut_test_SOURCES = tests/unit/live-cut-test.c $(live_rig)
tests_unit_live_cut_test_LDADD = tests/lib/libcheck.a $(LIBS_LIVE)

check_PROGRAMS += tests/unit/live-thread-test
TESTS += tests/unit/live-thread-test
tests_unit_live_thread_test_SOURCES = tests/unit/live-thread-test.c $(live_rig)
tests_unit_live_thread_test_LDADD = tests/lib/libcheck.a $(LIBS_LIVE)

check_PROGRAMS += tests/unit/live-told-test
TESTS += tests/unit/live-told-test
tests_unit_live_told_test_SOURCES = tests/unit/live-told-test.c $(live_rig)
tests_unit_live_told_test_LDADD = tests/lib/libcheck.a $(LIBS_LIVE)

check_PROGRAMS += tests/unit/live-discard-test
TESTS += tests/unit/live-discard-test
tests_unit_live_discard_test_SOURCES = tests/unit/live-discard-test.c $(live_rig)
tests_unit_live_discard_test_LDADD = tests/lib/libcheck.a $(LIBS_LIVE)
