# SPDX-License-Identifier: Apache-2.0
check_LIBRARIES += tests/lib/libcheck.a
tests_lib_libcheck_a_SOURCES = tests/lib/check.c tests/lib/check.h

TESTS += tests/layering.test
dist_check_SCRIPTS += tests/layering.test

check_PROGRAMS += tests/lib/gendata tests/mount/truth
tests_lib_gendata_SOURCES = tests/lib/gendata.c
tests_mount_truth_SOURCES = tests/mount/truth.c tests/mount/truth.h \
	tests/mount/truth_compare.c tests/mount/truth_op.c
tests_mount_truth_LDADD = $(LIBS_BASE)

# Shell that tests source.
EXTRA_DIST += tests/lib/mount.sh tests/long.sh

# The tests that need no mount: what runs under sanitizers.
print-unit-tests:
	@echo $(filter tests/unit/% tests/fuzz/%,$(TESTS))
.PHONY: print-unit-tests

include tests/fuzz/local.mk
