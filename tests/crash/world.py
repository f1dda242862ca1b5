# SPDX-License-Identifier: Apache-2.0
"""A small store with a history, made at first use and copied for every run.

    i:v1 … i:v6   a line of versions: an import, imports onto it, commits
    i:other       an import that shares content with them
    alone:x       a repository with a single version
    w             a workspace on i:v6 with changes, not mounted

and on the side, as directories, what the next versions are to hold.
"""
import os
import shutil
import subprocess

from store import Store

TIME = 1_600_000_000


def run(*command, code=0, **more):
    """A command's output; it must exit with `code`."""
    done = subprocess.run([str(c) for c in command], text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          stdin=subprocess.DEVNULL, errors="replace", **more)
    if done.returncode != code:
        raise AssertionError(f"{' '.join(map(str, command))}: exit "
                             f"{done.returncode}: {done.stdout[-1500:]}")
    return done.stdout


def write(path, text, n=0):
    """A file with a time of its own, so that trees can be compared."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
    os.utime(path, (TIME + n, TIME + n))


def settle(top):
    """Directories get times that do not depend on when they were changed."""
    for path, _, _ in os.walk(top, topdown=False):
        os.utime(path, (TIME, TIME))


def make_tree(top):
    for i in range(12):
        write(f"{top}/a/f{i}", f"line of file {i}\n" * (i * 150 + 1), i)
    with open(f"{top}/big", "wb") as file:
        subprocess.run(["gendata", "csv", "200K", "1"], stdout=file, check=True)
    os.symlink("a/f1", f"{top}/link")
    os.utime(f"{top}/link", (TIME, TIME), follow_symlinks=False)
    os.link(f"{top}/a/f2", f"{top}/second")
    settle(top)


def change_tree(top, n):
    """A step that adds, changes, renames and deletes: of a tree or a mount."""
    write(f"{top}/new{n}", f"new in {n}\n" * 400, n)
    write(f"{top}/a/f{n}", f"changed in {n}\n" * 90, n)
    with open(f"{top}/big", "r+b") as file:
        file.seek(n * 20_000)
        file.write(b"overwritten in %d; " % n * 150)
    os.utime(f"{top}/big", (TIME + n, TIME + n))
    if os.path.exists(f"{top}/new{n - 2}"):
        os.rename(f"{top}/new{n - 2}", f"{top}/a/moved{n}")
    if os.path.exists(f"{top}/a/moved{n - 1}"):
        os.unlink(f"{top}/a/moved{n - 1}")
    settle(top)


class World:
    """Directories below `top`: base (the store as prepared), store (the copy
    that is struck), v1 … (trees), m (a mountpoint)."""

    def __init__(self, top):
        self.top = top
        self.base, self.store = f"{top}/base", f"{top}/store"
        self.mountpoint = f"{top}/m"
        os.environ["SHALE_STORE"] = self.store
        if not os.path.exists(self.base):
            os.makedirs(self.mountpoint, exist_ok=True)
            self._build()
            os.rename(self.store, self.base)
        self.before = Store(self.base)
        self.fresh()

    def tree(self, name):
        return f"{self.top}/{name}"

    def copy_tree(self, old, new):
        run("cp", "-a", self.tree(old), self.tree(new))
        return self.tree(new)

    def _build(self):
        make_tree(self.tree("v1"))
        run("shale", "import", self.tree("v1"), "-t", "i:v1")
        for n in range(2, 7):
            top = self.copy_tree(f"v{n - 1}", f"v{n}")
            change_tree(top, n)
            if n % 2:
                run("shale", "import", top, "--onto", "i:latest", "-t",
                    f"i:v{n}")
            else:
                run("shale", "mount", "i:latest", self.mountpoint, "-w", "x")
                change_tree(self.mountpoint, n)
                run("shale", "commit", self.mountpoint, "-t", f"i:v{n}")
                run("shale", "umount", self.mountpoint)
                shutil.rmtree(f"{self.store}/workspaces/x")
        run("shale", "import", self.tree("v3"), "-t", "i:other", "--no-latest")
        run("shale", "import", self.tree("v1") + "/a", "-t", "alone:x",
            "--no-latest")
        run("shale", "mount", "i:v6", self.mountpoint, "-w", "w")
        change_tree(self.mountpoint, 7)
        run("shale", "umount", self.mountpoint)
        change_tree(self.copy_tree("v6", "v7"), 7)
        change_tree(self.copy_tree("v7", "v8"), 8)
        run("tar", "-C", self.tree("v8"), "-cf", self.tree("v8.tar"), ".")

    def portable(self):
        """A saved file with versions that the store does not have: l:one, as
        v7, and l:two, as v8."""
        path, store = self.tree("l.tar"), self.tree("other-store")
        if not os.path.exists(path):
            shale = ["shale", "-q", "--store", store]
            run(*shale, "import", self.tree("v7"), "-t", "l:one",
                "--no-latest")
            run(*shale, "import", self.tree("v8"), "--onto", "l:one", "-t",
                "l:two", "--no-latest")
            run(*shale, "save", "l:two", "--history", "-o", path)
        return path

    def fresh(self):
        """The store as it was prepared."""
        shutil.rmtree(self.store, ignore_errors=True)
        run("cp", "-a", "--reflink=auto", self.base, self.store)

    def unmount(self):
        """Whoever serves it may be gone."""
        while os.path.ismount(self.mountpoint) or self._dead():
            run("umount", "-l", self.mountpoint)

    def _dead(self):
        try:
            os.stat(self.mountpoint)
        except OSError:
            return True
        return False

    def same(self, ref, tree):
        """The version, exported, is that tree."""
        out = self.tree("exported")
        shutil.rmtree(out, ignore_errors=True)
        run("shale", "export", ref, "-o", out)
        run("treecmp", "--no-holes", self.tree(tree), out)
