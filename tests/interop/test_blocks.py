#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Our Bitswap against Helia's and boxo's (kubo's), in both directions, as real processes on loopback.

usage: test_blocks.py js|go BLOCKS

js      @helia/bitswap on js-libp2p; go: boxo on go-libp2p
BLOCKS  our node with a block store (blocks.c). Exits with 77 when the toolchain of the peer is not there.
"""
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
TIMEOUT = 120
KIND, BLOCKS, GO_PEER = "", "", ""
MIB = 1 << 20
HASHES = ("sha2-256", "blake3", "v0")


class Process:
    """A child that answers each line on its input by a JSON object on a line."""

    def __init__(self, argv):
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        hello = self._next()
        self.peer_id, self.addr = hello["peerId"], hello["addrs"][0]

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(json.loads(line))

    def _next(self):
        return self.lines.get(timeout=TIMEOUT)

    def raw(self, line):
        self.begin(line)
        return self._next()

    def begin(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def finish(self):
        answer = self._next()
        if not answer["ok"]:
            raise AssertionError(answer["error"])
        return answer

    def line(self, line):
        self.begin(line)
        return self.finish()

    def end(self):
        self.process.stdin.close()
        try:
            code = self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self.process.stdout.close()
        return code


class Ours(Process):
    """Our node."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="pangea-interop-")
        super().__init__([BLOCKS, os.path.join(self.folder, "blocks")])

    def __call__(self, *words):
        return self.line(" ".join(str(word) for word in words))

    def end(self):
        code = super().end()
        shutil.rmtree(self.folder)
        return code


class Foreign(Process):
    """A foreign peer."""

    def __init__(self):
        js = ["node", os.path.join(HERE, "js", "peer.mjs")]
        super().__init__((js if KIND == "js" else [GO_PEER]) + ["--bitswap"])

    def begin(self, line):
        super().begin(line if line.startswith("{") else json.dumps(line))

    def __call__(self, cmd, **args):
        return self.line(json.dumps({"cmd": cmd, **args}))

    def start(self, cmd, **args):
        self.begin(json.dumps({"cmd": cmd, **args}))


class Blocks(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.ours = Ours()
        cls.foreign = Foreign()

    @classmethod
    def tearDownClass(cls):
        cls.foreign.end()
        code = cls.ours.end()
        if code != 0:
            raise AssertionError(f"our node ended with {code}")

    def stats(self):
        return self.ours("stats")

    # They fetch from us, over a connection that they made.

    def test_a1_they_fetch_one_of_each_kind(self):
        self.foreign("dial", addr=self.ours.addr)
        for number, name in enumerate(HASHES):
            for size in (5, 1000, 100000, MIB):
                self.ours("put", name, 100 * size + number, 1, size)
                self.foreign("blockGet", hash=name, first=100 * size + number, count=1, bytes=size)

    def test_a2_they_fetch_500(self):
        self.ours("put", "blake3", 1000, 500, 5000)
        self.foreign("blockGet", hash="blake3", first=1000, count=500, bytes=5000)

    def test_a3_they_fetch_large_ones_at_once(self):
        self.ours("put", "sha2-256", 2000, 16, MIB)
        self.foreign("blockGet", hash="sha2-256", first=2000, count=16, bytes=MIB)

    def test_a4_they_wait_until_we_have_it(self):
        before = self.stats()["unserved"]
        self.foreign.start("blockGet", hash="blake3", first=3000, count=20, bytes=70000)
        deadline = time.monotonic() + TIMEOUT / 4
        while self.stats()["held"] < 20:  # their wants have come, and stay
            self.assertLess(time.monotonic(), deadline)
        self.ours("put", "blake3", 3000, 20, 70000)
        self.foreign.finish()
        if KIND == "js":  # boxo wants a no only of peers it has asked before
            self.assertGreaterEqual(self.stats()["unserved"], before + 20)
        while self.stats()["held"] > 0:
            self.assertLess(time.monotonic(), deadline)

    def test_a5_they_are_told_that_we_have_not(self):
        if KIND != "js":
            self.skipTest("only Helia can want something of one peer only")
        before = self.stats()["unserved"]
        answer = self.foreign.raw(json.dumps({"cmd": "blockSession", "hash": "sha2-256", "first": 4000, "bytes": 10}))
        self.assertIn("InsufficientProvidersError", answer["error"])
        self.assertGreater(self.stats()["unserved"], before)

    # We fetch from them.

    def test_b1_we_fetch_one_of_each_kind(self):
        self.ours("dial", self.foreign.addr)
        for number, name in enumerate(HASHES):
            for size in (5, 1000, 100000, MIB):
                self.foreign("blockPut", hash=name, first=200 * size + number, count=1, bytes=size)
                self.ours("get", self.foreign.peer_id, name, 200 * size + number, 1, size)

    def test_b2_we_fetch_500(self):
        self.foreign("blockPut", hash="blake3", first=11000, count=500, bytes=5000)
        self.ours("get", self.foreign.peer_id, "blake3", 11000, 500, 5000)

    def test_b3_we_fetch_large_ones_at_once(self):
        self.foreign("blockPut", hash="sha2-256", first=12000, count=16, bytes=MIB)
        self.ours("get", self.foreign.peer_id, "sha2-256", 12000, 16, MIB)

    def test_b4_we_are_told_that_they_have_not(self):
        answer = self.ours.raw(f"get {self.foreign.peer_id} sha2-256 13000 1 10")
        self.assertEqual(answer, {"ok": False, "error": "not_found"})

    def test_b5_we_ask_what_they_have(self):
        self.foreign("blockPut", hash="blake3", first=14000, count=300, bytes=2000)
        answer = self.ours("ask", self.foreign.peer_id, "blake3", 13900, 1000, 2000)
        self.assertEqual(answer["has"], 300)

    def test_b6_we_fetch_from_whoever_has_it(self):
        self.foreign("blockPut", hash="sha2-256", first=15000, count=2, bytes=3000)
        self.ours("any", "sha2-256", 15000, 3000)
        self.foreign("blockPut", hash="sha2-256", first=15100, count=1, bytes=10)  # so small that it comes at once
        self.ours("any", "sha2-256", 15100, 10)
        answer = self.ours.raw("any sha2-256 15200 10")
        self.assertEqual(answer, {"ok": False, "error": "not_found"})

    def test_c1_nothing_was_amiss(self):
        stats = self.stats()
        self.assertEqual(stats["offences"], 0)
        self.assertEqual(stats["refused"], 0)


def prepare():
    global GO_PEER
    args = ["go", os.path.join(os.path.dirname(BLOCKS), "go-peer")] if KIND == "go" else ["js"]
    done = subprocess.run([os.path.join(HERE, "prepare"), *args], check=False)
    if done.returncode != 0:
        sys.exit(done.returncode)
    GO_PEER = args[-1]


if __name__ == "__main__":
    KIND, BLOCKS = sys.argv[1], os.path.abspath(sys.argv[2])
    prepare()
    unittest.main(argv=sys.argv[:1], verbosity=2)
