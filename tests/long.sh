# SPDX-License-Identifier: Apache-2.0
# The long modes, sourced by tests/run --long, whose functions it uses: fuzzing,
# kills with -o writeback, ThreadSanitizer, and the suites in $SHALE_SUITES.  (The
# tests themselves took their full size from SHALE_LONG before.)

fuzz_seconds=${SHALE_FUZZ_SECONDS:-300}
say "configure for fuzzing" fresh fuzzing --enable-fuzzing --enable-sanitizers \
	CC=clang CFLAGS='-O1 -g'
say "build the fuzzers" make -C build/fuzzing -j"$jobs" fuzzers
for harness in build/fuzzing/tests/fuzz/*_fuzz; do
	name=$(basename "$harness")
	mkdir -p "build/fuzzing/corpus/$name"
	echo "== fuzz: $name, $fuzz_seconds s"
	if "$harness" -max_total_time="$fuzz_seconds" -rss_limit_mb=4096 \
		-timeout=20 -artifact_prefix="build/fuzzing/$name-" \
		"build/fuzzing/corpus/$name" "tests/fuzz/corpus/${name%_fuzz}" \
		>"build/fuzzing/$name.log" 2>&1; then
		passed=$((passed + 1))
		sed -n 's/^Done/   done/p' "build/fuzzing/$name.log"
	else
		failed=$((failed + 1))
		tail -n 30 "build/fuzzing/$name.log"
	fi
done

# What the kernel keeps outlives daemons, too.
echo "== kills, with -o writeback"
if SHALE_O=writeback make -C build/plain check \
	TESTS=tests/mount/kills.test >>"$log" 2>&1; then
	passed=$((passed + 1))
else
	failed=$((failed + 1))
	tail -n 40 build/plain/tests/mount/kills.log
fi

# What has threads, with ThreadSanitizer: the unit tests, and the daemon under
# eight processes, commits and kills.
say "configure with ThreadSanitizer" fresh threads --enable-tsan \
	CFLAGS='-O1 -g'
say "build with ThreadSanitizer" make -C build/threads -j"$jobs"
echo "== test with ThreadSanitizer"
reports=$top/build/threads/thread-report
export TSAN_OPTIONS="log_path=$reports die_after_fork=0" \
	SHALE_LONG='' SHALE_OPS=50000 SHALE_KILLS=100
check threads TESTS="$(make -s -C build/threads print-threaded-tests)"
unset TSAN_OPTIONS SHALE_OPS SHALE_KILLS
export SHALE_LONG=1
count_reports "$reports".*

# Suites that somebody built already: each an executable `run` in a folder of
# its own, called with a directory on a writable mount (pjdfstest, fsx over
# base/big, fsstress): tests/on-mount says how, and what is checked afterwards.
export SHALE_SUITE_BIG="${SHALE_SUITE_BIG:-256M}"
if [ -n "${SHALE_SUITES:-}" ]; then
	for suite in "$SHALE_SUITES"/*/run; do
		[ -x "$suite" ] || continue
		echo "== $suite"
		if tests/on-mount "$suite" >>"$log" 2>&1; then
			passed=$((passed + 1))
		else
			failed=$((failed + 1))
			tail -n 40 "$log"
		fi
	done
fi
