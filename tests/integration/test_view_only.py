#!/usr/bin/env python3
"""View-only nodes as processes: they put, get and pin, peers learn from identify that they take nothing and place nothing with them, and what a node promised before it became view-only it keeps.

usage: test_view_only.py PANGEA
"""

import sys
import unittest

from nodes import PENDING, NodeTest, run

PLACE = "/pangea/place/1.0.0"
VIEW_ONLY = "node.mode=view-only"


class ViewOnly(NodeTest):
    def protocols(self, node, peer):
        peers = node.get("GET /api/v1/peers")[1]["peers"]
        return next(set(each["protocols"]) for each in peers if each["peer_id"] == peer.peer_id)

    def viewer(self, name, *settings):
        node = self.node(name, VIEW_ONLY, *settings, *(f"net.peers={other.addr}" for other in self.nodes))
        self.meet()
        return node

    def test_takes_nothing_and_does_the_rest(self):
        owner, *hosts = self.mesh(4)
        viewer = self.viewer("viewer")
        self.assertEqual(viewer.stat()["mode"], "view-only")
        self.assertEqual(owner.stat()["mode"], "full")
        told = run("status", "--data", viewer.folder)
        self.assertIn("view-only: it keeps nothing for strangers", told.stdout)
        self.assertNotIn(PLACE, self.protocols(owner, viewer))
        self.assertIn(PLACE, self.protocols(owner, hosts[0]))
        self.assertTrue(all(not dht["server"] for dht in viewer.get("GET /api/v1/dht")[1]["dhts"]))

        for number in range(10):
            put = owner.put(self.write(f"f{number}", self.content(100000, number)))
            self.assertNotIn(viewer.peer_id, {host["peer_id"] for host in put["hosts"]})
            self.assertEqual(len(put["hosts"]), 3)
        self.assertEqual(viewer.stat()["place"]["leases"], 0)
        content = self.content(9 << 20)
        put = owner.put(self.write("large", content))
        self.assertSame(viewer.fetch(put["link"]), content)
        self.assertEqual(viewer.stat()["store"]["blocks"], 0)  # what passed through is not kept

        own = viewer.put(self.write("own", content))
        self.assertEqual({host["peer_id"] for host in own["hosts"]}, {node.peer_id for node in (owner, *hosts)})
        self.assertSame(owner.fetch(own["link"]), content)
        viewer.answer("pin", put["link"])
        for node in (owner, *hosts):
            node.stop()
        self.assertSame(viewer.fetch(put["link"]), content)

    def test_seeds_where_it_may(self):
        owner, _ = self.mesh(2)
        viewer = self.viewer("viewer", "storage.seed=true")
        put = owner.put(self.write("file", self.content(1 << 20)))
        self.assertSame(viewer.fetch(put["link"]), self.content(1 << 20))
        self.assertGreater(viewer.stat()["store"]["blocks"], 0)

    def test_alone_with_viewers_a_put_waits(self):
        (owner,) = self.mesh(1)
        viewer = self.viewer("viewer")
        self.fails(owner.command("put", self.write("file", b"x" * 100000)), PENDING)
        self.assertEqual(viewer.stat()["store"]["blocks"], 0)

    def test_keeps_what_it_promised(self):
        owner, host, reader = self.mesh(3, "storage.quota=64MiB")
        reader.stop()
        content = self.content(1 << 20)
        put = owner.put(self.write("file", content))
        self.assertEqual([each["peer_id"] for each in put["hosts"]], [host.peer_id])
        host.stop()
        host.start(VIEW_ONLY)
        self.meet()
        self.assertNotIn(PLACE, self.protocols(owner, host))
        self.assertGreater(host.stat()["place"]["leases"], 0)
        found = owner.post("/api/v1/links/inspect", b'{"link": "%s"}' % put["link"].encode())[1]
        holders = [each for extent in found["extents"] for each in extent["holders"] if each["is_reachable"]]
        self.assertEqual({each["peer_id"] for each in holders}, {host.peer_id})  # it answers its owner
        owner.stop()
        self.restart(reader)
        self.meet()
        self.assertSame(reader.fetch(put["link"]), content)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[2:], verbosity=1)
