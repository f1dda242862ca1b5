# SPDX-License-Identifier: Apache-2.0

# Compares two directories in everything that an image keeps; for the tests of
# import, export and mounts.
check_PROGRAMS += tests/lib/treecmp
tests_lib_treecmp_SOURCES = tests/lib/treecmp.c
