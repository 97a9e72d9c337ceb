#!/usr/bin/env python3
"""Hosts that look after files while their owner is gone, as processes: redundancy comes back by itself, audits prove it, who leaves hands over.

usage: test_repair.py PANGEA
"""

import sys
import unittest

from nodes import USAGE, NodeTest, await_that, run

SMALL = ("storage.quota=64MiB", "storage.cache=16MiB", "net.drain_timeout=100ms")
HASTY = ("repair.patience=10s", "audit.interval=10s")


def at_least(needed, chances):
    """The chance that so many of independent hosts are there."""
    there = [1.0]
    for chance in chances:
        there = [
            (there[i] * (1 - chance) if i < len(there) else 0) + (there[i - 1] * chance if i > 0 else 0)
            for i in range(len(there) + 1)
        ]
    return sum(there[needed:])


class Repair(NodeTest):
    """Fourteen nodes, of which the last takes nothing for others: it can only read. Patience of ten seconds, rounds of one."""

    def setUp(self):
        super().setUp()
        self.mesh(13, *SMALL, *HASTY)
        (self.reader,) = self.mesh(1, *SMALL, *HASTY, "storage.accept=nobody")
        self.uploader = self.nodes[0]

    def extents(self, put):
        """How the extents of a file stand, as the reader finds out."""
        return self.reader.answer("repair", "explain", put["link"])["extents"]

    def whole_await(self, put):
        """Wait until every slot, or every copy, is at a host that answers."""

        def is_whole():
            extents = self.extents(put)
            return all(not extent["missing"] and self.copies(extent) >= extent["slots"] for extent in extents)

        await_that(is_whole, lambda: f"full redundancy: {self.extents(put)} {self.uploader.log()[-2000:]}")

    @staticmethod
    def copies(extent):
        return sum(len(host["slots"]) for host in extent["hosts"] if host["is_living"] and not host["faulty"])

    def holders(self, put):
        """The nodes that hold some of a file now."""
        living = {host["peer_id"] for extent in self.extents(put) for host in extent["hosts"] if host["is_living"]}
        return [node for node in self.nodes if node.peer_id in living and node.is_up()]

    def test_owner_and_hosts_die__hosts_repair__two_more_die__file_is_there(self):
        content = self.content(3_000_000)
        put = self.uploader.put(self.write("a file", content))
        small = self.uploader.put(self.write("a small one", b"small"))
        self.assertEqual((put["state"], len(put["hosts"])), ("complete", 10))
        self.uploader.kill()
        for host in self.holders(put)[:2]:
            host.kill()
        self.whole_await(put)
        self.whole_await(small)
        repaired = sum(node.answer("repair", "status")["repaired_slots"] for node in self.nodes[1:-1] if node.is_up())
        self.assertLessEqual(repaired, 12)  # two of ten slots, at most three of four copies: each at most twice
        notes = [note["what"] for extent in self.extents(put) for note in extent["notes"]]
        self.assertEqual(notes, [])  # the reader did nothing
        for host in self.holders(put)[:2]:
            host.kill()
        self.assertSame(self.reader.fetch(put["link"]), content)
        self.assertSame(self.reader.fetch(small["link"]), b"small")

    def test_audits_prove_it__owner_is_told(self):
        put = self.uploader.put(self.write("a file", self.content(300_000)))

        def is_proven():
            (file,) = self.uploader.answer("ls", "--health")["files"]
            return file["proven_s"] > 0 and file

        file = await_that(is_proven, lambda: f"a proof: {self.uploader.answer('repair', 'status')}")
        self.assertEqual((file["root"], file["hosts"], file["missing"]), (put["root"], 10, 0))
        self.assertFalse(file["is_forecast"])  # of less than a day there is none: the scores stand in
        scores = {peer["peer_id"]: peer["score"] / 100 for peer in self.uploader.answer("health")["peers"]}
        chance = at_least(8, [scores[host.peer_id] for host in self.hosts(put)])
        self.assertAlmostEqual(file["readable"], chance, delta=0.05)
        text = run("ls", "--health", "--data", self.uploader.folder).stdout
        self.assertIn("held by 10 hosts in 1 network, proven", text)
        status = self.uploader.answer("repair", "status")
        self.assertGreaterEqual(status["audits"]["proven"], 10)
        self.assertEqual(status["audits"]["faults"], 0)
        (extent,) = self.uploader.answer("repair", "explain", "--audit", put["link"])["extents"]
        self.assertTrue(all(host["proven_s"] > 0 for host in extent["hosts"]), extent)

    def test_host_leaves__its_slots_are_elsewhere(self):
        content = self.content(1_000_000)
        put = self.uploader.put(self.write("a file", content))
        leaver = self.hosts(put)[0]
        self.uploader.kill()
        left = leaver.answer("leave")
        self.assertEqual((left["failed"], left["kept_leases"]), (0, 0))
        self.assertGreaterEqual(left["moved"], 1)
        self.assertEqual(leaver.answer("status")["place"]["leases"], 0)
        leaver.kill()
        self.whole_await(put)
        for host in self.holders(put)[:2]:
            host.kill()
        self.assertSame(self.reader.fetch(put["link"]), content)

    def test_by_hand(self):
        put = self.uploader.put(self.write("a file", self.content(300_000)))
        host = self.hosts(put)[1]
        (extent,) = host.answer("repair", "now", "--dry-run", put["link"])["extents"]
        self.assertTrue(extent["is_kept"])
        self.assertEqual((extent["lost"], extent["missing"], extent["is_repaired"]), ([], [], False))
        (extent,) = host.answer("repair", "now", put["link"])["extents"]
        self.assertFalse(extent["is_repaired"])  # nothing is lost
        (extent,) = self.reader.answer("repair", "now", put["link"])["extents"]
        self.assertFalse(extent["is_kept"])
        await_that(lambda: host.answer("repair", "now")["hosts"] > 0, "a round that asks hosts")
        self.assertEqual(host.command("repair", "now", "--dry-run").returncode, USAGE)
        self.uploader.answer("rm", put["link"])
        (extent,) = self.extents(put)
        self.assertEqual(len(extent["missing"]), 10)  # its descriptor passed through here, and nobody has more of it


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[2:], verbosity=1)
