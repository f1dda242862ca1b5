# SPDX-License-Identifier: Apache-2.0
"""A database on a writable mount: PostgreSQL, as pgbench drives it.

Its data comes from an image; for the figures it has run for a while: its tables
are in the page cache, and the segments of its log have been written before."""
import os
import re
import sys

from measure import Rounds, Table, run
from peers import NativeCopy, ShaleWritable, gather
from writes import ShaleWriteback

sys.path.append(f"{os.path.dirname(os.path.abspath(__file__))}/../lib")

import postgres  # noqa: E402

CLIENTS, SEGMENTS = 8, 8
PGBENCH = f"pgbench, {CLIENTS} clients"
# No checkpoint but those that are asked for, between two samples.
SETTINGS = ("checkpoint_timeout=1h", "autovacuum=off")
SUMS = """select coalesce(sum(delta), 0)
	= (select sum(abalance) from pgbench_accounts)
	and count(*) = {} from pgbench_history"""


def read_all(tree):
    for where, _, names in os.walk(tree):
        for name in names:
            with open(os.path.join(where, name), "rb") as file:
                file.read()


class Database:
    """PostgreSQL on what a peer mounts."""

    def __init__(self, peer, binaries):
        self.peer, self.done = peer, 0
        self.data = os.path.join(peer.at, "data")
        self.server = postgres.Server(binaries, f"{peer.work}.s", *SETTINGS)

    def start(self, tree):
        self.peer.mount()
        if isinstance(self.peer, NativeCopy):
            run("cp", "-a", f"{tree}/.", self.peer.at)
        self.server.start(self.data)
        for _ in range(SEGMENTS):
            self.server.ask("select txid_current(), pg_switch_wal()")
        self.server.ask("checkpoint")
        read_all(os.path.join(self.data, "base"))
        self.sample(1)

    def sample(self, seconds):
        """Transactions a second."""
        self.server.ask("checkpoint")
        said = self.server.run("pgbench", "-n", "-c", str(CLIENTS), "-j", "2",
                               "-T", str(seconds))
        self.done += int(re.search(r"actually processed: (\d+)", said)[1])
        return float(re.search(r"tps = ([\d.]+)", said)[1])

    def check(self):
        """What was answered is what is there."""
        if self.server.ask(SUMS.format(self.done)) != ["t"]:
            raise RuntimeError(f"{self.peer.name}: pgbench's sums are wrong")

    def stop(self):
        self.server.stop(self.data)
        self.peer.umount()


def measure(table, databases, tree, seconds, rounds):
    started = []
    try:
        for database in databases:
            database.start(tree)
            started.append(database)
        for _ in rounds:
            for database in databases:
                table.add(PGBENCH, database.peer.name,
                          database.sample(seconds))
        for database in databases:
            database.check()
    finally:
        for database in started:
            database.stop()


def bench(scale, work, rounds, end):
    table = Table("databases", "shale")
    table.line(PGBENCH, "/s", "native", ">= 0.85 x", 0.85, more=True)
    binaries = postgres.find_binaries()
    if not binaries:
        table.note("PostgreSQL: not installed")
        return table
    table.note(f"transactions a second of TPC-B, scale {scale.scale}, "
               f"{scale.seconds} s a sample")
    os.chmod(work, 0o755)
    tree = os.path.join(work, "tree")
    maker = postgres.Server(binaries, os.path.join(work, "s"), "fsync=off")
    maker.make(os.path.join(tree, "data"), scale.scale)
    maker.stop(os.path.join(tree, "data"))
    # Segments for later would be written to for the first time.
    maker.run("pg_resetwal", "-D", os.path.join(tree, "data"))
    peers = gather((NativeCopy, ShaleWritable, ShaleWriteback), work, tree,
                   table.note)
    measure(table, [Database(peer, binaries) for peer in peers], tree,
            scale.seconds, Rounds(rounds, end))
    return table
