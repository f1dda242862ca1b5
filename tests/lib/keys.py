#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""keys.py SHELL SETUP < LINES: what a shell on a terminal makes of keys.

Starts SHELL ("bash" or "zsh", without the user's own start-up files) on a
terminal, runs SETUP in it, then types each line of standard input and the Tab
key ("<TAB>" in a line is a Tab of its own), and prints the words that stand
there then, one line each, between brackets.
"""
import os
import pty
import select
import sys
import time

START = {"bash": ["bash", "--norc", "--noprofile", "-i"],
         "zsh": ["zsh", "-f", "-i"]}
HOME, END = b"\x01", b"\x05"


class Terminal:
    def __init__(self, argv):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ |= {"TERM": "dumb", "COLUMNS": "500"}
            os.execvp(argv[0], argv)
        self.seen = b""

    def type(self, keys):
        os.write(self.fd, keys)

    def wait_for(self, mark, seconds=20):
        """What was shown up to `mark`."""
        until = time.monotonic() + seconds
        while mark not in self.seen:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self.fd], [], [], left)[0]:
                sys.exit(f"keys: no {mark!r} in {self.seen!r}")
            self.seen += os.read(self.fd, 65536)
        before, _, self.seen = self.seen.partition(mark)
        return before

    def run(self, command, mark):
        """Run a command; `mark` in two parts, as what is typed is shown too."""
        half = len(mark) // 2
        self.type(command + b"; echo " + mark[:half] + b"''" + mark[half:] + b"\r")
        self.wait_for(mark + b"\r\n")


def main(shell, setup):
    t = Terminal(START[shell])
    t.run(b"PS1='' RPS1='' PROMPT_SP='' zle_bracketed_paste=() HISTFILE=", b"ready-0")
    if shell == "bash":
        t.run(b"bind 'set bell-style none'; bind 'set enable-bracketed-paste off'; "
              b"bind 'set page-completions off'", b"ready-1")
    else:
        t.run(b"bindkey -e; unsetopt beep zle_sp prompt_sp 2>/dev/null", b"ready-1")
    t.run(setup.encode(), b"ready-2")
    for n, line in enumerate(sys.stdin.read().splitlines()):
        mark = b"<end-%d>" % n
        keys = line.encode().replace(b"<TAB>", b"\t")
        # The line becomes the arguments of a printf that shows them.
        t.type(keys + b"\t")
        time.sleep(0.15)
        t.type(HOME + b"printf '[%s]' " + END + b" '<e''nd-%d>'\r" % n)
        shown = t.wait_for(mark)
        print(shown[shown.rindex(b"\n") + 1:].decode(errors="replace"))
    t.type(b"exit\r")
    os.close(t.fd)


main(*sys.argv[1:])
