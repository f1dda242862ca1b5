# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += layers/chunk/libchunk.a
layers_chunk_libchunk_a_SOURCES = \
	layers/chunk/codec.c layers/chunk/codec.h \
	layers/chunk/cut.c layers/chunk/cut.h \
	layers/chunk/gear.c layers/chunk/gear.h

# What a program links for this room and those below it.
LIBS_CHUNK = layers/chunk/libchunk.a $(LZ4_LIBS) $(ZSTD_LIBS) $(LIBS_BASE)

check_PROGRAMS += tests/unit/chunk-test
TESTS += tests/unit/chunk-test
tests_unit_chunk_test_SOURCES = tests/unit/chunk-test.c
tests_unit_chunk_test_LDADD = tests/lib/libcheck.a $(LIBS_CHUNK)
