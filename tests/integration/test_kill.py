#!/usr/bin/env python3
"""kill -9 in a loop: nodes die at random moments, two at once at most, and are started again, while files are put, got and removed through
all of them. Every acknowledged put is readable in the end, and with two of its hosts down; every node starts again; what a store says it
takes is what its files take, and what the ledger accounts for.

usage: test_kill.py PANGEA       PG_TEST_KILLS=N: so many kills, else 40, or what fits in half a minute; PG_TEST_SEED=N: the order of
                                 things, as far as it is ours
"""

import hashlib
import json
import os
import random
import sys
import threading
import time
import unittest

from nodes import CLOSED, FULL, NO_NODE, PATIENCE, PENDING, UNREACHABLE, NodeTest

KILLS = int(os.environ.get("PG_TEST_KILLS", "40"))
SECONDS = 20 if "PG_TEST_KILLS" not in os.environ else 1 << 30
SEED = int(os.environ.get("PG_TEST_SEED", "0")) or random.randrange(1, 1 << 32)
NODES = 13
WORKERS = 3
ROUND = 14  # kills between two looks at everything
LEAST_KILLS, LEAST_PUTS, LEAST_GETS = min(KILLS, 10), 5, 5  # it goes on until then, however slow the machine
FILES_MAX = 40  # beyond, some are removed: every look gets them all
SIZES = (700, 33_000, 300_000, 2_000_000)
LOG = ("log.level=debug",) if "PG_TEST_LOG" in os.environ else ()
SLACK = 128 << 10  # what a file system takes for a pack file in many pieces
MAY_FAIL = (PENDING, CLOSED, NO_NODE, FULL, UNREACHABLE)  # how a put may end while nodes die


class File:
    """A put that was acknowledged."""

    def __init__(self, put, content, uploader):
        self.link, self.root, self.uploader = put["link"], put["root"], uploader
        self.size, self.digest = len(content), hashlib.sha256(content).digest()
        self.may_be_gone = False  # somebody began to remove it
        self.is_looked_at = False  # nobody may


class Kill(NodeTest):
    def setUp(self):
        super().setUp()
        self.random = random.Random(SEED)
        self.mesh(NODES, "storage.quota=1GiB", "storage.cache=0", "net.drain_timeout=100ms", *LOG)
        self.files = []
        self.lock = threading.Lock()
        self.counts = {}
        self.faults = []
        self.is_over = False

    def count(self, what):
        with self.lock:
            self.counts[what] = self.counts.get(what, 0) + 1

    def alive(self):
        with self.lock:
            return sum(not file.may_be_gone for file in self.files)

    # What people do meanwhile

    def do_put(self, dice, number):
        node = dice.choice(self.nodes)
        content = dice.randbytes(dice.choice(SIZES))
        path = self.work / f"put-{number}"
        path.write_bytes(content)
        result = node.command("put", path)
        self.count(f"put {result.returncode}")
        if result.returncode not in (0, *MAY_FAIL):
            print(f"put {result.returncode}: {result.stdout}{result.stderr}")
        if result.returncode in (0, PENDING):
            with self.lock:
                self.files.append(File(json.loads(result.stdout), content, node))

    def do_get(self, dice):
        with self.lock:
            files = [file for file in self.files if not file.may_be_gone]
        if files:
            file, node = dice.choice(files), dice.choice(self.nodes)
            got = node.fetch(file.link)
            self.count("get 0" if isinstance(got, bytes) else f"get {got.returncode}")
            if isinstance(got, bytes) and hashlib.sha256(got).digest() != file.digest:
                self.faults.append(f"other bytes of {file.link}")

    def do_remove(self, dice):
        with self.lock:
            files = [file for file in self.files if not file.is_looked_at and not file.may_be_gone]
            if len(files) < 10:
                return False
            file = dice.choice(files)
            file.may_be_gone = True
        result = file.uploader.command("rm", file.link)
        self.count(f"rm {result.returncode}")
        return True

    def work_on(self, number):
        dice = random.Random(SEED + number)
        try:
            while not self.is_over:
                what = dice.random()
                is_full = self.alive() >= FILES_MAX
                if what < 0.45 and not is_full:
                    self.do_put(dice, number)
                elif (what < 0.9 and not is_full) or not self.do_remove(dice):
                    self.do_get(dice)
        except Exception as fault:  # pylint: disable=broad-except
            self.faults.append(f"worker {number}: {fault!r}")

    # The kills

    def kill_some(self):
        """One node, or two, at a random moment; started again at another."""
        victims = self.random.sample(self.nodes, self.random.choice((1, 1, 2)))
        for victim in victims:
            time.sleep(self.random.random() * 0.4)  # the random moment itself
            victim.kill()
        time.sleep(self.random.random() * 0.2)
        for victim in victims:
            self.restart(victim)
        return len(victims)

    # The looks

    def readable(self, file, node):
        got = node.fetch(file.link)
        if not isinstance(got, bytes):
            self.fail(f"{file.link} of {file.size} bytes: {got.returncode}: {got.stderr.decode()}{self.told_of(file, node)}")
        self.assertEqual(hashlib.sha256(got).digest(), file.digest, file.link)

    def told_of(self, file, reader):
        """What is known of a file that could not be got."""
        told = [f"reader {reader.folder.name}, uploader {file.uploader.folder.name}: {file.uploader.file(file.root)}"]
        told += [f"{node.folder.name} {node.peer_id}: up {node.is_up()}, {node.command('link', 'info', file.link).stdout}" for node in self.nodes]
        told += [f"again: {reader.command('get', file.link, '-o', self.work / 'again').returncode}", reader.log()[-4000:]]
        return "\n".join(told)

    def check_files(self):
        """All is there; and with two hosts of a file down it is there still."""
        self.meet()
        with self.lock:
            files = [file for file in self.files if not file.may_be_gone]
            for file in files:
                file.is_looked_at = True
        for file in files:
            self.readable(file, self.random.choice(self.nodes))
        told = [(file, file.uploader.file(file.root)) for file in self.random.sample(files, min(2, len(files)))]
        for file, entry in told:
            if entry["survives"] < 2:
                continue  # it spreads still
            victims = self.random.sample(self.hosts(entry), 2)
            for victim in victims:
                victim.kill()
            self.readable(file, self.random.choice([node for node in self.nodes if node.is_up()]))
            for victim in victims:
                self.restart(victim)
            self.meet()
        for file in files:
            file.is_looked_at = False

    def check_stores(self):
        """Nothing was lost, and the accounts agree: disk, store, and who the blocks are kept for."""
        accounted = 0
        for node in self.nodes:
            stat = node.stat()
            store, place = stat["store"], stat["place"]
            self.assertEqual(store["lost_total"], 0)
            self.assertFalse(store["has_failed"])
            self.assertLess(abs(store["used_bytes"] - node.disk_bytes()), SLACK, node.folder)
            if stat["files"]["files_pending"] == 0:
                self.wait_for(lambda node=node: self.is_accounted(node), lambda node=node: f"accounts agree: {node.stat()}")
                accounted += 1
        self.assertGreaterEqual(accounted, NODES // 2)

    def is_accounted(self, node):
        stat = node.stat()
        return stat["store"]["used_bytes"] == stat["place"]["lease_bytes"] + stat["place"]["session_bytes"]

    def check_catalogues(self):
        """Each node lists what was put through it, and in the end all of it stands well."""
        for node in self.nodes:
            listed = {file["root"] for file in node.answer("ls")["files"]}
            mine = {file.root for file in self.files if file.uploader is node and not file.may_be_gone}
            self.assertLessEqual(mine, listed)
        for file in self.files:
            if not file.may_be_gone:
                self.wait_for(
                    lambda file=file: file.uploader.file(file.root)["state"] == "complete",
                    lambda file=file: f"it spreads: {file.uploader.file(file.root)}\n{file.uploader.log()}",
                )

    def is_trial(self, kills):
        """Nodes died, and files went both ways meanwhile."""
        puts, gets = self.counts.get("put 0", 0), self.counts.get("get 0", 0)
        return kills >= LEAST_KILLS and puts >= LEAST_PUTS and gets >= LEAST_GETS

    def is_wanting(self, kills, seconds):
        is_over = kills >= KILLS or seconds >= SECONDS
        return not (is_over and self.is_trial(kills)) and seconds < SECONDS + PATIENCE

    def test_kill_in_a_loop(self):
        workers = [threading.Thread(target=self.work_on, args=(i,)) for i in range(1, WORKERS + 1)]
        started = time.monotonic()
        for worker in workers:
            worker.start()
        try:
            kills = looked_at = 0
            while not self.faults and self.is_wanting(kills, time.monotonic() - started):
                kills += self.kill_some()
                if kills - looked_at >= ROUND:
                    self.check_files()
                    looked_at = kills
        finally:
            self.is_over = True
            for worker in workers:
                worker.join()
        print(f"{kills} kills in {time.monotonic() - started:.0f} s, {len(self.files)} files, {self.counts}, seed {SEED}")
        self.assertEqual(self.faults, [])
        self.check_catalogues()  # when all stands well, nothing is pending that would leave a store out
        self.check_files()
        self.check_stores()
        self.assertTrue(self.is_trial(kills), self.counts)
        puts = {what for what in self.counts if what.startswith("put")}
        self.assertLessEqual(puts, {f"put {code}" for code in (0, *MAY_FAIL)}, self.counts)


if __name__ == "__main__":
    print(f"PG_TEST_SEED={SEED}")
    unittest.main(argv=sys.argv[:1] + sys.argv[2:], verbosity=1)
