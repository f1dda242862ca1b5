# SPDX-License-Identifier: Apache-2.0
#
# PostgreSQL, for tests that source mount.sh; its socket and its log are in
# $PGHOST, $dir/socket, and its database is `bench`.
#
#   pg_need            skip_all unless it is installed
#   pg_init DATA       a cluster, started
#   pg_start DATA  pg_stop DATA [fast|immediate]
#   pg_as COMMAND…     as the user postgres
#   pg_sql TEXT
#   pg_sound           pg_amcheck finds nothing
#   pg_sums            `t` if what pgbench keeps equal is equal
export PGHOST=$dir/socket PGUSER=postgres PGDATABASE=bench
pg=$(find /usr/lib/postgresql -name initdb -printf '%h\n' 2>/dev/null | sort -V | tail -n 1)

pg_need() {
	[ -n "$pg" ] || skip_all "no PostgreSQL"
	[ -x "$pg/pg_amcheck" ] || skip_all "no pg_amcheck"
	id postgres >/dev/null 2>&1 || skip_all "no user postgres"
}

pg_as() {
	setpriv --reuid postgres --regid postgres --clear-groups \
		env HOME="$dir/socket" "$@"
}

pg_start() {
	pg_as "$pg/pg_ctl" -D "$1" -s -w -t 300 -l "$PGHOST/log" \
		-o "-k $PGHOST -c listen_addresses='' -c max_connections=30" start
}

pg_stop() {
	pg_as "$pg/pg_ctl" -D "$1" -s -m "${2:-fast}" -w -t 300 stop
}

# For PostgreSQL to get there; the data directory's own place is the caller's.
pg_init() {
	chmod 755 "$dir"
	mkdir -p "$dir/socket"
	chown postgres "$dir/socket"
	pg_as "$pg/initdb" -D "$1" -A trust --data-checksums >"$dir/log" &&
		pg_start "$1" && pg_as "$pg/createdb" bench
}

pg_sql() {
	pg_as "$pg/psql" -XAtqc "$1"
}

pg_sound() {
	pg_as "$pg/pg_amcheck" --heapallindexed --parent-check bench
}

pg_sums() {
	pg_sql "select (select sum(abalance) from pgbench_accounts) = coalesce(sum(delta), 0)
		and coalesce(sum(delta), 0) = (select sum(bbalance) from pgbench_branches)
		from pgbench_history"
}
