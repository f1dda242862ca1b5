# SPDX-License-Identifier: Apache-2.0
#
# `make bench`: Shale beside its peers, as a table, bench.json and bench.svg.
# BENCH="--quick mounts" says which.
EXTRA_PROGRAMS = tests/bench/load
tests_bench_load_SOURCES = tests/bench/load.c
CLEANFILES += tests/bench/load bench.json bench.svg
EXTRA_DIST += tests/bench/run tests/bench/corpus.py tests/bench/databases.py \
	tests/bench/keepers.py tests/bench/measure.py tests/bench/mounts.py tests/bench/peers.py \
	tests/bench/scale.py tests/bench/svg.py \
	tests/bench/versions.py tests/bench/writes.py

bench: all tests/bench/load tests/lib/gendata tests/lib/treecmp
	$(AM_V_at)top_builddir='$(abs_top_builddir)' \
		$(top_srcdir)/tests/bench/run --json bench.json \
			--svg bench.svg $(BENCH)
.PHONY: bench
