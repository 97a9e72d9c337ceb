#!/usr/bin/env python3
"""docs/protocols/files.md is enough: a reader written from it alone (files_decoder.py) restores the vectors, and what `pangea shards encode`
and the hosts of a put hold, with as many pieces gone as the code replaces. Exits with 77 where its Python packages cannot be had.

usage: test_files_decoder.py PANGEA VECTORS
"""

import importlib.util
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
PANGEA = os.path.abspath(sys.argv[1])
VECTORS = pathlib.Path(sys.argv[2])
NEEDED = ("blake3", "zstandard", "cryptography")
WORDS_BYTES = 100000


def records(name):
    """The records of a file of vectors: the comment, and its lines as pairs."""
    text = (VECTORS / name).read_text(encoding="utf-8").strip()
    for part in text.split("\n\n"):
        comment, *lines = part.split("\n")
        yield comment, [line.split(" ") for line in lines]


def blocks_of(lines):
    """Blocks by CID: a line that ends in a CID is followed by one with the bytes, where these are given."""
    found = {}
    for line, after in zip(lines, [*lines[1:], [""]]):
        if "cid" in line and after[0] == "block":
            found[line[-1]] = bytes.fromhex(after[1])
    return found


class Decoder(unittest.TestCase):
    def setUp(self):
        place = tempfile.TemporaryDirectory(prefix="pangea-decoder-")
        self.addCleanup(place.cleanup)
        self.work = pathlib.Path(place.name)
        self.folders = [self.work / f"f{i}" for i in range(10)]
        for folder in self.folders:
            folder.mkdir()

    def encode(self, content, *options):
        source = self.work / "a name"
        source.write_bytes(content)
        words = [PANGEA, "shards", "encode", source, *self.folders, "--quiet", *options]
        return subprocess.run(words, capture_output=True, check=True, timeout=120, text=True).stdout.strip()

    def fetch_from(self, folders):
        def fetch(cid):
            found = [path for folder in folders for path in folder.glob(f"*/{cid}")]
            return found[0].read_bytes() if found else None

        return fetch

    # What the page fixes

    def test_keys_and_lengths(self):
        (_, keys), (_, padmes), *_ = list(records("v1.txt"))
        for purpose, value in keys:
            self.assertEqual(files_decoder.hkdf(b"\x11" * 32, b"salt", purpose.encode()).hex(), value)
        for _, length, padded in padmes:
            self.assertEqual(files_decoder.padme(int(length)), int(padded))

    def test_vectors(self):
        seen = 0
        for name in ("v1.txt", "v1-text.txt"):
            for comment, lines in records(name):
                links = [line[1] for line in lines if line[0] == "link"]
                blocks = blocks_of(lines)
                if not links or not blocks:
                    continue
                seen += 1
                if any(line[0] == "shard" for line in lines) and name == "v1.txt":
                    continue  # its shards are named, not given
                file = files_decoder.File(links[0], blocks.get)
                self.assertEqual(file.missing, [])
                if "37 bytes" in comment:
                    self.assertEqual((file.size, file.content), (37, b"a file of 37 bytes stands in its root"))
                elif "Empty" in comment:
                    self.assertEqual((file.size, file.name), (0, ""))
                else:
                    self.assertEqual(file.size, WORDS_BYTES)
                    self.assertTrue(file.content.isascii())
        self.assertEqual(seen, 4)

    def test_wrong_key(self):
        blocks = {}
        for comment, lines in records("v1.txt"):
            blocks.update(blocks_of(lines))
            if "a wrong key" in comment:
                (link,) = [line[1] for line in lines if line[0] == "link"]
                with self.assertRaisesRegex(files_decoder.Refused, "the key is wrong"):
                    files_decoder.File(link, blocks.get)
                return
        self.fail("no such vector")

    # What the program writes

    def test_every_size_with_two_folders_gone(self):
        text = b"what is written twice is half as long\n" * 250_000
        contents = [b"", b"x", bytes(32768), *(random.Random(size).randbytes(size) for size in (32769, 300_000, 9_000_000)), text]
        for content in contents:
            link = self.encode(content)
            gone = random.Random(len(content)).sample(self.folders, 2)
            file = files_decoder.File(link, self.fetch_from([folder for folder in self.folders if folder not in gone]))
            self.assertTrue(file.content == content)
            self.assertEqual((file.name, file.kind), ("a name", 0))
            if 32768 < len(content) and content != text:  # of the text's shards some are equal
                self.assertEqual(len(file.missing), 2 * -(-len(content) // (8 << 20)))

    def test_other_codes_and_full_padding(self):
        content = random.Random(1).randbytes(1_000_000)
        for options in (["--code=24+8"], ["--code=7+3"], ["--no-compress", "--no-name"]):
            file = files_decoder.File(self.encode(content, *options), self.fetch_from(self.folders))
            self.assertTrue(file.content == content)
        self.assertEqual(file.name, "")
        self.folders = self.folders[:2]
        file = files_decoder.File(self.encode(content, "--code=1+1"), self.fetch_from(self.folders[1:]))
        self.assertTrue(file.content == content)

    def test_too_few_and_broken_pieces(self):
        content = random.Random(2).randbytes(200_000)
        link = self.encode(content)
        with self.assertRaisesRegex(files_decoder.Refused, "7 of 10 shards"):
            files_decoder.File(link, self.fetch_from(self.folders[3:]))
        for path in self.folders[0].glob("*/*"):
            if path.stat().st_size > 20_000:
                broken = bytearray(path.read_bytes())
                broken[77] ^= 1
                path.write_bytes(broken)
        file = files_decoder.File(link, self.fetch_from(self.folders))
        self.assertTrue(file.content == content)
        self.assertEqual(len(file.missing), 1)


if __name__ == "__main__":
    if any(importlib.util.find_spec(name) is None for name in NEEDED):
        place = os.path.join(os.path.dirname(PANGEA), "interop-python")
        prepared = subprocess.run([os.path.join(HERE, "prepare"), "python", place], check=False)
        if prepared.returncode != 0:
            sys.exit(prepared.returncode)
        python = os.path.join(place, "bin", "python3")
        os.execv(python, [python, *sys.argv])
    import files_decoder

    unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=1)
