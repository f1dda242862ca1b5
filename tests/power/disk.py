# SPDX-License-Identifier: Apache-2.0
"""An ext4 on a disk that remembers (logdisk.c), and what its log says."""
import os
import mmap
import struct
import subprocess
import time

HEAD = struct.Struct("<c7xQQ")
SECTOR, BLOCK = 512, 4096


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

    def failed(self):
        """How many requests it has let fail."""
        with open(f"{self.fuse}/control") as file:
            return int(file.read().split()[3])

    def close(self):
        """What is mounted goes; image and log stay."""
        os.close(self.control)
        if os.path.ismount(self.fs):
            unmount(self.fs)
        run("losetup", "-d", self.loop)
        unmount(self.fuse)
        self.server.wait()


class Log:
    """Records, by number: (letter, offset, place of the bytes, length)."""

    def __init__(self, path):
        self.file = open(path, "rb")
        self.map = mmap.mmap(self.file.fileno(), 0, access=mmap.ACCESS_READ)
        self.records = []
        at = 0
        while at + HEAD.size <= len(self.map):
            letter, off, size = HEAD.unpack_from(self.map, at)
            at += HEAD.size
            self.records.append((letter, off, at, size))
            at += size

    def notes(self):
        """(number of the record, text)"""
        for i, (letter, _, at, size) in enumerate(self.records):
            if letter == b"N":
                yield i, self.map[at:at + size].decode()

    def last_flush(self, cut):
        """Everything before this record is on disk when the power goes."""
        while cut and self.records[cut - 1][0] != b"F":
            cut -= 1
        return cut


class Cutter:
    """Images as power cuts leave them, in the order of time."""

    def __init__(self, log, first, path):
        self.log, self.path, self.done = log, path, 0
        run("cp", "--sparse=auto", first, path)
        self.file = open(path, "r+b", buffering=0)

    def cut(self, at, out, random):
        """`out`: the disk when the power went before record `at`.  Of what was
        not flushed, blocks are there, or not, or by some of their sectors."""
        flushed = self.log.last_flush(at)
        for letter, off, place, size in self.log.records[self.done:flushed]:
            if letter == b"W":
                os.pwrite(self.file.fileno(),
                          self.log.map[place:place + size], off)
        self.done = max(self.done, flushed)
        run("cp", "--sparse=auto", self.path, out)
        keep = random.choice((0, 0.1, 0.5, 0.5, 0.9, 1))
        with open(out, "r+b", buffering=0) as file:
            for letter, off, place, size in self.log.records[flushed:at]:
                if letter == b"W":
                    self.keep_some(file, off, place, size, keep, random)
        return flushed

    def keep_some(self, file, off, place, size, keep, random):
        for start in range(0, size, BLOCK):
            data = self.log.map[place + start:place + min(size, start + BLOCK)]
            if random.random() < keep:
                os.pwrite(file.fileno(), data, off + start)
            elif random.random() < 0.1:  # torn
                for sector in range(0, len(data), SECTOR):
                    if random.random() < 0.5:
                        os.pwrite(file.fileno(), data[sector:sector + SECTOR],
                                  off + start + sector)
