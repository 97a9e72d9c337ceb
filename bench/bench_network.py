#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Files on a network of 14 node processes on loopback: put and get of a large file, the first byte of small ones, memory.

usage: bench_network.py PANGEA [--large GIB]

Speeds are beside what the same bytes take as a plain durable copy in the same run, CPU seconds beside the model: moving 1.0 s for a
GiB between two nodes, coding 0.4 and storing 0.4 s for a GiB, by which a put of 8+2 that moves and stores 1.25 GiB for each GiB costs
2.15 s, and a get, which moves and decodes 1 GiB and stores in its cache what passed through, 1.8 s. The commands are counted in rows of their own. --large puts one more file and tells the peak of memory.
"""
import os
import statistics
import subprocess
import sys
import tempfile
import time

from bench_node import TCP, Node, Rows, commands_cpu, cpu_seconds, peak_mib

NODES = 14
GIB = 1 << 30
SIZE = int(os.environ.get("PANGEA_BENCH_BYTES", GIB))
ROUNDS = 3
PUT_MODEL, GET_MODEL = 2.15, 1.8


class Network:
    """Fourteen nodes, all connected to all."""

    def __init__(self, program, listen=TCP):
        self.nodes = []
        for _ in range(NODES):
            peers = [f"net.peers={node.addr}" for node in self.nodes]
            self.nodes.append(Node(program, "storage.quota=64GiB", *peers, listen=listen))
        deadline = time.monotonic() + 60
        for node in self.nodes:
            while len([peer for peer in node.cli("peers")["peers"] if peer.get("protocols")]) < NODES - 1:
                if time.monotonic() > deadline:
                    raise SystemExit("the nodes do not find each other")
                time.sleep(0.1)

    def cpu(self):
        return sum(cpu_seconds(node.pid) for node in self.nodes)

    def end(self):
        for node in self.nodes:
            node.end()


def file_make(folder, size, kind):
    path = os.path.join(folder, f"{kind}-{size}")
    with open(path, "wb") as out:
        left = size
        text = b"the same words come again and again in what people keep, though never quite the same " * 430
        number = 0
        while left > 0:
            if kind == "random":
                piece = os.urandom(min(left, 1 << 22))
            else:
                number += 1
                piece = b"".join(b"%09d " % (number * 7919 % 999983) + text[i:i + 90] for i in range(0, 36000, 90))[:left]
            out.write(piece)
            left -= len(piece)
    return path


def copy_mb_s(path, folder):
    start = time.monotonic()
    subprocess.run(["dd", f"if={path}", f"of={folder}/copy", "bs=1M", "conv=fsync"], check=True, stderr=subprocess.DEVNULL)
    took = time.monotonic() - start
    os.unlink(os.path.join(folder, "copy"))
    return os.path.getsize(path) / took / 1e6


def measure(network, size, command):
    """(MB/s, CPU s per GiB of the nodes, CPU s per GiB of the command) and what the command answers."""
    nodes, commands, start = network.cpu(), commands_cpu(), time.monotonic()
    answer = command()
    took = time.monotonic() - start
    return (size / took / 1e6, (network.cpu() - nodes) * GIB / size, (commands_cpu() - commands) * GIB / size), answer


def round_trip(network, path, turn):
    """Put by one node, get by another, and compare; what measure tells of each."""
    putter, getter = network.nodes[turn % NODES], network.nodes[(turn + 7) % NODES]
    size = os.path.getsize(path)
    put, answer = measure(network, size, lambda: putter.cli("put", path))
    out = os.path.join(putter.dir, "out")
    get, _ = measure(network, size, lambda: getter.cli("get", answer["link"], "-o", out))
    subprocess.run(["cmp", path, out], check=True)
    os.unlink(out)
    putter.cli("rm", answer["link"])
    return put, get


def bench_large(rows, network, folder, kind):
    path = file_make(folder, SIZE, kind)
    limit = statistics.median(copy_mb_s(path, folder) for _ in range(ROUNDS))
    rounds = [round_trip(network, path, turn) for turn in range(ROUNDS)]
    os.unlink(path)
    name = f"{SIZE / GIB:g} GiB {kind}"
    rows.add(f"{name}: durable copy of the file, dd", limit, "MB/s")
    for index, (what, model) in enumerate((("put", PUT_MODEL), ("get", GET_MODEL))):
        speed, cpu, command = (statistics.median(each[index][place] for each in rounds) for place in range(3))
        rows.add(f"{name}: {what}", speed, "MB/s")
        rows.add(f"{name}: {what}, all nodes", cpu, "CPU s/GiB")
        rows.add(f"{name}: {what}, the command", command, "CPU s/GiB")
        if kind == "random":  # of text little is moved
            rows.add(f"{name}: {what}, share of the model", model / cpu, "", ">= 0.6")


def bench_small(rows, network, folder):
    for size in (1000, 100_000):
        path = file_make(folder, size, "random")
        puts, gets = [], []
        for turn in range(20):
            start = time.monotonic()
            link = network.nodes[0].cli("put", path)["link"]
            puts.append((time.monotonic() - start) * 1000)
            out = os.path.join(folder, f"out-{turn}")
            answer = network.nodes[1 + turn % 12].cli("get", link, "-o", out)
            gets.append(answer["first_byte_ms"])
            os.unlink(out)
        rows.add(f"{size} bytes: put, command and all, median", statistics.median(puts), "ms")
        rows.add(f"{size} bytes: get, time to first byte, median", statistics.median(gets), "ms")


def bench_memory(rows, network, folder, gib):
    path = file_make(folder, gib * GIB, "random")
    link = network.nodes[0].cli("put", path)["link"]
    rows.add(f"put of {gib} GiB: peak of the putting node", peak_mib(network.nodes[0].pid), "MiB", "< 250")
    subprocess.run([network.nodes[0].program, "get", link, "-o", "-", "--data", network.nodes[5].data()], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    rows.add(f"get of {gib} GiB: peak of the getting node", peak_mib(network.nodes[5].pid), "MiB", "< 250")
    rows.add("peak of any node", max(peak_mib(node.pid) for node in network.nodes), "MiB", "< 250")
    os.unlink(path)


def main():
    program = os.path.abspath(sys.argv[1])
    rows = Rows()
    network = Network(program)
    try:
        with tempfile.TemporaryDirectory(prefix="pangea-bench-") as folder:
            bench_small(rows, network, folder)
            for kind in ("random", "text"):
                bench_large(rows, network, folder, kind)
            rows.add("peak of any node after that", max(peak_mib(node.pid) for node in network.nodes), "MiB", "< 250")
            if "--large" in sys.argv:
                bench_memory(rows, network, folder, int(sys.argv[sys.argv.index("--large") + 1]))
    finally:
        network.end()
    rows.write()


if __name__ == "__main__":
    main()
