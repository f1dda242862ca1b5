# SPDX-License-Identifier: Apache-2.0
#
# What works beside a crowd: PostgreSQL, under pgbench and a client whose
# transactions are noted when they are answered; and fsx, if $SHALE_FSX is one.
# Source it after mount.sh and pg.sh, also in a hook.  The mount is $dir/m.
#
#   loads_base       what the image has to have
#   loads_init       PostgreSQL's data, on the mount; it runs
#   loads_start      they begin to work, in the background
#   loads_stop       … and end; none saw an error
#   loads_died       the mount did: they end, and PostgreSQL is killed
#   loads_intact     it is back: PostgreSQL recovers, and all has what was answered
#   loads_whole      the database, when nobody works, is what was answered; sound
#   loads_note       what is answered until now …
#   loads_in REF     … is in a version, from which PostgreSQL recovers
#   loads_sums       one line about all of it
#
# Where something is wrong they say so, and return 1.
load=$dir/load
load_data=$dir/m/pg/data
load_clients=4

wrong() {
	echo "$*" >&2
	return 1
}

# until_there FILE: or for as long as no process would
until_there() {
	for _ in $(seq 1200); do
		[ ! -e "$1" ] || return 0
		sleep 0.1
	done
	wrong "what should have made $1 still runs"
}

loads_base() {
	mkdir -p "$load/fsx" "$dir/base/fsx"
	: >"$load/fsx/slices"
	: >"$load/fsx/checked"
	gendata csv 1000000 1 >"$dir/base/fsx/file"
	gendata csv 1000000 2 >"$dir/base/fsx/other"
}

loads_init() {
	mkdir "$dir/m/pg" && chown postgres "$dir/m/pg" &&
		pg_init "$load_data" &&
		pg_as "$pg/pgbench" -i -q -s 5 &&
		pg_sql 'create extension amcheck; create table acked(id bigint primary key)' &&
		head -n 1 "$load_data/postmaster.pid" >"$load/postmaster"
}

# ---------------------------------------------------------------- at work

load_pgbench() {
	while [ ! -e "$load/stop" ]; do
		pg_as "$pg/pgbench" -n -c $load_clients -j 1 -T 3 >"$load/bench" 2>&1
		code=$?
		sed -n 's/.*actually processed: //p' "$load/bench" >>"$load/transactions"
		[ $code = 0 ] && grep -q 'failed transactions: 0 ' "$load/bench" || return 1
	done
}

# load_begin NAME COMMAND…: what it says and its exit code are in files
load_begin() {
	name=$1
	shift
	rm -f "$load/$name.end"
	{
		code=0
		"$@" >"$load/$name.said" 2>&1 || code=$?
		echo $code >"$load/$name.end"
	} &
}

loads_names() { echo "pgbench ids${SHALE_FSX:+ fsx}"; }

loads_start() {
	rm -f "$load/stop" "$dir/socket/ids.stop"
	: >"$dir/socket/ids"
	chown postgres "$dir/socket/ids"
	: >"$load/transactions"
	: >"$dir/socket/log"
	pg_sql 'truncate acked' && pg_sql 'select count(*) from pgbench_history' >"$load/history" ||
		return 1
	echo >>"$load/starts"
	load_begin pgbench load_pgbench
	load_begin ids pg_as "$srcdir/tests/lib/pg_ids.py" "$dir/socket/ids" "$pg/psql" -X
	[ -z "${SHALE_FSX:-}" ] ||
		load_begin fsx "$srcdir/tests/lib/fsx_load.py" run "$SHALE_FSX" \
			"$dir/m/fsx/file" "$dir/m/fsx/other" "$load/fsx" \
			"$((seed + 10000 * $(wc -l <"$load/starts")))" "$load/stop" \
			${LOAD_FSX:+"$LOAD_FSX"}
}

loads_end() {
	touch "$load/stop" "$dir/socket/ids.stop"
	for name in $(loads_names); do
		until_there "$load/$name.end" || return 1
	done
}

loads_stop() {
	loads_end || return 1
	for name in $(loads_names); do
		[ "$(cat "$load/$name.end")" = 0 ] ||
			wrong "$name saw an error: $(tail -n 30 "$load/$name.said")" || return 1
	done
	if grep -E '(ERROR|PANIC|FATAL):' "$dir/socket/log" >&2; then
		wrong "… says the server"
	fi
}

# ------------------------------------------------------------- a dead mount

# Neither its data directory nor pg_ctl can be used.
loads_died() {
	loads_end || return 1
	postmaster=$(cat "$load/postmaster")
	grep -qF "$load_data" "/proc/$postmaster/cmdline" 2>/dev/null || postmaster=
	children=${postmaster:+$(cat "/proc/$postmaster/task/$postmaster/children" || :)}
	# shellcheck disable=SC2086 # numbers
	kill -KILL $postmaster $children 2>/dev/null || :
	for pid in $postmaster $children; do
		while grep -q '^State:.[^ZX]' "/proc/$pid/status" 2>/dev/null; do
			sleep 0.05
		done
	done
	rm -f "$dir"/socket/.s.PGSQL.* # name a process that may not be reaped
}

# loads_found FILE: how many ids it has that are not there, and the other way
# around; and t if those that are there have no gap
loads_found() {
	cut -d' ' -f1 "$1" >"$dir/socket/answered"
	chown postgres "$dir/socket/answered"
	pg_as "$pg/psql" -XAtq -c 'create temp table answered(id bigint)' \
		-c "\\copy answered from '$dir/socket/answered'" \
		-c 'select (select count(*) from (select * from answered except select * from acked) it),
			(select count(*) from (select * from acked except select * from answered) it),
			(select coalesce(max(id), 0) = count(*) from acked)'
}

# loads_has IDS BENCH: so many more of each may be there than were answered
loads_has() {
	found=$(loads_found "$dir/socket/ids") || return 1
	case $found in
	"0|0|t" | "0|$1|t") ;;
	*) wrong "ids answered and not there|the other way around|no gap: $found" || return 1 ;;
	esac
	answered=$(awk '{ n += $1 } END { print n + 0 }' "$load/history" "$load/transactions")
	there=$(pg_sql 'select count(*) from pgbench_history') || return 1
	[ "$there" -ge "$answered" ] && [ "$there" -le $((answered + $2)) ] ||
		wrong "pgbench: $answered transactions were answered, $there are there" || return 1
	[ "$(pg_sums)" = t ] || wrong "pgbench's sums differ" || return 1
	{
		wc -l <"$dir/socket/ids"
		awk '{ n += $1 } END { print n + 0 }' "$load/transactions"
	} | paste -s >>"$load/sums"
}

loads_intact() {
	rm -f "$load_data/postmaster.pid"
	: >"$dir/socket/log"
	pg_start "$load_data" || wrong "$(tail -n 30 "$dir/socket/log")" || return 1
	head -n 1 "$load_data/postmaster.pid" >"$load/postmaster"
	loads_has 1 $load_clients || return 1
	[ -z "${SHALE_FSX:-}" ] || "$srcdir/tests/lib/fsx_load.py" check \
		"$SHALE_FSX" "$dir/m/fsx/file" "$load/fsx" >&2
}

loads_whole() {
	loads_has 0 0 && pg_sound
}

# --------------------------------------------------------------- a version

loads_note() {
	sed '$d' "$dir/socket/ids" >"$load/noted" # the last one may be under way
}

# A server of its own, whose socket lies elsewhere.
loads_in() (
	export PGHOST=$load/version
	mkdir -p "$PGHOST" && chown postgres "$PGHOST"
	rm -f "$PGHOST/log"
	shale -q mount "$1" "$dir/check" --ephemeral || return 1
	rm -f "$dir/check/pg/data/postmaster.pid"
	pg_start "$dir/check/pg/data" || wrong "$(tail -n 30 "$PGHOST/log")" || return 1
	found=$(loads_found "$load/noted") || return 1
	case $found in
	"0|"*"|t") ;;
	*) wrong "ids not in the version|of later|no gap: $found" || return 1 ;;
	esac
	[ "$(pg_sums)" = t ] || wrong "pgbench's sums differ in the version" || return 1
	pg_sound >&2 || return 1
	pg_stop "$dir/check/pg/data" immediate
	shale -q umount "$dir/check"
	echo >>"$load/versions"
)

loads_sums() {
	awk '{ i += $1; t += $2 } END { print "ids: " i + 0 ", transactions of pgbench: " t + 0 }' \
		"$load/sums"
	[ -z "${SHALE_FSX:-}" ] || echo "fsx: $(wc -l <"$load/fsx/slices") slices of 2000" \
		"operations, $(wc -l <"$load/fsx/checked") compared after a death"
}
