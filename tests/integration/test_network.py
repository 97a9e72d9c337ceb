#!/usr/bin/env python3
"""Nodes on a real local network: two network namespaces and a link between them, made by this test. Neighbours find each other by mDNS,
over IPv4 and over IPv6; an invitation brings one into a private network, and no other. Exits with 77 where namespaces or multicast between them
are not possible.

usage: test_network.py PANGEA
"""

import os
import subprocess
import sys
import unittest

import netns
from nodes import KEY, PANGEA, Node, NodeTest


class NetworkTest(NodeTest):
    def setUp(self):
        self.far = netns.Far()
        self.links = []
        self.addCleanup(self.unlink)  # after the nodes have ended
        super().setUp()

    def unlink(self):
        for link in self.links:
            link.end()
        self.far.end()

    def link(self, near, far):
        self.links.append(netns.Link(self.far, near, far))

    def node(self, name, source, *settings, far=None):
        """A node, in the far namespace with `far`."""
        prefix = far.words if far else ()
        node = Node(self.work / name, "net.mdns=true", *settings, source=source, prefix=prefix)
        self.nodes.append(node)
        return node

    @staticmethod
    def peers(node):
        """The connections of a node, by the PeerId of the other."""
        return {peer["peer_id"]: peer for peer in node.answer("peers")["peers"]}

    def await_meeting(self, one, other):
        self.wait_for(
            lambda: other.peer_id in self.peers(one) and one.peer_id in self.peers(other), "they find each other"
        )

    def test_neighbours_find_each_other(self):
        self.link(["10.77.0.1/24"], ["10.77.0.2/24"])
        a = self.node("a", "/ip4/0.0.0.0/tcp/0")
        silent = self.node("s", "/ip4/0.0.0.0/tcp/0", "net.mdns=false", far=self.far)
        b = self.node("b", "/ip4/0.0.0.0/tcp/0", far=self.far)
        self.await_meeting(a, b)
        self.assertTrue(self.peers(a)[b.peer_id]["addr"].startswith("/ip4/10.77.0.2/"))
        third = self.node("c", "/ip4/0.0.0.0/tcp/0", far=self.far)  # on the same machine as b: the port is shared
        self.wait_for(lambda: {b.peer_id, third.peer_id} <= set(self.peers(a)), "the third is found")
        self.wait_for(lambda: b.peer_id in self.peers(third), "and by the one beside it")
        self.assertEqual(self.peers(silent), {})

    def test_neighbours_over_ipv6_alone(self):
        self.link(["fd77::1/64"], ["fd77::2/64"])
        a = self.node("a", "/ip6/::/tcp/0")
        b = self.node("b", "/ip6/::/tcp/0", far=self.far)
        self.await_meeting(a, b)
        self.assertTrue(self.peers(a)[b.peer_id]["addr"].startswith("/ip6/fd77::2/"))

    def test_a_link_that_comes_later(self):
        a = self.node("a", "/ip4/0.0.0.0/tcp/0")
        b = self.node("b", "/ip4/0.0.0.0/tcp/0", far=self.far)
        self.assertEqual(self.peers(a), {})
        self.link(["10.77.0.1/24"], ["10.77.0.2/24"])
        self.await_meeting(a, b)

    def test_only_the_link_it_listens_on(self):
        self.link(["10.77.0.1/24"], ["10.77.0.2/24"])
        a = self.node("a", "/ip4/127.0.0.1/tcp/0")
        b = self.node("b", "/ip4/10.77.0.2/tcp/0", far=self.far)
        self.wait_for(lambda: b.peer_id in self.peers(a), "a finds b, and dials it")
        told = self.peers(a)[b.peer_id]
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
        self.wait_for(lambda: first.peer_id in self.peers(c) and c.peer_id in self.peers(first), "the guest comes in")
        self.assertNotEqual(c.command("dial", second.addr).returncode, 0)
        self.assertEqual(self.peers(second), {})
        other = second.answer("invite")["invite"]
        self.fails(c.command("join", other), KEY, "another private network")

        # what it has learnt brings a restarted guest back: neither what its configuration names nor mDNS
        c.stop()
        conf = guest / "pangea.conf"
        lines = conf.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if not line.startswith("bootstrap")]
        self.assertEqual(len(kept), len(lines) - 1)
        conf.write_text("".join(kept), encoding="utf-8")
        again = self.node("guest", "/ip4/10.77.0.2/tcp/0", "net.mdns=false", far=self.far)
        self.wait_for(lambda: first.peer_id in self.peers(again), "the guest comes back")
        self.assertEqual(self.peers(again)[first.peer_id]["direction"], "outbound")


if __name__ == "__main__":
    netns.enter()
    netns.require_multicast()
    unittest.main(argv=sys.argv[:1])
