# SPDX-License-Identifier: Apache-2.0
"""Who mounts a tree, and how.

A Peer is prepared once with a tree, then mounts and unmounts it as often as
asked: `mount(at)` returns when the mount answers.
"""
import os
import shutil
import subprocess
import time

from measure import have, run


class Peer:
    name = ""
    every = 1  # in which rounds it takes part: those that are slow, in few

    def __init__(self, work):
        self.work = os.path.join(work, "peer-" + self.name.replace(" ", "-"))
        self.at = os.path.join(self.work, "mnt")
        os.makedirs(self.at)

    def prepare(self, tree):
        """Make from the tree what is mounted."""

    def command(self):
        """The command that mounts at self.at."""
        raise NotImplementedError

    def mount(self):
        """Mount; seconds until the root could be listed."""
        self.fresh()
        start = time.monotonic()
        run(*self.command())
        os.listdir(self.at)
        return time.monotonic() - start

    def fresh(self):
        """Before each mount: nothing of the last one stays."""

    def umount(self):
        run("umount", self.at)
        # A daemon that is still writing would disturb the next one.
        for _ in range(200):
            if not self.daemon():
                return
            time.sleep(0.01)

    def daemon(self):
        """The process that serves the mount, if one does."""
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    words = file.read().decode(errors="replace").split("\0")
            except OSError:
                continue
            if self.at in words and words[0] != "umount":
                return int(pid)
        return None

    def memory(self):
        """MB of anonymous memory of the daemon, or None."""
        pid = self.daemon()
        if not pid:
            return None
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            for line in file:
                if line.startswith("RssAnon:"):
                    return int(line.split()[1]) / 1024
        return None


class Native(Peer):
    name = "native"

    def prepare(self, tree):
        os.rmdir(self.at)
        self.at = tree

    def mount(self):
        return None

    def umount(self):
        pass

    def daemon(self):
        return None


class NativeCopy(Native):
    """For writing: an empty directory beside the tree."""

    def prepare(self, tree):
        pass

    def fresh(self):
        shutil.rmtree(self.at)
        os.mkdir(self.at)

    def mount(self):
        self.fresh()


class Shale(Peer):
    name = "shale"
    options = ()

    def prepare(self, tree):
        self.env = dict(os.environ, SHALE_STORE=os.path.join(self.work, "store"))
        run("shale", "-q", "import", tree, "-t", "bench:v1", env=self.env)

    def command(self):
        return ["shale", "-q", "--store", os.path.join(self.work, "store"),
                "mount", "bench:v1", self.at, *self.options]

    def daemon(self):
        store = os.path.join(self.work, "store")
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                exe = os.readlink(f"/proc/{pid}/exe")
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    words = file.read().decode(errors="replace")
            except OSError:
                continue
            if exe.endswith("shalefs") and (store in words or self.at in words):
                return int(pid)
        return None

    def umount(self):
        run("shale", "-q", "--store", os.path.join(self.work, "store"),
            "umount", self.at)


class ShaleWritable(Shale):
    options = ("--rw", "--ephemeral")


class Image(Peer):
    """One that mounts a file made beforehand."""
    every = 2

    def image(self):
        return os.path.join(self.work, "image")


class Squashfuse(Image):
    name = "squashfuse"
    needs = ("mksquashfs", "squashfuse")

    def prepare(self, tree):
        run("mksquashfs", tree, self.image(), "-comp", "lz4", "-noappend",
            "-quiet", "-no-progress")

    def command(self):
        return ["squashfuse", self.image(), self.at]


class SquashfsKernel(Squashfuse):
    name = "squashfs kernel"

    def command(self):
        return ["mount", "-t", "squashfs", "-o", "loop,ro", self.image(),
                self.at]


class ErofsKernel(Image):
    name = "erofs kernel"
    needs = ("mkfs.erofs",)

    def prepare(self, tree):
        run("mkfs.erofs", "-zlz4", self.image(), tree)

    def command(self):
        return ["mount", "-t", "erofs", "-o", "loop,ro", self.image(), self.at]


class Overlay(Peer):
    """The kernel's: read-only over two directories, one of them empty."""
    name = "overlayfs"
    every = 2
    writable = False

    def prepare(self, tree):
        self.tree = tree
        os.makedirs(os.path.join(self.work, "empty"))

    def dirs(self):
        where = f"lowerdir={self.tree}:{self.work}/empty"
        if self.writable:
            where += f",upperdir={self.work}/upper,workdir={self.work}/wrk"
        return where

    def fresh(self):
        for name in ("upper", "wrk") if self.writable else ():
            path = os.path.join(self.work, name)
            shutil.rmtree(path, ignore_errors=True)
            os.mkdir(path)

    def command(self):
        return ["mount", "-t", "overlay", "overlay", "-o", self.dirs(), self.at]


class FuseOverlay(Overlay):
    name = "fuse-overlayfs"
    every = 4
    needs = ("fuse-overlayfs",)

    def command(self):
        return ["fuse-overlayfs", "-o", self.dirs(), self.at]


class OverlayWritable(Overlay):
    every = 1
    writable = True


class FuseOverlayWritable(FuseOverlay):
    writable = True


# Without these there is nothing to compare.
MUST = (Shale, ShaleWritable)


def gather(kinds, work, tree, say):
    """Those of `kinds` that can be mounted here, prepared and tried."""
    peers = []
    for kind in kinds:
        if not have(*getattr(kind, "needs", ())):
            say(f"{kind.name}: not installed")
            continue
        peer = kind(work)
        try:
            peer.prepare(tree)
            peer.mount()
            peer.umount()
        except (RuntimeError, OSError, subprocess.SubprocessError) as why:
            if kind in MUST:
                raise
            say(f"{kind.name}: cannot be mounted here: {str(why).strip().splitlines()[0][-120:]}")
            continue
        peers.append(peer)
    return peers
