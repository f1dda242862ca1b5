# SPDX-License-Identifier: Apache-2.0
#
# For tests that use the programs, and real mounts: source it. It gives
#
#   $dir    a fresh directory; at the end everything below is unmounted, and gone
#   SHALE_STORE=$dir/store, and PATH with the programs that were built
#   ok NAME COMMAND…     one test: the command succeeds
#   is NAME GOT WANT     one test: two texts are equal
#   not_ok NAME COMMAND… one test: the command fails (but is not killed)
#   code COMMAND…        its exit code; what it says is in $dir/said and $dir/err
#   has PROGRAM          is it installed?
#   skip_all WHY         no test can run here
#   pid_of DIR [KEY]     the process that serves a mount now, or its holder_pid
#   kill_daemon DIR      that one dies: another takes over
#   kill_mount DIR       what serves a mount dies, and nobody takes over
#   same_as_mount REF    a version, mounted afresh at $dir/v, equals $dir/m
#   need_mount           skip_all unless FUSE mounts work
#   for_everyone         the programs where any user can run them
#   done_testing         the plan; call it last
#
# A command's output is shown when its test fails.

builddir=${top_builddir:-$(pwd)}
srcdir=${top_srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
PATH=$builddir/tools:$builddir/fs:$builddir/tests/lib:$builddir/tests/mount:$PATH
export PATH
unset MAKEFLAGS MFLAGS MAKELEVEL # of the make that runs the tests
umask 022
export TZ=UTC LC_ALL=C

dir=$(mktemp -d "${TMPDIR:-/tmp}/shale-test.XXXXXX")
export SHALE_STORE=$dir/store
tap_n=0

tap_cleanup() {
	status=$?
	trap - EXIT INT TERM
	# What is mounted below, deepest first.
	awk -v d="$dir/" 'index($5, d) == 1 { print $5 }' /proc/self/mountinfo |
	sort -r | while read -r mount; do
		umount "$mount" 2>/dev/null || umount -l "$mount"
	done
	if [ -n "${SHALE_KEEP:-}" ]; then
		echo "# kept: $dir"
	else
		for _ in 1 2 3 4 5; do
			rm -rf "$dir" 2>/dev/null && break
			sleep 0.2
		done
	fi
	exit $status
}
trap tap_cleanup EXIT
trap 'exit 130' INT TERM

skip_all() {
	echo "1..0 # SKIP $*"
	exit 0
}

tap_result() { # STATUS NAME
	tap_n=$((tap_n + 1))
	if [ "$1" = 0 ]; then
		echo "ok $tap_n - $2"
	else
		sed 's/^/# /' "$dir/tap.out" 2>/dev/null | tail -n 25
		echo "not ok $tap_n - $2"
	fi
	return 0
}

ok() {
	tap_name=$1
	shift
	"$@" >"$dir/tap.out" 2>&1
	tap_status=$?
	[ $tap_status = 0 ] || echo "(exit $tap_status from: $*)" >>"$dir/tap.out"
	tap_result $tap_status "$tap_name"
}

not_ok() {
	tap_name=$1
	shift
	"$@" >"$dir/tap.out" 2>&1
	tap_status=$?
	[ $tap_status != 0 ] && [ $tap_status -lt 128 ]
	tap_result $? "$tap_name"
}

is() {
	printf 'is:\n%s\nshould be:\n%s\n' "$2" "$3" >"$dir/tap.out"
	[ "$2" = "$3" ]
	tap_result $? "$1"
}

# at_most NAME FIGURE LIMIT: a figure, shown either way
at_most() {
	echo "# $1: $2 (at most $3)"
	printf '%s is over %s\n' "$2" "$3" >"$dir/tap.out"
	awk "BEGIN { exit !($2 <= $3) }"
	tap_result $? "$1"
}

code() {
	"$@" >"$dir/said" 2>"$dir/err"
	echo $?
}

has() {
	command -v "$1" >/dev/null
}

pid_of() {
	shale status --mount "$1" --json | jq ".${2:-pid}"
}

kill_daemon() {
	pid=$(pid_of "$1" 2>/dev/null)
	[ -n "$pid" ] && kill -KILL "$pid" 2>/dev/null
}

# kill_mount DIR: its daemon, and first who would start another
kill_mount() {
	# shellcheck disable=SC2046 # two words
	kill -KILL $(shale status --mount "$1" --json |
		jq '.holder_pid, .pid')
	while stat -f "$1" >/dev/null 2>&1; do sleep 0.02; done
	return 0
}

same_as_mount() {
	shale -q mount "$1" "$dir/v" && treecmp "$dir/m" "$dir/v"
	same_status=$?
	shale -q umount "$dir/v"
	return $same_status
}

done_testing() {
	echo "1..$tap_n"
}

need_mount() {
	[ "$(id -u)" = 0 ] || skip_all "needs root"
	[ -c /dev/fuse ] || skip_all "needs /dev/fuse"
}

# The tree may lie where only its owner may go (/root is such a place).
for_everyone() {
	mkdir -m 755 "$dir/bin"
	find "$builddir/tools" "$builddir/fs" -maxdepth 1 -name 'shale*' -type f \
		-perm -1 -exec cp {} "$dir/bin/" \;
	chmod 755 "$dir"
	PATH=$dir/bin:$PATH
}

# Bytes of all blobs in the store; of those that are trees.
blob_bytes() {
	find "$SHALE_STORE/blobs/sha256" -type f -printf '%s\n' |
	awk '{ n += $1 } END { print n + 0 }'
}

# Milliseconds since some time ago.
now_ms() {
	awk '{ print int($1 * 1000) }' /proc/uptime
}
