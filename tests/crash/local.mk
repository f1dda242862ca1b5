# SPDX-License-Identifier: Apache-2.0
#
# Commands that are killed, interrupted, fail or meet at any moment.
CRASH_TESTS = tests/crash/full.test tests/crash/locked.test \
	tests/crash/pairs.test tests/crash/strike.test
TESTS += $(CRASH_TESTS)
dist_check_SCRIPTS += $(CRASH_TESTS)
EXTRA_DIST += tests/crash/pairs.py tests/crash/points.py \
	tests/crash/portable.py tests/crash/removing.py tests/crash/scenarios.py tests/crash/store.py \
	tests/crash/world.py

check_PROGRAMS += tests/crash/inject
tests_crash_inject_SOURCES = tests/crash/inject.c \
	tests/crash/call.c tests/crash/call.h \
	tests/crash/strike.c tests/crash/strike.h \
	tests/crash/trap.c tests/crash/trap.h \
	tests/crash/unsynced.c tests/crash/unsynced.h
