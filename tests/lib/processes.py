# SPDX-License-Identifier: Apache-2.0
"""The same by several processes at once."""
import os


def in_processes(count, work):
    """Run work(1) to work(count), each in a process of its own; all have to
    succeed."""
    children = []
    for who in range(1, count + 1):
        pid = os.fork()
        if pid == 0:
            work(who)
            os._exit(0)
        children.append(pid)
    for pid in children:
        status = os.waitpid(pid, 0)[1]
        assert status == 0, status
