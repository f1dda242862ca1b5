# SPDX-License-Identifier: Apache-2.0
"""Two commands at once, again and again: every pair of them.

    pairs.py DIRECTORY PAIRS ROUNDS SEED [K/N]

PAIRS is how many are drawn with the SEED, 0 for all, or one: VERB+VERB.  With
K/N it is every N-th of them from the K-th on, so that a long run can be split
and gone on with.  Before a round, what the last one used up is put back: a
tree with something new in it, a version to purge, indexes that are to be built.

No command may fail but by saying that something is locked (11), or that a tag
is not there which another takes away (13).  After every round all versions of
before are there, and now and then their structure is looked at; in the end
every version is whole, and the mounts show their trees.
"""
import glob
import os
import random
import shutil
import subprocess
import sys
import time

from store import NAME, Damage, Store, load
from world import World, run, write

LOCKED, NO_REF = 11, 13
LOOK = 10   # a look at the store's structure after so many rounds
# Repositories of which the verbs take versions away.
GOING = {"alone", "gone1", "gone2", "l"}


def a_mount_may_go(beside):
    """Then what is written to its directory is not written to it."""
    return beside == "remount"


class Pairs:
    def __init__(self, world):
        self.world = world
        self.mounts = [world.tree("pair1"), world.tree("pair2")]
        self.spare = [world.tree("spare1"), world.tree("spare2")]
        for path in self.mounts + self.spare:
            os.makedirs(path, exist_ok=True)
        self.same_tree = world.tree("same")
        shutil.rmtree(self.same_tree, ignore_errors=True)
        world.copy_tree("v8", "same")
        self.n, self.versions = 0, {}

    # ------------------------------------------------------------ commands

    def verbs(self, beside=""):
        """Name: (shell command with $1 = 1 or 2 and $2 = round, codes)."""
        at, spare = self.world.tree("pair"), self.world.tree("spare")
        tree, out = self.world.tree("v"), self.world.tree("pout")
        verbs = {
            "import": (f"shale import {self.same_tree} -t i:same", ()),
            "import-other": (f"shale import {tree}1 -t other$1:r$2", ()),
            "onto": (f"shale import {self.same_tree} --onto i:v6 -t i:onto",
                     ()),
            "commit-live": (f"echo $2 >{at}$1/made-$2-$1; "
                            f"shale commit {at}$1 -t i:live$1", ()),
            "commit-one": (f"echo $2 >{at}1/one-$2-$1; "
                           f"shale commit {at}1 -t i:live1", ()),
            "commit-resting": ("shale commit w -t i:rested --allow-empty",
                               (LOCKED,)),
            "tag": ("shale tag i:v2 i:moving", ()),
            "untag": ("shale untag i:moving", (NO_REF,)),
            "purge": ("shale untag alone:x --purge", (NO_REF,)),
            "export": (f"rm -rf {out}$1; shale export i:v4 -o {out}$1", ()),
            "ls": ("shale ls -lR i:v5", ()),
            "cat": ("shale cat i:v3:/big", ()),
            "log": ("shale log i", ()),
            "images": ("shale images", ()),
            "inspect": ("shale inspect --tree-digest i:v6", ()),
            "mount": (f"shale mount i:v6 {spare}$1 && ls -lR {spare}$1 && "
                      f"shale umount {spare}$1", ()),
            "mount-w": (f"shale mount -w w {spare}$1 && echo $2 "
                        f">{spare}$1/w-$2-$1 && shale umount {spare}$1",
                        (LOCKED,)),
            "browse": (f"shale browse i {spare}$1 && ls -l "
                       f"{spare}$1/by-tag/v3/ && shale umount {spare}$1", ()),
            "status": (f"shale status {at}1", ()),
            "remount": (f"shale umount {at}1 && shale mount -w pair1 {at}1",
                        (LOCKED,)),
            "commit-name": ("shale commit pair1 -t i:live1", (LOCKED,)),
            "status-name": ("shale status pair1", (LOCKED,)),
            "gc": ("shale gc", ()),
            "purge-gc": ("shale import " + tree + "2 -t gone$1:x --no-latest "
                         "&& shale untag gone$1:x --purge && shale gc", ()),
            "discard": (f"echo $2 >{at}2/drop-$2-$1; shale discard {at}2",
                        (LOCKED,)),
            "metadata": ("shale metadata i:v4", ()),
            "workspaces": ("shale workspaces", ()),
            "replay": (f"rm -rf {out}$1; shale replay i:v5 {out}$1", ()),
            "save": (f"shale save i:v6 --history -o {out}$1.tar", ()),
            "save-alone": (f"shale save alone:x -o {out}$1.tar", (NO_REF,)),
            "load": (f"shale load -i {self.world.portable()}", ()),
            "verify": ("shale verify --all --read-data", ()),
            "diff": ("shale diff --stat i:v2 i:v6", ()),
        }
        if beside == "remount":  # the two undo what the other does
            verbs["remount"] = (verbs["remount"][0], (LOCKED, 1))
        if a_mount_may_go(beside):
            for verb in "commit-live", "commit-one", "status":
                verbs[verb] = ("true", ())
        return verbs

    def start(self, verb, side, beside):
        command, codes = self.verbs(beside)[verb]
        child = subprocess.Popen(
            ["sh", "-c", command, "sh", str(side), str(self.n)], text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, errors="replace")
        return verb, child, codes

    def finish(self, started):
        verb, child, codes = started
        said = child.communicate(timeout=120)[1]
        return (child.returncode not in (0, *codes) and
                f"{verb}: exit {child.returncode}: {said}")

    def round(self, a, b):
        self.n += 1
        self.ready({a, b})
        pair = [self.start(a, 1, b), self.start(b, 2, a)]
        said = [self.finish(one) for one in pair]
        if any(said):
            raise AssertionError("; ".join(filter(None, said)))
        self.nothing_lost()
        if self.n % LOOK == 0:
            run("shale", "verify", "--all")

    def ready(self, verbs):
        """Put back what the last round has used up, or left locked."""
        for at in filter(os.path.ismount, self.spare):
            run("shale", "-q", "umount", at)
        for n, at in enumerate(self.mounts, 1):
            if not os.path.ismount(at):
                run("shale", "mount", "-w", f"pair{n}", at)
        tags = self.tags()
        if verbs & {"import", "onto"}:
            write(f"{self.same_tree}/round", f"{self.n}\n" * 100, self.n)
        if verbs & {"purge"} and "alone:x" not in tags:
            run("shale", "import", self.world.tree("v1") + "/a", "-t",
                "alone:x", "--no-latest")
        if verbs & {"untag"} and "i:moving" not in tags:
            run("shale", "tag", "i:v2", "i:moving")
        if verbs & {"load"} and "l:two" in tags:
            for tag in "l:two", "l:one":
                run("shale", "untag", tag, "--purge")
            run("shale", "gc")
        if self.n % 2:
            for path in glob.glob(f"{self.world.store}/indexes/*"):
                os.unlink(path)

    # -------------------------------------------------------------- around

    def begin(self):
        self.world.fresh()
        self.n, self.versions = 0, {}
        run("shale", "tag", "i:v2", "i:moving")
        for n, at in enumerate(self.mounts, 1):
            run("shale", "mount", "i:v6", at, "-w", f"pair{n}")

    def end(self):
        for at in self.mounts + self.spare:
            while os.path.ismount(at):
                run("umount", "-l", at)

    def entries(self):
        return load(f"{self.world.store}/index.json")["manifests"]

    def tags(self):
        return {e["annotations"].get(NAME) for e in self.entries()}

    def nothing_lost(self):
        """What was published is there until somebody takes it away."""
        now = {e["digest"]: e["annotations"]["vnd.shale.repository"]
               for e in self.entries()}
        for version in self.versions.keys() - now.keys():
            if self.versions[version] not in GOING:
                raise Damage(f"lost: {version} of {self.versions[version]}")
        self.versions = now

    def check(self):
        for n, at in enumerate(self.mounts, 1):
            run("shale", "-q", "commit", at, "-t", f"i:end{n}", "--allow-empty")
            self.same(f"i:end{n}", at)
        run("shale", "verify", "--all", "--read-data")
        self.nothing_lost()
        gone = set(self.world.before.tags) - self.tags() - {
            "alone:x", "i:moving"}
        if gone:
            raise Damage(f"lost: {gone}")
        Store(self.world.store)
        for at in self.mounts:
            run("shale", "-q", "umount", at)

    def same(self, ref, mount):
        out = self.world.tree("exported")
        shutil.rmtree(out, ignore_errors=True)
        run("shale", "export", ref, "-o", out)
        run("treecmp", "--no-holes", "--dir-nlink", mount, out)

    def pair(self, a, b, rounds):
        self.begin()
        try:
            for _ in range(rounds):
                self.round(a, b)
            self.check()
        finally:
            self.end()


def chosen(names, which, seed, part):
    """The pairs that a command line asks for."""
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i:]]
    if "+" in which:
        pairs = [tuple(which.split("+"))]
    elif int(which):
        pairs = random.Random(seed).sample(pairs, int(which))
    first, step = map(int, part.split("/"))
    return pairs[first - 1::step]


def main():
    top, which, rounds, seed = sys.argv[1:5]
    pairs = Pairs(World(top))
    part = sys.argv[5] if len(sys.argv) > 5 else "1/1"
    todo = chosen(sorted(pairs.verbs()), which, seed, part)
    failed, start = 0, time.monotonic()
    for a, b in todo:
        try:
            pairs.pair(a, b, int(rounds))
        except (AssertionError, Damage, subprocess.TimeoutExpired) as e:
            failed += 1
            print(f"{a} beside {b}, round {pairs.n}: {e}", flush=True)
    print(f"{len(todo)} pairs, {rounds} rounds each, {failed} failed, "
          f"{time.monotonic() - start:.0f} s")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
