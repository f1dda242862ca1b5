#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""
Processes that write to one LMDB environment at the same time: its pages are
read, and with `map` also written, through a shared mapping; its locks are in
one, too.

    lmdb_writers.py make DIRECTORY ROWS
    lmdb_writers.py write DIRECTORY PROCESSES TRANSACTIONS [map]

`write` adds as many transactions for each process: a row that moves an amount
between two accounts.  While it does, and at the end, all accounts add up to
nothing, and all transactions that were answered are there.
"""
import random
import sys

import lmdb

sys.dont_write_bytecode = True

from processes import in_processes  # noqa: E402


def connect(path, mapped=False):
    return lmdb.open(path, map_size=256 << 20, writemap=mapped)


def key(*words):
    return ("%s:%08d" % (words[0], words[1]) if len(words) == 2
            else "%s:%d:%08d" % words).encode()


def make(path, rows):
    with connect(path) as db, db.begin(write=True) as txn:
        for i in range(rows):
            txn.put(key("account", i), b"0" * 40)
        txn.put(b"rows", b"%d" % rows)


def rows_of(txn):
    return int(txn.get(b"rows"))


def total(txn):
    return sum(int(txn.get(key("account", i))) for i in range(rows_of(txn)))


def write(path, who, transactions, mapped):
    dice = random.Random(who)
    with connect(path, mapped) as db:
        for n in range(transactions):
            with db.begin(write=True) as txn:
                for sign in (1, -1):
                    account = key("account", dice.randrange(rows_of(txn)))
                    value = int(txn.get(account)) + sign * who
                    txn.put(account, b"%040d" % value)
                txn.put(key("move", who, n), bytes(dice.randrange(3000)))
            if n % 50 == 0:
                with db.begin() as txn:
                    assert total(txn) == 0, total(txn)


def check(path, processes, transactions):
    with connect(path) as db, db.begin() as txn:
        assert total(txn) == 0, total(txn)
        moves = [bytes(k) for k in txn.cursor().iternext(values=False)
                 if k.startswith(b"move")]
        assert len(moves) == processes * transactions, len(moves)


def main():
    what, path = sys.argv[1:3]
    if what == "make":
        make(path, int(sys.argv[3]))
        return
    processes, transactions = int(sys.argv[3]), int(sys.argv[4])
    mapped = "map" in sys.argv[5:]
    in_processes(processes,
                 lambda who: write(path, who, transactions, mapped))
    check(path, processes, transactions)


main()
