# SPDX-License-Identifier: Apache-2.0
#
# For tests of a disk that fails or loses power: source it, instead of mount.sh.
#
# Images of disks are copied and checked again and again: not on a disk where
# memory will do.
if [ -z "${SHALE_KEEP:-}" ] && stat -f -c '%T %a %S' /dev/shm 2>/dev/null |
	awk '{ exit !($1 == "tmpfs" && $2 * $3 > 4e9) }'; then
	export TMPDIR=/dev/shm
fi
. "${top_srcdir:-.}/tests/lib/mount.sh"
need_mount
PATH=$builddir/tests/power:$PATH
command -v mkfs.ext4 >/dev/null || PATH=$PATH:/sbin:/usr/sbin
export PYTHONDONTWRITEBYTECODE=1
losetup --find >/dev/null 2>&1 || skip_all "needs a loop device"
