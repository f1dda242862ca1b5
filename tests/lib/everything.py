#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""everything.py DIR: make a directory with every kind of inode in it.

What needs root (devices, owners, capabilities) is made for root only.
"""
import os
import random
import socket
import struct
import sys

top = sys.argv[1]
root = os.geteuid() == 0
rng = random.Random(7)


def path(*names):
    return os.path.join(os.fsencode(top), *map(os.fsencode, names))


def put(name, data=b"", mode=0o644):
    with open(path(name), "wb") as f:
        f.write(data)
    os.chmod(path(name), mode)


def xattr(name, key, value):
    try:
        os.setxattr(path(name), key, value, follow_symlinks=False)
    except OSError as e:
        print(f"# no {key} here: {e}")


def acl(*entries):
    return struct.pack("<I", 2) + b"".join(
        struct.pack("<HHI", *e) for e in entries)


os.makedirs(path("dir", "sub", "deep", "deeper"))
os.makedirs(path("empty"))
os.makedirs(path("many"))
for i in range(1000):
    put(f"many/{i:04}", f"file {i}\n".encode() * (i % 40))

put("dir/plain", b"hello, world\n")
put("dir/sub/script", b"#!/bin/sh\necho hi\n", 0o755)
put("empty-file")
put("random-big", rng.randbytes(3 << 20))
put("text-big", b"".join(b"line %d of a long text\n" % i for i in range(200000)))
put("same-a", b"same" * 50000)
put("same-b", b"same" * 50000)
put("one-byte", b"x")
put("block", b"b" * 4096)
put("block-and-one", b"b" * 4097)
put("zeros", bytes(100000))

# Sparse: hole first, in the middle, last; only a hole.
with open(path("sparse"), "wb") as f:
    f.seek(1 << 20)
    f.write(b"in the middle")
    f.seek(3 << 20)
    f.write(b"further on")
    f.truncate(5 << 20)
with open(path("hole"), "wb") as f:
    f.truncate((1 << 40) + 12345)

# Hard links, across directories, of files and of a symlink and a fifo.
put("link-a", b"linked\n")
os.link(path("link-a"), path("link-b"))
os.link(path("link-a"), path("dir", "sub", "link-c"))
os.symlink("link-a", path("sym"))
os.link(path("sym"), path("sym-too"), follow_symlinks=False)
os.mkfifo(path("fifo"), 0o640)
os.link(path("fifo"), path("dir", "fifo-too"))

os.symlink("dir/plain", path("relative"))
os.symlink("/dir/plain", path("absolute"))
os.symlink("../../../../etc/passwd", path("upwards"))
os.symlink("nothing", path("dangling"))
os.symlink("loop-b", path("loop-a"))
os.symlink("loop-a", path("loop-b"))
os.symlink("t" * 4000, path("long-target"))
os.symlink(b"\xff\xfe\n", path("odd-target"))

s = socket.socket(socket.AF_UNIX)
old = os.getcwd()
os.chdir(top)
s.bind("socket")
os.chdir(old)
s.close()

# Names.
for name in (b"new\nline", b"not\xffutf8", b"n" * 255, b" space ", b"-dash",
             b"back\\slash", b"quote\"'", "ünïcödé".encode(), b"\x01\x7f",
             b".hidden", b"...", b"*", b"a", b"a.b", b"a-b", b"a0"):
    put(name, b"named " + name)
os.makedirs(path(b"d\xffr", "in\nside"))
put(b"d\xffr/in\nside/f", b"deep\n")

# Modes.
put("setuid", b"su", 0o4755)
put("setgid", b"sg", 0o2755)
put("sticky", b"st", 0o1644)
put("none", b"no rights", 0)
os.makedirs(path("sticky-dir"))
os.chmod(path("sticky-dir"), 0o1777)
os.makedirs(path("setgid-dir"))
os.chmod(path("setgid-dir"), 0o2750)

# Extended attributes.
xattr("dir/plain", "user.note", b"value")
xattr("dir/plain", "user.empty", b"")
xattr("dir/plain", "user.binary", bytes(range(256)))
xattr("dir", "user.on-a-dir", b"1")
xattr("one-byte", "system.posix_acl_access", acl(
    (1, 6, 0xffffffff), (2, 4, 1234), (4, 4, 0xffffffff),
    (16, 4, 0xffffffff), (32, 0, 0xffffffff)))
xattr("dir", "system.posix_acl_default", acl(
    (1, 7, 0xffffffff), (2, 5, 1234), (4, 5, 0xffffffff),
    (16, 5, 0xffffffff), (32, 5, 0xffffffff)))

if root:
    os.mknod(path("char"), 0o20666, os.makedev(1, 3))
    os.mknod(path("blockdev"), 0o60660, os.makedev(259, 1048575))
    put("owned", b"by somebody")
    os.chown(path("owned"), 1234, 5678)
    os.chmod(path("owned"), 0o6755)
    os.chown(path("dangling"), 99, 98, follow_symlinks=False)
    xattr("dir/sub/script", "security.capability",
          struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0))
    xattr("char", "trusted.thing", b"t")
    xattr("sym", "trusted.on-a-symlink", b"s")

# Times, the directories' last: before 1970, with nanoseconds, far away.
times = {"one-byte": -1_000_000_001, "block": 123456789, "empty-file": 0,
         "dangling": 1_600_000_000_123_456_789, "random-big": 4_200_000_000_000_000_001,
         "fifo": 1_000_000_000_000_000_007, "socket": 5, "empty": 86400 * 10**9 + 3}
for name, ns in times.items():
    os.utime(path(name), ns=(ns, ns), follow_symlinks=False)
for parent, dirs, _ in os.walk(os.fsencode(top), topdown=False):
    ns = 1_500_000_000_000_000_000 + len(parent) * 1_000_000_007
    os.utime(parent, ns=(ns, ns))
