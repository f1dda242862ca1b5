# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL on a data directory, for the tests and figures that want one."""
import glob
import os
import pwd
import subprocess


def find_binaries():
    """The directory of the newest one that is installed, or None."""
    found = glob.glob("/usr/lib/postgresql/*/bin/initdb")
    return os.path.dirname(max(found, key=lambda path: int(
        path.split("/")[4]))) if found else None


class Server:
    """Runs as the user postgres; its socket and its log lie in `dir`, whose
    path must be short.  `options` are settings, `name=value`."""

    def __init__(self, binaries, dir, *options):
        self.binaries, self.dir, self.options = binaries, dir, options
        os.makedirs(dir, exist_ok=True)
        os.chown(dir, pwd.getpwnam("postgres").pw_uid, -1)

    def run(self, name, *args, user="postgres"):
        """What a program of PostgreSQL prints."""
        done = subprocess.run(
            ["setpriv", "--reuid", user, "--regid", user, "--clear-groups",
             f"{self.binaries}/{name}", *args],
            cwd=self.dir, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, check=False,
            env={**os.environ, "PGHOST": self.dir, "PGUSER": "postgres",
                 "PGDATABASE": "bench"})
        said = done.stdout.decode(errors="replace")
        if done.returncode:
            raise SystemError(f"{name}: exit {done.returncode}\n{said}")
        return said

    def make(self, data, scale, *options):
        """A cluster with pgbench's tables, at rest: `data` and what is above
        it is made.  `options` are initdb's."""
        os.makedirs(os.path.dirname(data))
        os.chown(os.path.dirname(data), pwd.getpwnam("postgres").pw_uid, -1)
        self.run("initdb", "-D", data, "-A", "trust", "--no-sync", *options)
        self.start(data)
        self.run("createdb", "bench")
        self.run("pgbench", "-i", "-q", "-s", str(scale))

    def start(self, data):
        options = "".join(f" -c {it}" for it in self.options)
        try:
            self.run("pg_ctl", "-D", data, "-s", "-w", "-t", "120", "-l",
                     f"{self.dir}/log", "-o",
                     f"-k {self.dir} -c listen_addresses=''{options}", "start")
        except SystemError as error:
            with open(f"{self.dir}/log") as file:
                raise ValueError(f"{error}\n{file.read()[-4000:]}") from None

    def stop(self, data, how="fast"):
        self.run("pg_ctl", "-D", data, "-s", "-m", how, "-w", "-t", "120",
                 "stop")

    def ask(self, query):
        return self.run("psql", "-XAtqc", query).split()
