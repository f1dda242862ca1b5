# SPDX-License-Identifier: Apache-2.0
"""The data that everything is measured on: made from a seed, the same anywhere.

A directory of small files of many sizes, a hundred a directory, and one table
beside them.
"""
import os
import random
import subprocess

from measure import run


class Corpus:
    """`tree`/files/dNNN/… and `tree`/table.csv"""

    def __init__(self, at, files, mean, table):
        self.tree = os.path.join(at, "tree")
        self.files, self.mean, self.table_bytes = files, mean, table
        self.table = os.path.join(self.tree, "table.csv")
        self.small = os.path.join(self.tree, "files")

    def make(self):
        os.makedirs(self.small)
        if self.table_bytes:
            with open(self.table, "wb") as out:
                subprocess.run(["gendata", "csv", str(self.table_bytes), "1"],
                               stdout=out, check=True)
        dice = random.Random(1)
        with subprocess.Popen(["gendata", "csv", str(1 << 40), "2"],
                              stdout=subprocess.PIPE) as rows:
            for n in range(self.files):
                self.make_file(n, dice, rows.stdout)
            rows.kill()
        past = 1600000000
        for where, _, names in os.walk(self.tree, topdown=False):
            for name in names:
                os.utime(os.path.join(where, name), (past, past))
            os.utime(where, (past, past))
        run("sync")

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
