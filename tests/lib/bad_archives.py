# SPDX-License-Identifier: Apache-2.0
"""Archives that are damaged, odd or hostile, and what import says of each.

    bad_archives.py DIR           writes them, and DIR/cases: a line each, of
                                  file, exit code, words of the error, what it is
    bad_archives.py DIR COUNT SEED   writes COUNT copies of good ones with bytes
                                  changed, or cut short
"""
import bz2, gzip, io, lzma, os, random, shutil, struct, subprocess, sys, tarfile, zipfile
from tarfile import CHRTYPE, DIRTYPE, LNKTYPE, REGTYPE, SYMTYPE

to = sys.argv[1]
cases = []


def case(name, data, code, words, what):
    with open(f"{to}/{name}", "wb") as f:
        f.write(data)
    cases.append((name, str(code), words, what))


def tar(*entries, format=tarfile.PAX_FORMAT):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as t:
        for name, type, data, more in entries:
            i = tarfile.TarInfo(name)
            i.type, i.size, i.mode, i.mtime = type, len(data), 0o644, 1000
            for key, value in more.items():
                setattr(i, key, value)
            t.addfile(i, io.BytesIO(data))
    return out.getvalue()


def e(name, type=REGTYPE, data=b"", **more):
    return name, type, data, more


def zst(data):
    return subprocess.run(["zstd", "-qc"], input=data, stdout=subprocess.PIPE, check=True).stdout


def zipped(data=b"z" * 5000, method=zipfile.ZIP_DEFLATED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as z:
        for n in range(5):
            z.writestr(f"dir/file-{n}", data + bytes([n]))
    return out.getvalue()


def good():
    rnd = random.Random(1)
    return tar(e("d", DIRTYPE, mode=0o755),
               *[e(f"d/f{n}", data=rnd.randbytes(3000)) for n in range(8)],
               e("link", LNKTYPE, linkname="d/f0"), e("sym", SYMTYPE, linkname="d"),
               e("x" * 150, data=b"long", pax_headers={"SCHILY.xattr.user.a": "1"}))


def cut(name, data, places):
    for i, at in enumerate(places):
        case(f"cut-{i}-{name}", data[:at], 1, "import", f"{name} of {len(data)} bytes cut at {at}")


def cuts():
    t = good()
    blocks = [n * 512 for n in range(1, len(t) // 512 - 20)]
    cut("a.tar", t, blocks[::9] + [len(t) - 10240 - 512, 100, 513, 5000])
    for name, data in (("a.tar.gz", gzip.compress(t)), ("a.tar.bz2", bz2.compress(t)),
                       ("a.tar.xz", lzma.compress(t)), ("a.zip", zipped(os.urandom(3000)))):
        n = len(data)
        cut(name, data, [1, 5, 20, n // 3, n // 2, n * 3 // 4, n - 500, n - 20, n - 5, n - 1])
    if shutil.which("zstd"):
        data = zst(t)
        n = len(data)
        cut("a.tar.zst", data, [1, 5, 20, n // 2, n * 3 // 4, n - 100, n - 5, n - 1])


def kinds():
    case("empty", b"", 1, "it is empty", "an empty file")
    case("noise", random.Random(2).randbytes(100000), 1, "import", "noise")
    case("text", b"hello\nworld\n" * 100, 1, "import", "a text")
    case("csv", b"id,amount\n1,2\n" * 10000, 1, "import", "a CSV")
    case("elf", open("/bin/sh", "rb").read(), 1, "import", "a program")
    case("gz-of-text", gzip.compress(b"hello\n" * 1000), 1, "import", "a compressed text")
    case("mtree", b"#mtree\nshadow type=file contents=/etc/passwd\n", 1, "import",
         "an mtree, which names files of this machine")
    case("script", b"#!/bin/sh\necho hello\n", 1, "import", "a script")


def paths():
    f = e("first", data=b"1")
    for i, name in enumerate(["../up", "a/../../up", "..", "a/..", "/../up", "./../up"]):
        case(f"dotdot-{i}.tar", tar(f, e(name, data=b"x")), 1, r"\.\.", f"an entry '{name}'")
    case("dotdot-link.tar", tar(f, e("l", LNKTYPE, linkname="../first")), 1, r"\.\.",
         "a hard link to '../first'")
    case("name-256.tar", tar(f, e("n" * 256)), 1, "255 bytes", "a name of 256 bytes")
    case("through-link.tar", tar(e("l", SYMTYPE, linkname="/tmp"), e("l/in", data=b"x")), 1,
         "cannot be below 'l'.*symbolic link", "an entry below a symlink")
    case("through-link-2.tar", tar(e("d", DIRTYPE), e("d", SYMTYPE, linkname=".."),
                                   e("d/e/f", data=b"x")), 1, "cannot be below 'd'",
         "an entry below a directory that became a symlink")
    case("through-file.tar", tar(f, e("first/in", data=b"x")), 1, "cannot be below 'first'",
         "an entry below a file")
    case("link-nothing.tar", tar(f, e("l", LNKTYPE, linkname="gone")), 1,
         "'l' is a link to 'gone', which is not there", "a hard link to nothing")
    case("link-self.tar", tar(f, e("l", LNKTYPE, linkname="l")), 1, "'l' is a link to 'l'",
         "a hard link to itself")
    case("link-later.tar", tar(e("l", LNKTYPE, linkname="late"), e("late", data=b"x")), 1,
         "'l' is a link to 'late'", "a hard link to what comes later")
    case("link-dir.tar", tar(e("d", DIRTYPE), e("l", LNKTYPE, linkname="d")), 1,
         "hard link to the directory", "a hard link to a directory")
    case("link-root.tar", tar(f, e("l", LNKTYPE, linkname=".")), 1, "hard link to the directory",
         "a hard link to the root")
    case("target.tar", tar(f, e("s", SYMTYPE, linkname="t" * 4096)), 1, "4096 bytes",
         "a target of 4,096 bytes")
    case("root-link.tar", tar(f, e("./", SYMTYPE, linkname="x")), 1, "root", "a root that is a symlink")
    case("root-file.tar", tar(f, e(".", data=b"x")), 1, "root", "a root that is a file")


def sizes():
    huge = bytearray(tar(e("huge"))[:512])
    huge[124:136] = b"\x80" + (1 << 50).to_bytes(11, "big")
    huge[148:156] = b" " * 8
    huge[148:156] = b"%06o\0 " % sum(huge[:512])
    case("petabyte.tar", bytes(huge) + bytes(1 << 16), 1, "import",
         "a file that claims a petabyte and has 64 KiB")
    huge[124:136] = b"\xff" * 12
    huge[148:156] = b" " * 8
    huge[148:156] = b"%06o\0 " % sum(huge[:512])
    case("negative.tar", bytes(huge) + bytes(1024), 1, "import", "a file of negative size")
    z = bytearray(zipped())
    struct.pack_into("<I", z, 22, 100)
    struct.pack_into("<I", z, z.find(b"PK\1\2") + 24, 100)
    case("size.zip", bytes(z), 1, "import", "a zip that lies about a size")
    z = bytearray(zipped(method=zipfile.ZIP_STORED))
    at = z.find(b"zzzz")
    z[at + 7] ^= 1
    case("crc.zip", bytes(z), 1, "import", "a zip whose checksum does not hold")
    pax = tar(e("x", data=b"x", pax_headers={"size": "-5"}))
    case("pax-size.tar", pax, 1, "import", "a pax header with a negative size")
    uid = tar(e("x", data=b"x", uid=2**32))
    case("uid.tar", uid, 1, "out of range", "an owner over 32 bits")
    case("xattr.tar", tar(e("x", data=b"x", pax_headers={"SCHILY.xattr.user.a": "1" * 70000})), 1,
         "xattr 'user.a'", "an xattr of 70,000 bytes")
    case("xattr-name.tar", tar(e("x", data=b"x", pax_headers={"SCHILY.xattr.user." + "n" * 300: "1"})),
         1, "xattr", "an xattr with a name of 305 bytes")


def changed(count, seed):
    rnd = random.Random(seed)
    t = good()
    kinds = [("tar", t), ("tar.gz", gzip.compress(t)), ("zip", zipped(os.urandom(2000))),
             ("tar.xz", lzma.compress(t)), ("gnu.tar", tar(
                 e("l" * 200, data=b"x" * 600), e("s", SYMTYPE, linkname="t" * 150),
                 e("c", CHRTYPE, devmajor=1, devminor=3), format=tarfile.GNU_FORMAT))]
    for tool in (["bsdcpio", "-oH", "newc"], ["7z"], ["cpio", "-oH", "newc", "--quiet"]):
        if tool[0] != "7z" and shutil.which(tool[0]):
            kinds.append(("cpio", subprocess.run(tool, input=b"bin\nsbin\netc/hostname\netc/passwd\n",
                                                 stdout=subprocess.PIPE, cwd="/").stdout))
            break
    for n in range(count):
        kind, data = kinds[n % len(kinds)]
        data = bytearray(data)
        for _ in range(rnd.choice([1, 1, 3, 10])):
            # Headers are where the meaning is.
            block = rnd.randrange(len(data) // 512 + 1) * 512
            at = min(block + rnd.randrange(512), len(data) - 1)
            data[at] = rnd.choice([0, 0xff, 0x80, data[at] ^ 1 << rnd.randrange(8), rnd.randrange(256)])
        if kind.endswith("tar"):  # or no reader gets past them
            for at in range(0, len(data) - 511, 512):
                if data[at + 257:at + 262] == b"ustar" and rnd.random() < .9:
                    data[at + 148:at + 156] = b" " * 8
                    data[at + 148:at + 156] = b"%06o\0 " % sum(data[at:at + 512])
        if rnd.random() < .2:
            del data[rnd.randrange(len(data)):]
        with open(f"{to}/{n:05}.{kind}", "wb") as f:
            f.write(data)


if len(sys.argv) > 2:
    changed(int(sys.argv[2]), int(sys.argv[3]))
else:
    cuts()
    kinds()
    paths()
    sizes()
    with open(f"{to}/cases", "w") as f:
        for line in cases:
            f.write("\t".join(line) + "\n")
