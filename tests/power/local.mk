# SPDX-License-Identifier: Apache-2.0
#
# The disk under a store loses power, fills up, fails.
POWER_TESTS = tests/power/cuts.test tests/power/faults.test \
	tests/power/pgcuts.test
TESTS += $(POWER_TESTS)
dist_check_SCRIPTS += $(POWER_TESTS)
EXTRA_DIST += tests/power/cuts.py tests/power/cutter.py \
	tests/power/database.py tests/power/disk.py tests/power/faults.py \
	tests/power/history.py tests/power/load.py tests/power/pgcuts.py \
	tests/power/power.sh tests/power/strikes.py

check_PROGRAMS += tests/power/logdisk
tests_power_logdisk_SOURCES = tests/power/logdisk.c
tests_power_logdisk_CFLAGS = $(AM_CFLAGS) $(FUSE_CFLAGS)
tests_power_logdisk_LDADD = $(FUSE_LIBS)
