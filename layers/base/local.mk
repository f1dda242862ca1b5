# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += layers/base/libbase.a
layers_base_libbase_a_SOURCES = \
	layers/base/buf.c layers/base/buf.h \
	layers/base/bytes.h \
	layers/base/cleanup.h \
	layers/base/clock.c layers/base/clock.h \
	layers/base/dir.c layers/base/dir.h \
	layers/base/err.c layers/base/err.h \
	layers/base/hash.c layers/base/hash.h \
	layers/base/io.c layers/base/io.h \
	layers/base/map.c layers/base/map.h \
	layers/base/pool.c layers/base/pool.h \
	layers/base/text.c layers/base/text.h \
	layers/base/turns.c layers/base/turns.h

# What a program links for this room and those below it.
LIBS_BASE = layers/base/libbase.a $(CRYPTO_LIBS) $(XXHASH_LIBS) -lpthread

check_PROGRAMS += tests/unit/base-test
TESTS += tests/unit/base-test
tests_unit_base_test_SOURCES = tests/unit/base-test.c
tests_unit_base_test_LDADD = tests/lib/libcheck.a $(LIBS_BASE)
