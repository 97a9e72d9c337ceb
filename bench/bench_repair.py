#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Repair by the hosts on a network of 14 node processes on loopback: two hosts of a file are killed, the rest brings it back to full
redundancy.

usage: bench_repair.py PANGEA

The decision is when the first node has the extent in its queue, as `pangea repair status` tells; patience is ten seconds, of which two and a half
count when a fifth is missing. Full redundancy is when all ten slots have a host that answers. Bytes are those that the nodes say they pushed.
"""
import os
import pathlib
import signal
import sys
import tempfile
import time

from bench_network import NODES, SIZE, Network, file_make
from bench_node import Node, Rows

SETTINGS = ("storage.quota=64GiB", "repair.patience=10s", "repair.bandwidth=0", "audit.interval=0s")
WAIT_S = 600
POLL_S = 0.05


class Hasty(Network):
    """Fourteen nodes of little patience, all connected to all."""

    def __init__(self, program):
        self.nodes = []
        for _ in range(NODES):
            self.nodes.append(Node(program, *SETTINGS, *[f"net.peers={node.addr}" for node in self.nodes]))
        until(lambda: all(len(node.cli("peers")["peers"]) >= NODES - 1 for node in self.nodes), "the nodes to meet")

    def living(self):
        return [node for node in self.nodes if node.process.poll() is None]

    def sum(self, name):
        return sum(node.cli("repair", "status")[name] for node in self.living())


def until(condition, what):
    """Return the time at which it is so."""
    deadline = time.monotonic() + WAIT_S
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"waited {WAIT_S} s for {what}")
        time.sleep(POLL_S)
    return time.monotonic()


def is_whole(node, link):
    return all(not extent["missing"] for extent in node.cli("repair", "explain", link)["extents"])


def hosts_kill(network, put, count):
    doomed = [host["peer_id"] for host in put["hosts"][:count]]
    for node in network.nodes:
        if node.peer_id in doomed:
            node.process.send_signal(signal.SIGKILL)
            node.process.wait()
    return [node for node in network.living() if node.peer_id in [host["peer_id"] for host in put["hosts"]]]


def disk_bytes(node):
    """What `du` says of the blocks of a node."""
    return sum(pack.stat().st_blocks * 512 for pack in pathlib.Path(node.data(), "blocks").glob("pack-*"))


def ledger_gap(network):
    """The most by which a node's ledger of blocks differs from the disk, bytes."""
    return max(abs(node.cli("stat")["store"]["used_bytes"] - disk_bytes(node)) for node in network.living())


def bench_two_lost(rows, network, folder):
    putter = network.nodes[0]
    put = putter.cli("put", file_make(folder, SIZE, "random"))
    until(lambda: all(node.cli("repair", "status")["rounds"] >= 2 for node in network.living()), "rounds")
    killed = time.monotonic()
    left = hosts_kill(network, put, 2)
    decided = until(lambda: any(node.cli("repair", "status")["queued"] > 0 for node in left), "the decision")
    whole = until(lambda: is_whole(putter, put["link"]), "full redundancy")
    lost = sum(host["bytes"] for host in put["hosts"][:2])
    gib = f"{SIZE / (1 << 30):g} GiB"
    rows.add("two hosts killed to the decision, patience 10 s", decided - killed, "s")
    rows.add(f"from the decision to full redundancy, {gib}", whole - decided, "s", "< 30 for 1 GiB")
    rows.add("pushed for each byte lost", network.sum("repaired_bytes") / lost, "", "1")
    rows.add("slots placed anew for two lost", network.sum("repaired_slots"), "", "2")
    rows.add("ledger beside the disk, the most of a node", ledger_gap(network) / 1024, "KiB", "< 64")


def main():
    rows = Rows()
    network = Hasty(os.path.abspath(sys.argv[1]))
    try:
        with tempfile.TemporaryDirectory(prefix="pangea-bench-") as folder:
            bench_two_lost(rows, network, folder)
    finally:
        network.end()
    rows.write()


if __name__ == "__main__":
    main()
