# SPDX-License-Identifier: Apache-2.0
"""Making, keeping and restoring versions; committing a mount."""
import os
import shutil
import time

from corpus import Corpus
from keepers import KEEPERS
from measure import Rounds, Table, run, same, taking_part

FIRST, FIRST_SIZE = "first version", "first version, size"
SECOND, SECOND_SIZE = "second version", "second version adds"
COMMIT, COMMIT_SIZE = "commit of the same on a mount", "that commit adds"
RESTORE = "restore all"


def declare(table):
    """The goals are seconds on two idle cores for 951 MB; the ratio to
    mksquashfs lz4 (5.6 s, 412 MB there) is what carries to other machines."""
    table.line(FIRST, "s", "mksquashfs lz4", "<= 0.71 x (4 s)", 4 / 5.6)
    table.line(FIRST_SIZE, "MB", "mksquashfs lz4", "<= 0.95 x", 390 / 412)
    table.line(SECOND, "s", "mksquashfs lz4", "<= 0.15 x (1 s)", 1 / 6.6)
    table.line(SECOND_SIZE, "MB", "borg lz4", "<= 0.84 x", 8 / 9.5)
    table.line(COMMIT, "s", "mksquashfs lz4")
    table.line(COMMIT_SIZE, "MB", "borg lz4")
    table.line(RESTORE, "s", "mksquashfs lz4", "<= 0.91 x (2 s)", 2 / 2.2)


def warm(tree):
    """Read it all: some (borg) drive what they read out of the page cache, and
    whoever comes next would pay for it."""
    run("sync")
    run("sh", "-c", "find . -type f -print0 | xargs -0 cat >/dev/null",
        cwd=tree)


def clock(what, *words):
    start = time.monotonic()
    what(*words)
    return time.monotonic() - start


def commit(table, keeper, corpus, check):
    """The same change through a mount; what is timed is the commit."""
    at = keeper.work + "-mnt"
    os.makedirs(at, exist_ok=True)
    keeper.shale("mount", "bench:v1", at, "--rw", "--ephemeral")
    try:
        corpus.change(at, seed=4)
        before = keeper.nbytes()
        table.add(COMMIT, keeper.name,
                  clock(keeper.shale, "commit", at, "-t", "bench:v3",
                        "--codec", keeper.codec))
        table.add(COMMIT_SIZE, keeper.name, (keeper.nbytes() - before) / 1e6)
        if check:
            out = keeper.work + "-out"
            keeper.restore(3, out)
            same(at, out)
            shutil.rmtree(out)
    finally:
        keeper.shale("umount", at)


def restore(table, keeper, corpus, out, check):
    table.add(RESTORE, keeper.name, clock(keeper.restore, 2, out))
    if check:
        same(corpus.tree, keeper.restored(out, corpus.tree))
    shutil.rmtree(out)


def one_round(table, keepers, corpus, work, check):
    sizes = {}
    for keeper in keepers:
        keeper.fresh()
        warm(corpus.tree)
        table.add(FIRST, keeper.name, clock(keeper.keep, corpus.tree, 1))
        sizes[keeper] = keeper.nbytes()
        table.add(FIRST_SIZE, keeper.name, sizes[keeper] / 1e6)
    corpus.change()
    for keeper in keepers:
        warm(corpus.tree)
        table.add(SECOND, keeper.name, clock(keeper.keep, corpus.tree, 2))
        table.add(SECOND_SIZE, keeper.name,
                  (keeper.nbytes() - sizes[keeper]) / 1e6)
    for keeper in keepers:
        run("sync")
        restore(table, keeper, corpus, os.path.join(work, "out"), check)
        if hasattr(keeper, "shale"):
            commit(table, keeper, corpus, check)
        keeper.fresh()


def bench(scale, work, rounds, end):
    table = Table("versions", "shale lz4")
    declare(table)
    corpus = Corpus(work, scale.files, scale.mean, scale.table, real=True)
    corpus.make()
    table.note(f"{corpus.files} files of this machine and a table of "
               f"{scale.table >> 20} MiB, {corpus.nbytes() >> 20} MiB in all; "
               "then 1 % of the files and 2 % of the table change; caches warm")
    everyone = [kind(work) for kind in KEEPERS]
    keepers = [k for k in everyone if k.usable()]
    for k in everyone:
        if k not in keepers:
            table.note(f"{k.name}: not installed")
    clean = os.path.join(work, "clean")
    run("cp", "-a", "--reflink=auto", corpus.tree, clean)
    for n in Rounds(rounds, end):
        one_round(table, taking_part(keepers, n), corpus, work, n == 0)
        run("cp", "-a", clean + "/.", corpus.tree)
    return table
