# SPDX-License-Identifier: Apache-2.0
"""A disk that fails under a store: who asked is told, nothing is called clean
that is not, nothing stored is lost, and what is asked again succeeds.

    faults.py DIR SCENARIO SEED TIMES

Errors are injected below ext4 (logdisk.c): one that hits its metadata makes it
read-only, as on any machine; then it is checked and mounted again."""
import errno
import json
import os
import random
import signal
import subprocess
import sys

from disk import Disk, SECTOR, mount_checked, run, unmount
from history import content

DISK_MIB, LARGE = 128, 200


class Fault:
    def __init__(self, dir, seed):
        self.dir, self.random = dir, random.Random(seed)
        self.m, self.src = f"{dir}/m", f"{dir}/src"
        for path in (self.m, self.src):
            os.makedirs(path)
        with open(f"{self.src}/base", "wb") as file:
            file.write(content(1, 0, 256, 0))
        # As far as it can, ext4 goes on.
        self.disk = Disk(dir, DISK_MIB, "noatime,errors=continue")
        self.env = {**os.environ, "SHALE_STORE": f"{self.disk.fs}/store"}
        self.shale("import", self.src, "-t", "p:v1")

    def try_(self, *args, quiet=True):
        """The command's exit code, and what it said."""
        done = subprocess.run(["shale", *["-q"][:quiet], *args], env=self.env,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return done.returncode, done.stdout.decode(errors="replace")

    def shale(self, *args):
        code, said = self.try_(*args)
        if code:
            raise SystemError(f"shale {' '.join(args)}: exit {code}\n{said}")
        return said

    def fails(self, *args):
        code, said = self.try_(*args)
        if not code:
            raise ValueError(f"shale {' '.join(args)} succeeds")
        return said

    def mount(self):
        self.shale("mount", *(["p:v1"] if not os.path.exists(
            f"{self.disk.fs}/store/workspaces/w") else []), "-w", "w", self.m)

    def kill(self):
        """Holder and daemon, and the mount goes."""
        status = json.loads(self.shale("status", "--mount", self.m, "--json"))
        os.kill(status["holder_pid"], signal.SIGKILL)
        os.kill(status["pid"], signal.SIGKILL)
        run("umount", "-l", self.m)

    def heal(self):
        """The disk is well again, the file system checked and mounted anew."""
        self.disk.tell("heal")
        self.disk.remount()
        self.another_boot()  # what was not flushed went as with the power

    def another_boot(self):
        boot = f"{self.env['SHALE_STORE']}/workspaces/w/boot"
        if os.path.exists(boot):
            with open(boot, "w") as file:
                file.write("another boot\n")

    def power_cut(self):
        """What a power cut leaves of the disk, everything written there, as
        another store."""
        image, after = f"{self.dir}/cut", f"{self.dir}/after"
        run("cp", "--sparse=auto", self.disk.image, image)
        mount_checked(image, after, "loop")
        self.env["SHALE_STORE"] = f"{after}/store"
        self.another_boot()

    def back(self):
        """To the disk of before."""
        unmount(f"{self.dir}/after")
        os.unlink(f"{self.dir}/cut")
        self.env["SHALE_STORE"] = f"{self.disk.fs}/store"

    def close(self):
        self.disk.tell("heal")
        if os.path.ismount(self.m) and self.try_("umount", self.m)[0]:
            self.kill()
        self.failures = self.disk.failed()
        self.disk.close()

    def new(self, name, fid):
        fd = os.open(f"{self.m}/{name}", os.O_RDWR | os.O_CREAT, 0o644)
        os.pwrite(fd, content(fid, 0, 64, 7), 0)
        return fd

    def holds(self, name, fid, n=64, op=7):
        with open(f"{self.m}/{name}", "rb") as file:
            if file.read() != content(fid, 0, n, op):
                raise ValueError(f"{name} is not what was written")


def refuses(call, *args):
    """It fails with EIO."""
    try:
        call(*args)
    except OSError as error:
        if error.errno == errno.EIO:
            return
        raise
    raise ValueError(f"{call.__name__} succeeds on a disk that fails")


def data_flush(fault):
    """A failed flush of a file is told, for as long as the file is there."""
    fault.mount()
    good, bad = fault.new("good", 2), fault.new("bad", 3)
    os.fsync(good)
    # More than the journal keeps for a file.
    os.pwrite(bad, content(3, 0, LARGE, 7), 0)
    fault.disk.tell("fail write 0 1 SHALEPWR")
    refuses(os.fsync, bad)
    fault.disk.tell("heal")
    refuses(os.fsync, bad)
    fault.holds("bad", 3, LARGE)
    os.fsync(good)
    if "nput/output" not in fault.fails("commit", fault.m, "-t", "p:v2"):
        raise ValueError("a commit does not say why it fails")
    os.close(bad)
    os.close(good)
    said = fault.fails("umount", fault.m)
    if "not on disk: /bad" not in said or "--force" not in said:
        raise ValueError(f"umount says neither what nor how: {said}")
    fault.kill()
    fault.mount()  # the next daemon knows; the pages may be lost by now
    code, said = fault.try_("umount", "--force", fault.m, quiet=False)
    if code != 3 or "not on disk: /bad" not in said:
        raise ValueError(f"umount --force does not say what: {said}")
    if os.path.ismount(fault.m):
        raise ValueError("umount --force has not unmounted")
    fault.mount()
    fault.holds("good", 2)
    bad = os.open(f"{fault.m}/bad", os.O_RDWR)
    refuses(os.fsync, bad)
    os.close(bad)
    os.unlink(f"{fault.m}/bad")
    os.close(fault.new("bad", 4))
    fault.shale("commit", fault.m, "-t", "p:v2")
    fault.holds("bad", 4)
    fault.shale("umount", fault.m)
    fault.shale("verify", "--read-data")


def journal_flush(fault):
    """A journal that cannot be flushed takes no change; what was answered is
    there for the next daemon, and on disk when that has unmounted."""
    fault.mount()
    os.close(fault.new("before", 2))
    top = os.open(fault.m, os.O_RDONLY)
    fault.disk.tell("fail write 0 1 SHLJ")
    refuses(os.fsync, top)
    fault.disk.tell("heal")
    refuses(os.mkdir, f"{fault.m}/dir")
    fault.holds("before", 2)
    fault.holds("base", 1, 256, 0)
    os.close(top)
    fault.kill()
    fault.mount()
    fault.holds("before", 2)
    fd = fault.new("after", 3)
    os.fsync(fd)
    os.close(fd)
    fault.shale("umount", fault.m)
    fault.power_cut()
    fault.mount()
    fault.holds("before", 2)
    fault.holds("after", 3)
    fault.shale("umount", fault.m)
    fault.back()


def journal_hole(fault):
    """The same, and the power goes while the next daemon is at work."""
    fault.mount()
    for i in range(40):  # some pages of the journal
        os.close(fault.new(f"before{i}", 100 + i))
    top = os.open(fault.m, os.O_RDONLY)
    fault.disk.tell("fail write 0 1 SHLJ")
    refuses(os.fsync, top)
    fault.disk.tell("heal")
    os.close(top)
    fault.kill()
    fault.mount()
    fd = fault.new("after", 3)
    os.fsync(fd)
    os.close(fd)
    fault.kill()
    fault.power_cut()
    fault.mount()
    for i in range(40):
        fault.holds(f"before{i}", 100 + i)
    fault.holds("after", 3)
    fault.shale("umount", fault.m)
    fault.back()


def read(fault):
    """A read that fails is told, and goes well when the disk does."""
    fault.mount()
    fd = fault.new("new", 2)
    os.fsync(fd)
    os.close(fd)
    fault.shale("umount", fault.m)
    fault.disk.remount()  # nothing is in memory
    fault.mount()
    fault.disk.tell("fail read 0 1 SHALEPWR")
    refuses(lambda: open(f"{fault.m}/new", "rb").read())
    fault.disk.tell("heal")
    fault.holds("new", 2)
    fault.holds("base", 1, 256, 0)
    fault.shale("umount", fault.m)
    fault.shale("verify", "--read-data")


def full(fault):
    """A disk without space: the writer is told, what was taken stays, deleting
    works, and a power cut finds it all."""
    fault.mount()
    fd = fault.new("kept", 2)
    os.fsync(fd)
    with open(f"{fault.disk.fs}/ballast", "wb") as file:
        stat = os.statvfs(fault.disk.fs)
        os.posix_fallocate(file.fileno(), 0,
                           (stat.f_bavail - 1024) * stat.f_frsize)
    taken = fill(fault, fd)
    os.fsync(fd)
    os.close(fd)
    fault.kill()
    fault.power_cut()
    fault.mount()
    if os.stat(f"{fault.m}/kept").st_size != taken * SECTOR:
        raise ValueError("the file is not as long as what was taken")
    fault.holds("kept", 2, taken)
    os.unlink(f"{fault.m}/kept")
    os.unlink(f"{fault.env['SHALE_STORE']}/../ballast")
    fault.holds("base", 1, 256, 0)
    fault.shale("commit", fault.m, "-t", "p:v2")
    fault.shale("umount", fault.m)
    fault.shale("verify", "--read-data")
    fault.back()


def fill(fault, fd):
    """Write until there is no space; how many sectors were taken."""
    taken = 64
    try:
        while True:
            os.pwrite(fd, content(2, taken, 64, 7), taken * SECTOR)
            taken += 64
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
    os.ftruncate(fd, taken * SECTOR)  # of the last one, a part may be there
    return taken


def run_scenario(scenarios):
    """The one that the command line names."""
    dir, scenario, seed, _ = sys.argv[1:]
    fault = Fault(dir, int(seed))
    try:
        scenarios[scenario](fault)
    finally:
        fault.close()


if __name__ == "__main__":
    run_scenario(globals())
