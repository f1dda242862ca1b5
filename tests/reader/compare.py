#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Hold what reader.py (or stack.py) lists against somebody else's list.

    compare.py shale FILE < LIST    FILE: lines of `shale ls -R --json`, or what
                                    `shale metadata` says
    compare.py mount DIR < LIST     DIR: a mount

LIST comes from the reader.  One line a difference; exit 1 if there is any.
"""
import base64
import json
import os
import stat
import sys

from reader import TYPES


def decoded(d, key):
    """Bytes of a text that Shale may have had to spell in base64."""
    if key + "_b64" in d:
        return base64.b64decode(d[key + "_b64"])
    return d[key].encode() if key in d else None


def from_shale(name):
    text = open(name).read()
    docs = json.loads(text)["files"] if text.startswith('{"schema":1,') else \
        map(json.loads, text.splitlines())
    for d in docs:
        path, target = decoded(d, "path"), decoded(d, "target")
        for key in ("path", "path_b64", "target", "target_b64"):
            d.pop(key, None)
        yield path, d | {"target": target}


def from_mount(top):
    top = os.fsencode(top)

    def one(path):
        s = os.lstat(path)
        d = {"type": TYPES[stat.S_IFMT(s.st_mode)], "inode": s.st_ino,
             "mode": f"{s.st_mode & 0o7777:04o}", "nlink": s.st_nlink,
             "uid": s.st_uid, "gid": s.st_gid, "target": None,
             "size": 0 if stat.S_ISDIR(s.st_mode) else s.st_size}
        if d["type"] == "symlink":
            d["target"] = os.readlink(path)
        return path[len(top):] or b"/", d

    yield one(top)
    for parent, dirs, files in os.walk(top):
        for name in dirs + files:
            yield one(os.path.join(parent, name))


def from_reader(lines):
    for d in map(json.loads, lines):
        target = base64.b64decode(d["target"]) if "target" in d else None
        yield base64.b64decode(d.pop("path")), d | {"target": target}


def main(kind, other):
    want = dict({"shale": from_shale, "mount": from_mount}[kind](other))
    have, bad = dict(from_reader(sys.stdin)), 0
    for path in sorted(want.keys() | have.keys()):
        a, b = want.get(path), have.get(path)
        if a is None or b is None or any(a[key] != b.get(key) for key in a):
            print(path, kind, a, "reader", b)
            bad += 1
    print(f"{len(have)} paths, {bad} differ")
    return 1 if bad or not have else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
