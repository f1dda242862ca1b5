#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""List a stack of images, as docs/format.md, section 10.1, unites them.

    stack.py STORE REF...    the bottom image first; lines as of reader.py list
"""
import json
import stat
import sys

from reader import Image, Store, describe


class Node:
    """An inode of the stack: what it shows is that of `ino` in `image`."""

    def __init__(self, number):
        self.number, self.links, self.children = number, 0, {}  # None: as walked

    def show(self, image, ino):
        self.image, self.ino, self.inode = image, ino, image.inodes[ino][0]

    def is_dir(self):
        return stat.S_ISDIR(self.inode.mode)


def unite(images):
    """The root.  A directory over a directory merges, all else replaces."""
    root = None
    for image in images:
        nodes, todo = {}, [(b"", 1, None)]
        while todo:
            name, ino, parent = todo.pop()
            node = parent.children.get(name) if parent else root
            if not (node and node.is_dir() and ino in image.dirs):
                node = nodes.get(ino)
            if not node:
                node = nodes[ino] = Node(ino if image is images[0] else None)
            node.show(image, ino)
            if parent:
                parent.children[name] = node
            else:
                root = node
            todo += [(name, child, node) for name, child in
                     sorted(image.dirs.get(ino, {}).items(), reverse=True)]
    return root


def walk(root):
    todo = [(b"/", root)]
    while todo:
        path, node = todo.pop()
        yield path, node
        todo += [(path.rstrip(b"/") + b"/" + name, child) for name, child in
                 sorted(node.children.items(), reverse=True)]


def number(root, free):
    for _, node in walk(root):
        if node.number is None:
            node.number, free = free, free + 1
        node.links += 2 + sum(c.is_dir() for c in node.children.values()) \
            if node.is_dir() else 1


def main(path, *refs):
    store = Store(path)
    images = [Image(store, ref) for ref in refs]
    root = unite(images)
    number(root, images[0].next)
    for path, node in walk(root):
        print(json.dumps(describe(path, node.image, node.ino, node.number,
                                  node.links)))


if __name__ == "__main__":
    main(*sys.argv[1:])
