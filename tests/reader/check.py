#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What docs/format.md says and reader.py can do without.

    check.py STORE REF...    one line a REF, exit 1 and a line when it is not so
"""
import hashlib
import stat
import sys

import reader
from reader import Chunk, Extent, Image, Inode, Name, Store, need, xxh64, xxh128


def rising(keys, what):
    keys = list(keys)
    need(all(a < b for a, b in zip(keys, keys[1:])), what, "is not sorted")


# ------------------------------------------------------- 3: tree blobs

def inodes(tree):
    rising((r[0] for r in tree.rows[reader.INODES]), "INODES")
    for i in (Inode(*r) for r in tree.rows[reader.INODES]):
        kind = stat.S_IFMT(i.mode)
        device = kind in (stat.S_IFCHR, stat.S_IFBLK)
        need(i.mode or not any(i[2:]), "a tombstone that says more")
        need(i.mode < 0x10000 and i.zero == 0, "inode", i.ino)
        need(i.content == reader.SAME or kind == stat.S_IFREG, "content")
        need(i.limit <= ((1 << 63) - 1) * (i.content == reader.PATCHED), "limit")
        need(i.size == 0 or kind in (stat.S_IFREG, stat.S_IFLNK), "size")
        if kind == stat.S_IFLNK:
            need(i.size <= 4095 and 0 not in reader.target(i, tree), "target")
        need(device or kind == stat.S_IFLNK or i.where == 0, "target")
        xattrs(tree, i)


def xattrs(tree, i):
    need(i.xattrs_at % 4 == i.xattrs_len % 4 == 0 and i.xattrs_len <= 1 << 20 and
         (i.xattrs_len or not i.xattrs_at), "xattrs of", i.ino)
    found, size = tree.xattrs(i), 0
    rising(found, "xattr list")
    for name, value in found.items():
        need(1 <= len(name) <= 255 and 0 not in name and len(value) <= 65536,
             "xattr", name)
        size += reader.up(8 + len(name) + len(value), 4)
    need(size == i.xattrs_len, "xattrs of", i.ino)


def names(tree):
    rising(tree.names, "DIRENTS")
    for n in (Name(*r) for r in tree.rows[reader.DIRENTS]):
        need(0 < n.dir < tree.next and n.child < tree.next and n.child != 1 and
             not any(n.zero), "name")
        need(n.type << 12 in reader.TYPES if n.child else n.type == 0, "type")


def chunks(tree):
    sizes, begin = [size for _, size in tree.rows[reader.BLOBS]], 0
    need(len(set(tree.blobs)) == len(tree.blobs), "a blob twice")
    for c in (Chunk(*r) for r in tree.rows[reader.CHUNKS]):
        codec, stored = divmod(c.stored, 1 << 24)
        need(0 < stored and 16 <= c.at <= sizes[c.blob] - stored, "chunk")
        need(codec in (1, 2) or stored == c.end - begin, "chunk of codec", codec)
        begin = c.end
    firsts = list(dict.fromkeys(c.blob for c in tree.chunks))
    need(firsts == list(range(len(firsts))) and len(firsts) == len(tree.blobs),
         "BLOBS is not as CHUNKS names them")
    order = [n for n, in tree.rows[reader.CHUNKSORT]]
    need(sorted(order) == list(range(len(tree.chunks))), "CHUNKSORT")
    rising(((tree.chunks[n].hash, n) for n in order), "CHUNKSORT")


def extents(tree, store):
    rows = [Extent(*r) for r in tree.rows[reader.EXTENTS]]
    rising((e[:2] for e in rows), "EXTENTS")
    clones = [e.at for e in rows if e.chunk == reader.CLONE]
    need(clones == list(range(len(tree.rows[reader.CLONES]))), "CLONES")
    need(all(0 < ino < tree.next for ino, _ in tree.rows[reader.CLONES]), "CLONES")
    need(all(e.at == 0 for e in rows if e.chunk == reader.HOLE), "hole")
    packed = tree.rows[reader.PACKED]
    rising((p[:2] for p in packed), "PACKED")
    need(len({n for _, n, _ in packed}) == len(packed), "packed twice")
    for hash_, n, zero in packed:
        e = rows[n]
        need(zero == 0 and e.chunk < reader.CLONE, "PACKED")
        content = store.chunk(tree, e.chunk)[e.at:e.at + e.len]
        need(len(content) == e.len and xxh128(content) == hash_, "PACKED")


# ------------------------------------ 1, 5, 7, 8: the image around them

def contents(image):
    """Every chunk, and every file from its first byte to its last."""
    for tree in image.trees:
        for n in range(len(tree.chunks)):
            image.store.chunk(tree, n)
    for ino, (i, _) in image.inodes.items():
        if stat.S_ISREG(i.mode):
            need(sum(n for n, _ in image.content(ino)) == i.size, "size")
    for data in image.data:
        digest = data["digest"].partition(":")[2]
        with image.store.open(digest) as f:
            need(hashlib.file_digest(f, "sha256").hexdigest() == digest, digest)
            need(f.tell() == data["size"], "size of", digest)


def manifest(image):
    m = image.manifest
    need((m["schemaVersion"], m["mediaType"]) ==
         (2, "application/vnd.oci.image.manifest.v1+json"), "manifest")
    kinds = [layer["mediaType"].split(".")[2] for layer in m["layers"]]
    need(kinds == ["tree"] * len(image.trees) + ["data"] * len(image.data) +
         ["metadata"] * len(image.meta) and len(image.meta) <= 1, "layers")
    blobs = dict.fromkeys(b for tree in image.trees for b in tree.blobs)
    need([d["digest"] for d in image.data] == ["sha256:" + b for b in blobs],
         "the manifest's data blobs are not those of BLOBS")


def description(image):
    m = image.manifest
    need(m["config"]["mediaType"] ==
         "application/vnd.shale.description.v1+json", "config")
    d = reader.load_json(image.store.blob(m["config"]))
    files = [i.size for i, _ in image.inodes.values() if stat.S_ISREG(i.mode)]
    need((d["nextInode"], d["inodes"], d["bytes"]) ==
         (image.next, len(image.inodes), sum(files)), "description: counts")
    for key, annotation in (("created", "created"), ("author", "authors"),
                            ("message", "description"),
                            ("dataVersion", "version")):
        said = m.get("annotations", {}).get("org.opencontainers.image." + annotation)
        need(said is None or said == d.get(key), "annotation", annotation)
    return d


def metadata(image, described):
    for layer in image.meta:
        doc = reader.load_json(image.store.blob(layer), 1 << 40)
        need(doc["schema"] == 1 and all(
            s["kind"] in ("directory", "archive", "workspace")
            for s in doc["sources"]), "metadata")
        for f in doc["files"]:
            need(f["path"].startswith("/") and (
                list(f) == ["path", "type"] if f["type"] == "deleted" else
                f["type"] in reader.TYPES.values() and len(f["mode"]) == 4 and
                f["size"] >= 0), "metadata of", f["path"])
        if "parent" not in described:
            need(len(doc["files"]) == sum(1 for _ in image.walk()), "metadata")


# -------------------------------------------------------- 9: the store

def descriptors(store):
    """Checksums of index.json; Shale wrote it last."""
    text = store.index["annotations"]["vnd.shale.text"].encode()
    need(store.text.count(b'"' + text + b'"') == 1 and text.decode() ==
         f"{xxh64(store.text.replace(text, b'0' * 16)):016x}", "vnd.shale.text")
    for d in store.index["manifests"]:
        a = d["annotations"]
        name = a.get("org.opencontainers.image.ref.name", "")
        repo = a["vnd.shale.repository"]
        need(not name or name.startswith(repo + ":"), "name", name)
        lines = [d["digest"], str(d["size"]), repo, name[len(repo) + 1:],
                 a["org.opencontainers.image.created"],
                 a.get("vnd.shale.parent", ""), a["vnd.shale.size"]]
        text = "".join(line + "\n" for line in lines).encode()
        need(a["vnd.shale.check"] == f"{xxh64(text):016x}", "vnd.shale.check")


def parentage(image, described, annotations):
    need(described["created"] == annotations["org.opencontainers.image.created"] and
         described.get("parent") == annotations.get("vnd.shale.parent"),
         "index.json repeats what the description says")
    layers = image.manifest["layers"]
    last = [d for d in layers if ".tree." in d["mediaType"]][-1]
    parent = described.get("parent")
    known = set()
    for d in image.store.index["manifests"]:
        if d["digest"] == parent:
            manifest = reader.load_json(image.store.blob(d), 8 << 20)
            known = {layer["digest"] for layer in manifest["layers"]}
    below = {blob for tree in image.trees[:-1] for blob in tree.blobs}
    added = sum(d["size"] for d in image.data if d["digest"] not in known and
                d["digest"].removeprefix("sha256:") not in below)
    need(int(annotations["vnd.shale.size"]) == last["size"] + added,
         "vnd.shale.size")


def main(path, *refs):
    store = Store(path)
    descriptors(store)
    for ref in refs:
        image = Image(store, ref)
        for tree in image.trees:
            inodes(tree)
            names(tree)
            chunks(tree)
            extents(tree, store)
        contents(image)
        manifest(image)
        described = description(image)
        metadata(image, described)
        parentage(image, described, store.find(ref)["annotations"])
        print(f"{ref}: {len(image.trees)} trees, {len(image.data)} data blobs")


if __name__ == "__main__":
    main(*sys.argv[1:])
