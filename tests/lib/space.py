#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Files with holes, and how many blocks they take.

    space.py make DIRECTORY MODEL SEED       new ones
    space.py change DIRECTORY MODEL SEED     write, punch, cut, copy
    space.py check DIRECTORY MODEL           stat knows

MODEL is a file that says which blocks of each file have data.  No block that is
written is all zeros.
"""
import ctypes
import json
import os
import random
import sys

BLOCK, FILES, BLOCKS = 4096, 12, 100
FAR = 8 << 30  # of one file's last block
SMALL = 16     # blocks of a file that counts as without holes
LIBC = ctypes.CDLL(None, use_errno=True)
PUNCH = 3  # FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE


class File:
    """One file, and what it should be."""

    def __init__(self, top, name, blocks=(), size=0):
        self.path, self.name = f"{top}/{name}", name
        self.blocks, self.size = set(blocks), size

    def open(self):
        return os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)

    def write(self, first, n, random_):
        fd = self.open()
        for block in range(first, first + n):
            os.pwrite(fd, bytes([random_.randrange(1, 256)]) * BLOCK,
                      block * BLOCK)
        os.close(fd)
        self.blocks |= set(range(first, first + n))
        self.size = max(self.size, (first + n) * BLOCK)

    def punch(self, first, n):
        fd = self.open()
        if LIBC.fallocate(fd, PUNCH, ctypes.c_long(first * BLOCK),
                          ctypes.c_long(n * BLOCK)):
            raise OSError(ctypes.get_errno(), "fallocate")
        os.close(fd)
        self.blocks -= set(range(first, first + n))

    def cut(self, size):
        os.truncate(self.path, size)
        self.size = size
        self.blocks = {it for it in self.blocks if it * BLOCK < size}

    def copy(self, other, first, n):
        """A range of this file over the same one of another."""
        n = min(n, (self.size - first * BLOCK) // BLOCK)
        if n <= 0 or self is other:
            return
        source, to = self.open(), other.open()
        done = os.copy_file_range(source, to, n * BLOCK, first * BLOCK,
                                  first * BLOCK)
        if done != n * BLOCK:
            raise OSError(f"{done} bytes of {n * BLOCK} were copied")
        os.close(source)
        os.close(to)
        there = set(range(first, first + n))
        other.blocks = other.blocks - there | self.blocks & there
        other.size = max(other.size, (first + n) * BLOCK)


def load(top, model):
    with open(model) as file:
        return [File(top, *it) for it in json.load(file)]


def save(files, model):
    with open(model, "w") as file:
        json.dump([(it.name, sorted(it.blocks), it.size) for it in files], file)


def step(files, random_):
    it = random_.choice(files)
    first, n = random_.randrange(BLOCKS), random_.randrange(1, 9)
    what = random_.randrange(6)
    if what <= 2:
        it.write(first, n, random_)
    elif what == 3:
        it.punch(first, n)
    elif what == 4:
        it.copy(random_.choice(files), first, n * 4)
    else:
        it.cut(random_.choice((max(first, SMALL) * BLOCK, FAR)))


def make(top, random_):
    files = [File(top, f"f{n}") for n in range(FILES)]
    for it in files:
        it.write(0, BLOCKS, random_)
        for _ in range(random_.randrange(8)):
            it.punch(random_.randrange(BLOCKS), random_.randrange(1, 20))
    files[0].write(FAR // BLOCK, 1, random_)
    return files


def check(files):
    wrong = 0
    for it in files:
        want, got = len(it.blocks) * BLOCK // 512, os.stat(it.path)
        if got.st_blocks != want or got.st_size != it.size:
            print(f"{it.name}: {got.st_blocks} blocks of {got.st_size} bytes, "
                  f"should be {want} of {it.size}")
            wrong = 1
    return wrong


def main():
    what, top, model, *seed = sys.argv[1:]
    random_ = random.Random(seed[0] if seed else 0)
    files = make(top, random_) if what == "make" else load(top, model)
    if what == "change":
        for _ in range(100):
            step(files, random_)
    save(files, model)
    return check(files) if what != "make" else 0


if __name__ == "__main__":
    sys.exit(main())
