#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""An independent reader of Shale's images, written from docs/format.md alone.

    reader.py list [--digest] STORE REF     a JSON object for each path
    reader.py extract STORE REF DEST        as ordinary files

It shares no code with Shale, and prefers plain words to speed.  Numbers in
comments are sections of the page.  stack.py reads several images as one,
check.py looks at what a reader need not.
"""
import base64
import bisect
import collections
import datetime
import functools
import hashlib
import json
import os
import stat
import struct
import sys

import lz4.block
import zstandard
from xxhash import xxh3_64_intdigest as xxh64, xxh3_128_digest as xxh128

TYPES = {stat.S_IFREG: "file", stat.S_IFDIR: "directory",
         stat.S_IFLNK: "symlink", stat.S_IFIFO: "fifo",
         stat.S_IFSOCK: "socket", stat.S_IFCHR: "char", stat.S_IFBLK: "block"}

# Section 3: a record of each section of a tree blob.
INODES, DIRENTS, EXTENTS, CHUNKS, BLOBS, CHUNKSORT, PACKED, STRINGS, XATTRS, \
    CLONES = range(10)
TREE = ["QIIIIQqIIQQQII", "QQQHB5s", "QQQII", "QQII16s32s", "32sQ", "I",
        "16sII", "s", "s", "QQ"]
Inode = collections.namedtuple(
    "Inode", "ino mode uid gid nlink size sec nsec content limit where "
    "xattrs_at xattrs_len zero")
Name = collections.namedtuple("Name", "dir child at len type zero")
Extent = collections.namedtuple("Extent", "ino off len chunk at")
Chunk = collections.namedtuple("Chunk", "end at stored blob hash sha256")
SAME, REPLACED, PATCHED = range(3)
HOLE, CLONE = 0xffffffff, 0xfffffffe


def need(good, *what):
    if not good:
        sys.exit("reader: " + " ".join(map(str, what)))


def up(n, to):
    return -(-n // to) * to


def load_json(text, limit=1 << 20):
    def no_key_twice(pairs):
        need(len(dict(pairs)) == len(pairs), "JSON with a key twice")
        return dict(pairs)
    need(len(text) <= limit, "JSON over its limit")
    doc = json.loads(text.decode(), object_pairs_hook=no_key_twice)
    need(isinstance(doc, dict), "JSON that is no object")
    return doc


class Table:
    """A table file (2): its header fields and the rows of its sections."""

    def __init__(self, data, magic, formats):
        head = data[:1024]
        need(head[:8] == magic, "magic")
        need(xxh64(head[:0x3f8]) == int.from_bytes(head[0x3f8:], "little"),
             "checksum of the header")
        version, count, size, length, body_end, blocks, body, check = \
            struct.unpack_from("<HHIQQQQQ", head, 8)
        need((version, count, size, body) == (1, len(formats), 1024, 4096),
             "header")
        need(not any(head[0x1f8:0x3f8] + data[1024:4096]), "zeros")
        need(body_end % 8 == 0 and body_end >= 4096 and
             blocks == up(body_end - 4096, 65536) // 65536 and
             length == len(data) == body_end + 8 * blocks, "sizes")
        need(xxh64(data[body_end:]) == check, "checksum of the checksums")
        for n, want in enumerate(struct.unpack_from(f"<{blocks}Q", data, body_end)):
            at = 4096 + n * 65536
            need(xxh64(data[at:min(at + 65536, body_end)]) == want,
                 "checksum of block", n)
        self.fields = struct.unpack_from("<8Q", head, 0x38)
        sections = list(struct.iter_unpack("<QQII", head[0x78:0x1f8]))
        need(not any(map(any, sections[count:])), "section slots")
        self.rows, tiles = [], []
        for (at, n, size, zero), form in zip(sections, formats):
            end = at + n * size
            need(size == struct.calcsize("<" + form) and zero == 0 and
                 at % 8 == 0 and (at == 0) == (n == 0) and end <= body_end,
                 "section")
            need(not any(data[end:up(end, 8)]), "padding of a section")
            self.rows.append(data[at:end] if form == "s" else
                             list(struct.iter_unpack("<" + form, data[at:end])))
            tiles += [(at, up(end, 8))] if n else []
        need([4096] + sorted(end for _, end in tiles) ==
             sorted(at for at, _ in tiles) + [body_end], "sections do not tile")


class Tree:
    """A tree blob (3)."""

    def __init__(self, data):
        table = Table(data, b"SHALETR1", TREE)
        self.rows, self.next = table.rows, table.fields[0]
        need(self.next <= 1 << 40 and not any(table.fields[1:]), "fields")
        self.inodes = {r[0]: Inode(*r) for r in self.rows[INODES]}
        for i in self.inodes.values():
            need(0 < i.ino < self.next and i.size < 1 << 63 and
                 (i.mode == 0 or i.mode & 0o170000 in TYPES) and
                 i.nsec < 10**9 and i.content <= PATCHED, "inode", i.ino)
        self.names = {}
        for n in (Name(*r) for r in self.rows[DIRENTS]):
            name = self.string(n.at, n.len)
            need(n.len < 256 and name not in (b".", b"..") and
                 not {0, 0x2f} & set(name), "name", name)
            self.names[n.dir, name] = n
        self.blobs = [d.hex() for d, _ in self.rows[BLOBS]]
        self.chunks = [Chunk(*r) for r in self.rows[CHUNKS]]
        self.ends = [0] + [c.end for c in self.chunks]
        for n, c in enumerate(self.chunks):
            need(0 < c.end - self.ends[n] < 1 << 24 and
                 c.blob < len(self.blobs), "chunk", n)
        self.extents = collections.defaultdict(list)
        for e in (Extent(*r) for r in self.rows[EXTENTS]):
            self.extent(e, self.extents[e.ino])

    def string(self, at, length):
        text = self.rows[STRINGS][at:at + length]
        need(0 < len(text) == length, "string outside")
        return text

    def extent(self, e, before):
        i = self.inodes.get(e.ino)
        need(i and i.content != SAME and 0 < e.len <= i.size - e.off, "extent")
        need(not before or before[-1].off + before[-1].len <= e.off, "overlap")
        if e.chunk == CLONE:
            need(e.at < len(self.rows[CLONES]), "extent of no clone")
        elif e.chunk != HOLE:
            need(e.chunk < len(self.chunks), "extent of no chunk")
            at, end = self.place(e), self.ends[e.chunk + 1]
            need(at < end and at + e.len <= self.ends[-1], "extent outside")
        before.append(e)

    def place(self, e):
        """Where an extent begins, counted through the contents of all chunks."""
        return self.ends[e.chunk] + e.at

    def xattrs(self, i):
        """The list of an inode (3.9)."""
        data = self.rows[XATTRS][i.xattrs_at:i.xattrs_at + i.xattrs_len]
        need(len(data) == i.xattrs_len, "xattrs outside")
        at, out = 0, {}
        while at < len(data):
            need(at + 8 <= len(data), "xattr")
            name_len, _, value_len = struct.unpack_from("<HHI", data, at)
            value = at + 8 + name_len
            at = up(value + value_len, 4)
            need(at <= len(data), "xattr")
            out[data[value - name_len:value]] = data[value:value + value_len]
        return out


class Store:
    """An OCI image layout (9)."""

    def __init__(self, path):
        self.path = path
        with open(f"{path}/oci-layout", "rb") as f:
            need(load_json(f.read())["imageLayoutVersion"] == "1.0.0", path)
        with open(f"{path}/index.json", "rb") as f:
            self.text = f.read()
        self.index = load_json(self.text, 256 << 20)

    def open(self, digest):
        return open(f"{self.path}/blobs/sha256/{bytes.fromhex(digest).hex()}", "rb")

    def blob(self, desc):
        digest = desc["digest"].removeprefix("sha256:")
        with self.open(digest) as f:
            data = f.read()
        need(hashlib.sha256(data).hexdigest() == digest and
             len(data) == desc["size"], "not what it should be:", digest)
        return data

    def find(self, ref):
        want = ref if ":" in ref else ref + ":latest"
        for d in self.index["manifests"]:
            if d.get("annotations", {}).get(
                    "org.opencontainers.image.ref.name") == want:
                return d
        return need(False, "no image", ref)

    @functools.lru_cache(64)
    def chunk(self, tree, n):
        """The content of chunk n, checked (5)."""
        c, length = tree.chunks[n], tree.ends[n + 1] - tree.ends[n]
        codec, size = divmod(c.stored, 1 << 24)
        with self.open(tree.blobs[c.blob]) as f:
            need(f.read(16) == b"SHALEDAT\1" + bytes(7), "data blob")
            f.seek(c.at)
            data = f.read(size)
        need(hashlib.sha256(data).digest() == c.sha256, "SHA-256 of a chunk")
        need(codec <= 2, "codec", codec)
        if codec == 1:
            data = lz4.block.decompress(data, uncompressed_size=length)
        elif codec == 2:
            need(zstandard.frame_content_size(data) == length, "zstd frame")
            data = zstandard.decompress(data)
        need(len(data) == length and xxh128(data) == c.hash, "chunk damaged")
        return data


class Image:
    """An image (1): its layers merged (4)."""

    def __init__(self, store, ref):
        self.store = store
        self.manifest = load_json(store.blob(store.find(ref)), 8 << 20)
        need(self.manifest["artifactType"] ==
             "application/vnd.shale.image.v1", "no image of Shale's:", ref)
        layers = collections.defaultdict(list)
        for layer in self.manifest["layers"]:
            layers[layer["mediaType"]].append(layer)
        trees, self.data, self.meta = [
            layers.pop(f"application/vnd.shale.{kind}", [])
            for kind in ("tree.v1", "data.v1", "metadata.v1+json")]
        need(trees and not layers, "layers")
        self.trees = [Tree(store.blob(t)) for t in trees]
        self.next = max(t.next for t in self.trees)
        self.merge()

    def merge(self):
        tops, names = {}, {}
        for tree in self.trees:
            tops.update((i, (record, tree)) for i, record in tree.inodes.items())
            names.update(tree.names)
        self.inodes = {i: t for i, t in tops.items() if t[0].mode}
        self.dirs = {i: {} for i, (record, _) in self.inodes.items()
                     if stat.S_ISDIR(record.mode)}
        for (parent, name), n in names.items():
            if n.child and parent in self.dirs:
                self.dirs[parent][name] = n.child
                i = self.inodes.get(n.child)
                need(i and i[0].mode >> 12 == n.type, "name", name)
        self.links = collections.Counter(
            i for _, i in self.walk() if i not in self.dirs)
        for i, names in self.dirs.items():
            self.links[i] = 2 + sum(child in self.dirs for child in names.values())
        need(self.links.keys() == self.inodes.keys(), "inodes without a name")

    def walk(self):
        """Every path with its inode number, a directory before what is in it."""
        seen, todo = set(), [(b"/", 1)]
        while todo:
            path, ino = todo.pop()
            yield path, ino
            need(ino not in seen or ino not in self.dirs, "two names:", path)
            seen.add(ino)
            todo += [(path.rstrip(b"/") + b"/" + name, child) for name, child in
                     sorted(self.dirs.get(ino, {}).items(), reverse=True)]

    def pieces(self, ino, top, lo, hi):
        """What the layers up to number `top` say of bytes lo to hi: (length,
        tree, place in the contents of its chunks), or (length, None, 0)."""
        for k in range(top, -1, -1):
            i = self.trees[k].inodes.get(ino)
            if i and not stat.S_ISREG(i.mode):
                break
            if i and i.content != SAME:
                yield from self.said(k, i, lo, hi)
                return
        yield hi - lo, None, 0

    def said(self, k, i, lo, hi):
        tree, at, end = self.trees[k], lo, Extent(i.ino, hi, 0, HOLE, 0)
        for e in tree.extents.get(i.ino, []) + [end]:
            start, stop = max(e.off, lo), min(e.off + e.len, hi)
            if start >= stop and e is not end:
                continue
            shows = min(max(i.limit, at), start)
            yield from self.pieces(i.ino, k - 1, at, shows)
            yield start - shows, None, 0
            if e.chunk == CLONE:
                source, off = tree.rows[CLONES][e.at]
                yield from self.clone(k, source, off + start - e.off,
                                      stop - start)
            elif e.chunk == HOLE:
                yield stop - start, None, 0
            else:
                yield stop - start, tree, tree.place(e) + start - e.off
            at = stop

    def clone(self, k, ino, lo, length):
        below = [t.inodes[ino] for t in self.trees[:k] if ino in t.inodes]
        need(below and stat.S_ISREG(below[-1].mode), "clone of no file", ino)
        hi = max(lo, min(lo + length, below[-1].size))
        yield from self.pieces(ino, k - 1, lo, hi)
        yield lo + length - hi, None, 0

    def content(self, ino):
        """Yields (length, bytes), or None for bytes where there are zeros."""
        size = self.inodes[ino][0].size
        for length, tree, at in self.pieces(ino, len(self.trees) - 1, 0, size):
            while tree and length:
                n = bisect.bisect_right(tree.ends, at) - 1
                skip = at - tree.ends[n]
                part = self.store.chunk(tree, n)[skip:skip + length]
                yield len(part), part
                at, length = at + len(part), length - len(part)
            if length:
                yield length, None


def target(i, tree):
    return tree.string(i.where, i.size) if stat.S_ISLNK(i.mode) else None


def describe(path, image, ino, number, links, digest=False):
    (i, tree), d = image.inodes[ino], {}
    for key, value in (("path", path), ("target", target(i, tree))):
        if value is not None:
            d[key] = base64.b64encode(value).decode()
    when = datetime.datetime(1970, 1, 1) + datetime.timedelta(0, i.sec)
    fraction = f".{i.nsec:09}" if i.nsec else ""
    d |= {"type": TYPES[stat.S_IFMT(i.mode)], "mode": f"{i.mode & 0o7777:04o}",
          "inode": number, "nlink": links, "uid": i.uid, "gid": i.gid,
          "size": i.size, "mtime": f"{when.isoformat()}{fraction}Z",
          "xattrs": {base64.b64encode(k).decode(): base64.b64encode(v).decode()
                     for k, v in tree.xattrs(i).items()}}
    if d["type"] in ("char", "block"):
        d |= {"major": i.where >> 32, "minor": i.where & 0xffffffff}
    if digest and d["type"] == "file":
        d["digest"] = "sha256:" + digest_of(image, ino)
    return d


def digest_of(image, ino):
    sha, piece = hashlib.sha256(), 1 << 20
    for length, data in image.content(ino):
        for at in range(0, length, piece) if data is None else ():
            sha.update(bytes(min(piece, length - at)))
        sha.update(data or b"")
    return sha.hexdigest()


def make(path, image, ino):
    i, tree = image.inodes[ino]
    if stat.S_ISDIR(i.mode):
        os.mkdir(path)
    elif stat.S_ISLNK(i.mode):
        os.symlink(target(i, tree), path)
    elif stat.S_ISREG(i.mode):
        with open(path, "xb") as f:
            for length, data in image.content(ino):
                f.seek(length, os.SEEK_CUR) if data is None else f.write(data)
            f.truncate(i.size)
    else:
        os.mknod(path, i.mode, os.makedev(i.where >> 32, i.where & 0xffffffff))


def restore(path, i, tree):
    os.chown(path, i.uid, i.gid, follow_symlinks=False)
    if not stat.S_ISLNK(i.mode):
        os.chmod(path, i.mode & 0o7777)
    for key, value in tree.xattrs(i).items():
        os.setxattr(path, key, value, follow_symlinks=False)
    os.utime(path, ns=(i.sec * 10**9 + i.nsec,) * 2, follow_symlinks=False)


def extract(image, dest):
    made = {}
    for path, ino in image.walk():
        path = os.fsencode(dest) + path.rstrip(b"/")
        if ino in made:
            os.link(made[ino], path, follow_symlinks=False)
        else:
            make(path, image, ino)
            made[ino] = path
    for ino, path in reversed(made.items()):
        restore(path, *image.inodes[ino])


def main(verb, store, ref, dest=None):
    image = Image(Store(store), ref)
    if verb == "extract":
        return extract(image, dest)
    for path, ino in image.walk():
        print(json.dumps(describe(path, image, ino, ino, image.links[ino],
                                  digest="--digest" in sys.argv)))


if __name__ == "__main__":
    main(*(arg for arg in sys.argv[1:] if arg != "--digest"))
