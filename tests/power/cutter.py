# SPDX-License-Identifier: Apache-2.0
"""The log of a disk (logdisk.c), power cuts made of it, and who looks at them."""
import contextlib
import gc
import mmap
import multiprocessing
import os
import random
import struct
import subprocess

from disk import SECTOR, mount_checked, run, unmount

HEAD = struct.Struct("<c7xQQ")
BLOCK = 4096
SIDES = 2  # how many cuts are looked at side by side


class Log:
    """Records, by number: (letter, offset, place of the bytes, length)."""

    def __init__(self, path):
        self.file = open(path, "rb")
        self.map = mmap.mmap(self.file.fileno(), 0, access=mmap.ACCESS_READ)
        self.records = []
        at = 0
        while at + HEAD.size <= len(self.map):
            letter, off, size = HEAD.unpack_from(self.map, at)
            at += HEAD.size
            self.records.append((letter, off, at, size))
            at += size

    def notes(self):
        """(number of the record, text)"""
        for i, (letter, _, at, size) in enumerate(self.records):
            if letter == b"N":
                yield i, self.map[at:at + size].decode()

    def last_flush(self, cut):
        """Everything before this record is on disk when the power goes."""
        while cut and self.records[cut - 1][0] != b"F":
            cut -= 1
        return cut

    def moments(self, begin, end, cuts, random_):
        """At any record between, and (half of them) right behind a flush."""
        flushes = [i + 1 for i, record in enumerate(self.records)
                   if record[0] == b"F" and begin < i < end]
        return sorted(random_.choice(flushes) if random_.random() < 0.5 else
                      random_.randrange(begin, end) + 1 for _ in range(cuts))


class Cutter:
    """Images as power cuts leave them, in the order of time."""

    def __init__(self, log, first, path):
        self.log, self.path, self.done = log, path, 0
        run("cp", "--sparse=always", first, path)
        self.file = open(path, "r+b", buffering=0)

    def cut(self, at, out, random_):
        """`out`: the disk when the power went before record `at`.  Of what was
        not flushed, blocks are there, or not, or by some of their sectors."""
        flushed = self.log.last_flush(at)
        for letter, off, place, size in self.log.records[self.done:flushed]:
            if letter == b"W":
                os.pwrite(self.file.fileno(),
                          self.log.map[place:place + size], off)
        self.done = max(self.done, flushed)
        run("cp", "--sparse=auto", self.path, out)
        keep = random_.choice((0, 0.1, 0.5, 0.5, 0.9, 1))
        with open(out, "r+b", buffering=0) as file:
            for letter, off, place, size in self.log.records[flushed:at]:
                if letter == b"W":
                    self.keep_some(file, off, place, size, keep, random_)
        return flushed

    def keep_some(self, file, off, place, size, keep, random_):
        for start in range(0, size, BLOCK):
            data = self.log.map[place + start:place + min(size, start + BLOCK)]
            if random_.random() < keep:
                os.pwrite(file.fileno(), data, off + start)
            elif random_.random() < 0.1:  # torn
                for sector in range(0, len(data), SECTOR):
                    if random_.random() < 0.5:
                        os.pwrite(file.fileno(), data[sector:sector + SECTOR],
                                  off + start + sector)


@contextlib.contextmanager
def mounted(image, path):
    """What is in the image, checked as a machine does that starts."""
    mount_checked(image, path, "loop,noatime")
    try:
        with open(f"{path}/store/workspaces/w/boot", "w") as file:
            file.write("another boot\n")
        yield path
    finally:
        unmount(path)


def look_at(log, first, dir, cuts, seed, check):
    """What is wrong after those cuts (number, record), as texts."""
    os.makedirs(f"{dir}/m")
    cutter = Cutter(log, first, f"{dir}/flushed")
    wrong = []
    for number, at in cuts:
        # A name of its own: a loop device of the last one may still be ending.
        image = f"{dir}/cut.{number}"
        flushed = cutter.cut(at, image, random.Random(f"{seed} {number}"))
        try:
            with mounted(image, f"{dir}/after") as fs:
                check(fs, f"{dir}/m", at, random.Random(f"{number} {seed}"))
        except (ValueError, OSError, SystemError,
                subprocess.SubprocessError) as error:
            wrong.append(f"cut {number}, before record {at} (flushed to "
                         f"{flushed}):\n{error}")
            if os.environ.get("SHALE_KEEP"):  # as the power left it
                cutter.cut(at, image + ".kept",
                           random.Random(f"{seed} {number}"))
        os.unlink(image)
    return wrong


def look_at_all(log, first, dir, at, seed, check):
    """check(file system, where to mount, record, random) after power cuts
    before each of the records `at`; how many are wrong, after telling of them.

    Each of the processes has the cuts of a part of the time."""
    cuts = list(enumerate(at))
    part = -(-len(cuts) // SIDES)
    gc.freeze()  # what they share stays shared
    fork = multiprocessing.get_context("fork")
    results = []
    for side in range(SIDES):
        mine, theirs = fork.Pipe(False)

        def look(side=side, pipe=theirs):
            pipe.send(look_at(log, first, f"{dir}/side{side}",
                              cuts[side * part:(side + 1) * part], seed, check))

        process = fork.Process(target=look)
        process.start()
        theirs.close()
        results.append((process, mine))
    wrong = []
    for process, pipe in results:
        try:
            wrong += pipe.recv()
        except EOFError:
            wrong.append("who looked at the cuts failed")
        process.join()
    for text in wrong:
        print(text)
    print(f"{len(log.records)} records, {len(cuts)} power cuts, "
          f"{len(wrong)} wrong")
    return len(wrong)
