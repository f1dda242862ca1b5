# SPDX-License-Identifier: Apache-2.0
"""Read-only mounts: ready, names, attributes, contents, memory."""
import os

from corpus import Corpus
from measure import Rounds, Table, cold, run, same, taking_part, timed
from peers import (ErofsKernel, FuseOverlay, Native, Overlay, Shale,
                   SquashfsKernel, Squashfuse, gather)


class ShaleLean(Shale):
    name, every = "shale -o lean", 2
    options = ("-o", "lean")


KINDS = (Native, Shale, ShaleLean, Squashfuse, SquashfsKernel, ErofsKernel,
         FuseOverlay, Overlay)

# line, what is run in a mount, goals cold and warm
WALKS = (
    ("find", "find . >/dev/null", 0.3, 0.7),
    ("stat all", "find . -printf '%s %T@\\n' >/dev/null", 0.5, 1),
    ("read all files", "find files -type f -print0 | xargs -0 cat >/dev/null",
     0.35, 1),
    ("big file, sequential", "dd if=table.csv of=/dev/null bs=1M status=none",
     0.5, 1.5),
)


def declare(table):
    table.line("mount ready", "s", "squashfuse", "<= 15 ms", 0.015, True)
    for what, _, goal_cold, goal_warm in WALKS:
        for state, goal in (("cold", goal_cold), ("warm", goal_warm)):
            table.line(f"{what}, {state}", "s", "native", f"<= {goal} x", goal)
    table.line("random 4 KiB, cold", "s", "native", "<= 1.2 x", 1.2)
    table.line("daemon RssAnon", "MB", "fuse-overlayfs", "<= 32 MB", 32, True)


def inside(peer, command):
    """Seconds for a shell command in a mount."""
    return timed("sh", "-c", command, cwd=peer.at)


def remember(table, peer):
    """The memory of a daemon after each load."""
    memory = peer.memory()
    if memory is not None:
        table.add("daemon RssAnon", peer.name, memory)


def random_reads(peer, reads, want):
    """Seconds of `reads` reads that gave what they should."""
    seconds, got = run("load", "random", os.path.join(peer.at, "table.csv"),
                       reads).split()
    if got != want:
        raise RuntimeError(f"{peer.name}: its reads gave other bytes")
    return float(seconds)


def check(peers, corpus):
    for peer in peers:
        peer.mount()
        if peer.at != corpus.tree:
            same(corpus.tree, peer.at)
        peer.umount()


def measure(table, peer, reads, want):
    peer.mount()  # its programs were driven out by the last one's cold reads
    peer.umount()
    for n, (what, command, _, _) in enumerate(WALKS):
        ready = peer.mount()
        if ready is not None and n == 0:
            table.add("mount ready", peer.name, ready)
        cold()
        table.add(f"{what}, cold", peer.name, inside(peer, command))
        table.add(f"{what}, warm", peer.name, inside(peer, command))
        remember(table, peer)
        peer.umount()
    peer.mount()  # anew: a daemon keeps in its own memory where things lie
    cold()
    table.add("random 4 KiB, cold", peer.name, random_reads(peer, reads, want))
    remember(table, peer)
    peer.umount()


def bench(scale, work, rounds, end):
    table = Table("read-only mounts", "shale")
    declare(table)
    corpus = Corpus(work, scale.files, scale.mean, scale.table)
    corpus.make()
    table.note(f"{scale.files} files and one of {scale.table >> 20} MiB, "
               f"{corpus.nbytes() >> 20} MiB in all")
    peers = gather(KINDS, work, corpus.tree, table.note)
    check(peers, corpus)
    want = run("load", "random", corpus.table, scale.reads).split()[1]
    for n in Rounds(rounds, end):
        for peer in taking_part(peers, n):
            measure(table, peer, scale.reads, want)
    table.note("all showed what was packed: names, modes and contents")
    return table
