# SPDX-License-Identifier: Apache-2.0
"""Scenarios in which something goes: by gc, discard, replay, workspace rm."""
import glob
import json
import os
import shutil

from scenarios import Scenario
from store import Store
from world import TIME, run


def garbage(store):
    """Blobs that nothing needs: no version, no prepared merge."""
    merged = set()
    for path in glob.glob(f"{store.path}/compact/*"):
        with open(path, encoding="ascii") as file:
            merged.add(json.load(file)["digest"])
    return store.present() - store.needed() - merged


class Gc(Scenario):
    """A version was purged, and a command has died."""
    tags = {"alone:x": None}
    removes = ("alone:x",)
    gone_before = removes
    leftovers = frozenset({"tmp/blob-1-0-0", "compact/.x.1.tmp"})
    meanwhile = None

    def prepare(self):
        run("shale", "untag", "alone:x", "--purge")
        for name in *self.leftovers, "leases/1.1":
            with open(f"{self.world.store}/{name}", "w", encoding="ascii"):
                pass
            os.utime(f"{self.world.store}/{name}", (TIME, TIME))

    def command(self):
        return ["shale", "gc"]

    def finished(self):
        store = Store(self.world.store)
        left = garbage(store) | store.temporary() | {
            f"leases/{n}" for n in os.listdir(f"{self.world.store}/leases")}
        if left:
            raise AssertionError(f"gc has left {left}")
        run("shale", "verify", "--all", "--read-data")


class Purged(Scenario):
    """A version is purged, and gc runs, while a command uses it: that is served
    whole, or told that there is no such version."""
    tags = {"alone:x": None}
    removes = ("alone:x",)
    again = (0, 13)
    codes = (0, 13)
    meanwhile = "shale untag alone:x --purge && shale -q gc"

    def watched(self):
        return self.world.top

    def finished(self):
        pass


class ExportPurged(Purged):
    def prepare(self):
        shutil.rmtree(self.world.tree("out"), ignore_errors=True)
        shutil.rmtree(self.world.tree("v1a"), ignore_errors=True)
        run("cp", "-a", self.world.tree("v1") + "/a", self.world.tree("v1a"))

    def command(self):
        out = self.world.tree("out")
        return ["sh", "-c", f"shale export alone:x -o {out} --overwrite always "
                f"|| exit; treecmp --no-links --no-holes "
                f"{self.world.tree('v1a')} {out} || exit 5"]


class MountPurged(Purged):
    def command(self):
        at, tree = self.world.mountpoint, self.world.tree("v1")
        return ["sh", "-c", f"shale mount alone:x {at} || exit; "
                f"treecmp --no-links --no-holes --dir-nlink {tree}/a {at} || "
                f"r=5; shale umount {at}; exit $r"]


class CommitPurged(Purged):
    """The workspace's base has no name any more."""
    tags = {"alone:x": None, "i:based": "v1a", "i:latest": "v1a"}

    def prepare(self):
        at, tree = self.world.mountpoint, self.world.tree("v1a")
        shutil.rmtree(tree, ignore_errors=True)
        run("cp", "-a", self.world.tree("v1") + "/a", tree)
        run("shale", "mount", "alone:x", at, "-w", "alone")
        for top in at, tree:
            with open(f"{top}/added", "w", encoding="ascii") as file:
                file.write("added\n")
            os.utime(f"{top}/added", (TIME, TIME))
            os.utime(top, (TIME, TIME))

    def command(self):
        return ["shale", "commit", self.world.mountpoint, "-t", "i:based",
                "--allow-empty"]

    codes = (0,)

    def finished(self):
        out = self.world.tree("exported")
        shutil.rmtree(out, ignore_errors=True)
        run("shale", "export", "i:based", "-o", out)
        run("treecmp", "--no-links", self.world.tree("v1a"), out)


class Discard(Scenario):
    tags = {}

    def command(self):
        return ["shale", "discard", "w"]

    def finished(self):
        left = run("shale", "status", "w")
        if left:
            raise AssertionError(f"not discarded: {left}")
        at = self.world.mountpoint
        run("shale", "mount", "-w", "w", at)
        run("treecmp", "--no-holes", "--dir-nlink", self.world.tree("v6"), at)
        run("shale", "umount", at)


class DiscardMounted(Discard):
    """With the daemon that does it."""
    meanwhile = None

    def command(self):
        at = self.world.mountpoint
        return ["sh", "-c", f"trap : INT; shale mount -w w {at} || exit; "
                f"shale discard {at}; code=$?; "
                f"shale umount {at} || umount -l {at}; exit $code"]

    def clean(self):
        self.world.unmount()


class Remove(Scenario):
    """Of a workspace with changes."""
    tags = {}
    again = (0, 13)
    unsynced = ("workspaces",)  # where it is deleted under another name

    def command(self):
        return ["shale", "workspace", "rm", "--force", "w"]

    def finished(self):
        # (what is left of one has another name, and goes with the next)
        if os.path.exists(f"{self.world.store}/workspaces/w"):
            raise AssertionError("the workspace is there")


class Replay(Scenario):
    """From nothing."""
    tags = {}
    options = ()
    in_part = True

    def watched(self):
        return self.world.tree("out")

    def prepare(self):
        shutil.rmtree(self.world.tree("out"), ignore_errors=True)

    def command(self):
        return ["shale", "replay", "i:v6", self.world.tree("out"),
                *self.options]

    def finished(self):
        run("treecmp", "--no-holes", self.world.tree("v6"),
            self.world.tree("out"))


class ReplayFrom(Replay):
    """From an older version."""
    options = ("--from", "i:v2")

    def prepare(self):
        super().prepare()
        run("cp", "-a", self.world.tree("v2"), self.world.tree("out"))
