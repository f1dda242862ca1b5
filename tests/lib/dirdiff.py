#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""dirdiff.py A B: what `shale diff` must say of two directories.

Looks at everything, and knows nothing of images.
"""
import os
import stat
import sys


def look(top):
    """Every path, with what is compared."""
    found = {}

    def add(path, name):
        st = os.lstat(path)
        kind = stat.S_IFMT(st.st_mode)
        content = None
        if kind == stat.S_IFREG:
            with open(path, "rb") as f:
                content = f.read()
        elif kind == stat.S_IFLNK:
            content = os.readlink(path)
        elif kind in (stat.S_IFCHR, stat.S_IFBLK):
            content = st.st_rdev
        xattrs = {x: os.getxattr(path, x, follow_symlinks=False)
                  for x in os.listxattr(path, follow_symlinks=False)}
        attributes = (st.st_mode, st.st_uid, st.st_gid, xattrs,
                      None if kind == stat.S_IFDIR else st.st_mtime_ns)
        found[name] = (kind, content, attributes)

    add(top, b"/")
    for base, dirs, files in os.walk(top):
        for name in dirs + files:
            path = os.path.join(base, name)
            add(path, path[len(top):])
    return found


def escape(path):
    out = ""
    for c in path.decode("utf-8", "surrogateescape"):
        code = ord(c)
        if 0xdc80 <= code <= 0xdcff:
            out += "\\x%02x" % (code - 0xdc00)
        elif code < 0x20 or code == 0x7f:
            out += "\\x%02x" % code
        else:
            out += "\\\\" if c == "\\" else c
    return out


a, b = (look(os.fsencode(top.rstrip("/"))) for top in sys.argv[1:3])
for path in sorted(a.keys() | b.keys()):
    if path not in a:
        letter = "A"
    elif path not in b:
        letter = "D"
    elif a[path] == b[path]:
        continue
    else:
        (kind, content, _), (kind2, content2, _) = a[path], b[path]
        letter = ("T" if kind != kind2 else
                  "M" if content != content2 else "m")
    sys.stdout.buffer.write(f"{letter} {escape(path)}\n".encode())
