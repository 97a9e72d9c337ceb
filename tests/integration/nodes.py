"""Nodes as processes on loopback, for the tests that need them: started, asked, ended by pid. The program under test is the first
argument of the test."""

import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

PANGEA = os.path.abspath(sys.argv[1])
# pangea help exit-codes
USAGE, IO, NOT_FOUND, EXISTS, ACCESS, FULL, BUSY, TRUNCATED, MALFORMED, CORRUPT = 2, 13, 14, 15, 16, 17, 18, 20, 21, 23
KEY, MISSING, CLOSED, RESET, REFUSED, UNREACHABLE, NO_NODE, PENDING, INTERRUPTED = 25, 26, 29, 30, 31, 32, 36, 37, 130
PATIENCE = 150  # seconds after which an event counts as never coming: a node tries some things again each minute


def run(*arguments, env=None, stdin=None, text=True, timeout=120):
    """Run a command to its end."""
    words = [PANGEA, *map(str, arguments)]
    return subprocess.run(words, capture_output=True, check=False, timeout=timeout, text=text, env=env, input=stdin)


def begin(*arguments, **more):
    """Begin a command, its output in pipes."""
    words = [PANGEA, *map(str, arguments)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)


def await_that(condition, what, patience=PATIENCE, pause=0.02):
    """Poll until `condition()` is true; what processes of their own do, nothing else tells. Returns its value. Times are in seconds."""
    deadline = time.monotonic() + patience
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"never came: {what() if callable(what) else what}")
        time.sleep(pause)
    return value


class Node:
    """A node. Its log is kept in a file, over restarts."""

    def __init__(self, folder, *settings, source=None, more=(), limit=None, prefix=(), program=PANGEA, env=None, beside=None):
        self.folder = pathlib.Path(folder)
        self.settings = settings
        self.source = source
        self.more = more
        self.limit = limit  # called in the process before it runs
        self.prefix = prefix  # words of a program that becomes the node's
        self.program, self.env = program, env
        beside = beside or folder  # where its log and its ready file stand, but for the end of the name
        self.ready_file = pathlib.Path(f"{beside}.ready")
        self.log_file = pathlib.Path(f"{beside}.log")
        self.process = None
        self.is_ending = False
        self.ready = self.peer_id = self.addr = self.api = self.port = None
        self.launch()
        self.await_ready()

    def launch(self, *settings):
        """Start the process, without waiting for it."""
        self.is_ending = False
        self.ready_file.unlink(missing_ok=True)
        words = [*self.prefix, self.program, "run", "--data", str(self.folder), "--ready-file", str(self.ready_file)]
        words += ["--listen", self.source or "/ip4/127.0.0.1/tcp/0", *self.more]
        words += ["--set", "net.mdns=false"]  # the nodes of other tests run on this machine too
        for setting in (*self.settings, *settings):
            words += ["--set", setting]
        with open(self.log_file, "ab") as log:
            self.process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=log, preexec_fn=self.limit, env=self.env)

    def await_ready(self):
        def is_ready():
            if self.process.poll() is not None:
                raise AssertionError(f"the node did not start: {self.log()}")
            return self.ready_file.exists()

        await_that(is_ready, lambda: f"a node that is ready: {self.log()}")
        ready = self.ready = json.loads(self.ready_file.read_text(encoding="utf-8"))
        self.peer_id, self.addr, self.api = ready["peer_id"], ready["addrs"][0], ready["api"]
        self.port = int(self.addr.split("/")[4])

    def start(self, *settings):
        """Start it again, on the address and port it had."""
        self.source = f"/ip4/{self.addr.split('/')[2]}/tcp/{self.port}"
        self.launch(*settings)
        self.await_ready()

    def is_up(self):
        return self.process.poll() is None

    def stop(self, how=signal.SIGTERM):
        """End it; one that was told to end already is only waited for, unless it is to be killed."""
        if self.process.poll() is None and not (self.is_ending and how == signal.SIGTERM):
            self.process.send_signal(how)
        self.is_ending = True
        return self.process.wait(timeout=PATIENCE)

    def tell_to_end(self):
        if self.is_up() and not self.is_ending:
            self.process.send_signal(signal.SIGTERM)
            self.is_ending = True

    def kill(self):
        self.stop(signal.SIGKILL)

    def log(self):
        return self.log_file.read_text(encoding="utf-8")

    # Commands

    def command(self, *arguments, **more):
        return run(*arguments, "--data", self.folder, "--json", **more)

    def begin(self, *arguments, **more):
        return begin(*arguments, "--data", self.folder, "--json", **more)

    def answer(self, *arguments):
        result = self.command(*arguments)
        if result.returncode != 0:
            raise AssertionError(f"{arguments}: {result.returncode}: {result.stdout}{result.stderr}\n{self.log()}")
        return json.loads(result.stdout)

    def put(self, path, *options):
        return self.answer("put", path, *options)

    def fetch(self, link):
        """The content of a link, or the failed command."""
        result = run("get", link, "-o", "-", "--data", self.folder, text=False)
        return result if result.returncode != 0 else result.stdout

    # The local API

    def post(self, path, body):
        return self.get(f"POST {path}", body)

    def get(self, path, body=b""):
        """One request to the local API, by hand; returns status and body."""
        with socket.socket(socket.AF_UNIX) as door:
            door.settimeout(PATIENCE)
            door.connect(self.api)
            head = f"{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
            door.sendall(head.encode() + body)
            data = b""
            while piece := door.recv(65536):
                data += piece
        head, _, answer = data.partition(b"\r\n\r\n")
        return int(head.split()[1]), json.loads(answer)

    def stats(self):
        return self.get("GET /api/v1/node")[1]["stats"]

    def stat(self):
        return self.get("GET /api/v1/stat")[1]

    def file(self, root):
        return self.get(f"GET /api/v1/files/{root}")[1]

    def peers(self):
        """PeerIds of the peers whose protocols are known."""
        peers = self.get("GET /api/v1/peers")[1]["peers"]
        return {peer["peer_id"] for peer in peers if peer["identified"]}

    def memory_kib(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])

    def packs(self):
        return sorted((self.folder / "blocks").glob("pack-*"))

    def disk_bytes(self):
        """What `du` says of the blocks."""
        return sum(pack.stat().st_blocks * 512 for pack in self.packs())


class NodeTest(unittest.TestCase):
    meeting = PATIENCE  # seconds that nodes may take to find each other

    def setUp(self):
        place = tempfile.TemporaryDirectory(prefix="pangea-node-")
        self.addCleanup(place.cleanup)
        self.work = pathlib.Path(place.name)
        self.nodes = []
        self.addCleanup(self.end)

    def end(self):
        """Stop what still runs; a node that does not end well is a fault of its own."""
        for node in self.nodes:
            node.tell_to_end()
        codes = [(node.stop(), node) for node in self.nodes]
        for code, node in codes:
            self.assertIn(code, (0, -signal.SIGKILL), node.log())

    def node(self, name, *settings, **more):
        node = Node(self.work / name, *settings, **more)
        self.nodes.append(node)
        return node

    def wait_for(self, condition, what):
        return await_that(condition, what)

    def fails(self, result, code, *words):
        self.assertEqual(result.returncode, code, result.stdout + result.stderr)
        for word in words:
            self.assertIn(word, result.stdout + result.stderr)

    # Many nodes

    def mesh(self, count, *settings):
        """Start nodes that stay connected to each other; they know each other when this returns. More may be added."""
        first = len(self.nodes)
        for i in range(first, first + count):
            self.node(f"n{i}", *settings, *(f"net.peers={other.addr}" for other in self.nodes))
        self.meet()
        return self.nodes[first:]

    def meet(self):
        """Wait until all nodes that run know each other."""
        up = [node for node in self.nodes if node.is_up()]
        everybody = {node.peer_id for node in up}
        for node in up:
            await_that(
                lambda node=node: everybody <= node.peers() | {node.peer_id},
                lambda node=node: f"{node.folder.name} knows {len(node.peers())} of {len(everybody) - 1}\n{node.log()}",
                self.meeting,
            )

    def restart(self, node):
        """Start a node that ended; it dials those it knew, and all others that run."""
        known = {setting for setting in node.settings if setting.startswith("net.peers=")}
        others = [other for other in self.nodes if other is not node]
        node.start(*(word for word in (f"net.peers={other.addr}" for other in others) if word not in known))

    def host(self, peer_id):
        return next(node for node in self.nodes if node.peer_id == peer_id)

    def hosts(self, put):
        """The nodes that hold a file, as its put told."""
        return [self.host(host["peer_id"]) for host in put["hosts"]]

    def content(self, size, seed=0):
        """Bytes nobody can compress, the same each time."""
        return random.Random(seed).randbytes(size)

    def write(self, name, content):
        path = self.work / name
        path.write_bytes(content)
        return path

    def assertSame(self, got, content):
        """What a get gave is the content."""
        if isinstance(got, subprocess.CompletedProcess):
            self.fail(f"{got.returncode}: {got.stderr.decode()}")
        self.assertEqual(len(got), len(content))
        self.assertTrue(got == content, "other bytes")
