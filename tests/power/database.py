# SPDX-License-Identifier: Apache-2.0
"""Pages of a workspace's database that cannot be read, or written, while its
mount is in use: who asks is told or gets what is right, the daemon lives on,
and nothing is lost when the disk is well again.

    database.py DIR SCENARIO SEED TIMES"""
import errno
import fcntl
import json
import os
import struct

from faults import Fault, run_scenario
from history import content

FIEMAP, EXTENTS = 0xc020660b, 64
DIRS, FILES = 12, 40


def extents(path):
    """(first byte, byte behind) of each piece of a file, on the disk."""
    head, extent = struct.Struct("=QQLLLL"), struct.Struct("=QQQQQLLLL")
    buf = bytearray(head.size + EXTENTS * extent.size)
    head.pack_into(buf, 0, 0, (1 << 64) - 1, 1, 0, EXTENTS, 0)
    with open(path, "rb") as file:
        fcntl.ioctl(file.fileno(), FIEMAP, buf)
    for i in range(head.unpack_from(buf)[3]):
        _, start, size, *_ = extent.unpack_from(buf, head.size +
                                                i * extent.size)
        yield start, start + size


class Answers:
    """How many calls went well, and how many were refused with EIO."""

    def __init__(self):
        self.good = self.told = 0

    def ask(self, call, *args):
        try:
            answer = call(*args)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            self.told += 1
            return None
        self.good += 1
        return answer


def database(fault):
    return f"{fault.env['SHALE_STORE']}/workspaces/w/db/data.mdb"


def long_value(fid):
    """Some pages each."""
    return bytes([fid & 255]) * 6000


def files():
    for i in range(DIRS * FILES):
        yield f"d{i % DIRS}/f{i}", 100 + i


def prepare(fault):
    """A workspace of many files, of which nothing is in memory; mounted."""
    fault.mount()
    for i in range(DIRS):
        os.mkdir(f"{fault.m}/d{i}")
    for name, fid in files():
        with open(f"{fault.m}/{name}", "wb") as file:
            file.write(content(fid, 0, 1, 7))
        os.setxattr(f"{fault.m}/{name}", "user.long", long_value(fid))
    fault.shale("umount", fault.m)
    fault.disk.remount()
    fault.mount()
    with open(database(fault), "rb") as file:  # as far as it is not mapped
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def only_database(fault):
    for start, end in extents(database(fault)):
        fault.disk.tell(f"only {start} {end}")


def daemon(fault):
    return json.loads(fault.shale("status", "--mount", fault.m,
                                  "--json"))["pid"]


def read_whole(path):
    with open(path, "rb") as file:
        return file.read()


def look(fault, answers):
    """Every name, attribute and content is right, or EIO."""
    for name, fid in files():
        path = f"{fault.m}/{name}"
        data = answers.ask(read_whole, path)
        if data is not None and data != content(fid, 0, 1, 7):
            raise ValueError(f"{name} is not what was written")
        value = answers.ask(os.getxattr, path, "user.long")
        if value is not None and value != long_value(fid):
            raise ValueError(f"{name} has another attribute")
    for i in range(DIRS):
        names = answers.ask(os.listdir, f"{fault.m}/d{i}")
        want = {name for name, _ in files() if name.startswith(f"d{i}/")}
        if names is not None and want - {f"d{i}/{it}" for it in names}:
            raise ValueError(f"d{i} has lost names")


def change(fault, answers):
    """Changes here and there; those that went well."""
    made = []
    for i in range(0, DIRS * FILES, 3):
        name = f"d{i % DIRS}/new{i}"
        fd = answers.ask(os.open, f"{fault.m}/{name}",
                         os.O_WRONLY | os.O_CREAT, 0o644)
        if fd is None:
            continue
        if answers.ask(os.pwrite, fd, content(10000 + i, 0, 1, 7), 0):
            made.append((name, 10000 + i))
        answers.ask(os.fsync, fd)
        os.close(fd)
    return made


def well_again(fault, made):
    """The disk is: it can all be read, and the next daemon takes changes."""
    fault.disk.tell("heal")
    answers = Answers()
    look(fault, answers)
    if answers.told:
        raise ValueError("the disk is well, and the mount is not")
    if fault.try_("umount", fault.m)[0]:
        fault.kill()
    fault.mount()
    look(fault, answers)
    for name, fid in made:
        fault.holds(name, fid, 1)
    if answers.told:
        raise ValueError("the disk is well, and the next daemon is not")
    fault.shale("commit", fault.m, "-t", "p:v2")
    fault.shale("umount", fault.m)
    fault.shale("verify", "--read-data")


def unreadable(fault):
    prepare(fault)
    pid = daemon(fault)
    only_database(fault)
    fault.disk.tell(f"fail read {fault.random.randrange(4)} 1")
    answers = Answers()
    look(fault, answers)
    made = change(fault, answers)
    look(fault, answers)
    said = fault.fails("commit", fault.m, "-t", "p:v2")
    # A change may have met such a page before, and is the last one then.
    if "could not be read" not in said and "nput/output" not in said:
        raise ValueError(f"a commit says {said}")
    print(f"{answers.good} answers, {answers.told} told, "
          f"{fault.disk.failed()} reads failed")
    if daemon(fault) != pid:
        raise ValueError("the daemon died")
    if not answers.told:
        raise ValueError("nothing failed")
    well_again(fault, made)


def unwritable(fault):
    """It says no to changes at last, and goes on reading."""
    prepare(fault)
    pid = daemon(fault)
    only_database(fault)
    fault.disk.tell("fail write 0 1")
    changes, looks = Answers(), Answers()
    made = change(fault, changes)
    if "nput/output" not in fault.fails("commit", fault.m, "-t", "p:v2"):
        raise ValueError("a commit does not say why it fails")
    made += change(fault, changes)
    look(fault, looks)
    print(f"{changes.good} changes, {changes.told} told, "
          f"{fault.disk.failed()} writes failed")
    if looks.told:
        raise ValueError(f"{looks.told} of {looks.good} cannot be read")
    if daemon(fault) != pid:
        raise ValueError("the daemon died")
    well_again(fault, made)


if __name__ == "__main__":
    run_scenario(globals())
