#!/usr/bin/env python3
"""A quarter of a network of real processes crashes at the same moment and comes back: no acknowledged file is lost, and what could be read
meanwhile is told beside what chance says.

usage: test_cluster.py PANGEA

PG_CLUSTER_NODES (20) and PG_CLUSTER_FILES (twice as many) make it larger: 50 and 500 take a minute or two on two idle cores. PG_CLUSTER_SEED chooses
who crashes.
"""

import concurrent.futures
import math
import os
import pathlib
import random
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "integration"))

from nodes import MISSING, NodeTest, run  # noqa: E402  the folder has to be known first

NODES = int(os.environ.get("PG_CLUSTER_NODES", "20"))
FILES = int(os.environ.get("PG_CLUSTER_FILES", str(2 * NODES)))
SEED = int(os.environ.get("PG_CLUSTER_SEED", "1"))
SETTINGS = ("storage.quota=256MiB", "storage.cache=0", "net.drain_timeout=100ms")
SLOTS, NEEDED = 10, 8
READERS = 4


def readable_chance(nodes, crashed):
    """That at most two of a file's ten hosts, drawn from `nodes`, are among the crashed."""
    ways = sum(
        math.comb(crashed, lost) * math.comb(nodes - crashed, SLOTS - lost) for lost in range(SLOTS - NEEDED + 1) if lost <= crashed
    )
    return ways / math.comb(nodes, SLOTS)


class Cluster(NodeTest):
    def fetch_all(self, reader, puts):
        """The exit codes of getting every file; a file that comes is compared."""

        def fetch(number):
            link, content = puts[number]
            done = run("get", link, "-o", "-", "--data", reader.folder, text=False)
            if done.returncode == 0:
                self.assertTrue(done.stdout == content, f"file {number} came with other bytes")
            return done.returncode

        with concurrent.futures.ThreadPoolExecutor(READERS) as pool:
            return list(pool.map(fetch, range(len(puts))))

    def test_a_quarter_crashes_and_comes_back__nothing_is_lost(self):
        self.mesh(NODES - 1, *SETTINGS)
        (reader,) = self.mesh(1, *SETTINGS, "storage.accept=nobody")
        hosts = self.nodes[:-1]
        chosen = random.Random(SEED)
        puts = []
        for number in range(FILES):
            content = self.content(chosen.randrange(40_000, 400_000), number)
            put = hosts[number % len(hosts)].put(self.write("file", content))
            self.assertEqual(put["state"], "complete")
            puts.append((put["link"], content))
        crashed = chosen.sample(hosts, NODES // 4)
        for node in crashed:
            node.process.kill()
        for node in crashed:
            node.process.wait()
        codes = self.fetch_all(reader, puts)
        readable = codes.count(0)
        chance = readable_chance(len(hosts) - 1, len(crashed))
        print(
            f"\n{NODES} nodes, {FILES} files of 8+2, {len(crashed)} crashed at once: {readable} readable meanwhile "
            f"({100 * readable / FILES:.0f} %, by chance {100 * chance:.0f} %)",
            flush=True,
        )
        for node in crashed:
            self.restart(node)
        self.meet()
        after = self.fetch_all(reader, puts)
        self.assertEqual([number for number, code in enumerate(after) if code != 0], [], "lost")
        self.assertEqual({code for code in codes} - {0, MISSING}, set(), "what cannot be read says that pieces are missing")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[2:], verbosity=1)
