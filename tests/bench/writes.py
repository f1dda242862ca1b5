# SPDX-License-Identifier: Apache-2.0
"""Writable mounts: what it costs to change a mounted image."""
import errno
import os
import time

from corpus import Corpus
from measure import Rounds, Table, cold, run, taking_part, timed
from peers import (FuseOverlayWritable, NativeCopy, OverlayWritable,
                   ShaleWritable, gather)


class ShaleWriteback(ShaleWritable):
    name = "shale -o writeback"
    options = ("--rw", "--ephemeral", "-o", "writeback")


class ShalePassthrough(ShaleWritable):
    name = "shale -o passthrough"
    options = ("--rw", "--ephemeral", "-o", "passthrough")


OPTIONS = (ShaleWriteback, ShalePassthrough)
OVERLAYS = (OverlayWritable, ShaleWritable, FuseOverlayWritable)
WRITERS = (NativeCopy, *OVERLAYS)
CREATE, POKE = "create small files", "one byte of the big file"
REMOVE, RENAME = "rm -rf of base files", "rename a base directory"
BY_1M, BY_4K = "write by 1 MiB, fsync", "write by 4 KiB, fsync"


def declare(table):
    table.line(CREATE, "s", "overlayfs", "<= 4 x", 4)
    table.line(POKE, "s", "overlayfs", "<= 5 ms", 0.005, True)
    table.line(REMOVE, "s", "overlayfs", "<= 2 x", 2)
    table.line(RENAME, "s", "overlayfs", "<= 5 ms", 0.005, True)
    table.line(BY_1M, "s", "native", "<= 2 x", 2)
    table.line(BY_4K, "s", "native", "<= 8 x", 8)


def load(*words):
    return float(run("load", *words).split()[0])


def small(peer, scale):
    return load("create", peer.at, scale.create)


def poke(peer, scale):
    return load("poke", os.path.join(peer.at, "table.csv"), scale.table // 2)


def remove(peer, _):
    return timed("rm", "-rf", os.path.join(peer.at, "files"))


def rename(peer, _):
    """rename(2); where that is refused, what everybody does then."""
    old, new = (os.path.join(peer.at, name) for name in ("files", "moved"))
    start = time.monotonic()
    try:
        os.rename(old, new)
    except OSError as why:
        if why.errno != errno.EXDEV:
            raise
        run("mv", "-T", old, new)
    return time.monotonic() - start


def write_by(block):
    def write(peer, scale):
        return load("write", os.path.join(peer.at, "written"), scale.write,
                    block)
    return write


LOADS = (
    (CREATE, small, False), (POKE, poke, False), (REMOVE, remove, False),
    (RENAME, rename, False), (BY_1M, write_by(1 << 20), True),
    (BY_4K, write_by(4096), True),
)


def expect(what, good):
    if not good:
        raise RuntimeError(f"{what}: the mount does not show it")


def check(peer, scale, what):
    """What was done is what is there."""
    def here(*names):
        return os.path.join(peer.at, *names)

    if what == CREATE:
        got = sum(len(names) for where, _, names in os.walk(peer.at)
                  if os.path.basename(where).startswith("new"))
        expect(what, got == scale.create)
    elif what == POKE:
        with open(here("table.csv"), "rb") as file:
            file.seek(scale.table // 2 - 1)
            expect(what, file.read(3)[1:2] == b"!")
    elif what == REMOVE:
        expect(what, os.listdir(peer.at) == ["table.csv"])
    elif what == RENAME:
        expect(what, sorted(os.listdir(peer.at)) == ["moved", "table.csv"] and
               len(os.listdir(here("moved"))) == (scale.base + 99) // 100)
    else:
        expect(what, os.path.getsize(here("written")) == scale.write)


def bench(scale, work, rounds, end):
    table = Table("writable mounts", "shale")
    declare(table)
    corpus = Corpus(work, scale.base, scale.base_mean, scale.table)
    corpus.make()
    table.note(f"base: {scale.base} files and one of {scale.table >> 20} MiB; "
               f"{scale.create} files created, {scale.write >> 20} MiB written")
    writers = gather((*WRITERS, *OPTIONS), work, corpus.tree, table.note)
    overlays = [p for p in writers if isinstance(p, OVERLAYS) and
                not isinstance(p, OPTIONS)]
    for n in Rounds(rounds, end):
        for what, run_load, on_native in LOADS:
            for peer in taking_part(writers if on_native else overlays, n):
                peer.mount()
                cold()
                table.add(what, peer.name, run_load(peer, scale))
                check(peer, scale, what)
                peer.umount()
                if on_native:
                    peer.fresh()
    return table
