#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
What inotify tells of changes in a directory: one line an event.

    inotified.py DIRECTORY
"""
import ctypes
import os
import struct
import sys

NAMES = {0x2: "modify", 0x4: "attrib", 0x8: "close_write", 0x40: "moved_from",
         0x80: "moved_to", 0x100: "create", 0x200: "delete",
         0x400: "delete_self", 0x800: "move_self", 0x8000: "ignored"}
ASKED = 0x2 | 0x4 | 0x8 | 0x40 | 0x80 | 0x100 | 0x200 | 0x400 | 0x800


def events(fd):
    """All that have come; what a call did is there when it returns."""
    try:
        data = os.read(fd, 65536)
    except BlockingIOError:
        return
    at = 0
    while at < len(data):
        watch, mask, _, length = struct.unpack_from("iIII", data, at)
        name = data[at + 16:at + 16 + length].rstrip(b"\0").decode()
        what = [text for bit, text in NAMES.items() if mask & bit]
        print(watch, "+".join(what), name or "-")
        at += 16 + length


def steps(top):
    """Each changes something that is watched."""
    def path(name):
        return os.path.join(top, name)

    def replace():
        with open(path("new"), "w") as file:
            file.write("new")
        os.rename(path("new"), path("file"))

    def rewrite():
        with open(path("file"), "r+") as file:
            file.truncate(1)
            file.write("more")

    yield lambda: os.close(os.open(path("file"), os.O_CREAT | os.O_WRONLY))
    yield rewrite
    yield lambda: os.chmod(path("file"), 0o600)
    yield lambda: os.utime(path("file"), (1, 1))
    yield lambda: os.link(path("file"), path("link"))
    yield lambda: os.symlink("file", path("soft"))
    yield replace
    yield lambda: os.setxattr(path("file"), "user.x", b"y")
    yield lambda: os.rename(path("link"), path("sub/moved"))
    yield lambda: os.mkdir(path("sub/made"))
    yield lambda: os.rename(path("sub"), path("sub2"))
    yield lambda: os.unlink(path("file"))
    yield lambda: os.rmdir(path("sub2/made"))


def main():
    top = sys.argv[1]
    os.mkdir(os.path.join(top, "sub"))
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.inotify_init1(os.O_NONBLOCK)
    for where in (top, os.path.join(top, "sub")):
        if libc.inotify_add_watch(fd, where.encode(), ASKED) < 0:
            sys.exit(os.strerror(ctypes.get_errno()))
    for number, step in enumerate(steps(top)):
        step()
        print("step", number)
        events(fd)


main()
