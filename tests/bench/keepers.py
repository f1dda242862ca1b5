# SPDX-License-Identifier: Apache-2.0
"""Who keeps versions of a directory, and how."""
import os
import shutil

from measure import have, run


class Keeper:
    """Keeps versions of `tree` below its own directory."""
    name, needs = "", ()
    every = 1  # in which rounds it takes part: those that are slow, in few

    def __init__(self, work):
        self.work = os.path.join(work, "keeper-" + self.name.replace(" ", "-"))

    def usable(self):
        return have(*self.needs)

    def fresh(self):
        shutil.rmtree(self.work, ignore_errors=True)
        os.makedirs(self.work)

    def keep(self, tree, n):
        """Version n of the tree."""
        raise NotImplementedError

    def restore(self, n, out):
        raise NotImplementedError

    def restored(self, out, tree):
        """Where the tree came to be."""
        return out

    def nbytes(self):
        return sum(os.lstat(os.path.join(where, name)).st_blocks * 512
                   for where, _, names in os.walk(self.work) for name in names)

    def file(self, n):
        return os.path.join(self.work, f"v{n}")


class Shale(Keeper):
    codec = "lz4"

    def __init__(self, work):
        self.name = "shale " + self.codec
        super().__init__(work)

    def shale(self, *words):
        return run("shale", "-q", "--store", os.path.join(self.work, "store"),
                   *words)

    def keep(self, tree, n):
        onto = ("--onto", f"bench:v{n - 1}") if n > 1 else ()
        self.shale("import", tree, "-t", f"bench:v{n}", "--codec", self.codec,
                   *onto)

    def restore(self, n, out):
        self.shale("export", f"bench:v{n}", "-o", out)

    def nbytes(self):
        self.work, whole = os.path.join(self.work, "store", "blobs"), self.work
        try:
            return super().nbytes()
        finally:
            self.work = whole


class ShaleZstd(Shale):
    codec, every = "zstd", 2


class Tar(Keeper):
    name, needs, every = "tar+lz4", ("tar", "lz4"), 2

    def keep(self, tree, n):
        run("tar", "-I", "lz4", "-cf", self.file(n), "-C", tree, ".")

    def restore(self, n, out):
        os.mkdir(out)
        run("tar", "-I", "lz4", "-xf", self.file(n), "-C", out)


class Squashfs(Keeper):
    codec, needs = "lz4", ("mksquashfs", "unsquashfs")
    options = ()

    def __init__(self, work):
        self.name = "mksquashfs " + self.codec
        super().__init__(work)

    def keep(self, tree, n):
        run("mksquashfs", tree, self.file(n), "-comp", self.codec,
            *self.options, "-noappend", "-quiet", "-no-progress")

    def restore(self, n, out):
        run("unsquashfs", "-no-progress", "-quiet", "-d", out, self.file(n))


class SquashfsZstd(Squashfs):
    codec, every = "zstd", 2
    options = ("-Xcompression-level", "3")  # Shale's; its own default is 15


class Restic(Keeper):
    name, needs, every = "restic", ("restic",), 5

    def restic(self, *words):
        return run("restic", "-q", "-r", os.path.join(self.work, "repo"),
                   *words, env=dict(os.environ, RESTIC_PASSWORD="bench",
                                    RESTIC_CACHE_DIR=self.work + "-cache"))

    def fresh(self):
        super().fresh()
        shutil.rmtree(self.work + "-cache", ignore_errors=True)
        self.restic("init")

    def keep(self, tree, n):
        self.restic("backup", "--tag", f"v{n}", tree)

    def restore(self, n, out):
        self.restic("restore", "--tag", f"v{n}", "--target", out, "latest")

    def restored(self, out, tree):
        return out + tree


class Borg(Keeper):
    name, needs = "borg lz4", ("borg",)

    def borg(self, *words, cwd=None):
        env = dict(os.environ, BORG_BASE_DIR=self.work + "-cache",
                   BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK="yes")
        return run("borg", *words, env=env, cwd=cwd)

    def fresh(self):
        super().fresh()
        shutil.rmtree(self.work + "-cache", ignore_errors=True)
        self.borg("init", "-e", "none", os.path.join(self.work, "repo"))

    def keep(self, tree, n):
        self.borg("create", "-C", "lz4", f"{self.work}/repo::v{n}", tree)

    def restore(self, n, out):
        os.mkdir(out)
        self.borg("extract", f"{self.work}/repo::v{n}", cwd=out)

    def restored(self, out, tree):
        return out + tree


class Ostree(Keeper):
    name, needs, every = "ostree", ("ostree",), 5

    def ostree(self, verb, *words):
        return run("ostree", verb, f"--repo={self.work}/repo", *words)

    def fresh(self):
        super().fresh()
        os.makedirs(self.work + "/repo")
        self.ostree("init", "--mode=archive")

    def keep(self, tree, n):
        self.ostree("commit", "-b", "bench", "-s", f"v{n}", tree)

    def restore(self, n, out):
        self.ostree("checkout", "-U", "bench", out)


class Casync(Keeper):
    name, needs, every = "casync", ("casync",), 5

    def keep(self, tree, n):
        run("casync", "make", f"--store={self.work}/store",
            self.file(n) + ".caidx", tree)

    def restore(self, n, out):
        os.mkdir(out)
        run("casync", "extract", f"--store={self.work}/store",
            self.file(n) + ".caidx", out)


KEEPERS = (Shale, ShaleZstd, Tar, Squashfs, SquashfsZstd, Borg, Restic, Ostree,
           Casync)
