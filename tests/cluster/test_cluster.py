#!/usr/bin/env python3
"""A network of real processes that loses a quarter of them: at the same moment for a while, one after the other for good, at the same moment
for good; or is cut in two. No acknowledged file is lost but those that cannot be had any more by the hosts they had; what could be read
meanwhile is told beside what chance says. Others are stopped or killed, and come back, all the time.

usage: test_cluster.py PANGEA [Crash] [Leave] [Vanish] [Split]

PG_CLUSTER_NODES (16), PG_CLUSTER_FILES (as many), PG_CLUSTER_PATIENCE (30, the seconds of repair.patience) and PG_CLUSTER_SEED make it another
network; PG_CLUSTER_JSON names a folder for reports. `make cluster` is the large one. Run in a network namespace of its own where that is
possible, and says then what passed over it.
"""

import collections
import itertools
import json
import signal
import statistics
import sys
import time
import unittest

import chance
from cluster import FILES, LONG_S, NODES, PATIENCE_S, SETTINGS, UNBOUND, USUAL, Cluster, Rows, wire_bytes

import netns  # noqa: E402  found by the line above

QUARTER = NODES // 4
RISK = 0.01  # that any file of the safe code is lost when a quarter vanishes
PUSHED_MOST = 1.5  # bytes that repairs may push for each that was lost: of two who repair the same at once both push
CATALOGUE_BYTES = 16_384  # that a node's catalogue takes in all its copies, which hosts repair too


def percent(part, whole):
    return 100 * part / max(1, whole)


class Crash(Cluster):
    def test_a_quarter_crashes_at_once_and_comes_back(self):
        rows = Rows("crash")
        self.found()
        self.put_files(FILES)
        crashed = self.chosen.sample(self.hosts, QUARTER)
        cpu, began = self.cpu(), time.monotonic()
        self.cycle([node for node in self.hosts if node not in crashed])
        for node in crashed:
            self.books.close(node)
        for node in crashed:
            node.process.kill()
        for node in crashed:
            node.process.wait()
        away = {node.peer_id for node in crashed}
        codes = self.fetch_all()
        for node in crashed:
            self.restart(node)
        took = time.monotonic() - began
        cycling = self.cycle_end()
        self.meet()
        self.all_readable()
        by_chance = 1 - chance.unreadable(NODES - 1, len(crashed), USUAL)
        rows.add("crashed", len(crashed), "nodes", f"and others stopped {cycling.frozen}, killed {cycling.killed} times")
        rows.add("readable meanwhile", percent(codes.count(0), FILES), "%", f"{codes.count(0)} of {FILES}")
        rows.add("with eight slots left, by the hosts they had", percent(sum(file.survives(away) for file in self.files), FILES), "%")
        rows.add("the same by chance", 100 * by_chance, "%")
        rows.add("until all were back", took, "s")
        rows.add("lost", 0, "files")
        self.rows_costs(rows, began, cpu)
        rows.write()
        self.refused_well(codes)


class Departures(Cluster):
    """A network that repairs hastily, and counts what passes."""

    def found(self, *settings):
        super().found(*UNBOUND, *settings)

    def kept_bytes(self, node):
        return sum(file.bytes_with({node.peer_id}) for file in self.files)

    def storms(self, pushed, lost, cycling, what="a storm of repairs"):
        """Fail when repairs pushed more than what was lost accounts for."""
        late = sum(self.kept_bytes(node) for node in cycling.late)
        self.assertLessEqual(pushed, PUSHED_MOST * (lost + late) + CATALOGUE_BYTES * NODES, what)

    def affected(self, node):
        return [file for file in self.files if node.peer_id in file.holders]

    def begin(self, others):
        self.await_long(lambda: not self.looks(self.files), "the files are whole before anything happens")
        self.hasten()
        self.cpu_before, self.began, self.wire = self.cpu(), time.monotonic(), wire_bytes()
        self.cycle(others)

    def rows_moved(self, rows, lost, pushed, repairs):
        rows.add("bytes lost", lost / 1e6, "MB")
        rows.add("pushed for each byte lost", pushed / max(1, lost), "", f"{pushed / 1e6:.1f} MB in {repairs} repairs")
        rows.add("on the wire for each byte lost, checks and all", (wire_bytes() - self.wire) / max(1, lost), "", "where nothing else uses lo")


class Leave(Departures):
    def test_a_quarter_leaves_one_after_the_other(self):
        rows = Rows("leave")
        self.found()
        self.put_files(FILES)
        leavers = self.chosen.sample(self.hosts, QUARTER)
        self.begin([node for node in self.hosts if node not in leavers])
        told, killed = leavers[: QUARTER // 2], leavers[QUARTER // 2 :]
        handed, turns, moved = 0, [], 0
        for node in told:
            turn = time.monotonic()
            files = self.affected(node)
            handed += self.kept_bytes(node)
            moved += self.leave(node)
            self.lose([node])
            self.await_whole(files)
            turns.append(time.monotonic() - turn)
        rows.add("left by `pangea leave`", len(told), "nodes", f"each when the files of the one before were whole: every {statistics.median(turns):.0f} s")
        rows.add("pushed for each byte they had", moved / max(1, handed), "", f"{moved / 1e6:.1f} MB")
        lost, turns = 0, []
        self.wire = wire_bytes()
        for node in killed:
            turn = time.monotonic()
            files = self.affected(node)
            lost += self.kept_bytes(node)
            self.lose([node])
            self.await_whole(files)
            turns.append(time.monotonic() - turn)
        cycling = self.cycle_end()
        self.meet()
        _, _, pushed, repairs = self.books.totals(self.nodes)
        rows.add("killed for good", len(killed), "nodes", f"each when the files of the one before were whole; repair.patience {PATIENCE_S} s")
        rows.add("from a kill to full redundancy, median", statistics.median(turns), "s", f"most {max(turns):.0f}")
        self.rows_moved(rows, lost, pushed, repairs)
        rows.add("others stopped", cycling.frozen, "times", f"killed and started again {cycling.killed}")
        self.assertEqual(self.looks(self.files), [], "redundancy is not what it was")
        self.all_readable()
        rows.add("lost", 0, "files")
        self.rows_costs(rows, self.began, self.cpu_before)
        rows.write()
        self.storms(pushed, lost, cycling)

    def leave(self, node):
        """Have a node hand everything over; the bytes it pushed. What nobody takes just now is tried again."""
        pushed = 0
        for attempt in itertools.count():
            child = node.begin("leave")
            out, error = child.communicate(timeout=LONG_S)
            pushed += json.loads(out)["pushed_bytes"] if out else 0
            if child.returncode == 0:
                return pushed
            self.assertLess(attempt, 20, error)


class Vanish(Departures):
    def test_a_quarter_vanishes_at_once(self):
        rows = Rows("vanish")
        self.found()
        safe = chance.code_for(NODES - 1, QUARTER, FILES, RISK)
        codes = collections.Counter({USUAL: FILES * 2 // 5})
        codes[8, 4] += FILES // 5
        codes[safe] += FILES - codes.total()
        for code, count in codes.items():
            self.put_files(count, code)
        vanished = self.chosen.sample(self.hosts, QUARTER)
        self.begin([node for node in self.hosts if node not in vanished])
        lost = sum(self.kept_bytes(node) for node in vanished)
        touched = [file for file in self.files if file.bytes_with({node.peer_id for node in vanished})]
        self.lose(vanished)
        began = time.monotonic()
        saved = [file for file in touched if file.survives(self.gone)]
        needed = sum(file.bytes_with(self.gone) for file in saved)
        sample = saved[:: max(1, len(saved) // 100)]  # reading all would take longer than the repair
        readable = self.fetch_all(sample).count(0)
        half, took = self.await_whole(saved, began)
        cycling = self.cycle_end()
        self.meet()
        _, _, pushed, repairs = self.books.totals(self.nodes)
        rows.add("vanished", len(vanished), "nodes", f"and others stopped {cycling.frozen}, killed {cycling.killed} times")
        rows.add("readable meanwhile of those that can be mended", percent(readable, len(sample)), "%", f"{readable} of {len(sample)}, read at once")
        rows.add("to full redundancy, all of them", took, "s", f"half of them {half:.0f}; repair.patience {PATIENCE_S} s")
        self.rows_moved(rows, needed, pushed, repairs)
        rows.add("bytes with them that cannot be mended", (lost - needed) / 1e6, "MB")
        ends = dict(zip(self.files, self.fetch_all()))
        for code, count in codes.items():
            files = [file for file in self.files if file.code == code]
            measured = sum(ends[file] != 0 for file in files)
            computed = sum(not file.survives(self.gone) for file in files)
            by_chance = chance.unreadable(NODES - 1, len(vanished), code)
            name = f"{code[0]}+{code[1]}, {count} files"
            rows.add(f"lost of {name}", measured, "files", f"by their hosts {computed}, by chance {by_chance * count:.2f} ({100 * by_chance:.3g} %)")
        self.rows_costs(rows, self.began, self.cpu_before)
        rows.write()
        self.refused_well(ends.values())
        for file, end in ends.items():
            self.assertEqual(end == 0, file.survives(self.gone), "lost is what has too few hosts left, and nothing else")
        self.assertTrue(all(end == 0 for file, end in ends.items() if file.code == safe), "the code chosen for it loses nothing")
        self.storms(pushed, needed, cycling)


class Split(Departures):
    """Half of the nodes in another network namespace, and the link between the two cut."""

    def setUp(self):
        if not IS_ALONE:
            self.skipTest("network namespaces are not possible here")
        self.far = netns.Far()
        self.link = netns.Link(self.far, ["10.78.0.1/24"], ["10.78.0.2/24"])
        self.addCleanup(self.unlink)  # after the nodes have ended
        super().setUp()

    def unlink(self):
        self.link.end()
        self.far.end()

    def node(self, name, *settings, **more):
        is_far = len(self.nodes) % 2 == 1
        site = {"source": f"/ip4/10.78.0.{2 if is_far else 1}/tcp/0", "prefix": self.far.words if is_far else ()}
        node = super().node(name, *settings, **site, **more)
        node.is_far = is_far
        return node

    def found(self):
        self.mesh(NODES - 2, *SETTINGS, *UNBOUND)
        self.readers = self.mesh(2, *SETTINGS, *UNBOUND, "storage.accept=nobody")
        self.hosts, self.reader = self.nodes[:-2], self.readers[0]
        self.sites = [[node for node in self.hosts if node.is_far == is_far] for is_far in (False, True)]

    def wires(self):
        """(What passed in each site, what passed between them)."""
        pids = ("self", self.far.holder.pid)
        return wire_bytes(pids), wire_bytes(name=self.link.near) + wire_bytes((self.far.holder.pid,), self.link.far)

    def pushed(self):
        return self.books.totals(self.nodes)[2]

    def cut(self, seconds):
        """Cut the network in two for so long, others coming and going on both sides; how many files each side could read."""
        seeded = [node for site in self.sites for node in site]
        netns.ip("link", "set", self.link.near, "down")
        began = time.monotonic()
        self.cycle(seeded)
        counts = [self.fetch_all(reader=reader).count(0) for reader in self.readers]
        self.await_long(lambda: time.monotonic() - began >= seconds, "the end of the cut")
        cycling = self.cycle_end()
        took, pushed = time.monotonic() - began, self.pushed()
        netns.ip("link", "set", self.link.near, "up")
        healed = time.monotonic()
        self.meet()
        return counts, took, pushed, time.monotonic() - healed, cycling

    def test_the_network_is_cut_in_two_and_heals(self):
        rows = Rows("split")
        self.found()
        self.put_files(FILES)
        self.await_long(lambda: not self.looks(self.files), "the files are whole before anything happens")
        self.hasten()
        cpu, began = self.cpu(), time.monotonic()
        sides = [{node.peer_id for node in site} for site in self.sites]
        before = self.pushed()
        counts, took, pushed, meeting, cycling = self.cut(2 * PATIENCE_S)
        early = self.files[:]
        able = [[file for file in early if file.survives(side)] for side in reversed(sides)]
        mended = sum(file.bytes_with(other) for files, other in zip(able, reversed(sides)) for file in files)
        by_chance = chance.cut_readable(len(sides[0]) - 1, len(sides[1]), USUAL)
        rows.add("cut in two halves", took, "s", f"repair.patience {PATIENCE_S} s; others stopped {cycling.frozen}, killed {cycling.killed} times")
        for name, count, files in zip(("near", "far"), counts, able):
            rows.add(f"readable on the {name} side", percent(count, FILES), "%", f"by their hosts {percent(len(files), FILES):.1f}, by chance {100 * by_chance:.1f}")
        rows.add("until all knew each other again", meeting, "s")
        self.all_readable(early)
        self.all_readable(early, self.readers[1])
        healed = time.monotonic()
        _, took = self.await_whole(early)
        rows.add("from there to full redundancy", took, "s")
        self.await_long(lambda: time.monotonic() - healed >= PATIENCE_S, "repairs that come late")
        after = self.pushed()
        rows.add("what a side that could had to make anew", mended / 1e6, "MB")
        rows.add("pushed while cut", (pushed - before) / 1e6, "MB")
        rows.add("pushed after it", (after - pushed) / 1e6, "MB")
        rows.add("lost", 0, "files")
        self.rows_costs(rows, began, cpu)
        rows.write()
        self.storms(pushed - before, mended, cycling, "a storm of repairs while cut")
        self.storms(after - pushed, mended / 4, cycling, "a storm of repairs when healed")


IS_ALONE = netns.enter(is_needed=False)

if __name__ == "__main__":
    for how in (signal.SIGINT, signal.SIGTERM):
        signal.signal(how, lambda *_: sys.exit("ended by a signal"))  # unlike KeyboardInterrupt it has the nodes ended too
    unittest.main(argv=sys.argv[:1] + sys.argv[2:], verbosity=1)
