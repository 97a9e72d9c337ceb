#!/usr/bin/env python3
"""The health book of real nodes: hosts are pinged and judged, one that is gone is barred and given no new shards when it comes back, and a
kill -9 of the node that keeps the book takes none of it back.

usage: test_health.py PANGEA
"""

import sys
import unittest

from nodes import NOT_FOUND, USAGE, NodeTest, run

QUICK = "health.ping_interval=100ms"  # a day of pings in half a minute


class Judged(NodeTest):
    def report(self, node, peer):
        code, answer = node.get(f"GET /api/v1/health/{peer.peer_id}")
        return answer if code == 200 else None

    def state(self, node, peer):
        report = self.report(node, peer)
        return report and report["state"]

    def placed(self, node, name):
        """Put a file; the PeerIds of its hosts."""
        put = node.put(self.write(name, self.content(100000)))
        return {host["peer_id"] for host in put["hosts"]}

    def test_gone_and_back(self):
        owner, *hosts = self.mesh(5, QUICK)
        gone = hosts[0]
        for host in hosts:
            self.wait_for(lambda host=host: self.state(owner, host) == "good", lambda host=host: self.report(owner, host))
        listed = owner.answer("health")["peers"]
        self.assertEqual({peer["peer_id"] for peer in listed}, {host.peer_id for host in hosts})
        for peer in listed:
            self.assertGreater(peer["score"], 60)
            self.assertGreater(peer["rtt_ms"], 0)
            parts = 0.4 * peer["uptime"] + 0.3 * peer["latency"] + 0.3 * peer["availability"]
            self.assertAlmostEqual(peer["score"], parts, delta=0.02)
        self.assertIn(gone.peer_id, self.placed(owner, "before"))

        gone.kill()
        self.wait_for(lambda: self.state(owner, gone) == "fair", lambda: self.report(owner, gone))
        self.wait_for(lambda: self.state(owner, gone) == "barred", lambda: self.report(owner, gone))
        report = owner.answer("health", gone.peer_id)
        self.assertLess(report["score"], 31)
        self.assertIn("under 30", report["reason"])
        self.assertEqual(report["evidence"][0]["event"], "barred")
        self.assertEqual(owner.answer("stat")["health"]["barred"], 1)

        gone.start()
        self.wait_for(lambda: owner.stat()["health"]["self_observers"] > 0, lambda: owner.stat()["health"])
        self.assertFalse(owner.stat()["health"]["self_low"])
        self.assertGreater(owner.stat()["health"]["self_score"], 60)
        record = f"/pangea/health/{gone.peer_id}/{owner.peer_id}"
        self.assertTrue(hosts[1].answer("dht", "get", record)["value_hex"])

        answered = report["observations"]["ping_ok"]
        self.wait_for(lambda: self.report(owner, gone)["observations"]["ping_ok"] > answered, "an answer")
        self.assertEqual(self.state(owner, gone), "barred")
        self.assertNotIn(gone.peer_id, self.placed(owner, "after"))

        owner.kill()
        self.restart(owner)
        self.assertEqual(self.state(owner, gone), "barred")
        self.assertNotIn(gone.peer_id, self.placed(owner, "again"))
        told = run("health", gone.peer_id, "--data", owner.folder)
        self.assertIn("barred, because its score fell under 30", told.stdout)

    def test_code_by_forecast(self):
        owner, *hosts = self.mesh(3, QUICK)
        for host in hosts:
            self.wait_for(lambda host=host: self.state(owner, host) == "good", lambda host=host: self.report(owner, host))
        path = self.write("auto", self.content(1 << 20))
        put = owner.put(path, "--code", "auto")
        self.assertEqual(put["data_shards"], 8)
        # Two hosts: without either of them it cannot be read, unless each has eight shards.
        fits = [self.report(owner, host)["score"] / 100 for host in hosts]
        if put["parity_shards"] < 8:
            self.fail(f"{put['parity_shards']} parity shards for {fits}")
        self.assertGreater(put["loss"], 0.001)
        self.assertLess(put["loss"], max(1 - fit for fit in fits))
        self.assertSame(owner.fetch(put["link"]), path.read_bytes())
        told = run("put", path, "--code", "auto", "--data", owner.folder)
        self.assertIn("chance of", told.stderr)

    def test_nobody(self):
        (node,) = self.mesh(1, QUICK)
        self.assertEqual(node.answer("health")["peers"], [])
        self.assertEqual(node.command("health", "nobody").returncode, USAGE)
        self.assertEqual(node.command("health", node.peer_id).returncode, NOT_FOUND)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[2:], verbosity=1)
