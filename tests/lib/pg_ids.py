#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Inserts 1, 2, 3 … into table acked(id) of a PostgreSQL database, one a
transaction, and writes each number that was answered as a line to a file.

    pg_ids.py FILE PSQL [ARGUMENT…]

Runs until it is killed, or ends with the first answer that is another.
"""
import subprocess
import sys
import time


def main():
    with open(sys.argv[1], "w", buffering=1, encoding="utf-8") as out:
        psql = subprocess.Popen(sys.argv[2:], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, text=True, bufsize=1,
                                stderr=subprocess.STDOUT)
        number = 0
        while True:
            number += 1
            start = time.monotonic()
            psql.stdin.write("insert into acked values (%d);\n" % number)
            psql.stdin.flush()
            answer = psql.stdout.readline().strip()
            if answer != "INSERT 0 1":
                print("after %d: %s" % (number - 1, answer), file=sys.stderr)
                return 1
            out.write("%d %.1f\n" % (number,
                                     (time.monotonic() - start) * 1000))


sys.exit(main())
