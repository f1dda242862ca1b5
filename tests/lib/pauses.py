#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How long transactions took, and how long none was answered, while something
else went on and when nothing did.

    pauses.py WINDOWS IDS [LOG…]

WINDOWS has a line "WHAT BEGIN END" (seconds since 1970) for each time in which
something went on; what overlaps two counts as the first.  IDS is of pg_ids.py,
a LOG of pgbench -l.  One line for each WHAT and each kind of client."""
import operator
import sys


def windows_of(path):
    with open(path) as file:
        for line in file:
            what, begin, end = line.split()
            yield what, float(begin), float(end)


def inserts(path):
    """(began, ended) of each answer of pg_ids.py."""
    with open(path) as file:
        for line in file:
            words = line.split()
            if len(words) == 3:
                yield float(words[2]) - float(words[1]) / 1000, float(words[2])


def transactions(paths):
    """(began, ended) of each of pgbench's."""
    for path in paths:
        with open(path) as file:
            for line in file:
                words = line.split()
                if len(words) >= 6:
                    end = int(words[4]) + int(words[5]) / 1e6
                    yield end - int(words[2]) / 1e6, end


def report(name, spans, windows):
    """`spans` in order of their ends."""
    slowest, silence, count = {}, {}, {}
    last = None
    for begin, end in spans:
        last = begin if last is None else last
        for what, table, since in (("tx", slowest, begin),
                                   ("gap", silence, last)):
            during = next((it for it, start, stop in windows
                           if since < stop and end > start), "nothing")
            table[during] = max(table.get(during, 0), end - since)
            if what == "tx":
                count[during] = count.get(during, 0) + 1
        last = end
    for what in count:
        print(f"{name} during {what}: {count[what]} transactions, the slowest "
              f"took {slowest[what] * 1000:.0f} ms; none was answered for "
              f"{silence.get(what, 0) * 1000:.0f} ms")


def main():
    windows = list(windows_of(sys.argv[1]))
    for name, spans in (("inserts", inserts(sys.argv[2])),
                        ("pgbench", transactions(sys.argv[3:]))):
        report(name, sorted(spans, key=operator.itemgetter(1)), windows)


main()
