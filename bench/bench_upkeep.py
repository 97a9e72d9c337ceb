#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a node does by itself: fourteen of them on loopback with files among them, left alone. Processor, calls that read or write
(files and sockets alike, so more than what reaches the disk), bytes written to the disk, memory; and the start after kill -9.

usage: bench_upkeep.py PANGEA        PANGEA_BENCH_MINUTES: how long, 5 unless set; 60 is the hour of the aims
"""
import os
import statistics
import subprocess
import sys
import tempfile
import time

from bench_network import Network, file_make, peak_mib
from bench_node import Rows, cpu_seconds

MINUTES = float(os.environ.get("PANGEA_BENCH_MINUTES", "5"))
SIZES = (700, 40_000, 300_000, 3_000_000)
FILES = 40
KILLS = 5


def counters(pid):
    with open(f"/proc/{pid}/io", encoding="ascii") as file:
        io = {name: int(value) for name, value in (line.split(":") for line in file)}
    return cpu_seconds(pid), io["syscr"] + io["syscw"], io["write_bytes"] / 1e6


def bench_alone(rows, network):
    owner, hosts = network.nodes[0], network.nodes[1:]
    with tempfile.TemporaryDirectory(prefix="pangea-upkeep-", dir=".") as folder:
        for number in range(FILES):
            path = file_make(folder, SIZES[number % len(SIZES)] + number, "random")
            owner.cli("put", path)
    before, start = {node: counters(node.pid) for node in network.nodes}, time.monotonic()
    time.sleep(MINUTES * 60)  # what is measured is what happens meanwhile
    seconds = time.monotonic() - start
    rates = {node: [(b - a) / seconds for a, b in zip(before[node], counters(node.pid))] for node in network.nodes}
    for name, nodes in (("owner", [owner]), ("busiest host", hosts)):
        rows.add(f"{MINUTES:.0f} min alone, {name}: CPU", max(rates[node][0] for node in nodes) * 100, "% of a core", "< 20")
        rows.add(f"{MINUTES:.0f} min alone, {name}: reads and writes", max(rates[node][1] for node in nodes), "calls/s", "< 100")
        rows.add(f"{MINUTES:.0f} min alone, {name}: to the disk", max(rates[node][2] for node in nodes) * 1000, "kB/s")
        rows.add(f"{MINUTES:.0f} min alone, {name}: memory, peak", max(peak_mib(node.pid) for node in nodes), "MiB", "< 500")


def bench_restart(rows, program, node):
    """The owner, killed and started again."""
    times = []
    for _ in range(KILLS):
        node.process.kill()
        node.process.wait()
        ready = os.path.join(node.dir, "ready.json")
        os.unlink(ready)
        start = time.monotonic()
        words = [program, "run", "--data", node.data(), "--listen", "/ip4/127.0.0.1/tcp/0", "--ready-file", ready]
        node.process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not os.path.exists(ready):
            if node.process.poll() is not None:
                raise SystemExit("the node did not start again")
        times.append((time.monotonic() - start) * 1000)
    rows.add("exec to ready after kill -9, median", statistics.median(times), "ms")


def main():
    program = os.path.abspath(sys.argv[1])
    rows = Rows()
    network = Network(program)
    try:
        bench_alone(rows, network)
        bench_restart(rows, program, network.nodes[0])
    finally:
        network.end()
    rows.write()


if __name__ == "__main__":
    main()
