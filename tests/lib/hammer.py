#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Processes that make, rename and remove things in a directory, each its own,
and know what every call must give: an error, or a result that differs, is a
fault of the file system.

    hammer.py DIRECTORY SEED PROCESSES SECONDS
"""
import errno
import mmap
import os
import random
import sys
import time


class Hammer:
    def __init__(self, top, seed):
        self.rng = random.Random(seed)
        self.top = top
        self.files = {}  # name: [content], of one inode
        self.dirs = set()
        self.open = []   # (descriptor, [content]): some without a name
        self.n = self.calls = 0
        os.mkdir(top)

    def path(self, name):
        return os.path.join(self.top, name)

    def fresh(self):
        self.n += 1
        return "n%d" % self.n

    def some(self, things):
        return self.rng.choice(sorted(things)) if things else None

    def data(self):
        return self.rng.randbytes(self.rng.choice([0, 1, 500, 5000, 70000]))

    def create(self):
        name, content = self.fresh(), self.data()
        fd = os.open(self.path(name), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
        self.files[name] = [content]
        assert os.pwrite(fd, content, 0) == len(content)
        if len(self.open) > 20 or self.rng.random() < 0.7:
            os.close(fd)
        else:
            self.open.append((fd, self.files[name]))

    def rename(self):
        name, to = self.some(self.files), self.fresh()
        if name is None:
            return
        if self.rng.random() < 0.4:
            to = self.some(self.files)
        os.rename(self.path(name), self.path(to))
        self.files[to] = self.files.pop(name)

    def unlink(self):
        name = self.some(self.files)
        if name is not None:
            os.unlink(self.path(name))
            del self.files[name]
            self.absent(name)

    def absent(self, name):
        try:
            os.lstat(self.path(name))
        except FileNotFoundError:
            return
        raise AssertionError("%s is still there" % name)

    def link(self):
        name, to = self.some(self.files), self.fresh()
        if name is not None:
            os.link(self.path(name), self.path(to))
            self.files[to] = self.files[name]
            assert os.stat(self.path(to)).st_nlink >= 2
            os.unlink(self.path(name))
            del self.files[name]

    def symlink(self):
        to = self.fresh()
        os.symlink("target-" + to, self.path(to))
        assert os.readlink(self.path(to)) == "target-" + to
        os.unlink(self.path(to))

    def directory(self):
        if len(self.dirs) < 10:
            name = self.fresh()
            os.mkdir(self.path(name))
            self.dirs.add(name)
        else:
            name, to = self.some(self.dirs), self.fresh()
            os.rename(self.path(name), self.path(to))
            os.rmdir(self.path(to))
            self.dirs.discard(name)
            self.absent(name)

    def append(self):
        name, content = self.some(self.files), self.data()
        if name is None:
            return
        fd = os.open(self.path(name), os.O_WRONLY | os.O_APPEND)
        assert os.write(fd, content) == len(content)
        os.close(fd)
        file = self.files[name]
        file[0] += content
        if len(file[0]) > 300000:
            os.truncate(self.path(name), 10)
            file[0] = file[0][:10]

    def xattr(self):
        name = self.some(self.files)
        if name is not None:
            os.setxattr(self.path(name), "user.h", b"1", os.XATTR_CREATE)
            os.removexattr(self.path(name), "user.h")

    def mapped(self):
        name = self.some(self.files)
        if name is None or not self.files[name][0]:
            return
        with open(self.path(name), "r+b") as f:
            with mmap.mmap(f.fileno(), 0) as m:
                m[0] = 7
                m.flush()
        self.files[name][0] = b"\x07" + self.files[name][0][1:]

    def read(self):
        name = self.some(self.files)
        if name is not None:
            with open(self.path(name), "rb") as f:
                assert f.read() == self.files[name][0], "content of " + name

    def read_open(self):
        if self.open:
            at = self.rng.randrange(len(self.open))
            fd, (content,) = self.open.pop(at)
            got = os.pread(fd, len(content) + 1, 0)
            assert got == content, "content of an open file"
            os.close(fd)

    def tmpfile(self):
        try:
            fd = os.open(self.top, os.O_RDWR | os.O_TMPFILE, 0o600)
        except OSError as e:
            if e.errno == errno.EOPNOTSUPP:
                return
            raise
        assert os.write(fd, b"t") == 1
        os.close(fd)

    def check(self):
        assert set(os.listdir(self.top)) == set(self.files) | self.dirs
        for name, (content,) in self.files.items():
            with open(self.path(name), "rb") as f:
                assert f.read() == content, "content of " + name

    def run(self, seconds):
        end = time.monotonic() + seconds
        ops = [self.create, self.create, self.rename, self.unlink, self.link,
               self.symlink, self.directory, self.directory, self.append,
               self.xattr, self.mapped, self.read, self.read_open,
               self.tmpfile]
        while time.monotonic() < end:
            op = self.rng.choice(ops)
            try:
                op()
            except (OSError, AssertionError) as e:
                e.args = ("call %d, %s: %s" % (self.calls, op.__name__, e),)
                raise
            self.calls += 1
            if len(self.files) > 40:
                self.unlink()
        self.check()
        print("# %s: %d calls" % (os.path.basename(self.top), self.calls),
              flush=True)


def main():
    top, seed, processes, seconds = sys.argv[1:]
    children = []
    for i in range(int(processes)):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                Hammer(os.path.join(top, "p%d" % i),
                       int(seed) * 100 + i).run(float(seconds))
                code = 0
            except BaseException as e:
                print("# p%d: %r" % (i, e), flush=True)
            os._exit(code)
        children.append(pid)
    failed = sum(os.waitstatus_to_exitcode(os.waitpid(p, 0)[1]) != 0
                 for p in children)
    sys.exit(1 if failed else 0)


main()
