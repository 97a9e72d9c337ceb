#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Our node against js-libp2p and go-libp2p, in both directions, as real processes on loopback.

usage: test_interop.py js|hybrid|go|js-quic|go-quic PANGEA PEER

js       js-libp2p as npm has it: classical Noise, yamux
hybrid   js-libp2p with the post-quantum Noise of js/hybrid.mjs, which shares no code with ours
go       go-libp2p as its module has it
js-quic  js-libp2p with the QUIC of npm, which is quinn's
go-quic  go-libp2p with quic-go
PANGEA  the program; PEER our test client (peer.c). Exits with 77 when the toolchain of the peer is not there.
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
HYBRID = "/noise-mlkem768-hfs/0.2.0"
JS_QUIC = "tls/X25519"
TIMEOUT = 120
KIND, PANGEA, CLIENT = "", "", ""
GO_PEER = ""


def is_go():
    return KIND.startswith("go")


def is_quic():
    return KIND.endswith("-quic")


def attempts():
    """Ask again and again, for as long as a slow machine may need."""
    deadline = time.monotonic() + TIMEOUT / 4
    while time.monotonic() < deadline:
        yield


class Foreign:
    """A foreign peer: a child process, told what to do by JSON lines."""

    def __init__(self):
        argv = [GO_PEER] if is_go() else ["node", os.path.join(HERE, "js", "peer.mjs")]
        argv += ["--hybrid"] if KIND == "hybrid" else []
        argv += ["--quic"] if is_quic() else []
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

    def raw(self, cmd, **args):
        self.process.stdin.write(json.dumps({"cmd": cmd, **args}) + "\n")
        self.process.stdin.flush()
        return self._next()

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
    """Our node: `pangea run` with a data directory of its own."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="pangea-interop-")
        self.config = os.path.join(self.dir, "conf")
        with open(self.config, "w", encoding="utf-8") as conf:
            conf.write("[net]\nmdns = false\necho = true\n")
        with open(os.path.join(self.dir, "log"), "wb") as log:
            self.process = subprocess.Popen(
                [PANGEA, "run", "--data", os.path.join(self.dir, "data"), "--config", self.config,
                 "--listen", f"/ip4/127.0.0.1/{'udp/0/quic-v1' if is_quic() else 'tcp/0'}", "--ready-file", os.path.join(self.dir, "ready.json")],
                stdout=subprocess.DEVNULL, stderr=log)
        self.info = self._await_ready(os.path.join(self.dir, "ready.json"))
        self.peer_id, self.addr = self.info["peer_id"], self.info["addrs"][0]

    def _await_ready(self, path):
        for _ in range(TIMEOUT * 20):
            if os.path.exists(path):
                with open(path, encoding="utf-8") as ready:
                    return json.load(ready)
            try:
                self.process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
            break
        raise AssertionError("the node did not get ready: " + self.log())

    def log(self):
        with open(os.path.join(self.dir, "log"), encoding="utf-8", errors="replace") as log:
            return log.read()

    def cli(self, *args, code=0):
        done = subprocess.run([PANGEA, *args, "--json", "--data", os.path.join(self.dir, "data")],
                              capture_output=True, text=True, timeout=TIMEOUT, check=False)
        if done.returncode != code:
            raise AssertionError(f"pangea {' '.join(args)}: exit code {done.returncode}: {done.stdout}{done.stderr}\n{self.log()}")
        return json.loads(done.stdout) if done.stdout.strip() else done.stderr

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(TIMEOUT)
        shutil.rmtree(self.dir)
        return code


class Interop(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = Node()
        cls.foreign = Foreign()
        cls.security = {"hybrid": HYBRID, "go-quic": "tls/X25519MLKEM768", "js-quic": JS_QUIC}.get(KIND, "/noise")
        cls.much = 8 << 20 if KIND == "js-quic" else 64 << 20  # more keeps its QUIC busy for a minute, go's peers too
        cls.muxer = "quic" if is_quic() else "/yamux/1.0.0"

    @classmethod
    def tearDownClass(cls):
        cls.foreign.end()
        code = cls.node.end()
        if code != 0:
            raise AssertionError(f"the node ended with {code}")

    def client(self, *steps):
        """Our test client against the foreign peer."""
        done = subprocess.run([CLIENT, self.foreign.addr, *steps], capture_output=True, text=True,
                              timeout=TIMEOUT, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]

    # They dial us.

    def test_a1_they_dial_and_identify_us(self):
        answer = self.foreign("dial", addr=self.node.addr)
        self.assertEqual(answer["peer"], self.node.peer_id)
        if not is_quic():  # they do not tell of it
            self.assertEqual(answer["security"], self.security)
            self.assertEqual(answer["muxer"], self.muxer)
        known = self.foreign("identified", peer=self.node.peer_id)
        self.assertTrue(known["agent"].startswith("pangea/"), known["agent"])
        for protocol in ("/ipfs/id/1.0.0", "/ipfs/id/push/1.0.0", "/ipfs/ping/1.0.0", "/perf/1.0.0", "/echo/1.0.0"):
            self.assertIn(protocol, known["protocols"])
        if not is_go():  # go keeps a signed record only of peers whose addresses it would tell others
            self.assertTrue(known["signedRecord"])

    def test_a2_they_ping_us(self):
        for _ in range(3):
            self.foreign("ping", addr=self.node.addr, peer=self.node.peer_id)

    def test_a3_they_open_500_streams(self):
        self.foreign("echo", peer=self.node.peer_id, streams=500, bytes=3000)

    def test_a4_they_send_much_through_one_stream(self):
        self.foreign("echo", peer=self.node.peer_id, streams=1, bytes=self.much)

    def test_a5_they_measure_perf(self):
        self.foreign("perf", peer=self.node.peer_id, up=32 << 20, down=32 << 20)

    def test_a6_they_reset_streams(self):
        self.foreign("reset", peer=self.node.peer_id, streams=20)

    def test_a7_they_ask_for_an_unknown_protocol(self):
        self.foreign("unsupported", peer=self.node.peer_id)
        self.foreign("echo", peer=self.node.peer_id, streams=1, bytes=10)

    def test_a8_their_push_reaches_us(self):
        self.foreign("register", protocol="/interop/pushed/1.0.0")
        self.foreign("ping", addr=self.node.addr, peer=self.node.peer_id)  # something that happens after the push was sent
        for _ in attempts():
            peers = {peer["peer_id"]: peer for peer in self.node.cli("peers")["peers"]}
            if "/interop/pushed/1.0.0" in peers[self.foreign.peer_id].get("protocols", []):
                return
        self.fail("the pushed protocol did not arrive")

    def test_a8_our_push_reaches_them(self):
        announced = "/ip4/127.0.0.1/tcp/4999"
        with open(self.node.config, "a", encoding="utf-8") as conf:
            conf.write(f"announce = {announced}\n")
        self.node.process.send_signal(signal.SIGHUP)
        for _ in attempts():
            self.foreign("ping", addr=self.node.addr, peer=self.node.peer_id)
            addrs = self.foreign("identified", peer=self.node.peer_id)["addrs"]
            if announced in [addr if isinstance(addr, str) else addr["addr"] for addr in addrs]:
                return
        self.fail(f"the pushed address did not arrive: {addrs}")

    def test_a9_we_list_them(self):
        peers = {peer["peer_id"]: peer for peer in self.node.cli("peers")["peers"]}
        them = peers[self.foreign.peer_id]
        if not is_go():  # go names the program by its module
            self.assertTrue(them["agent"].startswith("js-libp2p/"), them)
        self.assertEqual(them["security"], self.security)
        self.assertEqual(them["hybrid"], "mlkem768" in self.security.lower())
        self.assertEqual(them["muxer"], self.muxer)
        self.assertEqual(them["transport"], "quic-v1" if is_quic() else "tcp")

    def test_a9_they_refuse_a_wrong_peer_id(self):
        wrong = self.node.addr.rsplit("/", 1)[0] + "/" + self.foreign.peer_id
        other = Foreign()
        try:
            answer = other.raw("dial", addr=wrong)
        finally:
            other.end()
        self.assertFalse(answer["ok"], answer)

    # We dial them.

    def test_b1_we_dial_ping_and_perf_them(self):
        self.foreign.raw("hangup", peer=self.node.peer_id)
        self.node.cli("dial", self.foreign.addr)
        self.node.cli("ping", self.foreign.addr)
        self.node.cli("perf", self.foreign.addr)

    def test_b2_we_identify_them(self):
        said = self.client("identify")[0]
        self.assertGreaterEqual(said["protocols"], 4)
        self.assertEqual(said["security"], self.security)

    def test_b3_we_open_500_streams(self):
        self.client("echo:500:3000")

    def test_b4_we_send_much_through_one_stream(self):
        self.client(f"echo:1:{self.much}")

    def test_b5_we_reset_and_are_refused(self):
        self.client("reset:20", "unsupported")

    def test_b6_a_wrong_peer_id_is_refused(self):
        other = Foreign()
        try:
            wrong = self.foreign.addr.rsplit("/", 1)[0] + "/" + other.peer_id
        finally:
            other.end()
        done = subprocess.run([CLIENT, wrong], capture_output=True, text=True, timeout=TIMEOUT, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(self.foreign.peer_id, done.stderr)

    # Farewells.

    def connected(self, node):
        return self.foreign.peer_id in [peer["peer_id"] for peer in node.cli("peers")["peers"]]

    def test_d1_they_hang_up_and_we_hear(self):
        self.foreign("dial", addr=self.node.addr)
        self.assertTrue(self.connected(self.node))
        self.foreign("hangup", peer=self.node.peer_id)
        for _ in attempts():
            if not self.connected(self.node):
                return
        self.fail("the connection is still listed")

    def test_d2_we_stop_and_they_hear(self):
        node = Node()
        self.foreign("dial", addr=node.addr)
        self.foreign("identified", peer=node.peer_id)
        self.assertEqual(node.end(), 0)
        deadline = time.monotonic() + 5  # long before anything would time out
        while time.monotonic() < deadline:
            if node.peer_id not in [conn["peer"] for conn in self.foreign("connections")["connections"]]:
                return
        self.fail("they still list the connection")

    def test_c1_the_offer_is_authenticated(self):
        if KIND != "hybrid":
            self.skipTest("only the hybrid peer tells what it was offered")
        payloads = self.foreign("payloads")["payloads"]
        ours = [payload for payload in payloads if payload["peer"] == self.node.peer_id]
        self.assertEqual(ours[0]["offers"], [HYBRID, "/noise"])
        self.assertEqual(ours[0]["muxers"], ["/yamux/1.0.0"])


def prepare():
    global GO_PEER
    args = ["go", os.path.join(os.path.dirname(CLIENT), "go-peer")] if is_go() else ["js"]
    done = subprocess.run([os.path.join(HERE, "prepare"), *args], check=False)
    if done.returncode != 0:
        sys.exit(done.returncode)
    GO_PEER = args[-1]
    if KIND == "hybrid":
        subprocess.run(["node", os.path.join(HERE, "js", "selftest.mjs")], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    KIND, PANGEA, CLIENT = sys.argv[1], os.path.abspath(sys.argv[2]), os.path.abspath(sys.argv[3])
    prepare()
    unittest.main(argv=sys.argv[:1], verbosity=2)
