# SPDX-License-Identifier: Apache-2.0
"""The data that everything is measured on.

A directory of small files, a hundred a directory, and one table beside them.
The files are made from a seed, the same anywhere; or they are the first ones of
this machine's own below /usr, as people have them: programs, libraries, texts.
"""
import os
import random
import shutil
import subprocess

from measure import run


def real_files(top):
    """Regular files with something in them, in the order of their paths."""
    for where, dirs, names in os.walk(top):
        dirs.sort()
        for name in sorted(names):
            path = os.path.join(where, name)
            if os.path.isfile(path) and not os.path.islink(path) and \
                    os.path.getsize(path):
                yield path


class Corpus:
    """`tree`/files/dNNN/… and `tree`/table.csv"""

    def __init__(self, at, files, mean, table, real=False):
        self.tree = os.path.join(at, "tree")
        self.files, self.mean, self.table_bytes = files, mean, table
        self.table = os.path.join(self.tree, "table.csv")
        self.small = os.path.join(self.tree, "files")
        self.real = real

    def make(self):
        os.makedirs(self.small)
        if self.table_bytes:
            with open(self.table, "wb") as out:
                subprocess.run(["gendata", "csv", str(self.table_bytes), "1"],
                               stdout=out, check=True)
        if self.real:
            self.copy_files()
        else:
            self.make_files()
        past = 1600000000
        for where, _, names in os.walk(self.tree, topdown=False):
            for name in names:
                os.utime(os.path.join(where, name), (past, past))
            os.utime(where, (past, past))
        run("sync")

    def make_files(self):
        dice = random.Random(1)
        with subprocess.Popen(["gendata", "csv", str(1 << 40), "2"],
                              stdout=subprocess.PIPE) as rows:
            for n in range(self.files):
                self.make_file(n, dice, rows.stdout)
            rows.kill()

    def copy_files(self):
        """`files` of the machine's, of `mean` bytes or so: the sizes that would
        make it more are left out."""
        left, n = self.files * self.mean, 0
        for path in real_files("/usr"):
            size = os.lstat(path).st_size
            if n == self.files:
                break
            if size > 64 * self.mean or \
                    size > 4 * left / max(1, self.files - n):
                continue
            if n % 100 == 0:
                os.mkdir(os.path.dirname(self.path(n)))
            shutil.copyfile(path, self.path(n))
            left -= size
            n += 1
        self.files = n

    def path(self, n):
        return f"{self.small}/d{n // 100:05}/f{n:07}.txt"

    def make_file(self, n, dice, rows):
        path = self.path(n)
        if n % 100 == 0:
            os.mkdir(os.path.dirname(path))
        size = min(int(dice.lognormvariate(0, 1.2) * self.mean / 2),
                   64 * self.mean)
        with open(path, "wb") as out:
            out.write(rows.read(size))

    def change(self, at=None, seed=3):
        """1 % of the files, and 2 % of the table in 100 places; also on a
        mounted copy."""
        move = (lambda p: p.replace(self.tree, at, 1)) if at else (lambda p: p)
        step = 100
        for n in range(0, self.files, step):
            with open(move(self.path(n)), "ab") as out:
                out.write(f"changed {n} {seed}\n".encode())
        if self.table_bytes:
            run("gendata", "edit", move(self.table), 100,
                self.table_bytes // 50, seed)

    def nbytes(self):
        return sum(os.lstat(os.path.join(where, name)).st_size
                   for where, _, names in os.walk(self.tree) for name in names)
