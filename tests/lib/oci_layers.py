# SPDX-License-Identifier: Apache-2.0
"""Layers as container tools write them, and an image that has them.

    oci_layers.py DIR     1.tar, 2.tar, 3.tar and an OCI layout, oci/, of the
                          image "layers:latest"; odd.tar, which podman refuses
"""
import gzip, hashlib, io, json, os, sys, tarfile
from tarfile import CHRTYPE, DIRTYPE, FIFOTYPE, LNKTYPE, REGTYPE, SYMTYPE


class Layer:
    def __init__(self):
        self.out = io.BytesIO()
        self.tar = tarfile.open(fileobj=self.out, mode="w", format=tarfile.PAX_FORMAT)

    def add(self, name, type=REGTYPE, data=b"", **attributes):
        i = tarfile.TarInfo(name)
        i.type, i.size, i.mtime = type, len(data), 1500000000
        i.mode = 0o755 if type == DIRTYPE else 0o644
        for key, value in attributes.items():
            setattr(i, key, value)
        self.tar.addfile(i, io.BytesIO(data))

    def dir(self, *names, **attributes):
        for name in names:
            self.add(name, DIRTYPE, **attributes)

    def files(self, *names):
        for name in names:
            self.add(name, data=name.encode(errors="surrogateescape") * 100)

    def bytes(self, trailer=True):
        if trailer:
            self.tar.close()
        return self.out.getvalue()


def bottom():
    l = Layer()
    l.dir("./", "d", "d/sub", "d/sub/deep", "opq", "opq/in", "opq2", "was-dir",
          "again", "again/below", "gone", "gone/a", "gone/a/b")
    l.files("d/a", "d/b", "d/sub/x", "d/sub/deep/y", "opq/1", "opq/in/2", "opq2/3",
            "was-dir/4", "was-file", "keep", "replaced", "again/old",
            "again/below/old", "gone/a/b/c", "dup", "name\udcff", "mode")
    l.add("hard-1", LNKTYPE, linkname="keep")
    l.add("sym", SYMTYPE, linkname="d/a")
    l.add("sym-to-dir", SYMTYPE, linkname="d")
    l.add("pipe", FIFOTYPE)
    return l.bytes()


def middle():
    l = Layer()
    l.add("d/.wh.a")  # before its siblings, and for a directory not named here
    l.files("d/c")
    l.dir("opq")  # opaque first …
    l.add("opq/.wh..wh..opq")
    l.files("opq/new")
    l.dir("opq2")  # … and last
    l.files("opq2/new")
    l.add("opq2/.wh..wh..opq")
    l.files("was-dir")  # other types under the same names
    l.dir("was-file")
    l.files("was-file/in")
    l.add(".wh.replaced")
    l.files("replaced")
    l.add(".wh.again")  # deleted, then made again
    l.dir("again", mode=0o700)
    l.files("again/new")
    l.add(".wh.nothing")
    l.add("gone/.wh.nothing")
    l.add(".wh.gone")
    l.add("d/hard-2", LNKTYPE, linkname="keep")  # to a lower layer's
    l.add("d/hard-3", LNKTYPE, linkname="d/c")
    l.add(".wh.name\udcff")
    l.add(".wh..wh.plnk", DIRTYPE)  # how AUFS kept its books
    l.add(".wh..wh.aufs")
    l.add("mode", data=b"mode" * 100, mode=0o600)
    return l.bytes(trailer=False)


def top():
    l = Layer()
    l.dir("d/sub", mode=0o711)
    l.add("d/sub/.wh..wh..opq")
    l.dir("again")
    l.files("again/old")
    l.add(".wh.hard-1")
    l.add("d/.wh.hard-3")
    l.add(".wh.was-file")
    l.files("opq/1")
    l.add(".wh.sym-to-dir")
    l.add("null", CHRTYPE, devmajor=1, devminor=3)
    return l.bytes()


def odd():
    l = Layer()
    l.add("dup", data=b"first")  # twice
    l.add("dup", data=b"last", uid=7)
    l.add("late/in/it", data=b"late")  # whiteouts do not hide their own layer
    l.add(".wh.late", LNKTYPE, linkname=".wh..wh.aufs")
    l.add("d/c", data=b"late")
    l.add("d/.wh.c")
    l.add("a/b/.wh.nothing")
    return l.bytes()


def blob(layout, data):
    digest = hashlib.sha256(data).hexdigest()
    with open(f"{layout}/blobs/sha256/{digest}", "wb") as f:
        f.write(data)
    return {"digest": "sha256:" + digest, "size": len(data)}


def write_image(layout, layers):
    media = "application/vnd.oci.image."
    os.makedirs(f"{layout}/blobs/sha256")
    config = {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {
        "type": "layers",
        "diff_ids": ["sha256:" + hashlib.sha256(l).hexdigest() for l in layers]}}
    manifest = {
        "schemaVersion": 2, "mediaType": media + "manifest.v1+json",
        "config": {"mediaType": media + "config.v1+json",
                   **blob(layout, json.dumps(config).encode())},
        "layers": [{"mediaType": media + "layer.v1.tar+gzip",
                    **blob(layout, gzip.compress(l, mtime=0))} for l in layers]}
    index = {"schemaVersion": 2, "manifests": [
        {"mediaType": media + "manifest.v1+json",
         "annotations": {"org.opencontainers.image.ref.name": "layers:latest"},
         **blob(layout, json.dumps(manifest).encode())}]}
    with open(f"{layout}/index.json", "w") as f:
        json.dump(index, f)
    with open(f"{layout}/oci-layout", "w") as f:
        f.write('{"imageLayoutVersion":"1.0.0"}')


if __name__ == "__main__":
    to = sys.argv[1]
    layers = [bottom(), middle(), top()]
    for n, data in enumerate(layers, 1):
        with open(f"{to}/{n}.tar", "wb") as f:
            f.write(data)
    with open(f"{to}/odd.tar", "wb") as f:
        f.write(odd())
    write_image(f"{to}/oci", layers)
