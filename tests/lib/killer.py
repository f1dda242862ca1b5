#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Kill (SIGKILL) what serves a Shale mount, at random moments.

    killer.py daemons MOUNT KILLS SEED STOP [LONGEST]
        the daemon, whenever there is one, so many times or until the file STOP
        is there; 10 to LONGEST (100) ms apart.  Prints how many were killed.
    killer.py both MOUNT
        the holder and its daemon, once, so that nobody takes over

Who serves is told by the mount's source (shale:STORE/mounts/ID, whose file
`lock` names a daemon) and by the children of the holder: a daemon is killed
while it takes over, too.
"""
import os
import random
import signal
import sys
import time

PATIENCE = 60  # seconds for a mount to be served


def state_of(mount):
    """The state directory of what is mounted there, or None."""
    state = None
    with open("/proc/self/mountinfo") as lines:
        for line in lines:
            words = line.split()
            if words[4] == mount:
                source = words[words.index("-") + 2]
                if source.startswith("shale:"):
                    state = source[len("shale:"):]
    return state


def stat_of(pid):
    """Name and parent of a process, if it is there."""
    try:
        with open("/proc/%d/stat" % pid) as file:
            text = file.read()
    except OSError:
        return None, None
    name = text[text.index("(") + 1:text.rindex(")")]
    return name, int(text[text.rindex(")") + 1:].split()[1])


def is_holder(pid):
    return pid is not None and stat_of(pid)[0] == "shalefs-holder"


def holder_of(mount):
    """By the daemon that the state names, if that lives."""
    try:
        with open(state_of(mount) + "/lock") as file:
            holder = stat_of(int(file.read()))[1]
    except (OSError, TypeError, ValueError):
        return None
    return holder if is_holder(holder) else None


def children_of(pid):
    try:
        with open("/proc/%d/task/%d/children" % (pid, pid)) as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


def kill(pid):
    """False: it was dead before."""
    try:
        with open("/proc/%d/status" % pid) as file:
            if "\nState:\tZ" in file.read():
                return False
        os.kill(pid, signal.SIGKILL)
        return True
    except OSError:
        return False


def find_holder(mount, stop=None):
    """The daemon that the state names may just have been killed."""
    end = time.monotonic() + PATIENCE
    while not stop or not os.path.exists(stop):
        holder = holder_of(mount)
        if holder:
            return holder
        if time.monotonic() > end:
            sys.exit("nobody serves " + mount)
        time.sleep(0.01)
    return None


def daemons(mount, kills, seed, stop, longest):
    rng = random.Random(seed)
    killed, holder = 0, None
    while killed < kills and not os.path.exists(stop):
        time.sleep(rng.uniform(0.010, longest / 1000))
        if not is_holder(holder):
            holder = find_holder(mount, stop)
        else:
            killed += sum(map(kill, children_of(holder)[:1]))
    return killed


def both(mount):
    holder = find_holder(mount)
    os.kill(holder, signal.SIGSTOP)
    children = children_of(holder)
    os.kill(holder, signal.SIGKILL)
    for child in children:
        kill(child)


def main():
    what, mount = sys.argv[1], os.path.realpath(sys.argv[2])
    if what == "both":
        both(mount)
    else:
        kills, seed, stop = sys.argv[3:6]
        longest = float(sys.argv[6]) if len(sys.argv) > 6 else 100.0
        print(daemons(mount, int(kills), seed, stop, longest))


main()
