#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Inserts 1, 2, 3 … into table acked(id) of a PostgreSQL database, one a
transaction, and writes each number that was answered to a file, a line each:
the number, how many milliseconds that took, and when it was (seconds since
1970).

    pg_ids.py FILE PSQL [ARGUMENT…]

Runs until it is killed or FILE.stop is there, or ends with the first answer
that is another.
"""
import os
import subprocess
import sys
import time


def main():
    with open(sys.argv[1], "w", buffering=1, encoding="utf-8") as out:
        psql = subprocess.Popen(sys.argv[2:], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, text=True, bufsize=1,
                                stderr=subprocess.STDOUT)
        number = 0
        while not os.path.exists(sys.argv[1] + ".stop"):
            number += 1
            start = time.time()
            try:
                psql.stdin.write("insert into acked values (%d);\n" % number)
                psql.stdin.flush()
            except BrokenPipeError:
                print("after %d: psql ended" % (number - 1), file=sys.stderr)
                return 1
            answer = psql.stdout.readline().strip()
            end = time.time()
            if answer != "INSERT 0 1":
                print("after %d: %s" % (number - 1, answer), file=sys.stderr)
                return 1
            out.write("%d %.1f %.3f\n" % (number, (end - start) * 1000, end))
        psql.stdin.close()
        return psql.wait()


sys.exit(main())
