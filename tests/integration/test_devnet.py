#!/usr/bin/env python3
"""pangea devnet: a network of real processes comes up connected, tells of what ends, and leaves nothing behind however it ends.

usage: test_devnet.py PANGEA
"""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

PANGEA = os.path.abspath(sys.argv[1])
USAGE, BUSY, CLOSED, INTERRUPTED = 2, 18, 29, 130


def is_alive(pid):
    """Whether a process runs; one that has ended and was not waited for does not."""
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


class Network:
    """A running `pangea devnet`."""

    def __init__(self, work, *words, env=None):
        self.ready_file = work / "ready.json"
        words = [PANGEA, "devnet", "--json", "--ready-file", self.ready_file, *map(str, words)]
        # A session of its own, as a shell gives: then Ctrl-C can be sent to all of it.
        self.process = subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, start_new_session=True, text=True
        )
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(self.process.communicate()[1])
        self.nodes = json.loads(line)["nodes"]

    def ask(self, node, *words):
        done = subprocess.run([PANGEA, *words, "--json", "--data", node["data"]], capture_output=True, check=False, timeout=60)
        return json.loads(done.stdout)

    def end(self, how=signal.SIGINT):
        if how is not None:
            self.process.send_signal(how)
        out, err = self.process.communicate(timeout=60)
        return subprocess.CompletedProcess(self.process.args, self.process.returncode, out, err)


class Devnet(unittest.TestCase):
    def setUp(self):
        place = tempfile.TemporaryDirectory(prefix="pangea-devnet-test-")
        self.addCleanup(place.cleanup)
        self.work = pathlib.Path(place.name)
        self.temporary = self.work / "tmp"
        self.temporary.mkdir()
        self.env = {**os.environ, "TMPDIR": str(self.temporary)}

    def network(self, *words):
        network = Network(self.work, *words, env=self.env)
        self.addCleanup(lambda: network.process.poll() is None and network.process.kill())
        return network

    def fails(self, code, *words):
        done = subprocess.run([PANGEA, "devnet", *map(str, words)], capture_output=True, check=False, timeout=60, env=self.env)
        self.assertEqual(done.returncode, code, done.stderr)
        self.nothing_left()
        return done.stderr.decode()

    def nothing_left(self, network=None):
        self.assertEqual(list(self.temporary.iterdir()), [])
        if network is not None:
            self.assertFalse(network.ready_file.exists())
            for node in network.nodes:
                self.assertFalse(is_alive(node["pid"]), node)

    def wait_for(self, condition, what):
        deadline = time.monotonic() + 60
        while not condition():
            self.assertLess(time.monotonic(), deadline, what() if callable(what) else what)
            time.sleep(0.02)  # other processes: nothing else tells

    def test_all_are_connected_with_all(self):
        network = self.network("--nodes", 5, "--set", "net.echo=true", "--set", "log.level=debug")
        self.assertEqual(json.loads(network.ready_file.read_text(encoding="utf-8"))["nodes"], network.nodes)
        self.assertEqual([node["index"] for node in network.nodes], [1, 2, 3, 4, 5])
        everybody = {node["peer_id"] for node in network.nodes}
        self.assertEqual(len(everybody), 5)
        for node in network.nodes:
            self.assertTrue(is_alive(node["pid"]))
            self.assertTrue(node["addr"].startswith("/ip4/127.0.0.1/tcp/"))
            peers = network.ask(node, "peers")["peers"]
            self.assertEqual({peer["peer_id"] for peer in peers}, everybody - {node["peer_id"]})
            self.assertTrue(all("/echo/1.0.0" in peer["protocols"] for peer in peers))
            self.assertIn("debug", pathlib.Path(node["data"] + ".log").read_text(encoding="utf-8"))
        done = network.end()
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.nothing_left(network)

    def test_terminated_and_interrupted_on_a_terminal(self):
        network = self.network("--nodes", 3)
        self.assertEqual(network.end(signal.SIGTERM).returncode, 0)
        self.nothing_left(network)
        network = self.network("-n3")
        os.killpg(network.process.pid, signal.SIGINT)  # as a terminal does: the nodes get it too
        done = network.end(None)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.nothing_left(network)

    def test_killed__takes_its_nodes_along(self):
        network = self.network("--nodes", 3)
        network.end(signal.SIGKILL)
        self.wait_for(lambda: not any(is_alive(node["pid"]) for node in network.nodes), "the nodes die with it")

    def test_node_that_dies__is_told_and_the_others_go_on(self):
        network = self.network("--nodes", 4)
        victim = network.nodes[1]
        os.kill(victim["pid"], signal.SIGKILL)
        line = network.process.stderr.readline()
        self.assertEqual(line, f"pangea: warning: node 2 (pid {victim['pid']}) has ended, with status 137\n")
        for node in (network.nodes[0], network.nodes[2], network.nodes[3]):
            self.wait_for(lambda node=node: len(network.ask(node, "peers")["peers"]) == 2, lambda node=node: (victim, node, network.ask(node, "peers")))
        self.assertEqual(network.end().returncode, 0)
        self.nothing_left(network)

    def test_all_nodes_die(self):
        network = self.network("--nodes", 2)
        for node in network.nodes:
            os.kill(node["pid"], signal.SIGTERM)
        done = network.end(None)
        self.assertEqual((done.returncode, json.loads(done.stdout)["error"]["text"]), (CLOSED, "all nodes have ended"))
        self.assertIn("has ended, with status 0", done.stderr)
        self.nothing_left(network)

    def test_folder__is_kept_and_used_again(self):
        folder = self.work / "net"
        first = self.network("--nodes", 2, "--dir", folder)
        self.assertEqual(first.end().returncode, 0)
        self.assertTrue((folder / "01/identity").exists())
        second = self.network("--nodes", 3, "--dir", folder)
        self.assertEqual([n["peer_id"] for n in second.nodes[:2]], [n["peer_id"] for n in first.nodes])
        self.assertEqual(second.nodes[2]["data"], str(folder / "03"))
        self.assertEqual(second.end().returncode, 0)
        kept = self.network("--nodes", 1, "--keep")
        self.assertEqual(kept.end().returncode, 0)
        self.assertTrue((pathlib.Path(kept.nodes[0]["data"]) / "identity").exists())

    def test_ports(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
            taken.listen()
            text = self.fails(BUSY, "--nodes", 1, "--base-port", port)
            self.assertIn("node 1 did not start: ", text)
            self.assertIn(f"/tcp/{port}", text)
        network = self.network("--nodes", 1, "--base-port", port)
        self.assertIn(f"/tcp/{port}/", network.nodes[0]["addr"])
        self.assertEqual(network.end().returncode, 0)

    def test_table(self):
        process = subprocess.Popen(
            [PANGEA, "devnet", "--nodes", "2"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self.env
        )
        lines = [process.stdout.readline() for _ in range(3)]
        self.assertEqual(lines[0].split(), ["node", "pid", "address"])
        self.assertIn("2 nodes, each connected with every other", process.stderr.readline())
        self.assertIn("pangea peers --data", process.stderr.readline())
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0)
        self.nothing_left()

    def test_wrong_use(self):
        self.assertIn("at least one", self.fails(USAGE, "--nodes", 0))
        self.assertIn("--nodes", self.fails(USAGE, "--nodes", 65))
        self.assertIn("--nodes", self.fails(USAGE, "--nodes", "x"))
        self.assertIn("beyond 65535", self.fails(USAGE, "--base-port", 65530))
        self.assertIn("--base-port", self.fails(USAGE, "--base-port", 70000))
        self.assertIn("one argument too many", self.fails(USAGE, "x"))
        self.assertIn("did not start: pangea run: unknown key 'net.nothing'", self.fails(USAGE, "--set", "net.nothing=1"))
        self.assertIn("none/net", self.fails(14, "--dir", self.work / "none/net"))
        (self.work / "file").touch()
        self.assertIn("is no folder", self.fails(USAGE, "--dir", self.work / "file", "--nodes", 1))

    def test_interrupted_while_it_starts(self):
        for delay in (0.02, 0.1, 0.3):
            process = subprocess.Popen([PANGEA, "devnet"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.env)
            time.sleep(delay)  # somewhere on its way
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)
            self.assertIn(process.returncode, (0, INTERRUPTED, -signal.SIGINT))  # the last: before it could care
            self.nothing_left()


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[2:], verbosity=1)
