# SPDX-License-Identifier: Apache-2.0
"""Samples, and the table that they make.

A Table collects figures by (line, who) and prints, for each line, the median
of everyone, the spread, everyone's ratio to one of them, and the goal.
"""
import shutil
import statistics
import subprocess
import time

DROP = "/proc/sys/vm/drop_caches"


def run(*command, **more):
    """Run a command, quietly; its output comes with the error if it fails."""
    done = subprocess.run([str(c) for c in command], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          stdin=subprocess.DEVNULL, check=False, **more)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}: exit "
                           f"{done.returncode}: {done.stdout[-2000:]}")
    return done.stdout


def timed(*command, **more):
    """Seconds that a command takes."""
    start = time.monotonic()
    run(*command, **more)
    return time.monotonic() - start


def cold():
    """Nothing is in the kernel's caches after this."""
    run("sync")
    with open(DROP, "w", encoding="ascii") as file:
        file.write("3\n")


def have(*programs):
    return all(shutil.which(p) for p in programs)


def same(want, got):
    """A fast wrong answer is no answer: `got` is what `want` is."""
    run("treecmp", "--no-root", "--no-mtime", "--no-symlink-mtime",
        "--no-holes", "--no-xattrs", "--no-links", want, got)


class Rounds:
    """So many rounds, or as many as end before `end` if all take as long as the
    last one; two at the least."""

    def __init__(self, rounds, end):
        self.rounds, self.end = rounds, end

    def __iter__(self):
        last = 0
        for n in range(self.rounds):
            start = time.monotonic()
            if n >= 2 and start + last > self.end:
                return
            yield n
            last = time.monotonic() - start


def taking_part(who, n):
    """Those who are measured in round n."""
    return [w for w in who if n % w.every == 0]


class Table:
    """One subject: lines of `what` against columns of `who`."""

    def __init__(self, title, us):
        self.title, self.us = title, us
        self.samples, self.units, self.bases, self.goals = {}, {}, {}, {}
        self.more, self.notes = set(), []

    def line(self, what, unit, base, goal="", limit=None, absolute=False,
             more=False):
        """Declare a line: `limit` is what `us` may be, as a ratio to `base`,
        or in `unit` when `absolute`; `more`: of such figures more is better,
        and the limit is the least."""
        self.units[what], self.bases[what] = unit, base
        self.goals[what] = (goal, limit, absolute)
        if more:
            self.more.add(what)

    def add(self, what, who, figure):
        self.samples.setdefault(what, {}).setdefault(who, []).append(figure)

    def note(self, text):
        if text not in self.notes:
            self.notes.append(text)

    def rows(self):
        """Everything as plain dictionaries, in the order of declaration."""
        for what, unit in self.units.items():
            got = self.samples.get(what, {})
            base = statistics.median(got[self.bases[what]]) \
                if self.bases[what] in got else None
            for who, figures in got.items():
                middle = statistics.median(figures)
                ratio = middle / base if base else None
                row = {"subject": self.title, "what": what, "who": who,
                       "unit": unit, "median": middle, "min": min(figures),
                       "max": max(figures), "rounds": len(figures),
                       "ratio": ratio, "to": self.bases[what]}
                if what in self.more:
                    row["more"] = True
                if who == self.us:
                    text, limit, absolute = self.goals[what]
                    row["goal"] = text
                    value = middle if absolute else ratio
                    if limit is not None and value is not None:
                        row["reached"] = value >= limit \
                            if what in self.more else value <= limit
                        row["limit"] = limit / base if absolute and base \
                            else limit
                yield row

    def print(self):
        print(f"\n== {self.title}")
        print(f"{'':34} {'':20} {'median':>10} {'min':>9} {'max':>9}  n   ratio")
        last = None
        for row in self.rows():
            name = row["what"] if row["what"] != last else ""
            last = row["what"]
            scale, unit = (1000, "ms") if row["unit"] == "s" and \
                row["median"] < 1 else (1, row["unit"])
            ratio = f"{row['ratio']:7.2f} x {row['to']}" if row["ratio"] else ""
            goal = ""
            if row.get("goal"):
                goal = f"   goal {row['goal']}"
                if "reached" in row:
                    goal += ": reached" if row["reached"] else ": NOT reached"
            print(f"{name:34} {row['who']:20} {row['median'] * scale:7.1f} "
                  f"{unit:2} {row['min'] * scale:9.1f} "
                  f"{row['max'] * scale:9.1f} {row['rounds']:2} {ratio}{goal}")
        for text in self.notes:
            print(f"   {text}")
