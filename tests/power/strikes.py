# SPDX-License-Identifier: Apache-2.0
"""Writes to a disk that fail, or find no space on it (as on a thin volume), below
an import, a commit, and the journal of a mount: every 7th, then one at random.
Who asked is told, nothing is lost, and the next attempt succeeds when the disk
is well again.

    strikes.py DIR SCENARIO SEED TIMES"""
import errno
import os
import sys

from faults import Fault

TOLD = "Input/output", "No space", "Read-only", "failed"
FAILED, NO_SPACE = 1, 15


def rules(fault, writes, times):
    """What the disk is told; `writes`: what goes well when it is well."""
    for number in range(times + 2):
        error = ("fail", "full")[number % 2]
        after = "6 7" if number < 2 else f"{fault.random.randrange(writes)} 0"
        yield number, f"{error} write {after}"


def writes_of(fault, call, *args):
    """About how many writes that makes."""
    before = fault.disk.records()
    call(*args)
    return max(fault.disk.records() - before, 8)


# ----------------------------------------------------------------- a command

def try_import(fault, tag):
    with open(f"{fault.src}/more", "wb") as file:
        file.write(fault.random.randbytes(300000))
    return fault.try_("import", fault.src, "-t", tag)


def try_commit(fault, tag):
    """Of a workspace that rests."""
    return fault.try_("commit", "w", "-t", tag)


def change(fault):
    fault.mount()
    for i in range(20):
        os.close(fault.new(f"f{i}", fault.random.randrange(10, 1000)))
    fault.shale("umount", fault.m)


def check_command(fault, command, tag, rule, code, said):
    fault.shale("verify", "--read-data")
    there = not fault.try_("ls", f"{tag}:/")[0]
    if code == 0:
        if not there:
            raise ValueError(f"{rule}: it succeeds, and {tag} is gone")
        return
    if code not in (FAILED, NO_SPACE) or not any(it in said for it in TOLD):
        raise ValueError(f"{rule}: exit {code}, it says {said}")
    code, again = command(fault, tag)
    if code:
        raise ValueError("it fails on a disk that is well again: "
                         f"{again}\nbefore: {said}")


def strike_command(fault, command, prepare, times):
    prepare(fault)
    writes = writes_of(fault, command, fault, "p:whole")
    told = 0
    for number, rule in rules(fault, writes, times):
        tag = f"p:new{number}"
        prepare(fault)
        fault.disk.tell(rule)
        code, said = command(fault, tag)
        told += code != 0
        fault.heal()
        check_command(fault, command, tag, rule, code, said)
    return told


# --------------------------------------------------------------- the journal

class Files:
    """New ones, each of which was fsynced: they have to stay."""

    def __init__(self, fault):
        self.fault, self.durable, self.next = fault, {}, 100

    def make(self, n):
        for _ in range(n):
            self.next += 1
            name = f"f{self.next}"
            fd = self.fault.new(name, self.next)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
            self.durable[name] = self.next

    def check(self):
        for name, fid in self.durable.items():
            self.fault.holds(name, fid)


def work_on(fault, files, rule):
    """Until that is told; whether it was."""
    try:
        files.make(20)
        return False
    except OSError as error:
        if error.errno not in (errno.EIO, errno.ENOSPC, errno.EROFS):
            raise ValueError(f"{rule}: {error}") from None
        return True


def strike_journal(fault, times):
    files = Files(fault)
    fault.mount()
    writes = writes_of(fault, files.make, 20) // 3
    told = 0
    for _, rule in rules(fault, writes, times):
        fault.disk.tell(f"{rule} SHLJ")
        for _ in range(3):  # the next daemons, too, while the disk fails
            if not work_on(fault, files, rule):
                break
            told += 1
            files.check()
            fault.kill()
            if fault.try_("mount", "-w", "w", fault.m)[0]:
                break
        if os.path.ismount(fault.m):
            fault.kill()
        fault.heal()
        fault.mount()
        files.check()
        files.make(5)
    fault.shale("commit", fault.m, "-t", "p:v2")
    fault.shale("umount", fault.m)
    fault.shale("verify", "--read-data")
    return told


def strike_import(fault, times):
    return strike_command(fault, try_import, lambda fault: None, times)


def strike_commit(fault, times):
    return strike_command(fault, try_commit, change, times)


STRIKES = {"import": strike_import, "commit": strike_commit,
           "journal": strike_journal}


def main():
    dir, scenario, seed, times = sys.argv[1:]
    fault = Fault(dir, int(seed))
    try:
        told = STRIKES[scenario](fault, int(times))
    finally:
        fault.close()
    print(f"{int(times) + 2} strikes, {told} told, "
          f"{fault.failures} writes failed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
