# SPDX-License-Identifier: Apache-2.0
"""Do something to a program at the moment when it has a file open.

    while_reading.py PATTERN ACTION PROGRAM ARG…

Waits until the program has a file open whose path matches PATTERN (a regular
expression), stops it, runs ACTION (a shell command; $PID is the program), and
lets it go on.  Exits as the program does, 128 + N for signal N; 99 if it never
had such a file open.
"""
import os, re, signal, subprocess, sys, time

pattern, action = re.compile(sys.argv[1]), sys.argv[2]
program = subprocess.Popen(sys.argv[3:])


def has_it_open():
    fds = f"/proc/{program.pid}/fd"
    try:
        for fd in os.listdir(fds):
            try:
                if pattern.search(os.readlink(f"{fds}/{fd}")):
                    return True
            except OSError:
                pass
    except OSError:
        pass
    return False


while program.poll() is None and not has_it_open():
    time.sleep(0.0002)
if program.poll() is not None:
    sys.exit(99)
program.send_signal(signal.SIGSTOP)
subprocess.run(["sh", "-c", action], env={**os.environ, "PID": str(program.pid)})
program.send_signal(signal.SIGCONT)
code = program.wait()
sys.exit(code if code >= 0 else 128 - code)
