# SPDX-License-Identifier: Apache-2.0
"""How cost grows: ten times the files, ten times the layers."""
import os
import shutil
import time

from measure import Rounds, Table, cold, run, timed
from peers import Shale

IMPORT, READY = "import, for 1,000 files", "mount ready"
LOOKUPS, MEMORY = "2,000 random lookups, cold", "daemon RssAnon after find"
COMMIT, FIRST = "commit of 10 changes", "first mount of that version"
ONE, FILES, LAYERS = "1 x", "10 x files", "10 x layers"


def declare(table):
    table.line(IMPORT, "s", ONE, "<= 1.5 x", 1.5)
    table.line(READY, "s", ONE, "<= 15 ms", 0.015, True)
    table.line(LOOKUPS, "s", ONE, "<= 1.5 x", 1.5)
    table.line(MEMORY, "MB", ONE, "<= 32 MB", 32, True)
    table.line(COMMIT, "s", ONE, "<= 0.5 s", 0.5, True)
    table.line(FIRST, "s", ONE, "<= 50 ms", 0.05, True)


class Image(Shale):
    """A store with one line of versions of `count` small files."""

    def __init__(self, work, name, count):
        self.name, self.count, self.versions = name, count, 1
        super().__init__(work)
        self.store = os.path.join(self.work, "store")
        self.tree = os.path.join(self.work, "tree")

    def shale(self, *words):
        return run("shale", "-q", "--store", self.store, *words)

    def make(self):
        os.mkdir(self.tree)
        run("load", "create", self.tree, self.count)
        run("sync")

    def first(self):
        """The first version, in a store of its own; seconds."""
        shutil.rmtree(self.store, ignore_errors=True)
        return timed("shale", "-q", "--store", self.store, "import", self.tree,
                     "-t", "bench:v1")

    def command(self):
        return ["shale", "-q", "--store", self.store, "mount", "bench:latest",
                self.at]

    def change(self, seed):
        for n in range(10):
            at = (n * 7919 + seed * 104729) % self.count
            path = f"{self.at}/new{at // 1000:03}/f{at:06}"
            with open(path, "a", encoding="ascii") as out:
                out.write(f"{seed} {n}\n")

    def commit(self):
        """Ten changes on a mount; seconds of the commit, and of the first
        mount of what it made."""
        self.shale("mount", "bench:latest", self.at, "--rw", "--ephemeral")
        self.change(self.versions)
        self.versions += 1
        start = time.monotonic()
        self.shale("commit", self.at, "-t", f"bench:v{self.versions}")
        seconds = time.monotonic() - start
        self.umount()
        ready = self.mount()
        self.umount()
        return seconds, ready


def measure(table, image):
    image.mount()  # the last one's cold reads drove out programs and names
    image.umount()
    table.add(READY, image.name, image.mount())
    cold()
    table.add(LOOKUPS, image.name, float(
        run("load", "stat", image.at, 2000, image.count).split()[0]))
    run("sh", "-c", "find . -printf '%s\\n' | tail -n 1", cwd=image.at)
    table.add(MEMORY, image.name, image.memory())
    image.umount()
    seconds, ready = image.commit()
    table.add(COMMIT, image.name, seconds)
    table.add(FIRST, image.name, ready)


def bench(scale, work, rounds, end):
    table = Table("scale", FILES)
    declare(table)
    images = [Image(work, ONE, scale.files), Image(work, FILES, scale.files * 10),
              Image(work, LAYERS, scale.files)]
    for image in images:
        image.make()
    for _ in range(2):
        for image in images[:2]:
            table.add(IMPORT, image.name,
                      image.first() / (image.count / 1000))
    images[2].first()
    for image, versions in zip(images, (2, 2, 20)):
        image.mount()  # its index is there
        image.umount()
        for _ in range(1, versions):
            image.commit()
    for _ in Rounds(rounds, end):
        for image in images:
            measure(table, image)
    table.note(f"1 x: {scale.files} files in 2 versions, 10 x files: "
               f"{scale.files * 10}, 10 x layers: 20 versions to begin with")
    return table
