# SPDX-License-Identifier: Apache-2.0
"""A mixed load on a writable mount that tells the disk's log what it does.

    load.py CONTROL MOUNT SOURCE SECONDS SEED

Each worker has the directory w<number> of the mount.  The first one commits
now and then (not with -o passthrough, for which it has too much open), the last
one imports SOURCE."""
import json
import mmap
import os
import random
import subprocess
import sys
import threading
import time

from disk import SECTOR
from history import PASSED, content

WORKERS, BASE_FILES, FILES, SECTORS = 3, 4, 12, 128
DIRS = ("a", "b")


def base_files(worker):
    """What the image has in a worker's directory: name, file, sectors."""
    for i in range(BASE_FILES):
        yield f"{DIRS[i % 2]}/base{i}", worker * 1000000 + i + 1, 20 << i


def make_base(top):
    for worker in range(WORKERS):
        for name in DIRS:
            os.makedirs(f"{top}/w{worker}/{name}")
        for op, (name, fid, n) in enumerate(base_files(worker)):
            with open(f"{top}/w{worker}/{name}", "wb") as file:
                file.write(content(fid, 0, n, op))


def tell_base(tell):
    for worker in range(WORKERS):
        for name, fid, n in base_files(worker):
            tell([worker, ["base", name, fid, n]])
            tell([worker, "end"])


class Worker:
    def __init__(self, number, mount, source, seed, tell):
        self.number, self.mount, self.source = number, mount, source
        self.top = f"{mount}/w{number}"
        self.random = random.Random(seed * 100 + number)
        self.tell = tell
        self.names = {name: fid for name, fid, _ in base_files(number)}
        self.sizes = {fid: n * SECTOR for _, fid, n in base_files(number)}
        self.next_file = number * 1000000 + 1000
        self.ops = len(self.names)
        self.versions = 0
        self.fds = {}

    def fd(self, fid, name):
        if fid not in self.fds:
            self.fds[fid] = os.open(f"{self.top}/{name}", os.O_RDWR)
        return self.fds[fid]

    def forget(self, fid):
        if fid not in self.names.values() and fid in self.fds:
            os.close(self.fds.pop(fid))

    def choose(self):
        """The next operation, as the history has it, and how it is done."""
        r = self.random
        free = f"{r.choice(DIRS)}/n{r.randrange(40)}"
        if len(self.names) < 4 or (free not in self.names and
                                   len(self.names) < FILES and
                                   r.random() < 0.2):
            if free not in self.names:
                self.next_file += 1
                return ["create", free, self.next_file]
        name = r.choice(sorted(self.names))
        fid, size = self.names[name], self.sizes[self.names[name]]
        other = r.choice(sorted(self.names))
        first = r.randrange(SECTORS - 1)
        n = r.choice((1, 3, 8, 8, 16, 64))
        dice = r.random() * 100
        for limit, what in (
                (34, ["write", name, fid, first & ~7 if n > 7 else first,
                      min(n, SECTORS - first)]),
                (54, ["fsync", name, fid]),
                (60, ["store", name, fid, first,
                      min(n, size // SECTOR - first)]),
                (66, ["truncate", name, fid,
                      r.randrange(SECTORS) * SECTOR]),
                (72, ["rename", name, free, fid]),
                (80, ["rename", name, other, fid]),
                (83, ["link", name, free, fid]),
                (88, ["unlink", name]),
                (92, ["chmod", name, fid, 0o600 + r.randrange(64)]),
                (96, ["xattr", name, fid, r.randrange(1000)]),
                (99.5, ["syncdir", r.choice(DIRS)]),
                (100, self.choose_version())):
            if dice < limit:
                return what if self.possible(what) else None
        return None

    def choose_version(self):
        kind = {0: "" if PASSED else "commit",
                WORKERS - 1: "import"}.get(self.number)
        return [kind, f"{kind}:v{self.versions}"] if kind else ["none"]

    def possible(self, what):
        if what[0] == "none":
            return False
        if what[0] == "store":
            return what[4] > 0
        if what[0] == "rename":  # two names of one file: nothing happens
            return self.names[what[1]] != self.names.get(what[2])
        return what[0] != "link" or what[2] not in self.names

    def step(self):
        what = self.choose()
        if not what:
            return
        self.tell([self.number, what])
        getattr(self, "do_" + what[0])(*what[1:])
        self.tell([self.number, "end"])
        self.ops += 1

    def path(self, name):
        return f"{self.top}/{name}"

    def do_create(self, name, fid):
        self.fds[fid] = os.open(self.path(name),
                                os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
        self.names[name], self.sizes[fid] = fid, 0

    def do_write(self, name, fid, first, n):
        data = content(fid, first, n, self.ops)
        assert os.pwrite(self.fd(fid, name), data, first * SECTOR) == len(data)
        self.sizes[fid] = max(self.sizes[fid], (first + n) * SECTOR)

    def do_store(self, name, fid, first, n):
        with mmap.mmap(self.fd(fid, name), self.sizes[fid]) as map_:
            map_[first * SECTOR:(first + n) * SECTOR] = content(
                fid, first, n, self.ops)
            map_.flush()

    def do_truncate(self, name, fid, size):
        os.ftruncate(self.fd(fid, name), size)
        self.sizes[fid] = size

    def do_fsync(self, name, fid):
        self.random.choice((os.fsync, os.fdatasync))(self.fd(fid, name))

    def do_syncdir(self, name):
        fd = os.open(self.path(name), os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)

    def do_rename(self, old, new, _fid):
        os.rename(self.path(old), self.path(new))
        gone = self.names.get(new)
        self.names[new] = self.names.pop(old)
        self.forget(gone)

    def do_link(self, old, new, _fid):
        os.link(self.path(old), self.path(new))
        self.names[new] = self.names[old]

    def do_unlink(self, name):
        os.unlink(self.path(name))
        self.forget(self.names.pop(name))

    def do_chmod(self, name, fid, mode):
        os.fchmod(self.fd(fid, name), mode)

    def do_xattr(self, name, fid, value):
        os.setxattr(self.fd(fid, name), "user.n", str(value).encode())

    def do_commit(self, tag):
        self.versions += 1
        subprocess.run(["shale", "-q", "commit", self.mount, "-t", tag],
                       check=True)

    def do_import(self, tag):
        self.versions += 1
        with open(f"{self.source}/w0/a/more", "wb") as file:
            file.write(self.random.randbytes(100000))
        subprocess.run(["shale", "-q", "import", self.source, "-t", tag],
                       check=True)


def main():
    control, mount, source, seconds, seed = sys.argv[1:]
    fd = os.open(control, os.O_WRONLY)

    def tell(note):
        os.write(fd, b"note " + json.dumps(note).encode())

    tell_base(tell)
    tell("begin")
    until = time.monotonic() + float(seconds)
    failed = []

    def work(number):
        worker = Worker(number, mount, source, int(seed), tell)
        try:
            while time.monotonic() < until and not failed:
                worker.step()
        except Exception as error:
            failed.append((number, error))
            raise
        finally:
            print(f"worker {number}: {worker.ops} operations\n", end="")

    threads = [threading.Thread(target=work, args=(n,))
               for n in range(WORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
