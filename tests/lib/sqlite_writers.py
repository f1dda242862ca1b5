#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Processes that write to one SQLite database in WAL mode at the same time.

    sqlite_writers.py make DATABASE ROWS
    sqlite_writers.py write DATABASE PROCESSES TRANSACTIONS

`write` adds as many transactions for each process: a row that moves an amount
between two accounts.  It checks the database, and that all transactions which
were answered are in it, once each.
"""
import random
import sqlite3
import sys

sys.dont_write_bytecode = True

from processes import in_processes  # noqa: E402


def connect(path):
    db = sqlite3.connect(path, timeout=600, isolation_level=None)
    db.execute("pragma journal_mode=wal")
    db.execute("pragma synchronous=full")
    return db


def make(path, rows):
    db = connect(path)
    db.execute("create table account(id integer primary key, sum, pad)")
    db.execute("create table move(who, n, unique(who, n))")
    db.execute("begin")
    db.executemany("insert into account values(?, 0, ?)",
                   ((i, "x" * 200) for i in range(rows)))
    db.execute("commit")
    db.close()


def write(path, who, transactions):
    db = connect(path)
    rows = db.execute("select count(*) from account").fetchone()[0]
    dice = random.Random(who)
    for n in range(transactions):
        db.execute("begin immediate")
        for sign in (1, -1):
            db.execute("update account set sum = sum + ? where id = ?",
                       (sign * who, dice.randrange(rows)))
        db.execute("insert into move values(?, ?)", (who, n))
        db.execute("commit")
    db.close()


def check(path, processes, transactions):
    db = connect(path)
    said = db.execute("pragma integrity_check").fetchall()
    assert said == [("ok",)], said
    total = db.execute("select sum(sum) from account").fetchone()[0]
    assert total == 0, total
    for who in range(1, processes + 1):
        n = db.execute("select count(*) from move where who = ?",
                       (who,)).fetchone()[0]
        assert n == transactions, (who, n)
    db.close()


def main():
    what, path = sys.argv[1:3]
    if what == "make":
        make(path, int(sys.argv[3]))
        return
    processes, transactions = int(sys.argv[3]), int(sys.argv[4])
    in_processes(processes, lambda who: write(path, who, transactions))
    check(path, processes, transactions)


main()
