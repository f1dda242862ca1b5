# SPDX-License-Identifier: Apache-2.0
"""A store, read by nobody's code but this: what it names, and is it whole?"""
import hashlib
import json
import os

NAME = "org.opencontainers.image.ref.name"


class Damage(Exception):
    """What no crash may do to a store."""


def load(path, limit=1 << 26):
    with open(path, "rb") as file:
        text = file.read(limit)
    try:
        return json.loads(text)
    except ValueError as e:
        raise Damage(f"{path} is no JSON: {e}") from e


class Store:
    """Versions and tags as index.json has them; every blob that a version
    names has been read, and is what its digest says."""

    def __init__(self, path):
        self.path = path
        if load(f"{path}/oci-layout").get("imageLayoutVersion") != "1.0.0":
            raise Damage("oci-layout")
        self.tags, self.versions, self.repositories = {}, {}, {}
        self._read = set()
        for entry in load(f"{path}/index.json")["manifests"]:
            digest = entry["digest"]
            tag = entry["annotations"].get(NAME)
            if tag in self.tags:
                raise Damage(f"'{tag}' stands twice in index.json")
            if tag:
                self.tags[tag] = digest
            self.versions[digest] = self._blobs_of(entry)

    def _blob(self, descriptor):
        """The blob's content, when its size and digest are right."""
        kind, digest = descriptor["digest"].split(":")
        path = f"{self.path}/blobs/{kind}/{digest}"
        try:
            with open(path, "rb") as file:
                data = file.read()
        except FileNotFoundError as e:
            raise Damage(f"blob {digest[:12]} is missing") from e
        if len(data) != descriptor["size"]:
            raise Damage(f"blob {digest[:12]} has {len(data)} bytes")
        if hashlib.sha256(data).hexdigest() != digest:
            raise Damage(f"blob {digest[:12]} has another content")
        return data

    def _blobs_of(self, entry):
        manifest = json.loads(self._blob(entry))
        blobs = {entry["digest"]}
        for part in [manifest["config"], *manifest["layers"]]:
            if part["digest"] not in self._read:
                self._blob(part)
                self._read.add(part["digest"])
            blobs.add(part["digest"])
        return blobs

    def needed(self):
        """The blobs that the versions name."""
        return set().union(*self.versions.values())

    def present(self):
        return {"sha256:" + n for n in os.listdir(f"{self.path}/blobs/sha256")}

    def temporary(self):
        """Files that a command makes on its way, and has no use for after."""
        found = [f"tmp/{n}" for n in os.listdir(f"{self.path}/tmp")]
        for where, end in (".", ".tmp"), ("indexes", ""), ("compact", ".tmp"):
            found += [f"{where}/{n}" for n in os.listdir(f"{self.path}/{where}")
                      if n.startswith(".") and n.endswith(end)]
        return set(found)
