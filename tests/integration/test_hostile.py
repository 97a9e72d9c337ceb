#!/usr/bin/env python3
"""Hosts that cheat, as processes among honest nodes: other bytes, foreign descriptors, forged receipts, replayed and forged grants, no answer,
an answer byte by byte, promises without the blocks. What is put is put, what is got is right and stays right, and who cheated is named.

usage: test_hostile.py PANGEA HOSTILE       HOSTILE: the program with a node that cheats (hostile.c)
"""

import os
import pathlib
import re
import sys
import time
import unittest

from nodes import NodeTest, run

HOSTILE = os.path.abspath(sys.argv[2])
SETTINGS = ("storage.quota=64MiB", "storage.cache=0", "net.drain_timeout=100ms")
NOT_A_HOST = "storage.accept=nobody"
TRIES = 8  # of what chance decides: whether a liar is asked at all


class Hostile(NodeTest):
    def network(self, honest, hostile, *reader):
        """Honest hosts, hostile ones that begin honest, one that puts and one that gets, which are none."""
        self.mesh(honest, *SETTINGS)
        self.liars = []
        for i in range(hostile):
            told = self.work / f"mode{i}"
            told.write_text("honest\n", encoding="ascii")
            known = [f"net.peers={other.addr}" for other in self.nodes]
            env = {**os.environ, "PG_HOSTILE": str(told)}
            liar = self.node(f"hostile{i}", *SETTINGS, *known, program=HOSTILE, env=env)
            liar.told, liar.out = told, pathlib.Path(f"{told}.out")
            self.liars.append(liar)
        (self.uploader,) = self.mesh(1, *SETTINGS, NOT_A_HOST)
        (self.reader,) = self.mesh(1, *SETTINGS, NOT_A_HOST, *reader)

    def said(self, liar):
        """What a liar has done, each as two words."""
        return [line.split() for line in liar.out.read_text(encoding="ascii").splitlines()] if liar.out.exists() else []

    def turn(self, mode):
        """Have the hostile hosts do something else from now on."""
        for liar in self.liars:
            before = len([words for words in self.said(liar) if words[0] == "now"])
            liar.told.write_text(mode + "\n", encoding="ascii")
            self.wait_for(
                lambda liar=liar, before=before: len([w for w in self.said(liar) if w[0] == "now"]) > before,
                lambda liar=liar: f"it turns to {mode}: {liar.log()}",
            )

    def ids(self):
        return {liar.peer_id for liar in self.liars}

    def put(self, seed, size=3_000_000):
        content = self.content(size, seed)
        return self.uploader.put(self.write(f"file {seed}", content)), content

    def get(self, link, content):
        """Get a file, compare it, and return the report."""
        path = self.work / "got"
        answer = self.reader.answer("get", link, "-o", path, "--force")
        self.assertTrue(path.read_bytes() == content, "other bytes")
        return answer["report"]

    def named(self, node, event, detail):
        """The pseudonyms under which a node's log names peers in such lines; never their ids."""
        lines = [line for line in node.log().splitlines() if f" {event} " in line and detail in line]
        for peer_id in self.ids():
            self.assertNotIn(peer_id, "\n".join(lines))
        return {re.search(r"peer=(\S+)", line).group(1) for line in lines}

    def test_other_bytes(self):
        """Two of ten hosts: replaced, named, and what is cached is right."""
        self.network(8, 2, "storage.cache=32MiB")
        puts = [self.put(seed) for seed in range(3)]
        self.assertEqual([put["state"] for put, _ in puts], ["complete"] * 3)
        self.turn("bytes")
        liars = set()
        for put, content in puts:
            report = self.get(put["link"], content)
            self.assertEqual(report["shards_fetched"], 8)
            liars |= {host["peer_id"] for host in report["faulty_hosts"] if host["fault"] == "corrupt"}
        self.assertTrue(liars)
        self.assertLessEqual(liars, self.ids())
        self.assertEqual(len(self.named(self.reader, "files.host.faulty", "fault=corrupt")), len(liars))
        plain = self.reader.log()
        self.assertNotIn("panic", plain)
        self.assertEqual(self.reader.stat()["store"]["lost_total"], 0)
        self.wait_for(lambda: self.reader.stat()["store"]["blocks"] >= 3 * 10, "the cache is written")
        for node in self.nodes:
            if node is not self.reader:
                node.kill()
        for put, content in puts:
            self.assertEqual(self.get(put["link"], content)["shards_local"], 8)

    def test_other_bytes_are_told_on_the_terminal(self):
        self.network(8, 2)
        self.turn("bytes")
        told = ""
        for seed in range(TRIES):
            put, content = self.put(seed)
            got = self.work / f"plain{seed}"
            result = run("get", put["link"], "-o", got, "--data", self.reader.folder)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertTrue(got.read_bytes() == content)
            told += result.stderr
            if "other bytes" in told:
                break
        (liar, *_) = re.findall(r"(\S+) gave other bytes than it was given", told)
        self.assertIn(liar, self.ids())

    def test_foreign_descriptors(self):
        """A descriptor that opens with no key of this file, or is an old one, is not even looked at: its name is its digest. Eight of ten hosts give one."""
        self.network(2, 8)
        self.put(0, 100_000)  # the one that is given instead
        puts = [self.put(1 + i, 100_000) for i in range(TRIES)]  # of one the reader may ask an honest host alone
        self.turn("descriptors")
        names = set()
        for put, content in puts:
            self.get(put["link"], content)
            names = self.named(self.reader, "exchange.bitswap.corrupt", "")
            if names:
                break
        self.assertTrue(names, self.reader.log())
        self.assertLessEqual(len(names), 8)

    def test_forged_receipts(self):
        """Whoever signs another thing than what was agreed is no host of the file, and the file is put all the same."""
        self.network(9, 1)
        self.turn("receipts")
        for seed in range(4):
            put, content = self.put(seed)
            self.assertNotIn(self.liars[0].peer_id, [host["peer_id"] for host in put["hosts"]])
            self.assertEqual(len(put["hosts"]), 9)
            self.get(put["link"], content)
        self.assertGreaterEqual(len([words for words in self.said(self.liars[0]) if words[0] == "receipt"]), 4)
        self.assertEqual(len(self.named(self.uploader, "files.host.lost", "error=auth")), 1)
        for file in self.uploader.answer("ls")["files"]:
            told = self.uploader.file(file["root"])
            self.assertNotIn(self.liars[0].peer_id, [host["peer_id"] for host in told["hosts"]])

    def test_replayed_and_forged_grants(self):
        """What a host has seen of an owner gives it no say at other hosts, neither while the file is kept nor when it was removed."""
        self.network(9, 1)
        (liar,) = self.liars
        put, content = self.put(0)
        self.assertIn(liar.peer_id, [host["peer_id"] for host in put["hosts"]])
        leases = {node: node.stat()["place"] for node in self.hosts(put) if node is not liar}
        self.turn("replay")
        done = self.said(liar)
        results = {what: {how for word, how in done if word == what} for what, _ in done}
        self.assertEqual(results["replayed"], {"changed", "refused"}, done)  # refused: by those that are no hosts
        self.assertLessEqual(results["forged-foreign"], {"auth", "refused"}, done)
        self.assertLessEqual(results["forged-keep"], {"auth", "refused"}, done)
        self.assertLessEqual(results["forged-drop"], {"not_found", "refused"}, done)
        for node, before in leases.items():
            now = node.stat()["place"]
            self.assertEqual((now["leases"], now["lease_bytes"]), (before["leases"], before["lease_bytes"]))
        self.get(put["link"], content)
        self.uploader.answer("rm", put["link"])
        for node in leases:
            self.assertEqual(node.stat()["place"]["leases"], 0)
        self.turn("honest")
        liar.out.unlink()
        self.turn("replay")
        results = {how for word, how in self.said(liar) if word in ("replayed", "repeated")}
        self.assertEqual(results, {"changed", "refused"})
        for node in leases:
            self.assertEqual(node.stat()["place"]["leases"], 0)

    def slow(self, mode):
        self.network(9, 1)
        (liar,) = self.liars
        put, content = self.put(0)
        self.assertIn(liar.peer_id, [host["peer_id"] for host in put["hosts"]])
        self.turn(mode)
        started = time.monotonic()
        self.get(put["link"], content)
        self.assertLess(time.monotonic() - started, 30)
        again, content = self.put(1)
        self.assertLess(time.monotonic() - started, 90)
        self.assertNotIn(liar.peer_id, [host["peer_id"] for host in again["hosts"]])
        self.assertEqual(len(again["hosts"]), 9)
        self.assertTrue(self.named(self.uploader, "files.host.refused", "error=timeout"), self.uploader.log())
        self.get(again["link"], content)
        self.turn("honest")

    def test_no_answer(self):
        self.slow("silent")

    def test_answer_byte_by_byte(self):
        self.slow("drip")

    def test_promises_without_blocks(self):
        """Two of ten hosts delete what they took: they say still that they hold it, and others make up for them."""
        self.network(8, 2, "storage.cache=32MiB")
        put, content = self.put(0)
        self.turn("discard")
        for liar in self.liars:
            self.assertEqual(liar.stat()["store"]["blocks"], 0)
        (extent,) = self.reader.answer("link", "info", put["link"])["extents"]
        claimed = {holder["peer_id"] for holder in extent["holders"] if holder["slots"] and holder["is_reachable"]}
        self.assertLessEqual(self.ids(), claimed)
        report = self.get(put["link"], content)
        self.assertEqual(report["shards_fetched"], 8)
        absent = {host["peer_id"] for host in report["faulty_hosts"] if host["fault"] == "absent"}
        self.assertLessEqual(absent, self.ids())
        self.assertEqual(len(self.named(self.reader, "files.host.faulty", "fault=absent")), len(absent))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=1)
