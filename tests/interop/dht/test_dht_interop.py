#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Our DHTs with those of js-libp2p and go-libp2p, in both directions, as real processes on loopback.

usage: test_dht_interop.py js|js-lan|go PANGEA GO_PEER

js, go  Kademlia of js-libp2p, of go-libp2p, in our global DHT
js-lan  js-libp2p in our local DHT, with everything at its default on our side
PANGEA  the program; GO_PEER where to build the Go peer. Exits with 77 when the toolchain of the peer is not there.

Two nodes of ours, A and B, and a foreign one that knows A only: what goes between B and the foreign one has to be found.
"""
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
TIMEOUT = 120
KIND, PANGEA, GO_PEER = "", "", ""
CIDS = ["bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy",
        "bafkreidon73zkcrwdb5iafqtijxildoonbwnpv7dyd6ef3qdgads2jc4su"]


class Foreign:
    """A foreign peer: a child process, told what to do by JSON lines."""

    def __init__(self):
        argv = [GO_PEER] if KIND == "go" else ["node", os.path.join(HERE, "js", "peer.mjs")]
        argv += ["--lan"] if KIND == "js-lan" else []
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        hello = self.lines.get(timeout=TIMEOUT)
        self.peer_id, self.addr = hello["peerId"], hello["addrs"][0]

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(json.loads(line))

    def raw(self, cmd, **args):
        self.process.stdin.write(json.dumps({"cmd": cmd, **args}) + "\n")
        self.process.stdin.flush()
        return self.lines.get(timeout=TIMEOUT)

    def __call__(self, cmd, **args):
        answer = self.raw(cmd, **args)
        if not answer["ok"]:
            raise AssertionError(f"{cmd}: {answer['error']}")
        return answer

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class Node:
    """A node of ours: `pangea run` with a data directory of its own."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="pangea-dht-")
        self.data = os.path.join(self.dir, "data")
        ready = os.path.join(self.dir, "ready.json")
        settings = ["dht.test_namespace=true"]
        settings += [] if KIND == "js-lan" else ["dht.allow_private=true", "net.mdns=false"]
        with open(os.path.join(self.dir, "log"), "wb") as log:
            self.process = subprocess.Popen(
                [PANGEA, "run", "--data", self.data, "--listen", "/ip4/127.0.0.1/tcp/0", "--ready-file", ready,
                 *[word for setting in settings for word in ("--set", setting)]],
                stdout=subprocess.DEVNULL, stderr=log)
        deadline = time.monotonic() + TIMEOUT
        while not os.path.exists(ready):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError("the node did not get ready: " + self.log())
            time.sleep(0.02)  # a process of its own: nothing else tells
        with open(ready, encoding="utf-8") as file:
            info = json.load(file)
        self.peer_id, self.addr = info["peer_id"], info["addrs"][0]

    def log(self):
        with open(os.path.join(self.dir, "log"), encoding="utf-8", errors="replace") as log:
            return log.read()

    def cli(self, *args, code=0):
        done = subprocess.run([PANGEA, *args, "--json", "--data", self.data], capture_output=True, text=True,
                              timeout=TIMEOUT, check=False)
        if done.returncode != code:
            raise AssertionError(f"pangea {' '.join(args)}: exit code {done.returncode}: {done.stdout}{done.stderr}\n{self.log()}")
        return json.loads(done.stdout)

    def dht(self):
        realm = "local" if KIND == "js-lan" else "global"
        return next(dht for dht in self.cli("dht", "status")["dhts"] if dht["realm"] == realm)

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(TIMEOUT)
        shutil.rmtree(self.dir)
        return code


def wait_for(condition, what):
    deadline = time.monotonic() + TIMEOUT / 2
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(what)
        time.sleep(0.1)  # other processes: nothing tells when


class DhtInterop(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.nodes = [Node(), Node()]
        cls.a, cls.b = cls.nodes
        cls.foreign = Foreign()
        cls.b.cli("dial", cls.a.addr)
        cls.foreign("dial", addr=cls.a.addr)
        wait_for(lambda: cls.foreign("table")["size"] >= 1, "our node does not get into the foreign table")
        wait_for(lambda: cls.a.dht()["peers"] >= 2, "the foreign node does not get into our table")
        cls.foreign.raw("refresh")

    @classmethod
    def tearDownClass(cls):
        cls.foreign.end()
        codes = [node.end() for node in cls.nodes]
        if codes != [0, 0]:
            raise AssertionError(f"the nodes ended with {codes}")

    def test_a_they_find_our_other_node(self):
        addrs = self.foreign("find_peer", peer=self.b.peer_id)["addrs"]
        self.assertTrue(any(addr.startswith(self.b.addr.split("/p2p/")[0]) for addr in addrs), addrs)

    def test_b_we_find_them(self):
        found = self.b.cli("dht", "find-peer", self.foreign.peer_id)
        self.assertEqual(found["peer_id"], self.foreign.peer_id)

    def test_c_they_put_we_get(self):
        took = self.foreign("put", key="/test/theirs", value="1 from them")["took"]
        self.assertIn(self.a.peer_id, took)
        got = self.b.cli("dht", "get", "/test/theirs")
        self.assertEqual(bytes.fromhex(got["value_hex"]), b"1 from them")
        self.assertGreaterEqual(self.a.dht()["records"], 1)

    def test_d_we_put_they_get(self):
        self.b.cli("dht", "put", "/test/ours", "1 from us")
        self.assertEqual(self.foreign("get", key="/test/ours")["value"], "1 from us")

    def test_e_newer_values_win_on_both_sides(self):
        self.b.cli("dht", "put", "/test/both", "2 second")
        self.foreign.raw("put", key="/test/both", value="1 first")  # refused where the second is kept
        self.assertEqual(bytes.fromhex(self.a.cli("dht", "get", "/test/both")["value_hex"]), b"2 second")
        self.foreign("put", key="/test/both", value="3 third")
        self.assertEqual(bytes.fromhex(self.b.cli("dht", "get", "/test/both")["value_hex"]), b"3 third")
        self.assertEqual(self.foreign("get", key="/test/both")["value"], "3 third")

    def test_f_they_provide_we_find(self):
        self.foreign("provide", cid=CIDS[0])
        wait_for(lambda: self.foreign.peer_id in [
            provider["peer_id"] for provider in self.b.cli("dht", "providers", CIDS[0])["providers"]],
            "the foreign provider is not found")
        provider = self.b.cli("dht", "providers", CIDS[0])["providers"][0]
        self.assertIn(self.foreign.addr.split("/p2p/")[0], provider["addrs"])

    def test_g_we_provide_they_find(self):
        self.assertGreaterEqual(self.b.cli("dht", "provide", CIDS[1])["told"], 1)
        providers = self.foreign("providers", cid=CIDS[1])["providers"]
        self.assertIn(self.b.peer_id, providers)

    def test_h_we_ask_them_directly(self):
        """Every step of a lookup that went to the foreign node was answered."""
        for key in ("/test/ours", "/test/nothing", CIDS[0]):
            steps = self.b.cli("dht", "explain", key)["steps"]
            theirs = [step for step in steps if step["peer_id"] == self.foreign.peer_id]
            self.assertTrue(theirs, f"{key}: the foreign node was not asked: {steps}")
            for step in theirs:
                self.assertIn(step["result"], ("answered", "left"), step)
        self.assertTrue(any(step["result"] == "answered" for step in theirs), theirs)

    def test_i_nobody_was_offended(self):
        for node in self.nodes:
            self.assertEqual(node.dht()["refused_total"] - node.dht()["puts_refused_total"], 0)
            self.assertNotIn("net.peer.misbehaves", node.log())


def prepare():
    words = ["go", GO_PEER, os.path.join(HERE, "go")] if KIND == "go" else ["js", os.path.join(HERE, "js")]
    done = subprocess.run([os.path.join(HERE, "..", "prepare"), *words], check=False)
    if done.returncode != 0:
        sys.exit(done.returncode)


if __name__ == "__main__":
    KIND, PANGEA, GO_PEER = sys.argv[1], os.path.abspath(sys.argv[2]), os.path.abspath(sys.argv[3])
    prepare()
    unittest.main(argv=sys.argv[:1], verbosity=2)
