#!/usr/bin/env python3
"""Nodes on a real local network: two network namespaces and a link between them, made by this test. Neighbours find each other by mDNS,
over IPv4 and over IPv6; an invitation brings one into a private network, and no other. Exits with 77 where namespaces are not possible.

usage: test_network.py PANGEA
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import netns

PANGEA = os.path.abspath(sys.argv[1])


class Node:
    """A running node, in the far namespace with `far`."""

    def __init__(self, folder, listen, *settings, far=None, listens=True):
        self.folder = folder
        ready, log = pathlib.Path(f"{folder}.ready"), f"{folder}.log"
        words = [*(far.words if far else []), PANGEA, "run", "--data", str(folder), "--ready-file", str(ready)]
        words += ["--listen", listen] if listens else []
        for setting in settings:
            words += ["--set", setting]
        with open(log, "wb") as out:
            self.process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=out)
        deadline = time.monotonic() + 60
        while not ready.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(pathlib.Path(log).read_text(encoding="utf-8"))
            time.sleep(0.01)  # a process of its own: nothing else tells
        document = json.loads(ready.read_text(encoding="utf-8"))
        self.peer_id, self.addrs = document["peer_id"], document["addrs"]

    def command(self, *words):
        command = [PANGEA, *words, "--data", str(self.folder), "--json"]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)

    def answer(self, *words):
        result = self.command(*words)
        assert result.returncode == 0, result.stdout + result.stderr
        return json.loads(result.stdout)

    def peers(self):
        return {peer["peer_id"]: peer for peer in self.answer("peers")["peers"]}

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)


class NetworkTest(unittest.TestCase):
    def setUp(self):
        place = tempfile.TemporaryDirectory(prefix="pangea-network-")
        self.addCleanup(place.cleanup)
        self.work = pathlib.Path(place.name)
        self.far = netns.Far()
        self.addCleanup(self.far.end)

    def link(self, near, far):
        link = netns.Link(self.far, near, far)
        self.addCleanup(link.end)

    def node(self, name, *words, **kwargs):
        node = Node(self.work / name, *words, **kwargs)
        self.addCleanup(lambda: self.assertEqual(node.stop(), 0))
        return node

    def wait_for(self, condition, what):
        deadline = time.monotonic() + 60
        while not condition():
            self.assertLess(time.monotonic(), deadline, what)
            time.sleep(0.05)

    def test_neighbours_find_each_other(self):
        self.link(["10.77.0.1/24"], ["10.77.0.2/24"])
        a = self.node("a", "/ip4/0.0.0.0/tcp/0")
        silent = self.node("s", "/ip4/0.0.0.0/tcp/0", "net.mdns=false", far=self.far)
        b = self.node("b", "/ip4/0.0.0.0/tcp/0", far=self.far)
        self.wait_for(lambda: b.peer_id in a.peers() and a.peer_id in b.peers(), "they find each other")
        self.assertTrue(a.peers()[b.peer_id]["addr"].startswith("/ip4/10.77.0.2/"))
        third = self.node("c", "/ip4/0.0.0.0/tcp/0", far=self.far)  # on the same machine as b: the port is shared
        self.wait_for(lambda: {b.peer_id, third.peer_id} <= set(a.peers()), "the third is found")
        self.wait_for(lambda: b.peer_id in third.peers(), "and by the one beside it")
        self.assertEqual(silent.peers(), {})

    def test_neighbours_over_ipv6_alone(self):
        self.link(["fd77::1/64"], ["fd77::2/64"])
        a = self.node("a", "/ip6/::/tcp/0")
        b = self.node("b", "/ip6/::/tcp/0", far=self.far)
        self.wait_for(lambda: b.peer_id in a.peers() and a.peer_id in b.peers(), "they find each other")
        self.assertTrue(a.peers()[b.peer_id]["addr"].startswith("/ip6/fd77::2/"))

    def test_a_link_that_comes_later(self):
        a = self.node("a", "/ip4/0.0.0.0/tcp/0")
        b = self.node("b", "/ip4/0.0.0.0/tcp/0", far=self.far)
        self.assertEqual(a.peers(), {})
        self.link(["10.77.0.1/24"], ["10.77.0.2/24"])
        self.wait_for(lambda: b.peer_id in a.peers() and a.peer_id in b.peers(), "they find each other")

    def test_only_the_link_it_listens_on(self):
        self.link(["10.77.0.1/24"], ["10.77.0.2/24"])
        a = self.node("a", "/ip4/127.0.0.1/tcp/0")
        b = self.node("b", "/ip4/10.77.0.2/tcp/0", far=self.far)
        self.wait_for(lambda: b.peer_id in a.peers(), "a finds b, and dials it")
        told = a.peers()[b.peer_id]
        self.assertEqual(told["direction"], "outbound")

    def test_invitation_to_one_of_two_private_networks(self):
        self.link(["10.77.0.1/24"], ["10.77.0.2/24"])
        networks = []
        for name in ("first", "second"):
            folder = self.work / name
            folder.mkdir()
            key = "/key/swarm/psk/1.0.0/\n/base16/\n" + os.urandom(32).hex() + "\n"
            (folder / "swarm.key").write_text(key, encoding="ascii")
            networks.append(self.node(name, "/ip4/10.77.0.1/tcp/0", "net.swarm_key=swarm.key", "net.mdns=false"))
        first, second = networks
        invite = first.answer("invite", "--expires", "1d")
        self.assertEqual(len(invite["addrs"]), 1)
        self.assertTrue(invite["addrs"][0].startswith("/ip4/10.77.0.1/"))

        guest = self.work / "guest"
        join = [*self.far.words, PANGEA, "join", invite["invite"], "--data", str(guest)]
        subprocess.run(join, check=True, capture_output=True, timeout=60)
        c = self.node("guest", "/ip4/10.77.0.2/tcp/0", far=self.far)  # mDNS is on: it meets only who has the key
        self.wait_for(lambda: first.peer_id in c.peers() and c.peer_id in first.peers(), "the guest comes in")
        self.assertEqual(c.command("dial", second.addrs[0]).returncode != 0, True)
        self.assertEqual(second.peers(), {})
        other = second.answer("invite")["invite"]
        self.assertEqual(c.command("join", other).returncode, 25)  # of another network

        # what it has learnt brings a restarted guest back
        c.stop()
        again = self.node("guest", "/ip4/10.77.0.2/tcp/0", far=self.far)
        self.wait_for(lambda: first.peer_id in again.peers(), "the guest comes back")


if __name__ == "__main__":
    netns.enter()
    unittest.main(argv=sys.argv[:1])
