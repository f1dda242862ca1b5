# SPDX-License-Identifier: Apache-2.0
"""Power cuts under PostgreSQL, whose data directory comes from an image.

    pgcuts.py DIR BINARIES SECONDS CUTS SEED

pgbench runs on a writable mount of a store on a disk that remembers (disk.py),
and tells the disk's log of each transaction that was answered; now and then the
mount is committed.  After a cut PostgreSQL recovers, has all those transactions
and none by half; every few cuts it is examined throughout."""
import concurrent.futures
import functools
import json
import os
import random
import sys
import threading

sys.path.append(f"{os.path.dirname(os.path.abspath(__file__))}/../lib")

from cutter import Log, look_at_all  # noqa: E402
from disk import Disk, run  # noqa: E402
from postgres import Server  # noqa: E402

DISK_MIB, CLIENTS, EXAMINED = 384, 4, 10
SCRIPT = r"""
\set n :n + 1
\set aid random(1, 100000)
\set tid random(1, 10)
\set delta random(-5000, 5000)
begin;
update pgbench_accounts set abalance = abalance + :delta where aid = :aid;
update pgbench_tellers set tbalance = tbalance + :delta where tid = :tid;
update pgbench_branches set bbalance = bbalance + :delta where bid = 1;
insert into pgbench_history (tid, bid, aid, delta, mtime)
	values (:tid, 1, :aid, :delta, current_timestamp);
insert into acked values (:client_id, :n);
end;
\shell echo note [ :client_id , :n ] >control
"""
SUMS = """select coalesce(sum(delta), 0)
	= (select sum(abalance) from pgbench_accounts)
	and coalesce(sum(delta), 0) = (select sum(bbalance) from pgbench_branches)
	and coalesce(sum(delta), 0) = (select sum(tbalance) from pgbench_tellers)
	and count(*) = (select count(*) from acked) from pgbench_history"""


def shale(fs, *args):
    return run("shale", "-q", *args,
               env={**os.environ, "SHALE_STORE": f"{fs}/store"})


# ------------------------------------------------------------------ the load

def make_base(binaries, dir, top):
    server = Server(binaries, f"{dir}/socket", "fsync=off")
    server.make(f"{top}/data", 1, "--data-checksums", "--wal-segsize=1")
    server.ask("create extension amcheck; create table acked(client int, "
               "n bigint, primary key (client, n))")
    server.stop(f"{top}/data", "fast")


def commit_now_and_then(disk, mount, over):
    number = 0
    while not over.wait(2):
        shale(disk.fs, "commit", mount, "-t", f"pg:c{number}")
        disk.tell(f'note "c{number}"')
        number += 1


def run_load(server, disk, mount, seconds, seed):
    """What pgbench says after that time."""
    over = threading.Event()
    threads = concurrent.futures.ThreadPoolExecutor()
    server.start(f"{mount}/data")
    try:
        disk.tell('note "begin"')
        commits = threads.submit(commit_now_and_then, disk, mount, over)
        # As root: the log is nobody else's to write.
        said = server.run("pgbench", "-n", "-f", "script", "-D", "n=0", "-c",
                          str(CLIENTS), "-j", str(CLIENTS), "-T", seconds,
                          f"--random-seed={seed}", user="root")
        over.set()
        commits.result()
        disk.tell('note "end"')
        return said
    finally:
        over.set()
        server.stop(f"{mount}/data", "fast")


def make_history(binaries, dir, seconds, seed):
    """Run the load on a new disk; what is left is the log."""
    disk = Disk(dir, DISK_MIB)
    mount = f"{dir}/m"
    os.makedirs(mount)
    make_base(binaries, dir, f"{dir}/src")
    # Checkpoints, and segments of the log used again, every few seconds.
    server = Server(binaries, f"{dir}/socket", "max_wal_size=8MB",
                    "min_wal_size=2MB", "checkpoint_timeout=30s",
                    "shared_buffers=8MB", "bgwriter_delay=50ms")
    with open(f"{dir}/socket/script", "w") as file:
        file.write(SCRIPT)
    os.symlink(f"{disk.fuse}/control", f"{dir}/socket/control")
    try:
        shale(disk.fs, "import", f"{dir}/src", "-t", "pg:v1")
        shale(disk.fs, "mount", "pg:v1", mount, "-w", "w")
        run("sync", "-f", disk.fs)
        said = run_load(server, disk, mount, seconds, seed)
        shale(disk.fs, "umount", mount)
    finally:
        disk.close()
    print("".join(it for it in said.splitlines(True) if "actually" in it),
          end="")
    return Log(disk.log)


class History:
    """What was answered, and where in the log."""

    def __init__(self, log):
        self.notes = [(at, json.loads(text)) for at, text in log.notes()]
        self.begin, self.end = (
            [at for at, note in self.notes if note == it][0]
            for it in ("begin", "end"))

    def before(self, cut):
        """({client: its last transaction}, [tag of a version])"""
        answered, versions = {}, []
        for at, note in self.notes:
            if at >= cut:
                break
            if isinstance(note, list):
                answered[note[0]] = note[1]
            elif note != "begin":
                versions.append(note)
        return answered, versions


# ---------------------------------------------------------------- after a cut

def check_answered(server, answered):
    found = {}
    for line in server.ask("select client, max(n), count(*) from acked "
                           "group by client"):
        client, last, count = (int(it) for it in line.split("|"))
        if last != count:
            raise ValueError(f"client {client} has {count} of {last}")
        found[client] = last
    for client in range(CLIENTS):
        want, got = answered.get(client, 0), found.get(client, 0)
        if got not in (want, want + 1):  # one more may be under way
            raise ValueError(f"client {client}: {want} was answered last, "
                             f"{got} is the last there")
    if server.ask(SUMS) != ["t"]:
        raise ValueError("a transaction is there by half")


def examine(server, data):
    """All of it, while it runs and while it rests."""
    server.run("pg_amcheck", "--heapallindexed", "--parent-check", "bench")
    server.stop(data, "fast")
    server.run("pg_checksums", "-c", "-D", data)


def check(history, binaries, fs, mount, cut, random_):
    """Look at everything that the power left."""
    answered, versions = history.before(cut)
    # The path of a socket must be short.
    server = Server(binaries, f"{mount}.s", "fsync=off", "shared_buffers=8MB")
    data = f"{mount}/data"
    shale(fs, "mount", "-w", "w", mount)
    try:
        if os.path.exists(f"{data}/postmaster.pid"):
            os.unlink(f"{data}/postmaster.pid")  # a machine that has started
        server.start(data)
        try:
            check_answered(server, answered)
            if random_.randrange(EXAMINED) == 0:
                examine(server, data)
        finally:
            if os.path.exists(f"{data}/postmaster.pid"):
                server.stop(data, "immediate")
    finally:
        shale(fs, "umount", mount)
    tags = [tag for line in shale(fs, "log", "pg", "--json").splitlines()
            for tag in json.loads(line)["tags"]]
    for version in versions:
        if version not in tags:
            raise ValueError(f"pg:{version} is not there, only {tags}")
    shale(fs, "verify", "--read-data")


def main():
    dir, binaries, seconds, cuts, seed = sys.argv[1:]
    os.makedirs(dir, exist_ok=True)
    log = make_history(binaries, dir, seconds, seed)
    history = History(log)
    at = log.moments(history.begin, history.end, int(cuts),
                     random.Random(int(seed)))
    wrong = look_at_all(log, f"{dir}/first", dir, at, seed,
                        functools.partial(check, history, binaries))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
