#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Bind a directory to another place, where owners are shown as others: 0 as
FIRST, 1 as FIRST + 1, and so on, COUNT of them.

    idmap_bind.py SOURCE TARGET FIRST COUNT
"""
import ctypes
import os
import struct
import sys

OPEN_TREE, MOVE_MOUNT, MOUNT_SETATTR = 428, 429, 442
CLONE_NEWUSER = 0x10000000
MOUNT_ATTR_IDMAP = 0x100000
AT_FDCWD, AT_EMPTY_PATH = -100, 0x1000

libc = ctypes.CDLL(None, use_errno=True)


def call(what, number, *args):
    got = libc.syscall(number, *args)
    if got < 0:
        sys.exit("%s: %s" % (what, os.strerror(ctypes.get_errno())))
    return got


def user_namespace(first, count):
    """A descriptor of one with that map."""
    to_child, ready = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        libc.unshare(CLONE_NEWUSER)
        os.write(ready[1], b"x")
        os.read(to_child[0], 1)
        os._exit(0)
    os.read(ready[0], 1)
    for which in ("uid_map", "gid_map"):
        with open("/proc/%d/%s" % (pid, which), "w") as file:
            file.write("0 %d %d\n" % (first, count))
    fd = os.open("/proc/%d/ns/user" % pid, os.O_RDONLY)
    os.write(to_child[1], b"x")
    os.waitpid(pid, 0)
    return fd


def main():
    source, target = (path.encode() for path in sys.argv[1:3])
    users = user_namespace(int(sys.argv[3]), int(sys.argv[4]))
    tree = call("open_tree", OPEN_TREE, AT_FDCWD, source, 1)
    attr = struct.pack("QQQQ", MOUNT_ATTR_IDMAP, 0, 0, users)
    call("mount_setattr", MOUNT_SETATTR, tree, b"", AT_EMPTY_PATH, attr,
         len(attr))
    call("move_mount", MOVE_MOUNT, tree, b"", AT_FDCWD, target, 4)


main()
