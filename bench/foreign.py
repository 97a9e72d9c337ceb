# SPDX-License-Identifier: Apache-2.0
"""Nodes of others to be measured beside: js-libp2p and Helia (Node.js), go-libp2p and Kubo (Go), rust-libp2p (Rust), a DHT of OpenDHT
(Debian package). Each is built below build/bench/ where its toolchain is there; else a line says that it was skipped."""
import atexit
import json
import os
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
INTEROP = os.path.join(HERE, "..", "tests", "interop")
PEERS = os.path.join(HERE, "peers")
BUILT = os.path.join(HERE, "..", "build", "bench", "peers")
NODE_JS = {"js": os.path.join(INTEROP, "js"), "helia": os.path.join(PEERS, "helia")}
VERSIONS = {"js": "js-libp2p 3.3", "go": "go-libp2p 0.49", "rust": "rust-libp2p 0.57", "helia": "Helia 7.1"}


class Foreign:
    """A process that is told what to do, one JSON command a line."""

    def __init__(self, argv):
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        atexit.register(self.end)
        hello = json.loads(self.process.stdout.readline())
        self.peer_id, self.addr, self.pid = hello["peerId"], hello["addrs"][0], self.process.pid

    def __call__(self, cmd, **args):
        self.process.stdin.write(json.dumps({"cmd": cmd, **args}) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if not answer["ok"]:
            raise SystemExit(f"{cmd}: {answer['error']}")
        return answer

    def end(self):
        self.process.kill()
        self.process.wait()


def program(kind):
    """The command of a peer, made ready; None, and why on standard output, where it cannot be had."""
    out = os.path.join(BUILT, kind)
    tools = {"go": (INTEROP, ["go", out])} | {name: (INTEROP, ["js", folder]) for name, folder in NODE_JS.items()}
    folder, words = tools.get(kind, (PEERS, [kind, out]))
    done = subprocess.run([os.path.join(folder, "prepare"), *words], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        print(f"{kind}: skipped: {done.stdout.strip().removeprefix('skipped: ') or done.stderr.strip()[-300:]}", flush=True)
        return None
    return ["node", os.path.join(NODE_JS[kind], "peer.mjs")] if kind in NODE_JS else [out]


def pair(kind, *options):
    """Two connected nodes of a kind ("js", "go", "rust", "helia"), or None."""
    argv = program(kind)
    if argv is None:
        return None
    a, b = Foreign([*argv, *options]), Foreign([*argv, *options])
    a("dial", addr=b.addr)
    return a, b
