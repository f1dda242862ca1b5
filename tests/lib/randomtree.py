#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""randomtree.py DIR SEED STEPS: change a directory in random ways.

Few names and few contents, so that the same come back: files, symlinks, fifos
and directories that come, go, move, are linked, patched and get attributes.
"""
import os
import random
import shutil
import sys

top, seed, steps = sys.argv[1], sys.argv[2], int(sys.argv[3])
rng = random.Random(seed)
NAMES = ["a", "b", "a-b", "a.", "z", "\u00e9"]
CONTENTS = [b"", b"one", b"two", b"tri" * 3000, bytes(9000) + b"x",
            rng.randbytes(40000)]


def is_dir(path):
    return os.path.isdir(path) and not os.path.islink(path)


def is_file(path):
    return os.path.isfile(path) and not os.path.islink(path)


def some_dir():
    return rng.choice(sorted(base for base, _, _ in os.walk(top)))


def some_path():
    paths = sorted(os.path.join(base, n) for base, dirs, files in os.walk(top)
                   for n in dirs + files)
    return rng.choice(paths) if paths else None


def make(path):
    kind = rng.randrange(8)
    if kind < 3:
        with open(path, "wb") as f:
            f.write(rng.choice(CONTENTS))
    elif kind == 3:
        os.symlink(rng.choice(["a", "../z", "/x"]), path)
    elif kind == 4:
        os.mkfifo(path)
    else:
        os.mkdir(path)


def change(path):
    kind = rng.randrange(4)
    if kind == 0 and not os.path.islink(path):
        os.chmod(path, rng.choice([0o755, 0o700, 0o644]))
    elif kind == 1:
        os.utime(path, (1, rng.randrange(3)), follow_symlinks=False)
    elif kind == 2 and (is_file(path) or is_dir(path)):
        try:
            os.setxattr(path, "user.x", rng.choice([b"1", b"2"]))
        except OSError:
            pass # no xattrs here
    elif is_file(path):
        with open(path, "r+b") as f:
            f.seek(rng.randrange(10))
            f.write(rng.choice([b"Q", b"R"]))


def step():
    new = os.path.join(some_dir(), rng.choice(NAMES))
    free = not os.path.lexists(new)
    old = some_path()
    kind = rng.randrange(12)
    if kind < 5 and free:
        make(new)
    elif old and kind == 5 and rng.random() < 0.6:
        shutil.rmtree(old) if is_dir(old) else os.unlink(old)
    elif old and kind in (6, 7) and free and not (new + "/").startswith(old + "/"):
        os.rename(old, new)
    elif old and kind == 8 and free and not is_dir(old):
        os.link(old, new, follow_symlinks=False)
    elif old and kind > 8:
        change(old)


for _ in range(steps):
    step()
