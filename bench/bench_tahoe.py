#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Ten hosts, of which three are killed: what full redundancy takes, beside Tahoe-LAFS, in one run that alternates between the two.

usage: bench_tahoe.py PANGEA

Sixteen files under 6+4 are put by a node that keeps nothing itself; then three of ten hosts die. Tahoe-LAFS is told `deep-check --repair` over its
web API, without the start of a command; ours repair by themselves after `repair.patience` of ten seconds, and the seconds from their decision are told beside
those from the kill. CPU seconds are those of all processes that live, bytes those which passed the loopback of a network namespace of its own, from the kill or the
request to the end. Tahoe-LAFS is taken from PATH or PANGEA_BENCH_TAHOE (`pip install tahoe-lafs`).
"""
import json
import os
import pathlib
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "integration"))

import netns  # noqa: E402  the folder has to be known first
from bench_node import Node, Rows, cpu_seconds  # noqa: E402
from bench_peers import free_port, peak_mib  # noqa: E402

ROUNDS = int(os.environ.get("PANGEA_BENCH_ROUNDS", "3"))
HOSTS, KILLED, NEEDED = 10, 3, 6
FILES, FILE_BYTES = 16, 4 << 20
PATIENCE_S, WAIT_S, POLL_S = 10, 900, 0.25
SETTINGS = ("storage.quota=64GiB", "storage.cache=0", f"repair.patience={PATIENCE_S}s", "repair.bandwidth=0", "audit.interval=0s")
TUB = "tcp:{port}:interface=127.0.0.1"


def until(condition, what):
    """Return the time at which it is so."""
    deadline = time.monotonic() + WAIT_S
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"bench_tahoe: waited {WAIT_S} s for {what}")
        time.sleep(POLL_S)
    return time.monotonic()


def wire_bytes():
    with open("/proc/self/net/dev", encoding="ascii") as devices:
        return next(int(line.split(":")[1].split()[8]) for line in devices if line.split(":")[0].strip() == "lo")


class Meter:
    """What some processes take while something goes on."""

    def __init__(self, pids):
        self.pids, self.cpu, self.wire, self.start = pids, sum(map(cpu_seconds, pids)), wire_bytes(), time.monotonic()

    def read(self):
        return time.monotonic() - self.start, sum(map(cpu_seconds, self.pids)) - self.cpu, wire_bytes() - self.wire


class Side:
    """Somebody who is measured. found: (seconds, CPU seconds, bytes on the wire, bytes lost) of each round."""

    def __init__(self, name):
        self.name, self.found, self.peak = name, [], 0.0

    def note(self, meter, lost):
        took, cpu, wire = meter.read()
        self.found.append((took, cpu, wire, lost))
        self.peak = max([self.peak, *map(peak_mib, meter.pids)])
        print(f"# {self.name}: {took:.1f} s, {cpu:.1f} CPU s, {wire / 1e6:.0f} MB for {lost / 1e6:.0f} MB lost", file=sys.stderr, flush=True)

    def report(self, rows):
        for place, what, unit in ((0, self.what, "s"), (1, "CPU of all processes", "s")):
            self.row(rows, what, [found[place] for found in self.found], unit)
        self.row(rows, "bytes on the wire for each byte lost", [wire / lost for _, _, wire, lost in self.found], "")
        rows.add(f"{self.name}: peak of a process", self.peak, "MiB")

    def row(self, rows, what, values, unit):
        rows.add(f"{self.name}: {what}", statistics.median(values), unit, f"{min(values):.1f} to {max(values):.1f}, {len(values)} rounds")


class Pangea(Side):
    what = f"from the kill to full redundancy, patience {PATIENCE_S} s"

    def __init__(self, program):
        super().__init__("pangea")
        self.program, self.decided = program, []

    def round(self, files, chosen):
        nodes = []
        for number in range(HOSTS + 1):
            accept = "storage.accept=nobody" if number == HOSTS else "storage.accept=anyone"
            nodes.append(Node(self.program, *SETTINGS, accept, *[f"net.peers={node.addr}" for node in nodes]))
        try:
            self.measure(nodes[:-1], nodes[-1], files, chosen)
        finally:
            for node in nodes:
                node.end()

    def measure(self, hosts, owner, files, chosen):
        until(lambda: all(len(node.cli("peers")["peers"]) == HOSTS for node in [*hosts, owner]), "the nodes to meet")
        code = f"{NEEDED}+{HOSTS - NEEDED}"
        puts = [owner.cli("put", str(path), "--code", code) for path in files]
        dead = chosen.sample(hosts, KILLED)
        living = [node for node in [*hosts, owner] if node not in dead]
        gone = {node.peer_id for node in dead}
        lost = sum(host["bytes"] for put in puts for host in put["hosts"] if host["peer_id"] in gone)
        until(lambda: all(node.cli("repair", "status")["rounds"] >= 2 for node in living[:-1]), "rounds")
        meter = Meter([node.pid for node in living])
        for node in dead:
            node.process.send_signal(signal.SIGKILL)
        for node in dead:
            node.process.wait()
        decided = until(lambda: any(node.cli("repair", "status")[key] > 0 for node in living[:-1] for key in ("queued", "repairs")), "the decision")
        left = [put["link"] for put in puts]

        def is_whole():
            while left and all(not extent["missing"] for extent in owner.cli("repair", "explain", left[-1])["extents"]):
                left.pop()
            return not left

        whole = until(is_whole, "full redundancy")
        self.note(meter, lost)
        self.decided.append(whole - decided)

    def report(self, rows):
        self.row(rows, "from the decision to full redundancy", self.decided, "s")
        super().report(rows)

    def end(self):
        """Nothing is left of a round."""


class Tahoe(Side):
    """An introducer, ten storage servers, and a client. Servers that were killed are started again before the next round."""

    what = "deep-check with repair"

    def __init__(self, program, folder):
        super().__init__("Tahoe-LAFS")
        self.program, self.folder, self.processes, self.web = program, pathlib.Path(folder), {}, free_port()
        self.create("introducer", "create-introducer")
        furl = self.folder / "introducer" / "private" / "introducer.furl"
        self.start("introducer")
        until(furl.exists, "the introducer")
        common = ("-i", furl.read_text(encoding="ascii").strip(), "--shares-needed", str(NEEDED), "--shares-total", str(HOSTS),
                  "--shares-happy", str(HOSTS - KILLED))
        self.servers = [f"server-{number}" for number in range(HOSTS)]
        for name in self.servers:
            self.create(name, "create-node", "--webport", "none", *common)
        self.create("client", "create-client", "--webport", f"tcp:{self.web}:interface=127.0.0.1", *common, listens=False)
        for name in [*self.servers, "client"]:
            self.start(name)
        self.await_servers(HOSTS)

    def create(self, name, command, *words, listens=True):
        port = free_port()
        listen = ("--port", TUB.format(port=port), "--location", f"tcp:127.0.0.1:{port}") if listens else ()
        subprocess.run([self.program, command, *listen, *words, str(self.folder / name)], check=True, stdout=subprocess.DEVNULL)

    def start(self, name):
        self.processes[name] = subprocess.Popen([self.program, "run", "--allow-stdin-close", str(self.folder / name)],
                                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def ask(self, method, path, data=None):
        request = urllib.request.Request(f"http://127.0.0.1:{self.web}/{path}", method=method, data=data)
        with urllib.request.urlopen(request, timeout=WAIT_S) as answer:
            return answer.read().decode()

    def connected(self):
        try:
            servers = json.loads(self.ask("GET", "?t=json"))["servers"]
        except OSError:
            return -1
        return sum(server["connection_status"].lower().startswith("connected") for server in servers)

    def await_servers(self, count):
        until(lambda: self.connected() == count, f"{count} servers")

    def healthy(self, folder):
        """(How many objects have all shares, how many there are)"""
        query = urllib.parse.urlencode({"t": "stream-deep-check"})
        lines = self.ask("POST", f"uri/{urllib.parse.quote(folder)}?{query}").strip().splitlines()
        units = [json.loads(line) for line in lines]
        checked = [unit["check-results"]["results"] for unit in units if unit.get("check-results")]
        return sum(result["healthy"] for result in checked), len(checked)

    def share_bytes(self, names):
        shares = (path for name in names for path in (self.folder / name / "storage" / "shares").rglob("*") if path.is_file())
        return sum(path.stat().st_size for path in shares)

    def round(self, files, chosen):
        folder = self.ask("POST", "uri?t=mkdir")
        dead = chosen.sample(self.servers, KILLED)
        before = self.share_bytes(dead)
        for path in files:
            self.ask("PUT", f"uri/{urllib.parse.quote(folder)}/{path.name}", path.read_bytes())
        lost = self.share_bytes(dead) - before
        for name in dead:
            self.processes[name].kill()
            self.processes.pop(name).wait()
        self.await_servers(HOSTS - KILLED)
        meter = Meter([process.pid for process in self.processes.values()])
        query = urllib.parse.urlencode({"t": "stream-deep-check", "repair": "true"})
        self.ask("POST", f"uri/{urllib.parse.quote(folder)}?{query}")
        self.note(meter, lost)
        healthy, checked = self.healthy(folder)
        if healthy != checked or checked <= FILES:
            raise SystemExit(f"bench_tahoe: {healthy} of {checked} objects of Tahoe-LAFS are healthy after its repair")
        for name in dead:
            self.start(name)
        self.await_servers(HOSTS)

    def end(self):
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            process.wait()


def files_make(folder, turn):
    paths = [pathlib.Path(folder, f"file-{turn}-{number}") for number in range(FILES)]
    for path in paths:
        path.write_bytes(os.urandom(FILE_BYTES))
    return paths


def main():
    program = os.environ.get("PANGEA_BENCH_TAHOE") or shutil.which("tahoe")
    rows, sides = Rows(), [Pangea(os.path.abspath(sys.argv[1]))]
    try:
        with tempfile.TemporaryDirectory(prefix="pangea-bench-", ignore_cleanup_errors=True) as folder:
            if program:
                sides.append(Tahoe(program, folder))
            for turn in range(ROUNDS):
                files = files_make(folder, turn)
                for side in sides:
                    side.round(files, random.Random(turn))
                for path in files:
                    path.unlink()
            for side in sides:
                side.report(rows)
    finally:
        for side in sides:
            side.end()
    rows.write()


if __name__ == "__main__":
    netns.enter()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that all is ended
    main()
