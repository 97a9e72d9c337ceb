#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""QUIC beside TCP and beside the QUIC of others, as processes on loopback: /perf, handshakes by key agreement, memory per idle
connection, files through 14 nodes.

usage: bench_quic.py PANGEA PEER BENCH_NET

PEER is the test client tests/interop/peer.c, BENCH_NET the program of bench/bench_net.c. js-libp2p (Node.js 20) and go-libp2p (Go) are
measured where their toolchains are; else a line says that they were skipped. Rounds alternate between the programs; medians are
printed, with the least and the most of the speeds, since the machine may have other work: then read the CPU seconds.
"""
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

from bench_network import GIB, Network, file_make, round_trip
from bench_node import INTEROP, SETTLE_S, Foreign, Node, Rows, perf_foreign, perf_pangea, resident_kib

ROUNDS = 5
SIZE = 512 << 20  # of one transfer by /perf
JS_SIZE = 32 << 20
FILE_ROUNDS = 3
FILE_SIZE = int(os.environ.get("PANGEA_BENCH_BYTES", GIB))
CROWD = 1000
TCP, QUIC = "/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"


def foreign_start(kind, folder):
    """Two peers of a kind that speak QUIC, connected; None where they cannot be had."""
    program = os.path.join(folder, "go-peer")
    args, argv = (["js"], ["node", os.path.join(INTEROP, "js", "peer.mjs")]) if kind == "js" else (["go", program], [program])
    done = subprocess.run([os.path.join(INTEROP, "prepare"), *args], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        print(f"/perf: {kind}-libp2p, QUIC: skipped: {done.stdout.strip().removeprefix('skipped: ') or 'it cannot be made ready'}")
        return None
    pair = Foreign([*argv, "--quic"]), Foreign([*argv, "--quic"])
    pair[0]("dial", addr=pair[1].addr)
    return pair


def ours_start(program, listen):
    a, b = Node(program, listen=listen), Node(program, listen=listen)
    a.cli("dial", b.addr)
    transport = a.cli("peers")["peers"][0]["transport"]
    if (transport == "tcp") != (listen == TCP):
        raise SystemExit(f"connected by {transport}")
    return a, b


def perf_tell(rows, name, results):
    ups, downs, cpus = zip(*results)
    for way, speeds in (("up", ups), ("down", downs)):
        rows.add(f"/perf: {name}, {way}", statistics.median(speeds), "MB/s", f"{min(speeds):.0f} to {max(speeds):.0f}")
    rows.add(f"/perf: {name}, CPU of both sides", statistics.median(cpus), "s per GiB", f"{min(cpus):.2f} to {max(cpus):.2f}")
    return statistics.median(ups + downs), statistics.median(cpus)


def bench_perf(rows, program, folder):
    runs = {"pangea, QUIC": (perf_pangea, *ours_start(program, QUIC), SIZE),
            "pangea, TCP with Noise": (perf_pangea, *ours_start(program, TCP), SIZE)}
    for kind, size in (("go", SIZE), ("js", JS_SIZE)):
        pair = foreign_start(kind, folder)
        if pair:
            runs[f"{kind}-libp2p, QUIC"] = (perf_foreign, *pair, size)
    results = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, (perf, a, b, size) in runs.items():
            results[name].append(perf(a, b, size))
    told = {name: perf_tell(rows, name, each) for name, each in results.items()}
    speed, cpu = told["pangea, QUIC"]
    for name, aims in (("go-libp2p, QUIC", (">= 2", "<= 0.5")), ("js-libp2p, QUIC", (">= 5", "")), ("pangea, TCP with Noise", ("", ""))):
        if name in told:
            rows.add(f"/perf: pangea, QUIC over {name}, speed", speed / told[name][0], "x", aims[0])
            rows.add(f"/perf: pangea, QUIC over {name}, CPU", cpu / told[name][1], "x", aims[1])
    for _, a, b, _ in runs.values():
        a.end()
        b.end()


def bench_handshakes(rows, bench_net, folder):
    out = os.path.join(folder, "net.json")
    subprocess.run([bench_net, "--json"], check=True, stdout=subprocess.DEVNULL,
                   env={**os.environ, "PANGEA_BENCH_JSON": out, "PANGEA_BENCH_MS": "1500"})
    with open(out, encoding="utf-8") as file:
        for line in file:
            case = json.loads(line)
            rows.add(f"handshake: {case['name']}, CPU of both sides", case["cpu_s"] * 1e6, "us")


def bench_crowd(rows, program, peer):
    for name, listen in (("TCP", TCP), ("QUIC", QUIC)):
        node = Node(program, "limits.connections=4096", "limits.pending=1024", "limits.connections_high=4096", listen=listen)
        before = resident_kib(node.pid)
        crowd = subprocess.Popen([peer, node.addr, f"crowd:{CROWD}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        crowd.stdout.readline()
        time.sleep(SETTLE_S)
        count = len(node.cli("peers")["peers"])
        if count < CROWD:
            raise SystemExit(f"{count} of {CROWD} connections are there")
        rows.add(f"memory per idle connection ({CROWD}), {name}", (resident_kib(node.pid) - before) / CROWD, "KiB", "< 20")
        crowd.stdin.close()
        crowd.wait()
        crowd.stdout.close()
        node.end()


def bench_files(rows, program, folder):
    networks = {"QUIC": Network(program, QUIC), "TCP": Network(program, TCP)}
    results = {name: [] for name in networks}
    path = file_make(folder, FILE_SIZE, "random")
    try:
        for turn in range(FILE_ROUNDS):
            for name, network in networks.items():
                results[name].append(round_trip(network, path, turn))
    finally:
        for network in networks.values():
            network.end()
    for index, what in enumerate(("put", "get")):
        for name, each in results.items():
            speeds = [result[index][0] for result in each]
            rows.add(f"{FILE_SIZE / GIB:g} GiB through 14 nodes, {name}: {what}", statistics.median(speeds), "MB/s",
                     f"{min(speeds):.0f} to {max(speeds):.0f}")
            rows.add(f"{FILE_SIZE / GIB:g} GiB through 14 nodes, {name}: {what}, all nodes",
                     statistics.median(result[index][1] for result in each), "CPU s/GiB")


def main():
    program, peer, bench_net = (os.path.abspath(path) for path in sys.argv[1:4])
    rows = Rows()
    with tempfile.TemporaryDirectory(prefix="pangea-bench-") as folder:
        bench_handshakes(rows, bench_net, folder)
        bench_perf(rows, program, folder)
        bench_crowd(rows, program, peer)
        bench_files(rows, program, folder)
    rows.write()


if __name__ == "__main__":
    main()
