# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += layers/ops/libops.a
layers_ops_libops_a_SOURCES = \
	layers/ops/alike.c layers/ops/alike.h \
	layers/ops/arrival.c layers/ops/arrival.h \
	layers/ops/beneath.c layers/ops/beneath.h \
	layers/ops/diff.c layers/ops/diff.h layers/ops/diff_impl.h \
	layers/ops/diff_content.c \
	layers/ops/diff_inode.c \
	layers/ops/diff_marks.c \
	layers/ops/exclude.c layers/ops/exclude.h \
	layers/ops/export.c layers/ops/export.h \
	layers/ops/export_finish.c \
	layers/ops/export_impl.h \
	layers/ops/export_job.c \
	layers/ops/feed.c layers/ops/feed.h \
	layers/ops/filesums.c layers/ops/filesums.h \
	layers/ops/imagedoc.c layers/ops/imagedoc.h \
	layers/ops/import.c layers/ops/import.h \
	layers/ops/import_beside.c \
	layers/ops/import_emit.c \
	layers/ops/import_impl.h \
	layers/ops/import_layer.c layers/ops/import_layer.h \
	layers/ops/import_losses.c \
	layers/ops/import_number.c \
	layers/ops/import_read.c \
	layers/ops/gc.c layers/ops/gc.h layers/ops/gc_impl.h \
	layers/ops/gc_caches.c \
	layers/ops/gc_mark.c \
	layers/ops/inodemap.c layers/ops/inodemap.h \
	layers/ops/json_bytes.c layers/ops/json_bytes.h \
	layers/ops/keyset.c layers/ops/keyset.h \
	layers/ops/load.c layers/ops/load.h \
	layers/ops/load_blobs.c layers/ops/load_blobs.h \
	layers/ops/metadoc.c layers/ops/metadoc.h \
	layers/ops/onto.c layers/ops/onto.h \
	layers/ops/outfile.c layers/ops/outfile.h \
	layers/ops/plan.c layers/ops/plan.h \
	layers/ops/plan_hide.c \
	layers/ops/plan_impl.h \
	layers/ops/plan_walk.c \
	layers/ops/reader.c layers/ops/reader.h \
	layers/ops/replay.c layers/ops/replay.h \
	layers/ops/replay_apply.c \
	layers/ops/replay_batch.c \
	layers/ops/replay_dir.c \
	layers/ops/replay_file.c \
	layers/ops/replay_finish.c \
	layers/ops/replay_impl.h \
	layers/ops/replay_links.c \
	layers/ops/replay_local.c \
	layers/ops/replay_stage.c \
	layers/ops/replay_steps.c \
	layers/ops/replay_whole.c \
	layers/ops/restore.c layers/ops/restore.h \
	layers/ops/restore_attributes.c \
	layers/ops/restore_basis.c \
	layers/ops/ring.c layers/ops/ring.h \
	layers/ops/same_bytes.c layers/ops/same_bytes.h \
	layers/ops/survey.c layers/ops/survey.h \
	layers/ops/save.h \
	layers/ops/save_list.c \
	layers/ops/saved_name.c layers/ops/saved_name.h \
	layers/ops/source_dir.c \
	layers/ops/verify.c layers/ops/verify.h layers/ops/verify_impl.h \
	layers/ops/verify_blobs.c \
	layers/ops/verify_caches.c \
	layers/ops/verify_chunks.c \
	layers/ops/verify_files.c layers/ops/verify_files.h \
	layers/ops/verify_merge.c \
	layers/ops/verify_paths.c \
	layers/ops/verify_versions.c \
	layers/ops/walk.c layers/ops/walk.h \
	layers/ops/whiteout.c layers/ops/whiteout.h \
	layers/ops/xattrs.c layers/ops/xattrs.h

LIBS_OPS = layers/ops/libops.a $(LIBS_STORE)

# What needs libarchive, for programs that do.
noinst_LIBRARIES += layers/ops/libarchives.a
layers_ops_libarchives_a_SOURCES = \
	layers/ops/archive_acl.c layers/ops/archive_acl.h \
	layers/ops/archive_ahead.c layers/ops/archive_ahead.h \
	layers/ops/archive_export.c \
	layers/ops/archive_load.c \
	layers/ops/archive_out.c layers/ops/archive_out.h \
	layers/ops/archive_item.c layers/ops/archive_item.h \
	layers/ops/archive_read.c layers/ops/archive_read.h \
	layers/ops/archive_save.c \
	layers/ops/source_archive.c
layers_ops_libarchives_a_CPPFLAGS = $(AM_CPPFLAGS) $(ARCHIVE_CFLAGS)

LIBS_ARCHIVES = layers/ops/libarchives.a $(LIBS_OPS) $(ARCHIVE_LIBS)

# Compares two directories in everything that an image keeps; for the tests of
# import, export and mounts.
check_PROGRAMS += tests/lib/treecmp
tests_lib_treecmp_SOURCES = tests/lib/treecmp.c

check_PROGRAMS += tests/unit/diff-test
TESTS += tests/unit/diff-test
tests_unit_diff_test_SOURCES = tests/unit/diff-test.c \
	tests/unit/diff-line.h tests/unit/diff-model-test.c \
	tests/unit/layers.c tests/unit/layers.h
tests_unit_diff_test_LDADD = tests/lib/libcheck.a $(LIBS_OPS)

check_PROGRAMS += tests/unit/import-test tests/unit/whiteout-test
TESTS += tests/unit/import-test tests/unit/whiteout-test
tests_unit_whiteout_test_SOURCES = tests/unit/whiteout-test.c
tests_unit_whiteout_test_LDADD = tests/lib/libcheck.a $(LIBS_OPS)
tests_unit_import_test_SOURCES = tests/unit/import-test.c
tests_unit_import_test_LDADD = tests/lib/libcheck.a $(LIBS_OPS)

check_PROGRAMS += tests/unit/alike-test
TESTS += tests/unit/alike-test
tests_unit_alike_test_SOURCES = tests/unit/alike-test.c \
	tests/lib/workshop.c tests/lib/workshop.h
tests_unit_alike_test_LDADD = tests/lib/libcheck.a $(LIBS_OPS)

check_PROGRAMS += tests/unit/survey-test
TESTS += tests/unit/survey-test
tests_unit_survey_test_SOURCES = tests/unit/survey-test.c
tests_unit_survey_test_LDADD = tests/lib/libcheck.a $(LIBS_OPS)

check_PROGRAMS += tests/unit/filesums-test
TESTS += tests/unit/filesums-test
tests_unit_filesums_test_SOURCES = tests/unit/filesums-test.c \
	tests/lib/workshop.c tests/lib/workshop.h
tests_unit_filesums_test_LDADD = tests/lib/libcheck.a $(LIBS_OPS)

check_PROGRAMS += tests/unit/gc-test
TESTS += tests/unit/gc-test
tests_unit_gc_test_SOURCES = tests/unit/gc-test.c \
	tests/unit/gc-caches.c tests/unit/gc-rig.c tests/unit/gc-rig.h \
	tests/unit/stored.c tests/unit/stored.h
tests_unit_gc_test_LDADD = tests/lib/libcheck.a $(LIBS_OPS)

check_PROGRAMS += tests/unit/keyset-test
TESTS += tests/unit/keyset-test
tests_unit_keyset_test_SOURCES = tests/unit/keyset-test.c
tests_unit_keyset_test_LDADD = tests/lib/libcheck.a $(LIBS_OPS)

OPS_TESTS = \
	tests/ops/archives.test \
	tests/ops/bad-input.test \
	tests/ops/export-archives.test \
	tests/ops/onto.test \
	tests/ops/replay-random.test \
	tests/ops/replay.test \
	tests/ops/reproducible.test \
	tests/ops/roundtrip.test \
	tests/ops/save.test
TESTS += $(OPS_TESTS)
dist_check_SCRIPTS += $(OPS_TESTS)
EXTRA_DIST += tests/lib/everything.py tests/lib/randomtree.py
