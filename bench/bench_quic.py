#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""QUIC beside TCP and beside the QUIC of others, as processes on loopback: /perf, handshakes by key agreement, memory per idle
connection.

usage: bench_quic.py PANGEA PEER BENCH_NET

PEER is the test client tests/interop/peer.c, BENCH_NET the program of bench/bench_net.c. js-libp2p (Node.js 20), go-libp2p (Go) and
rust-libp2p (Rust) are measured where their toolchains are; else a line says that they were skipped. Rounds alternate between the
programs; medians are printed, with the least and the most of the speeds, since the machine may have other work: then read the CPU
seconds. PANGEA_BENCH_BYTES is what /perf moves each way, PANGEA_BENCH_ROUNDS how often.
"""
import json
import os
import subprocess
import sys
import tempfile
import time

from bench_node import GIB, QUIC, ROUNDS, SETTLE_S, TCP, Node, Rows, perf_foreign, perf_pangea, perf_report, resident_kib
from foreign import VERSIONS, Foreign, pair, program as foreign_program

SIZE = int(os.environ.get("PANGEA_BENCH_BYTES", GIB // 2))  # of one transfer by /perf
JS_SIZE = min(SIZE, 32 << 20)
CROWD = 1000


def ours_start(program, listen):
    a, b = Node(program, listen=listen), Node(program, listen=listen)
    a.cli("dial", b.addr)
    transport = a.cli("peers")["peers"][0]["transport"]
    if (transport == "tcp") != (listen == TCP):
        raise SystemExit(f"connected by {transport}")
    return a, b


def bench_perf(rows, program):
    runs = {"pangea, QUIC": (perf_pangea, *ours_start(program, QUIC), SIZE),
            "pangea, TCP with Noise": (perf_pangea, *ours_start(program, TCP), SIZE)}
    for kind, size in (("go", SIZE), ("rust", SIZE), ("js", JS_SIZE)):
        both = pair(kind, "--quic")
        if both:
            runs[f"{VERSIONS[kind]}, QUIC"] = (perf_foreign, *both, size)
    results = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, (perf, a, b, size) in runs.items():
            results[name].append(perf(a, b, size))
    plot = ("perf-quic", f"/perf on one stream, {SIZE >> 20} MiB each way")
    told = {name: perf_report(rows, name, (runs[name][1].pid, runs[name][2].pid), each, *plot) for name, each in results.items()}
    speed, cpu = told["pangea, QUIC"]
    aims = {VERSIONS["go"]: (">= 3", "<= 0.33"), VERSIONS["rust"]: (">= 2", "<= 0.5"), VERSIONS["js"]: (">= 5", "")}
    for name in told:
        aim = aims.get(name.removesuffix(", QUIC"), ("", ""))
        if name != "pangea, QUIC":
            rows.add(f"/perf: pangea, QUIC over {name}, speed", speed / told[name][0], "x", aim[0])
            rows.add(f"/perf: pangea, QUIC over {name}, CPU", cpu / told[name][1], "x", aim[1])
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


def crowd_kib(pid, addr, peer, count_of=None):
    """KiB for each of a crowd of connections that are idle."""
    time.sleep(SETTLE_S)  # what only starting needs is given back
    before = resident_kib(pid)
    crowd = subprocess.Popen([peer, addr, f"crowd:{CROWD}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    crowd.stdout.readline()
    time.sleep(SETTLE_S)
    if count_of is not None and count_of() < CROWD:
        raise SystemExit(f"{count_of()} of {CROWD} connections are there")
    kib = (resident_kib(pid) - before) / CROWD
    crowd.stdin.close()
    crowd.wait()
    crowd.stdout.close()
    return kib


def bench_crowd(rows, program, peer):
    for name, listen, options in (("TCP", TCP, []), ("QUIC", QUIC, ["--quic"])):
        draw = ("connections", f"Memory of an idle connection, {CROWD} of them")
        node = Node(program, "limits.connections=4096", "limits.pending=1024", "limits.connections_high=4096", listen=listen)
        kib = crowd_kib(node.pid, node.addr, peer, lambda node=node: len(node.cli("peers")["peers"]))
        rows.spread(f"memory per idle connection ({CROWD}), {name}", [kib], "KiB", "< 20", (*draw, f"pangea, {name}"))
        node.end()
        for kind in ("go", "rust"):
            argv = foreign_program(kind)
            if argv:
                other = Foreign([*argv, *options])
                kib = crowd_kib(other.pid, other.addr, peer)
                rows.spread(f"the same, {VERSIONS[kind]}, {name}", [kib], "KiB", "", (*draw, f"{VERSIONS[kind]}, {name}"))
                other.end()


def main():
    program, peer, bench_net = (os.path.abspath(path) for path in sys.argv[1:4])
    rows = Rows()
    with tempfile.TemporaryDirectory(prefix="pangea-bench-") as folder:
        bench_handshakes(rows, bench_net, folder)
        bench_perf(rows, program)
        bench_crowd(rows, program, peer)
    rows.write()


if __name__ == "__main__":
    main()
