# SPDX-License-Identifier: Apache-2.0
check_LIBRARIES += tests/lib/libcheck.a
tests_lib_libcheck_a_SOURCES = tests/lib/check.c tests/lib/check.h

TESTS += tests/layering.test
dist_check_SCRIPTS += tests/layering.test
