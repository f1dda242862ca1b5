# SPDX-License-Identifier: Apache-2.0
"""An ext4 on a disk that remembers (logdisk.c)."""
import os
import subprocess
import time

SECTOR = 512


def run(*command, **options):
    """The command's output; an error that tells it when it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, **options)
    said = done.stdout.decode(errors="replace")
    if done.returncode:
        raise SystemError(f"{' '.join(command)}: exit {done.returncode}\n{said}")
    return said


def unmount(path):
    """Processes behind an answer (a merge, a holder) may still be ending."""
    for _ in range(100):
        if not subprocess.run(["umount", path], stderr=subprocess.DEVNULL,
                              check=False).returncode:
            return
        time.sleep(0.1)
    run("umount", path)


def mount_checked(image, path, options):
    """As a machine does that starts."""
    said = subprocess.run(["e2fsck", "-fy", image], check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if said.returncode > 1:
        raise ValueError(f"e2fsck: {said.stdout.decode()}")
    os.makedirs(path, exist_ok=True)
    run("mount", "-o", options, image, path)


def make_ext4(image, mib):
    with open(image, "wb") as file:
        file.truncate(mib << 20)
    run("mkfs.ext4", "-q", "-F", "-m", "0", "-J", "size=4", "-E",
        "lazy_itable_init=0,lazy_journal_init=0,nodiscard", image)


class Disk:
    """`dir`/image, served with its log in `dir`/log, mounted at `dir`/fs."""

    def __init__(self, dir, mib, options="noatime"):
        self.dir, self.options = dir, options
        self.image, self.log = f"{dir}/image", f"{dir}/log"
        self.fs, self.fuse = f"{dir}/fs", f"{dir}/disk"
        self.loop = None
        os.makedirs(self.fs)
        os.makedirs(self.fuse)
        make_ext4(self.image, mib)
        run("cp", "--sparse=auto", self.image, f"{dir}/first")
        self.server = subprocess.Popen(
            ["logdisk", self.image, self.log, self.fuse])
        while not os.path.exists(f"{self.fuse}/disk"):
            if self.server.poll() is not None:
                raise SystemError("logdisk does not run")
            time.sleep(0.02)
        self.control = os.open(f"{self.fuse}/control", os.O_WRONLY)
        self.loop = run("losetup", "--find", "--show", "--direct-io=on",
                        f"{self.fuse}/disk").strip()
        self.mount()

    def mount(self):
        run("mount", "-o", self.options, self.loop, self.fs)

    def remount(self):
        """Without what was in memory, checked."""
        unmount(self.fs)
        for _ in range(100):
            done = subprocess.run(["e2fsck", "-fy", self.loop], check=False,
                                  stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT)
            if done.returncode != 8:  # in use: the kernel has not let go yet
                break
            time.sleep(0.1)
        if done.returncode > 1:
            raise SystemError(f"e2fsck: {done.stdout.decode()}")
        self.mount()

    def tell(self, text):
        """A command to the disk: note, fail, heal."""
        os.write(self.control, text.encode())

    def counts(self):
        with open(f"{self.fuse}/control") as file:
            words = file.read().split()
            return dict(zip(words[::2], (int(it) for it in words[1::2])))

    def failed(self):
        """How many requests it has let fail."""
        return self.counts()["failed"]

    def records(self):
        """How many writes, flushes and notes it has seen."""
        return self.counts()["records"]

    def close(self):
        """What is mounted goes; image and log stay."""
        os.close(self.control)
        if os.path.ismount(self.fs):
            unmount(self.fs)
        run("losetup", "-d", self.loop)
        unmount(self.fuse)
        self.server.wait()
