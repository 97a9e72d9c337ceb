#!/usr/bin/env python3
"""The DHT of real nodes: what they hold for others survives kill -9 of all of them.

usage: test_dht.py PANGEA
"""

import sys
import unittest

from nodes import NodeTest

CID = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"
NODES = 5
KEYS = 20


class Held(NodeTest):
    def local(self, node):
        return next(dht for dht in node.get("GET /api/v1/dht")[1]["dhts"] if dht["realm"] == "local")

    def has_saved(self, node, records):
        dht = self.local(node)
        return dht["records"] == records and dht["providers"] == 1 and dht["unsaved"] == 0

    def test_all_killed(self):
        publisher, *holders = self.mesh(NODES, "dht.test_namespace=true")
        for node in self.nodes:
            self.wait_for(lambda node=node: self.local(node)["peers"] == NODES - 1, "a full table")
        for number in range(KEYS):
            put = publisher.answer("dht", "put", f"/test/key-{number}", f"value {number}", "--once")
            self.assertEqual(put["stored"], NODES)
        self.assertEqual(publisher.answer("dht", "provide", CID, "--once")["told"], NODES - 1)
        for node in holders:
            self.wait_for(lambda node=node: self.has_saved(node, KEYS), lambda node=node: self.local(node))
        for node in self.nodes:
            node.kill()

        for node in holders:
            self.restart(node)
            self.assertTrue(self.has_saved(node, KEYS), self.local(node))
        for number in range(KEYS):
            got = holders[number % len(holders)].answer("dht", "get", f"/test/key-{number}")
            self.assertEqual(bytes.fromhex(got["value_hex"]).decode(), f"value {number}")
        found = holders[0].answer("dht", "providers", CID)["providers"]
        self.assertEqual([provider["peer_id"] for provider in found], [publisher.peer_id])
        self.assertIn(publisher.addr.split("/p2p/")[0], found[0]["addrs"])

        holders[0].kill()
        holders[0].start("dht.test_namespace=false")  # what no validator stands for does not come back
        self.assertEqual(self.local(holders[0])["records"], 0)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[2:], verbosity=1)
