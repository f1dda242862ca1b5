# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += fs/live/liblive.a
fs_live_liblive_a_SOURCES = \
	fs/live/key.c \
	fs/live/record.c fs/live/record.h \
	fs/live/record_disk.h

# What a program links for this room and those below it.
LIBS_LIVE = fs/live/liblive.a $(LIBS_WORKSPACE) $(LIBS_INDEX)

check_PROGRAMS += tests/unit/record-test
TESTS += tests/unit/record-test
tests_unit_record_test_SOURCES = tests/unit/record-test.c
tests_unit_record_test_LDADD = tests/lib/libcheck.a $(LIBS_LIVE)
