# SPDX-License-Identifier: Apache-2.0
#
# `make bench`: Shale beside its peers.  BENCH="--quick mounts" says which.
EXTRA_PROGRAMS = tests/bench/load
tests_bench_load_SOURCES = tests/bench/load.c
CLEANFILES += tests/bench/load
EXTRA_DIST += tests/bench/run tests/bench/corpus.py tests/bench/keepers.py \
	tests/bench/measure.py tests/bench/mounts.py tests/bench/peers.py \
	tests/bench/versions.py tests/bench/writes.py

bench: all tests/bench/load tests/lib/gendata
	$(AM_V_at)top_builddir='$(abs_top_builddir)' \
		$(top_srcdir)/tests/bench/run $(BENCH)
.PHONY: bench
