# SPDX-License-Identifier: Apache-2.0
"""Scenarios of files that images travel in, and of reading all of a store."""
import glob
import os
import re
import shutil

from scenarios import Scenario
from store import Damage
from world import run

BEFORE = b"a file that was saved before\n"


class Save(Scenario):
    """What is struck is the file that it writes."""
    tags = {}
    whole = None  # its bytes: of the first, that nothing happened to

    def _file(self):
        return self.world.tree("out") + "/saved.tar"

    def _read(self):
        with open(self._file(), "rb") as file:
            return file.read()

    def command(self):
        return ["shale", "save", "i:v6", "--history", "-o", self._file()]

    def watched(self):
        return self.world.tree("out")

    def prepare(self):
        shutil.rmtree(self.world.tree("out"), ignore_errors=True)
        os.makedirs(self.world.tree("out"))
        with open(self._file(), "wb") as file:
            file.write(BEFORE)

    def clean(self):
        """The file is the old one or the new one.  What a killed save was about
        to rename says whose it is."""
        if self.whole and self._read() not in (BEFORE, self.whole):
            raise Damage("the file is neither the old one nor the new one")
        for name in os.listdir(self.world.tree("out")):
            if re.fullmatch(r"\.shale-[0-9a-f]+", name):
                os.unlink(f"{self.world.tree('out')}/{name}")

    def finished(self):
        if not self.whole:
            self.whole = self._read()
        left = os.listdir(self.world.tree("out"))
        if self._read() != self.whole or left != ["saved.tar"]:
            raise AssertionError(f"not saved, or more than that: {left}")


class Load(Scenario):
    """Versions of which the store has some blobs."""
    tags = {"l:one": "v7", "l:two": "v8"}

    def command(self):
        return ["shale", "load", "-i", self.world.portable()]


class LoadFirst(Load):
    """The store is made by it."""
    store_is_new = True

    def prepare(self):
        self.world.portable()
        shutil.rmtree(self.world.store)


class Verify(Scenario):
    """It removes a cache that is damaged, and nothing else."""
    tags = {}

    def prepare(self):
        run("shale", "ls", "i:v4")
        for path in glob.glob(f"{self.world.store}/indexes/*"):
            os.chmod(path, 0o600)
            with open(path, "r+b") as file:
                file.seek(os.path.getsize(path) // 2)
                file.write(b"damaged")

    def command(self):
        return ["shale", "verify", "--all", "--read-data"]

    def finished(self):
        run("shale", "ls", "-R", "i:v4")
