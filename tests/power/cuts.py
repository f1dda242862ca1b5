# SPDX-License-Identifier: Apache-2.0
"""Power cuts under a mixed load, each with what must be there after it.

    cuts.py DIR SECONDS CUTS SEED

A store lies on an ext4 on a disk that remembers (disk.py), the load (load.py)
runs on a writable mount of it.  Then, for moments of that time: the disk as the
power would have left it, fsck, mount, `shale mount -w`, and every name and
every sector is held against the history (history.py).  SHALE_OPTIONS are words
of -o."""
import functools
import json
import os
import random
import stat
import subprocess
import sys

import load
from cutter import Log, look_at_all
from disk import Disk, run
from history import History

DISK_MIB = 192
OPTIONS = ("-o", os.environ["SHALE_OPTIONS"]) \
    if os.environ.get("SHALE_OPTIONS") else ()


def shale(store, *args):
    return run("shale", "-q", *args,
               env={**os.environ, "SHALE_STORE": f"{store}/store"})


def make_history(dir, seconds, seed):
    """Run the load on a new disk; what is left is the log."""
    disk = Disk(dir, DISK_MIB)
    os.makedirs(f"{dir}/m")
    load.make_base(f"{dir}/src")
    try:
        shale(disk.fs, "import", f"{dir}/src", "-t", "base:v1")
        shale(disk.fs, "mount", "base:v1", f"{dir}/m", "-w", "w", *OPTIONS)
        run("sync", "-f", disk.fs)
        print(run(sys.executable, load.__file__, f"{disk.fuse}/control",
                  f"{dir}/m", f"{dir}/src", str(seconds), str(seed),
                  env={**os.environ, "SHALE_STORE": f"{disk.fs}/store"}),
              end="")
        shale(disk.fs, "umount", f"{dir}/m")
    finally:
        disk.close()
    return Log(disk.log)


# ---------------------------------------------------------------- after a cut

def look(top):
    """Names and attributes below a worker's directory, and whose content."""
    names, data = {}, {}
    for name in load.DIRS:
        for entry in os.scandir(f"{top}/{name}"):
            st = entry.stat()
            try:
                value = int(os.getxattr(entry.path, "user.n"))
            except OSError:
                value = None
            names[f"{name}/{entry.name}"] = (st.st_ino,
                                             stat.S_IMODE(st.st_mode), value)
            with open(entry.path, "rb") as file:
                data[st.st_ino] = file.read()
            if len(data[st.st_ino]) != st.st_size:
                raise ValueError(f"{name}/{entry.name} is not as long as it "
                                 "says")
    return names, data


def which_files(names, state):
    """{inode: file} if these names can be those, or None."""
    files = {}
    if names.keys() != state.keys():
        return None
    for name, (ino, mode, value) in names.items():
        fid, mode2, value2 = state[name]
        if (mode, value) != (mode2, value2) or files.setdefault(
                ino, fid) != fid:
            return None
    return files if len(set(files.values())) == len(files) else None


def check_worker(moment, worker, top):
    names, data = look(top)
    reasons = []
    for state in moment.states(worker, lambda it: which_files(names, it), names):
        files = which_files(names, worker.names[state + 1])
        try:
            moment.check_contents(worker, state,
                                  {files[ino]: it for ino, it in data.items()})
            return
        except ValueError as error:
            reasons.append(str(error))
    raise ValueError("\n".join(reasons))


def check_versions(moment, store, random_):
    """What commit and import returned is there, and one file of a version."""
    with open(f"{store}/store/index.json") as file:
        listed = {it["annotations"].get("org.opencontainers.image.ref.name")
                  for it in json.load(file)["manifests"]}
    for worker, op in moment.versions("commit", "import"):
        if worker.ops[op][1] not in listed:
            raise ValueError(f"{worker.ops[op][1]} is not there")
    commits = list(moment.versions("commit"))
    if commits:
        worker, op = random_.choice(commits)
        name, (fid, _, _) = random_.choice(sorted(worker.names[op].items()))
        got = subprocess.run(
            ["shale", "cat", f"{worker.ops[op][1]}:/w0/{name}"],
            stdout=subprocess.PIPE, check=True,
            env={**os.environ, "SHALE_STORE": f"{store}/store"}).stdout
        if got != worker.files[fid].at(op):
            raise ValueError(f"{worker.ops[op][1]}:/w0/{name} is not what it "
                             "was when it was committed")


def check(history, fs, mount, cut, random_):
    """Look at everything that the power left."""
    moment = history.at(cut)
    shale(fs, "mount", "-w", "w", mount)
    try:
        for number, worker in moment.workers.items():
            check_worker(moment, worker, f"{mount}/w{number}")
    finally:
        shale(fs, "umount", mount)
    check_versions(moment, fs, random_)
    shale(fs, "verify", "--read-data")


def main():
    dir, seconds, cuts, seed = sys.argv[1:]
    os.makedirs(dir, exist_ok=True)
    log = make_history(dir, seconds, int(seed))
    history = History(log)
    at = log.moments(history.begin, history.end, int(cuts),
                     random.Random(int(seed)))
    wrong = look_at_all(log, f"{dir}/first", dir, at, seed,
                        functools.partial(check, history))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
