# SPDX-License-Identifier: Apache-2.0
"""What happened on a mount, and what a power cut may leave of it.

Each worker has a directory of its own and does one operation after another, so
what it did is a list, and what may be found of its names is the state after
some length of that list: not shorter than what was made durable, not longer
than what was begun.  Contents have such a point for each file.

The bytes of a file are sectors that say whose they are: file, place, and the
number of the operation that wrote them."""
import bisect
import json
import os
import struct
import zlib

from disk import SECTOR

STAMP = struct.Struct("<8sIIII")
MAGIC = b"SHALEPWR"
PAGE = 4096
ZEROS = -1
ZERO_SECTOR = bytes(SECTOR)
FOREVER = 1 << 60

# msync of a file that the kernel writes itself is not told to Shale.
PASSED = "passthrough" in os.environ.get("SHALE_OPTIONS", "")
SYNCS = ("fsync", "syncdir") if PASSED else ("fsync", "store", "syncdir")


def sector(fid, number, op):
    head = STAMP.pack(MAGIC, fid, number, op, 0)
    head = STAMP.pack(MAGIC, fid, number, op, zlib.crc32(head))
    return head + bytes([(fid * 31 + number * 7 + op) & 255]) * (
        SECTOR - STAMP.size)


def content(fid, first, n, op):
    return b"".join(sector(fid, first + i, op) for i in range(n))


def read_sector(data, fid, number):
    """The operation that wrote it; an error if it is nobody's."""
    if data == ZERO_SECTOR:
        return ZEROS
    op = STAMP.unpack_from(data)[3] if len(data) == SECTOR else 0
    if data != sector(fid, number, op):
        raise ValueError(f"sector {number} has foreign bytes: "
                         f"{data[:40].hex()}…")
    return op


class Content:
    """What a file held, and when (in operations of its worker)."""

    def __init__(self, fid, size, op):
        self.fid = fid
        self.sizes = [(op, size)]
        self.sectors = {}  # number: [(operation, who wrote)]

    def size_at(self, op):
        return [size for at, size in self.sizes if at <= op][-1]

    def write(self, op, first, n):
        for i in range(first, first + n):
            self.sectors.setdefault(i, []).append((op, op))
        # The kernel may send pages of one write as requests of their own.
        old, new = self.sizes[-1][1], (first + n) * SECTOR
        for size in range((old // PAGE + 1) * PAGE, new, PAGE):
            if size > first * SECTOR:
                self.sizes.append((op, size))
        if new > old:
            self.sizes.append((op, new))

    def truncate(self, op, size):
        for i, list_ in self.sectors.items():
            if i * SECTOR >= size and list_[-1][1] != ZEROS:
                list_.append((op, ZEROS))
        self.sizes.append((op, size))

    def at(self, op):
        """All bytes after that operation."""
        out = []
        for i in range(self.size_at(op) // SECTOR):
            who = [w for at, w in self.sectors.get(i, []) if at <= op]
            out.append(sector(self.fid, i, who[-1])
                       if who and who[-1] != ZEROS else ZERO_SECTOR)
        return b"".join(out)

    def newest(self, number, who, begun):
        """Up to which operation the sector was as `who` wrote it."""
        list_ = [(0, ZEROS)] + self.sectors.get(number, [])
        until = -1
        for (at, value), (next_, _) in zip(list_, list_[1:] + [(FOREVER, 0)]):
            if value == who and at <= begun:
                until = next_ - 1
        return until

    def check(self, data, low, begun):
        """Is this the content at some point from `low` on, with blocks that
        were overwritten since old or new?  What the kernel writes itself may be
        shorter or longer than such blocks tell."""
        high = begun
        for i in range(len(data) // SECTOR):
            who = read_sector(data[i * SECTOR:(i + 1) * SECTOR], self.fid, i)
            until = self.newest(i, who, begun)
            if until < low:
                was = "zeros" if who == ZEROS else f"what {who} wrote"
                raise ValueError(f"sector {i} is {was}, older than {low}: "
                                 f"{self.sectors.get(i)}")
            if not PASSED:
                high = min(high, until)
        ends = [at for at, _ in self.sizes[1:]] + [FOREVER]
        for (at, size), end in zip(self.sizes, ends):
            if size == len(data) and at <= high and end > low:
                return
        raise ValueError(f"{len(data)} bytes, which it had not from {low} to "
                         f"{high}: {self.sizes}")


def changes(what):
    """The files and directories whose names or attributes this changes."""
    kind, *args = what
    names = {"create": args[:1], "rename": args[:2], "link": args[1:2],
             "unlink": args[:1]}.get(kind, [])
    files = {"create": args[1:2], "chmod": args[1:2], "xattr": args[1:2],
             "rename": args[2:], "link": args[2:]}.get(kind, [])
    return [name.split("/")[0] for name in names] + files


class Worker:
    """The operations of one directory.  One follows the other, so what had
    begun or ended before a record of the log is found by bisection."""

    def __init__(self):
        self.ops = []       # what, by number
        self.begun = []     # record of the log
        self.ended = []     # record; of the last one perhaps not yet
        self.names = [{}]   # {name: (file, mode, xattr)} after each
        self.files = {}
        self.versions = []  # operations that make one
        self.replaced = {}  # {file: operations by which it replaced another}
        self.synced = {}    # {file: operations that make it durable}
        self.changed = {}   # {file or directory: its names' last change}
        self.covered = []   # the last change that syncs so far make durable

    def begin(self, record, what):
        op = len(self.ops)
        self.ops.append(what)
        self.begun.append(record)
        names = self.names[-1]
        self.note_sync(op, what)
        for it in changes(what):
            self.changed[it] = op
        self.names.append(getattr(self, "do_" + what[0])(
            op, dict(names), *what[1:]) or names)

    def note_sync(self, op, what):
        covered = self.covered[-1] if self.covered else -1
        if what[0] in SYNCS:
            of = what[1] if what[0] == "syncdir" else what[2]
            covered = max(covered, self.changed.get(of, -1))
            if what[0] != "syncdir":
                self.synced.setdefault(of, []).append(op)
        self.covered.append(covered)

    def end(self, record):
        self.ended.append(record)

    def last_ended(self, record):
        """The last operation that had ended before it, or -1."""
        return bisect.bisect_left(self.ended, record) - 1

    def last_begun(self, record):
        return bisect.bisect_left(self.begun, record) - 1

    def versions_before(self, record):
        """Operations that made a version and had ended."""
        return self.versions[:bisect.bisect_right(self.versions,
                                                  self.last_ended(record))]

    # What each does to names and contents:

    def do_base(self, op, names, name, fid, n):
        self.files[fid] = Content(fid, 0, op)
        self.files[fid].write(op, 0, n)
        names[name] = (fid, 0o644, None)
        return names

    def do_create(self, op, names, name, fid):
        self.files[fid] = Content(fid, 0, op)
        names[name] = (fid, 0o644, None)
        return names

    def do_write(self, op, _names, _name, fid, first, n):
        self.files[fid].write(op, first, n)

    do_store = do_write  # through a mapping, with msync

    def do_truncate(self, op, _names, _name, fid, size):
        self.files[fid].truncate(op, size)

    def do_fsync(self, *_):
        pass

    do_syncdir = do_fsync

    def do_version(self, op, *_):
        self.versions.append(op)

    do_commit = do_import = do_version

    def do_rename(self, op, names, old, new, _fid):
        if new in names:
            self.replaced.setdefault(names[old][0], []).append(op)
        names[new] = names.pop(old)
        return names

    def do_link(self, _op, names, old, new, _fid):
        names[new] = names[old]
        return names

    def do_unlink(self, _op, names, name):
        del names[name]
        return names

    def set_attr(self, names, fid, change):
        return {name: change(it) if it[0] == fid else it
                for name, it in names.items()}

    def do_chmod(self, _op, names, _name, fid, mode):
        return self.set_attr(names, fid, lambda it: (fid, mode, it[2]))

    def do_xattr(self, _op, names, _name, fid, value):
        return self.set_attr(names, fid, lambda it: (fid, it[1], value))


class History:
    """Everything that the log's notes tell."""

    def __init__(self, log):
        self.workers, self.begin, self.end = {}, 0, 0
        for record, text in log.notes():
            note = json.loads(text)
            if note == "begin":
                self.begin = record
                continue
            self.end = record
            number, what = note
            worker = self.workers.setdefault(number, Worker())
            if what == "end":
                worker.end(record)
            else:
                worker.begin(record, what)

    def at(self, cut):
        return Moment(self, cut)


def last(ops, limit):
    """The last of these that is not above, or 0."""
    n = bisect.bisect_right(ops, limit)
    return ops[n - 1] if n else 0


class Moment:
    """What must be there when the power went before this record."""

    def __init__(self, history, cut):
        self.workers, self.cut = history.workers, cut
        # All that ended before this record is durable, names and all.
        self.committed = max((worker.begun[op] for worker, op
                              in self.versions("commit")), default=0)
        # What was begun last of the names that an fsync covers: one prefix of
        # all changes is there, so what ended before is, too.
        self.own = {}
        until = self.committed
        for worker in self.workers.values():
            covered = worker.covered[worker.last_ended(cut)]
            if covered >= 0:
                until = max(until, worker.begun[covered])
                self.own[worker] = covered
        self.until = until

    def versions(self, *kinds):
        """(worker, operation) of those kinds that had ended."""
        for worker in self.workers.values():
            for op in worker.versions_before(self.cut):
                if worker.ops[op][0] in kinds:
                    yield worker, op

    def states(self, worker, is_it, found):
        """After which operations were the names as they are found?"""
        low = max(worker.last_ended(self.until),
                  self.own.get(worker, 0),
                  len([1 for what in worker.ops if what[0] == "base"]) - 1)
        high = worker.last_begun(self.cut)
        same = [op for op in range(low, high + 1)
                if is_it(worker.names[op + 1]) is not None]
        if not same:
            raise ValueError(
                f"these names are of no moment from {low} to {high}:\n"
                f"{found}\nafter {low}: {worker.names[low + 1]}\n"
                f"after {high}: {worker.names[high + 1]}\n" +
                self.tell(worker, low, high))
        return same

    def tell(self, worker, low, high):
        """The operations around there, and their places in the log."""
        return "\n".join(
            f"{op}: {worker.ops[op]} from {worker.begun[op]} to "
            f"{worker.ended[op] if op < len(worker.ended) else None}"
            for op in range(max(0, low - 8), high + 1))

    def check_contents(self, worker, state, found):
        """`found`: {file: bytes}, where names are as after `state`."""
        committed = worker.last_ended(self.committed)
        ended = worker.last_ended(self.cut)
        begun = worker.last_begun(self.cut)
        for fid, data in found.items():
            synced = last(worker.synced.get(fid, []), ended)
            low = max(synced, committed,
                      last(worker.replaced.get(fid, []), state))
            try:
                worker.files[fid].check(data, low, begun)
            except ValueError as error:
                raise ValueError(f"file {fid}, names after {state}, fsynced "
                                 f"{synced}, content from {low}: "
                                 f"{error}") from None
