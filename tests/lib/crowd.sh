# SPDX-License-Identifier: Apache-2.0
#
# For tests with tests/mount/crowd: source it, after mount.sh and in the hook
# $dir/hook.  The mount is $dir/m with the workspace `crowd`; the directory
# `crowd` in it has its twin in $dir/plain.
#
#   crowd_base            import what both start from, and mount it
#   crowd_mount           mount the workspace again
#   crowd_commit          commit; the version is whole, and equals the mount
#   crowd_run OPS ROUND [--dies]   8 processes, with the hook
#
# $SHALE_O has further options of the mount: `writeback`.
export dir srcdir seed
crowd_o=dev${SHALE_O:+,$SHALE_O}

crowd_mount() {
	shale -q mount -w crowd "$dir/m" -o "$crowd_o"
}

# Two layers, with names that the operations use: p*/ for each process, c*/g*-
# for all of them.
crowd_base() {
	mkdir -p "$dir/m" "$dir/check"
	top=$dir/base/crowd
	for p in p0 p1 p2 p3 p4 p5 p6 p7; do
		for d in . d0 d0/d1 d1; do
			mkdir -p "$top/$p/$d"
			gendata csv 100 1 >"$top/$p/$d/f0"
			gendata csv 150000 "${p#p}" >"$top/$p/$d/f1"
		done
		ln "$top/$p/f0" "$top/$p/d1/f2"
		setfattr -n user.x1 -v base "$top/$p/d0/f1"
	done
	for g in 0 1 2 3 4 5 6 7 8 9 10 11; do
		for c in c0 c1 c2; do
			mkdir -p "$top/$c/g$g-d0/d1"
			gendata csv 70000 "$g" >"$top/$c/g$g-f0"
			ln "$top/$c/g$g-f0" "$top/$c/g$g-d0/f1"
		done
	done
	shale -q import "$dir/base" -t base:v1 || exit 1
	rm -rf "$top/p0/d1" "$top/c0/g1-d0"
	gendata csv 5000 9 >"$top/p1/f1"
	shale -q import --onto base:v1 "$dir/base" -t base:v2 || exit 1
	cp -a "$top" "$dir/plain"
	shale -q mount base:v2 "$dir/m" --rw -w crowd -o "$crowd_o" || exit 1
}

crowd_commit() {
	shale -q commit "$dir/m" -t crowd:latest --allow-empty &&
		shale -q mount crowd:latest "$dir/check" -o dev &&
		treecmp ${SHALE_O:+--no-holes} "$dir/m/crowd" "$dir/check/crowd" &&
		shale -q umount "$dir/check"
}

crowd_run() {
	crowd ${3:+"$3"} "$dir/m/crowd" "$dir/plain" "$seed" "$1" "$2" 8 \
		"bash -e $dir/hook"
}
