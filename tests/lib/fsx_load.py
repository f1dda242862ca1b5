#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""fsx (of xfstests) on a file of a mount that may die.

    fsx_load.py run FSX FILE BASE DIR SEED STOP [OPTION…]
        A slice of operations on FILE, and another, until the file STOP is
        there.  Every other slice begins with a copy of BASE, made inside the
        mount; the others with what is there.  Exit code 1: fsx failed, and
        what it said is printed.
    fsx_load.py check FSX FILE DIR
        The mount died, and is back: FILE has what was answered of the last
        slice.  Of the operation under way any part may be there.

What FILE should be is fsx's own word: it does the same operations on a plain
file in DIR.  So it uses nothing that only one of the two file systems has."""
import json
import os
import re
import subprocess
import sys

OPERATIONS = 2000
GROWS = 100000  # at its start fsx makes the file so much longer, and shorter
OPTIONS = ["-k", "-d", "-c", "300", "-C", "-I", "-J", "-B", "-0", "-u", "-a"]
# As -d says before each operation; how a write is cached makes no difference.
BEGUN = re.compile(r"(\d+ [a-z/]+\b.*?)(?:\tdontcache=.*)?")
DONE = re.compile(r"All \d+ operations completed")


class Slice:
    """What DIR knows of one: how it began, and what fsx said of it."""

    def __init__(self, fsx, dir):
        self.fsx, self.dir = fsx, dir
        self.seed, self.options = 0, []

    def path(self, name):
        return os.path.join(self.dir, name)

    def note(self, state):
        with open(self.path("slice.json"), "w") as file:
            json.dump([self.seed, self.options, state], file)

    def recall(self):
        with open(self.path("slice.json")) as file:
            self.seed, self.options, state = json.load(file)
        return state

    def run(self, path, said, operations):
        with open(self.path(said), "w") as out:
            return subprocess.run(
                [self.fsx, *OPTIONS, *self.options, "-N", str(operations),
                 "-S", str(self.seed), "-P", self.path(said + ".d"), path],
                stdin=subprocess.DEVNULL, stdout=out,
                stderr=subprocess.STDOUT, check=False).returncode

    def said(self, name):
        with open(self.path(name), errors="replace") as file:
            return file.read().splitlines()

    def did(self, name):
        """Each operation that was begun, in fsx's words."""
        found = (BEGUN.fullmatch(line) for line in self.said(name))
        return [it.group(1) for it in found if it]


def read_whole(path):
    with open(path, "rb") as file:
        return file.read()


def is_dead(fd):
    """Is the mount, of which this is a directory?"""
    try:
        os.fstatvfs(fd)  # the kernel keeps attributes
        return False
    except OSError:
        return True


def begin(it, path, base, number):
    """FILE as it is at a slice's start; the plain side has that, too."""
    size = os.stat(base).st_size
    if number % 2:
        with open(base, "rb") as source, open(path, "r+b") as target:
            target.truncate(0)
            left = size
            while left:
                left -= os.copy_file_range(source.fileno(), target.fileno(),
                                           left)
    else:
        os.truncate(path, size)
    with open(it.path("start"), "wb") as file:
        file.write(read_whole(path))


def run_slice(it, path, base, number):
    """Returns whether it went well; says why, if the mount lives."""
    mount = os.open(os.path.dirname(path), os.O_RDONLY)
    try:
        it.note("preparing")
        begin(it, path, base, number)
        it.note("running")
        code = it.run(path, "said", OPERATIONS)
        it.note("failed" if code and not is_dead(mount) else "ended")
        if code:
            print(f"fsx, seed {it.seed}, ended with {code}:",
                  *it.said("said")[-30:], sep="\n")
        return code == 0
    finally:
        os.close(mount)


def run(fsx, path, base, dir, seed, stop, *options):
    it = Slice(fsx, dir)
    it.options = list(options)
    for name in ("said.d", "plain.d"):
        os.makedirs(it.path(name), exist_ok=True)
    number = 0
    while not os.path.exists(stop):
        it.seed = int(seed) + number
        if not run_slice(it, path, base, number):
            return 1
        number += 1
        with open(it.path("slices"), "a") as file:
            file.write(f"{it.seed}\n")
    return 0


def plain_after(it, operations, lines):
    """The plain file after so many, which are those that `lines` tell."""
    plain = it.path("file")
    with open(plain, "wb") as file:
        file.write(read_whole(it.path("start")))
    code = it.run(plain, "plain", operations)
    did = it.did("plain")
    if code or did[:len(lines)] != lines[:len(did)]:
        raise ValueError(f"fsx on a plain file: {code}, {did[-1:]}")
    return read_whole(plain)


def may_be(got, before, after):
    """Nothing but what was before or after an operation, byte for byte?"""
    small, large = sorted((len(before), len(after)))
    if not small <= len(got) <= large:
        return f"{len(got)} bytes, not {len(before)} or {len(after)}"
    before, after = (it.ljust(large, b"\0") for it in (before, after))
    for at, byte in enumerate(got):
        if byte not in (before[at], after[at]):
            return (f"at {at:#x} {byte:#x}, not {before[at]:#x} or "
                    f"{after[at]:#x}")
    return None


def check(fsx, path, dir):
    it = Slice(fsx, dir)
    state = it.recall()
    if state == "preparing":
        return 0
    lines = it.did("said")
    last = int(lines[-1].split()[0]) if lines else 0
    if any(DONE.match(line) for line in it.said("said")):
        before = after = plain_after(it, OPERATIONS, lines)
    elif last == 0:
        before = read_whole(it.path("start"))
        after = before + bytes(GROWS)
    else:
        before = plain_after(it, last - 1, lines)
        after = plain_after(it, last, lines)
    wrong = may_be(read_whole(path), before, after)
    if state == "failed":
        wrong = "it failed while the mount lived"
    with open(it.path("checked"), "a") as file:
        file.write(f"{last}\n")
    if not wrong:
        return 0
    print(*it.said("said")[-20:],
          f"fsx, seed {it.seed}, {last} operations begun: {wrong}", sep="\n")
    return 1


sys.exit(run(*sys.argv[2:]) if sys.argv[1] == "run" else check(*sys.argv[2:]))
