# SPDX-License-Identifier: Apache-2.0
"""Change a directory at random, as users of an overlay mount do.

    overlay_ops.py DIR COUNT SEED [links]
"""
import os, random, shutil, stat, sys

root, count, rnd = sys.argv[1], int(sys.argv[2]), random.Random(int(sys.argv[3]))
links = "links" in sys.argv


def paths(want=None):
    found = []
    for at, dirs, files in os.walk(root):
        found += [os.path.join(at, n) for n in dirs + files]
    return sorted(p for p in found if want is None or want(os.lstat(p).st_mode))


def a_dir():
    return rnd.choice([root] + paths(stat.S_ISDIR))


def fresh():
    return os.path.join(a_dir(), rnd.choice("abcdefgh") + rnd.choice("1234"))


def take_away(path):
    if stat.S_ISDIR(os.lstat(path).st_mode):
        shutil.rmtree(path)
    else:
        os.unlink(path)


def step():
    what = rnd.choice(["make", "make", "mkdir", "mkdir", "write", "remove", "rename",
                       "rename", "rename", "chmod", "symlink", "link", "again"])
    here = paths()
    if what == "make":
        with open(fresh(), "wb") as f:
            f.write(rnd.randbytes(rnd.choice([0, 10, 5000])))
    elif what == "mkdir":
        os.mkdir(fresh())
    elif what == "write" and paths(stat.S_ISREG):
        with open(rnd.choice(paths(stat.S_ISREG)), "ab") as f:
            f.write(b"more")
    elif what == "remove" and len(here) > 8:
        take_away(rnd.choice(here))
    elif what == "rename" and here:
        os.rename(rnd.choice(here), fresh())
    elif what == "chmod" and here:
        path = rnd.choice(here)
        if not os.path.islink(path):
            os.chmod(path, rnd.choice([0o700, 0o755, 0o711]))
    elif what == "symlink":
        os.symlink(rnd.choice("abc"), fresh())
    elif what == "link" and links and paths(stat.S_ISREG):
        os.link(rnd.choice(paths(stat.S_ISREG)), fresh())
    elif what == "again" and paths(stat.S_ISDIR):
        path = rnd.choice(paths(stat.S_ISDIR))
        shutil.rmtree(path)
        os.mkdir(path)
        with open(os.path.join(path, "a1"), "w") as f:
            f.write("again")


for _ in range(count):
    try:
        step()
    except OSError:  # it is there, or into itself: the next, then
        pass
