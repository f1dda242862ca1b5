#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Work on a writable mount whose daemon has no descriptors, or no memory, left.

    limits.py MOUNT KIND SEED TIMES

KIND: nofile, as (prlimit's).  Each time the daemon gets little more than it has,
workers do what comes, and the limit is lifted.  Every call
goes well, or fails for that reason and has done nothing; then all is as the
workers know it.  The image has base/f0 … base/f49, of 100,000 bytes each, byte
n of fI being (n + I) % 251.
"""
import errno
import json
import os
import random
import resource
import subprocess
import sys
import threading

LIMITS = {"nofile": resource.RLIMIT_NOFILE, "as": resource.RLIMIT_AS}
TOLD = errno.EMFILE, errno.ENFILE, errno.ENOMEM
WORKERS, STEPS, BASE, BASE_SIZE = 4, 150, 50, 100000
NEVER = resource.RLIM_INFINITY


def daemon(mount):
    return json.loads(subprocess.run(
        ["shale", "status", "--mount", mount, "--json"], check=True,
        stdout=subprocess.PIPE).stdout)["pid"]


def little_more(pid, kind, fixed, random_):
    """A limit with which some calls succeed."""
    if kind == "nofile":
        return fixed + random_.randrange(4)
    with open(f"/proc/{pid}/statm") as file:
        used = int(file.read().split()[0]) * 4096
    return used + random_.choice((0, 64 << 10, 1 << 20, 4 << 20))


def base_bytes(number):
    return bytes((n + number) % 251 for n in range(BASE_SIZE))


def text(size, number):
    return (b"%08d" % number * (size // 8 + 1))[:size]


class Worker:
    """A directory of its own, and what has to be in it."""

    def __init__(self, mount, number, seed):
        self.top, self.base = f"{mount}/w{number}", f"{mount}/base"
        self.random = random.Random(f"{seed} {number}")
        self.files = {}   # name: content
        self.unsure = {}  # name: contents that are as good
        self.next = 0
        self.good = self.told = 0
        os.makedirs(self.top, exist_ok=True)

    def ask(self, call, *args):
        """Its answer, or None when there is a limit."""
        try:
            answer = call(*args)
        except OSError as error:
            if error.errno not in TOLD:
                raise
            self.told += 1
            return None
        self.good += 1
        return True if answer is None else answer

    def path(self, name):
        return f"{self.top}/{name}"

    def make(self):
        self.next += 1
        name = f"f{self.next}"
        data = text(self.random.choice((10, 4096, 70000)), self.next)
        fd = self.ask(os.open, self.path(name),
                      os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
        if fd is None:
            return
        done = self.ask(os.pwrite, fd, data, 0)
        self.files[name] = data[:done or 0]
        if not done:  # pages of it may have been sent before the one that failed
            self.unsure[name] = data
        self.ask(os.fsync, fd)
        self.ask(os.close, fd)

    def pick(self):
        return self.random.choice(sorted(self.files)) if self.files else None

    def rename(self):
        old, new = self.pick(), f"r{self.random.randrange(20)}"
        if old and old != new and self.ask(os.rename, self.path(old),
                                           self.path(new)):
            self.files[new] = self.files.pop(old)
            self.unsure.pop(new, None)
            if old in self.unsure:
                self.unsure[new] = self.unsure.pop(old)

    def unlink(self):
        name = self.pick()
        if name and self.ask(os.unlink, self.path(name)):
            del self.files[name]
            self.unsure.pop(name, None)

    def read(self):
        name = self.pick()
        data = name and self.ask(read_whole, self.path(name))
        if data not in (None, True):
            self.compare(name, data)

    def read_base(self):
        number = self.random.randrange(BASE)
        data = self.ask(read_whole, f"{self.base}/f{number}")
        if data is not None and data != base_bytes(number):
            raise ValueError(f"base/f{number} is not what it was")

    def list(self):
        names = self.ask(os.listdir, self.top)
        if names is not None and set(names) != set(self.files):
            raise ValueError(f"{self.top}: {set(names) ^ set(self.files)}")

    def compare(self, name, data):
        want, maybe = self.files[name], self.unsure.get(name)
        if data != want and not (maybe and maybe.startswith(data)):
            raise ValueError(f"{name} is not what was written: "
                             f"{len(data)} bytes, not {len(want)}")

    def work(self):
        for _ in range(STEPS):
            self.random.choice((self.make, self.make, self.rename, self.unlink,
                                self.read, self.read_base, self.list))()

    def check(self):
        told = self.told
        self.list()
        for name in self.files:
            self.compare(name, self.ask(read_whole, self.path(name)))
        for _ in range(10):
            self.read_base()
        self.make()
        if self.told != told:
            raise ValueError("the limit is lifted, and felt")


def read_whole(path):
    with open(path, "rb", buffering=0) as file:
        return file.read()


def work(workers):
    failed = []

    def run(worker):
        try:
            worker.work()
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=(it,)) for it in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


def commit(mount, tag):
    """It may fail as calls do."""
    done = subprocess.run(["shale", "-q", "commit", mount, "-t", tag],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=120)
    said = done.stdout.decode()
    if done.returncode and not any(os.strerror(it) in said for it in TOLD):
        raise ValueError(f"commit: exit {done.returncode}: {said}")
    return done.returncode == 0


def main():
    mount, kind, seed, times = sys.argv[1:]
    random_ = random.Random(int(seed))
    pid = daemon(mount)
    fixed = len(os.listdir(f"/proc/{pid}/fd"))  # before any file is open
    workers = [Worker(mount, n, seed) for n in range(WORKERS)]
    hard = resource.prlimit(pid, LIMITS[kind])
    commits = 0
    for number in range(int(times)):
        resource.prlimit(pid, LIMITS[kind], (
            little_more(pid, kind, fixed, random_), hard[1]))
        try:
            work(workers)
            commits += commit(mount, f"l:c{number}")
        finally:
            resource.prlimit(pid, LIMITS[kind], hard)
        for worker in workers:
            worker.check()
    if daemon(mount) != pid:
        raise ValueError("the daemon died")
    print(f"{sum(it.good for it in workers)} calls went well, "
          f"{sum(it.told for it in workers)} had no {kind}, "
          f"{commits} commits of {times}")


if __name__ == "__main__":
    sys.exit(main())
