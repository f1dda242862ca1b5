# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += layers/index/libindex.a
layers_index_libindex_a_SOURCES = \
	layers/index/content.c layers/index/content.h \
	layers/index/content_data.c \
	layers/index/content_read.c \
	layers/index/image.c layers/index/image.h \
	layers/index/index.c layers/index/index.h \
	layers/index/inode.c layers/index/inode.h \
	layers/index/index_disk.h \
	layers/index/index_inode.c \
	layers/index/index_names.c \
	layers/index/index_path.c \
	layers/index/index_verify.c \
	layers/index/levels.c layers/index/levels.h \
	layers/index/living.c layers/index/living.h \
	layers/index/merge.c layers/index/merge.h \
	layers/index/patch.c layers/index/patch.h \
	layers/index/patch_delta.c layers/index/patch_delta.h \
	layers/index/patch_disk.h \
	layers/index/patch_impl.h layers/index/patch_inodes.c \
	layers/index/patch_names.c layers/index/patch_names.h \
	layers/index/patch_write.c \
	layers/index/record.h \
	layers/index/runs.c layers/index/runs.h \
	layers/index/union.c \
	layers/index/walk.c layers/index/walk.h \
	layers/index/write.c layers/index/write.h

LIBS_INDEX = layers/index/libindex.a $(LIBS_BLOB)

check_PROGRAMS += tests/unit/merge-test
TESTS += tests/unit/merge-test
tests_unit_merge_test_SOURCES = tests/unit/merge-test.c \
	tests/unit/merge-model.c \
	tests/unit/layers.c tests/unit/layers.h
tests_unit_merge_test_LDADD = tests/lib/libcheck.a $(LIBS_INDEX)

check_PROGRAMS += tests/unit/content-test
TESTS += tests/unit/content-test
tests_unit_content_test_SOURCES = tests/unit/content-test.c \
	tests/unit/layers.c tests/unit/layers.h
tests_unit_content_test_LDADD = tests/lib/libcheck.a $(LIBS_INDEX)

check_PROGRAMS += tests/unit/index-test
TESTS += tests/unit/index-test
tests_unit_index_test_SOURCES = tests/unit/index-test.c \
	tests/unit/layers.c tests/unit/layers.h
tests_unit_index_test_LDADD = tests/lib/libcheck.a $(LIBS_INDEX)

check_PROGRAMS += tests/unit/patch-test
TESTS += tests/unit/patch-test
tests_unit_patch_test_SOURCES = tests/unit/patch-test.c \
	tests/unit/layers.c tests/unit/layers.h
tests_unit_patch_test_LDADD = tests/lib/libcheck.a $(LIBS_INDEX)

check_PROGRAMS += tests/unit/union-test
TESTS += tests/unit/union-test
tests_unit_union_test_SOURCES = tests/unit/union-test.c \
	tests/unit/layers.c tests/unit/layers.h
tests_unit_union_test_LDADD = tests/lib/libcheck.a $(LIBS_INDEX)
