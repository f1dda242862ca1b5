# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += layers/blob/libblob.a
layers_blob_libblob_a_SOURCES = \
	layers/blob/blobs.c layers/blob/blobs.h layers/blob/blobs_impl.h \
	layers/blob/blobs_once.c \
	layers/blob/blobs_sweep.c layers/blob/blobs_sweep.h \
	layers/blob/build_content.c \
	layers/blob/build_impl.h \
	layers/blob/build_move.c \
	layers/blob/build_order.c \
	layers/blob/chunks.c layers/blob/chunks.h \
	layers/blob/chunks_impl.h \
	layers/blob/chunks_run.c \
	layers/blob/compose_clone.c layers/blob/compose_clone.h \
	layers/blob/compose_content.c \
	layers/blob/compose_impl.h \
	layers/blob/data_disk.h \
	layers/blob/data_gather.c layers/blob/data_gather.h \
	layers/blob/data_write.c layers/blob/data_write.h \
	layers/blob/fds.c layers/blob/fds.h \
	layers/blob/intern.c layers/blob/intern.h \
	layers/blob/pack.c layers/blob/pack.h \
	layers/blob/pack_feed.c \
	layers/blob/pack_find.c \
	layers/blob/pack_follow.c \
	layers/blob/pack_impl.h \
	layers/blob/pack_job.c \
	layers/blob/pack_place.c \
	layers/blob/pack_seen.c layers/blob/pack_seen.h \
	layers/blob/pack_write.c \
	layers/blob/pieces.c layers/blob/pieces.h \
	layers/blob/record.c layers/blob/record.h \
	layers/blob/scratch.c layers/blob/scratch.h \
	layers/blob/table.c layers/blob/table.h \
	layers/blob/table_disk.h \
	layers/blob/table_get.c \
	layers/blob/table_impl.h \
	layers/blob/table_write.c \
	layers/blob/tree.c layers/blob/tree.h \
	layers/blob/tree_build.c layers/blob/tree_build.h \
	layers/blob/tree_check.c layers/blob/tree_check.h \
	layers/blob/tree_compose.c \
	layers/blob/tree_content.c \
	layers/blob/tree_disk.h \
	layers/blob/tree_find.c \
	layers/blob/tree_impl.h \
	layers/blob/tree_write.c \
	layers/blob/view.c layers/blob/view.h \
	layers/blob/xattr.c

# What a program links for this room and those below it.
LIBS_BLOB = layers/blob/libblob.a $(LIBS_CHUNK) $(LIBS_BASE)

check_PROGRAMS += tests/unit/blobs-test
TESTS += tests/unit/blobs-test
tests_unit_blobs_test_SOURCES = tests/unit/blobs-test.c
tests_unit_blobs_test_LDADD = tests/lib/libcheck.a $(LIBS_BLOB)

check_PROGRAMS += tests/unit/chunks-test
TESTS += tests/unit/chunks-test
tests_unit_chunks_test_SOURCES = tests/unit/chunks-test.c
tests_unit_chunks_test_LDADD = tests/lib/libcheck.a $(LIBS_BLOB)

check_PROGRAMS += tests/unit/scratch-test
TESTS += tests/unit/scratch-test
tests_unit_scratch_test_SOURCES = tests/unit/scratch-test.c
tests_unit_scratch_test_LDADD = tests/lib/libcheck.a $(LIBS_BLOB)

check_PROGRAMS += tests/unit/table-test
TESTS += tests/unit/table-test
tests_unit_table_test_SOURCES = tests/unit/table-test.c tests/lib/table_sums.h
tests_unit_table_test_LDADD = tests/lib/libcheck.a $(LIBS_BLOB)

check_PROGRAMS += tests/unit/tree-test
TESTS += tests/unit/tree-test
tests_unit_tree_test_SOURCES = tests/unit/tree-test.c \
	tests/unit/tree-build-test.c tests/unit/tree-damage-test.c \
	tests/unit/tree-sample.c tests/unit/tree-sample.h \
	tests/lib/table_sums.h
tests_unit_tree_test_LDADD = tests/lib/libcheck.a $(LIBS_BLOB)

check_PROGRAMS += tests/unit/compose-test
TESTS += tests/unit/compose-test
tests_unit_compose_test_SOURCES = tests/unit/compose-test.c \
	tests/unit/compose-model.c tests/unit/compose-model.h
tests_unit_compose_test_LDADD = tests/lib/libcheck.a $(LIBS_BLOB)

check_PROGRAMS += tests/unit/pack-test
TESTS += tests/unit/pack-test
tests_unit_pack_test_SOURCES = \
	tests/lib/workshop.c tests/lib/workshop.h \
	tests/unit/pack-follow.c \
	tests/unit/pack-holes.c \
	tests/unit/pack-lower.c \
	tests/unit/pack-same.c \
	tests/unit/pack-test.c
tests_unit_pack_test_LDADD = tests/lib/libcheck.a $(LIBS_BLOB)
