# SPDX-License-Identifier: Apache-2.0
"""What is struck: a command, what may be after it, what must be in the end."""
import os
import re
import shutil

from world import change_tree, run


class Scenario:
    """`tags`: which the command sets, and the tree that they then show (None:
    the tag is taken away).  `removes`: versions that it may forget, by tag."""
    tags = {"i:new": "v8", "i:latest": "v8"}
    removes = ()
    gone_before = ()    # versions that it takes away in prepare(), by tag
    again = (0,)        # exit codes of the command when it runs once more
    codes = (0, 11)     # … and when something else happens meanwhile
    in_part = False     # exit 3 when the disk fails
    unsynced = ()       # what of the store may be lost after success
    leftovers = frozenset()  # temporary files of before that may stay
    # What somebody else does at some moment of it: by default nothing that a
    # command that runs could notice.
    meanwhile = "shale -q gc"
    store_is_new = False

    def __init__(self, world):
        self.world = world

    def command(self):
        raise NotImplementedError

    def watched(self):
        """The directory whose changes count."""
        return self.world.store

    def prepare(self):
        """After the store was copied, before the command."""

    def clean(self):
        """After the command, whatever became of it."""

    def finished(self):
        """The right result, after the command has succeeded."""
        for tag, tree in self.tags.items():
            if tree:
                self.world.same(tag, tree)


class Import(Scenario):
    def command(self):
        return ["shale", "import", self.world.tree("v8"), "-t", "i:new"]


class First(Import):
    """The store is made by it."""
    store_is_new = True

    def prepare(self):
        shutil.rmtree(self.world.store)


class Archive(Scenario):
    def command(self):
        return ["shale", "import", self.world.tree("v8.tar"), "-t", "i:new"]


class Onto(Scenario):
    def command(self):
        return ["shale", "import", self.world.tree("v8"), "--onto", "i:v6",
                "-t", "i:new"]


class Commit(Scenario):
    """Of a workspace that is not mounted."""
    tags = {"i:new": "v7", "i:latest": "v7"}

    def command(self):
        return ["shale", "commit", "w", "-t", "i:new"]


class CommitMounted(Scenario):
    """Of one that is: the daemon lives through it."""

    def prepare(self):
        run("shale", "mount", "-w", "w", self.world.mountpoint)
        change_tree(self.world.mountpoint, 8)

    def command(self):
        return ["shale", "commit", self.world.mountpoint, "-t", "i:new"]

    def clean(self):
        """The mount shows what it showed."""
        run("treecmp", "--no-holes", "--dir-nlink", self.world.tree("v8"),
            self.world.mountpoint)


class CommitUnmounted(Scenario):
    """Of one that is unmounted somewhere on the way."""

    def prepare(self):
        run("shale", "mount", "-w", "w", self.world.mountpoint)
        change_tree(self.world.mountpoint, 8)
        self.meanwhile = f"shale -q umount {self.world.mountpoint}"

    def command(self):
        return ["shale", "commit", "w", "-t", "i:new"]

    def clean(self):
        if not os.path.ismount(self.world.mountpoint):
            return
        run("shale", "-q", "umount", self.world.mountpoint)

    def finished(self):
        super().finished()
        left = run("shale", "status", "w")
        if left:
            raise AssertionError(f"not committed: {left}")


class Session(Scenario):
    """Mount, commit and unmount, the daemon and its holder struck as well."""
    tags = {"i:new": "v7", "i:latest": "v7"}

    def command(self):
        at = self.world.mountpoint
        return ["sh", "-c", f"trap : INT; shale mount -w w {at} || exit; "
                f"shale commit {at} -t i:new; code=$?; "
                f"shale umount {at} || umount -l {at}; exit $code"]

    def clean(self):
        self.world.unmount()


class Tag(Scenario):
    tags = {"i:new": "v2"}

    def command(self):
        return ["shale", "tag", "i:v2", "i:new"]


class MoveTag(Scenario):
    tags = {"i:v6": "v2"}

    def command(self):
        return ["shale", "tag", "i:v2", "i:v6"]


class Untag(Scenario):
    tags = {"i:v3": None}
    again = (0, 13)

    def command(self):
        return ["shale", "untag", "i:v3"]


class Purge(Untag):
    tags = {"alone:x": None}
    removes = ("alone:x",)

    def command(self):
        return ["shale", "untag", "alone:x", "--purge"]


class Look(Scenario):
    """Commands that only read build indexes."""
    tags = {}

    def command(self):
        return ["sh", "-ec", "trap : INT; shale ls i:v4; shale inspect --tree-digest i:v5; "
                "shale cat i:v6:/big"]


class Export(Scenario):
    """What is struck is the directory that it writes."""
    tags = {}
    in_part = True

    def command(self):
        return ["shale", "export", "i:v6", "-o", self.world.tree("out"),
                "--overwrite", "always"]

    def watched(self):
        return self.world.tree("out")

    def prepare(self):
        shutil.rmtree(self.world.tree("out"), ignore_errors=True)
        os.makedirs(self.world.tree("out"))

    def clean(self):
        """What a killed export was about to rename says whose it is."""
        for path, _, names in os.walk(self.world.tree("out")):
            for name in names:
                if re.fullmatch(r"\.shale-[0-9a-f]{16}", name):
                    os.unlink(f"{path}/{name}")

    def finished(self):
        run("treecmp", "--no-holes", self.world.tree("v6"),
            self.world.tree("out"))
