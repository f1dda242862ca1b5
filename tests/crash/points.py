# SPDX-License-Identifier: Apache-2.0
"""Strike a command at its every call, and see what is left.

    points.py DIRECTORY SCENARIO COUNT SEED [ACTION…]

ACTIONs are inject's.  For each, COUNT points are drawn with the SEED, 0 takes
all.  Without ACTIONs, three are drawn, or all for 0.  After each strike every version of before is whole, tags are
the old or the new ones, the exit code is right; the command, run once more,
succeeds, and its result is right.
"""
import glob
import os
import random
import subprocess
import sys

import portable
import removing
import scenarios
from store import Damage, Store
from world import World, run

SCENARIOS = {
    "import": scenarios.Import, "first-import": scenarios.First,
    "import-archive": scenarios.Archive, "import-onto": scenarios.Onto,
    "commit": scenarios.Commit, "commit-mounted": scenarios.CommitMounted,
    "commit-unmounted": scenarios.CommitUnmounted,
    "session": scenarios.Session, "tag": scenarios.Tag,
    "move-tag": scenarios.MoveTag, "untag": scenarios.Untag,
    "purge": scenarios.Purge, "look": scenarios.Look,
    "export": scenarios.Export, "gc": removing.Gc,
    "export-purged": removing.ExportPurged,
    "mount-purged": removing.MountPurged,
    "commit-purged": removing.CommitPurged, "discard": removing.Discard,
    "discard-mounted": removing.DiscardMounted,
    "workspace-rm": removing.Remove, "replay": removing.Replay,
    "replay-from": removing.ReplayFrom, "save": portable.Save,
    "load": portable.Load, "first-load": portable.LoadFirst,
    "verify": portable.Verify,
}
ACTIONS = "kill", "torn", "lose", "int", "ENOSPC", "EIO"
# What may be hit: a full disk does not stop deleting.
KINDS = {"torn": "write", "ENOSPC": "write,make,rename,sync"}
FOREVER = {"ENOSPC"}
LOCKED = 11
TOO_LONG = 600  # seconds: nobody should have to wait for that
# Files that are caches, or say something only while a process lives.
PASSING = ("leases", "tmp", "lock", "indexes", "mounts", "compact")


class Strike:
    """One scenario, and the action of the moment."""

    def __init__(self, world, scenario):
        self.world, self.action = world, None
        self.scenario = SCENARIOS[scenario](world)
        self.report = world.tree("report")
        self.said = ""

    def _inject(self, n):
        watched = self.scenario.watched()
        os.makedirs(watched, exist_ok=True)
        command = ["inject", "-d", watched, "-o", self.report]
        command += ["-c", KINDS.get(self.action, "all")]
        if n:
            command += ["-n", n, "-a", self.action + (
                f":{self.scenario.meanwhile}" if self.action == "meanwhile"
                else "")]
        if self.action in FOREVER:
            command += ["-f", 0]
        done = subprocess.run([str(c) for c in command +
                               self.scenario.command()],
                              stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              check=False, errors="replace", timeout=TOO_LONG)
        self.said = done.stdout
        return done.returncode

    def reported(self, word):
        with open(self.report, encoding="utf-8", errors="replace") as file:
            return [line.split(" ", 1)[1].strip() for line in file
                    if line.startswith(word + " ")]

    def count(self):
        """How many calls of a kind there are when nothing happens."""
        self.world.fresh()
        self.scenario.prepare()
        code = self._inject(0)
        if code:
            raise AssertionError(f"exit {code}: {self.said}")
        kinds = dict(line.split() for line in self.reported("kind"))
        self._durable()
        self.scenario.clean()
        self.world.unmount()
        self.scenario.finished()
        return {kind: int(n) for kind, n in kinds.items()}

    def _durable(self):
        """A command that has succeeded has synced what matters."""
        left = [u for u in self.reported("unsynced")
                if self.world.store + "/" in u]
        for line in left:
            path = line.split(" ", 1)[1].removeprefix(self.world.store + "/")
            top = path.split("/")
            if path in self.scenario.unsynced:
                continue
            # A workspace's sealed files go after the commit, at leisure; its
            # lock and its table of open handles are of who has it now.
            if top[0] in PASSING or (
                    top[0] == "workspaces" and
                    ("data" in top or top[-1] in ("lock", "handles"))):
                continue
            raise AssertionError(f"not on disk after success: {line}")

    def at(self, n):
        """Strike at call n, check all.  Returns whether it came so far."""
        self.world.fresh()
        self.scenario.prepare()
        try:
            code = self._inject(n)
            struck = self.reported("struck")
            if struck:
                self._after(code)
            self.scenario.clean()
            self._once_more()
        finally:
            self.world.unmount()
        return struck

    def _after(self, code):
        if self.action == "lose":
            self._reboot()
        self._exit_code(code)
        if self.scenario.store_is_new and not os.path.exists(
                f"{self.world.store}/oci-layout"):
            return
        now, before = Store(self.world.store), self.world.before
        self._nothing_lost(now, before)
        run("shale", "-q", "verify", "--all")
        if self.action == "int" and code == 130:
            was = {} if self.scenario.store_is_new else before.versions
            gone = {before.tags[t] for t in self.scenario.gone_before}
            if now.versions.keys() != was.keys() - gone:
                raise Damage("interrupted, but something was published: " +
                             self.said)
        if code not in (0, 137) and self.action != "EIO":
            left = now.temporary() - before.temporary() - \
                self.scenario.leftovers
            if left:
                raise Damage(f"left behind: {left}")

    def _reboot(self):
        """What looks at the boot's id must see that power was lost."""
        for path in glob.glob(f"{self.world.store}/workspaces/*/boot"):
            with open(path, "w", encoding="ascii") as file:
                file.write("another boot")

    def _exit_code(self, code):
        fine = {"kill": (137,), "torn": (137,), "lose": (137,),
                "int": (0, 130), "ENOSPC": (0, 15),
                "EIO": (0, 1) + (3,) * self.scenario.in_part,
                "meanwhile": self.scenario.codes,
                }[self.action]
        for other in self.reported("meanwhile"):
            # 10: the store is not whole yet; 13: the version has gone
            if int(other) not in (0, LOCKED, 10, 13):
                raise AssertionError(f"the other command: exit {other}: "
                                     f"{self.said}")
        if self.action == "ENOSPC" and code == 1 and \
                self.reported("struck")[0].endswith("data.mdb"):
            # LMDB calls a short write an I/O error; that the disk is full, one
            # asks the disk, and this one has space.
            return
        if code not in fine:
            raise AssertionError(f"exit {code}: {self.said}")
        if code == 15 and "No space left" not in self.said:
            raise AssertionError(f"does not say why: {self.said}")
        if code not in (0, 137) and "shale: " not in self.said:
            raise AssertionError(f"exit {code} without a word: {self.said}")

    def _nothing_lost(self, now, before):
        if self.scenario.store_is_new:
            return
        may_go = {before.tags[t] for t in self.scenario.removes}
        gone = set(before.versions) - set(now.versions) - may_go
        if gone:
            raise Damage(f"lost: {gone}")
        for tag in set(now.tags) | set(before.tags):
            old, new = before.tags.get(tag), now.tags.get(tag)
            if tag not in self.scenario.tags and new != old:
                raise Damage(f"{tag} is {new}, was {old}")

    def _once_more(self):
        done = subprocess.run(self.scenario.command(), text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              stdin=subprocess.DEVNULL, errors="replace")
        if done.returncode not in self.scenario.again:
            raise AssertionError(f"once more: exit {done.returncode}: "
                                 f"{done.stdout}")
        self.scenario.clean()
        self.world.unmount()
        now = Store(self.world.store)
        for tag, tree in self.scenario.tags.items():
            if (tag in now.tags) != (tree is not None):
                raise AssertionError(f"once more: {tag} is not right")
        self._nothing_lost(now, self.world.before)
        self.scenario.finished()


def total_of(action, counts):
    kinds = KINDS.get(action, ",".join(counts)).split(",")
    return sum(counts[kind] for kind in kinds)


def choose(total, count, seed):
    points = list(range(1, total + 1))
    if not count or count >= total:
        return points
    return sorted(random.Random(seed).sample(points, count))


def draw(scenario, count, seed):
    actions = [*ACTIONS, *["meanwhile"] * bool(scenario.meanwhile)]
    if not count:
        return actions
    return random.Random(f"{seed} {type(scenario)}").sample(actions, 3)


def main():
    top, scenario, count, seed = sys.argv[1:5]
    strike = Strike(World(top), scenario)
    counts = strike.count()
    failed = 0
    for action in sys.argv[5:] or draw(strike.scenario, int(count), seed):
        strike.action, bad = action, 0
        points = choose(total_of(action, counts), int(count),
                        f"{seed} {scenario} {action}")
        for n in points:
            try:
                strike.at(n)
            except (AssertionError, Damage, subprocess.TimeoutExpired) as e:
                bad += 1
                print(f"{action} at {n}: {strike.reported('struck')}: {e}",
                      flush=True)
        print(f"{action}: {len(points)} of {total_of(action, counts)} points, "
              f"{bad} failed", flush=True)
        failed += bad
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
