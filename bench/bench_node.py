#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The node as a whole, as processes on loopback: start, idle, connections, and /perf beside other programs.

usage: bench_node.py PANGEA PEER [--json FILE]

PEER is the test client tests/interop/peer.c. Foreign programs are measured in the same run where they are there:
iperf3, js-libp2p (Node.js 20), go-libp2p (Go), rust-libp2p (Rust). Rounds alternate between the programs; medians are printed.
PANGEA_BENCH_BYTES is what /perf moves each way, PANGEA_BENCH_ROUNDS how often.
"""
import atexit
import json
import os
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

from foreign import VERSIONS, Foreign, pair, program as foreign_program

TICK = os.sysconf("SC_CLK_TCK")
GIB = 1 << 30
SIZE = int(os.environ.get("PANGEA_BENCH_BYTES", GIB))  # of one transfer by /perf
JS_SIZE = min(SIZE, 64 << 20)
ROUNDS = int(os.environ.get("PANGEA_BENCH_ROUNDS", "5"))
SETTLE_S = 5  # until connections count as idle
TCP, QUIC = "/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def commands_cpu():
    """CPU seconds of the commands that have ended; nodes are running still."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def status_kib(pid, name):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(f"{name}:"))


def resident_kib(pid):
    return status_kib(pid, "VmRSS")


def peak_mib(pid):
    return status_kib(pid, "VmHWM") / 1024


class Node:
    def __init__(self, program, *settings, listen=TCP):
        self.dir = tempfile.mkdtemp(prefix="pangea-bench-")
        self.program = program
        ready = os.path.join(self.dir, "ready.json")
        subprocess.run([program, "init", "--data", self.data(), "--quiet"], check=True, stdout=subprocess.DEVNULL)
        start = time.monotonic()
        self.process = subprocess.Popen(
            [program, "run", "--data", self.data(), "--listen", listen, "--ready-file", ready,
             *[word for setting in settings for word in ("--set", setting)]],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not os.path.exists(ready):
            if self.process.poll() is not None:
                raise SystemExit("the node ended before it was ready")
        self.start_ms = (time.monotonic() - start) * 1000
        atexit.register(self.end)  # also where a measurement fails
        with open(ready, encoding="utf-8") as file:
            info = json.load(file)
        self.peer_id, self.addr = info["peer_id"], info["addrs"][0]
        self.pid = self.process.pid

    def data(self):
        return os.path.join(self.dir, "data")

    def cli(self, *args):
        return json.loads(subprocess.run([self.program, *args, "--json", "--data", self.data()], check=True,
                                         capture_output=True, text=True).stdout)

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)  # it may have ended before


class Rows:
    """What was measured: printed as it comes, and written as JSON. Rows that name a plot are drawn by plot.py."""

    def __init__(self):
        self.rows = []

    def add(self, name, value, unit, reach=""):
        self.rows.append({"row": name, "value": round(value, 3), "unit": unit, "reach": reach})
        print(f"{name:<58} {value:>10.2f} {unit:<14} {reach}", flush=True)

    def spread(self, name, values, unit, reach="", draw=None):
        """Add the median of several rounds with the least and the most; `draw` is (plot, its title, who). Returns the median."""
        low, value, high = min(values), statistics.median(values), max(values)
        row = {"row": name, "value": round(value, 3), "low": round(low, 3), "high": round(high, 3), "rounds": len(values), "unit": unit,
               "reach": reach}
        if draw:
            row |= dict(zip(("plot", "title", "who"), draw))
        self.rows.append(row)
        print(f"{name:<58} {value:>10.2f} {unit:<14} {low:.2f} to {high:.2f} {reach}", flush=True)
        return value

    def write(self):
        out = os.environ.get("PANGEA_BENCH_JSON")
        if out:
            with open(out, "w", encoding="utf-8") as file:
                json.dump(self.rows, file, indent=1)


def bench_start(rows, program):
    nodes = []
    for _ in range(9):
        node = Node(program)
        nodes.append(node.start_ms)
        node.end()
    rows.add("exec to ready", statistics.median(nodes), "ms", "< 50")


def bench_idle(rows, program):
    node = Node(program)
    time.sleep(5)
    before = cpu_seconds(node.pid)
    time.sleep(10)
    rows.add("idle: CPU", (cpu_seconds(node.pid) - before) * 10, "%", "< 0.1")
    rows.add("idle: resident", resident_kib(node.pid) / 1024, "MiB", "< 15")
    node.end()


CONNECTS = 200  # a round


def connects_pangea(node, peer, step):
    """(median us, 95th percentile us, CPU us of both sides) of a new connection by a step of PEER, as it says there."""
    cpu = cpu_seconds(node.pid) + commands_cpu()
    done = subprocess.run([peer, node.addr, f"{step}:{CONNECTS}"], check=True, capture_output=True, text=True)
    cpu = cpu_seconds(node.pid) + commands_cpu() - cpu
    answer = json.loads(done.stdout.splitlines()[-1])
    return answer["p50_us"], answer["p95_us"], cpu / CONNECTS * 1e6


def connects_foreign(a, b):
    cpu = cpu_seconds(a.pid) + cpu_seconds(b.pid)
    answer = a("connects", addr=b.addr, count=CONNECTS)
    return answer["p50_us"], answer["p95_us"], (cpu_seconds(a.pid) + cpu_seconds(b.pid) - cpu) / CONNECTS * 1e6


def bench_connect(rows, program, peer):
    sides, nodes = {}, []
    others = [(name, argv) for name in ("go", "rust") if (argv := foreign_program(name))]
    for kind, listen, option in (("TCP", TCP, []), ("QUIC", QUIC, ["--quic"])):
        node = Node(program, "limits.accepts_per_ip=100000", listen=listen)
        nodes.append(node)
        sides[f"pangea, hybrid, transport only, {kind}"] = (connects_pangea, node, peer, "bare")
        sides[f"pangea, hybrid, with identify, {kind}"] = (connects_pangea, node, peer, "connect")
        for name, argv in others:
            both = [Foreign([*argv, *option]) for _ in range(2)]
            nodes += both
            sides[f"{VERSIONS[name]}, transport only, {kind}"] = (connects_foreign, *both)
    results = {name: [] for name in sides}
    for _ in range(ROUNDS):
        for name, (measure, *words) in sides.items():
            results[name].append(measure(*words))
    for name, found in results.items():
        p50, p95, cpu = zip(*found)
        rows.spread(f"new connection to first ping: {name}: median", p50, "us",
                    draw=("connect", "New connection to the first ping, median", name))
        rows.spread(f"new connection to first ping: {name}: p95", p95, "us")
        rows.spread(f"new connection to first ping: {name}: both sides", cpu, "CPU us")
    for node in nodes:
        node.end()
    a, b = Node(program), Node(program)
    a.cli("dial", b.addr)
    rtts = [round["rtt_ms"] for round in a.cli("ping", b.addr, "--count", "100", "--interval", "0")["rounds"]]
    rows.add("ping on an open connection: median", statistics.median(rtts) * 1000, "us")
    a.end()
    b.end()


def perf_pangea(a, b, size):
    before = cpu_seconds(a.pid) + cpu_seconds(b.pid)
    got = a.cli("perf", b.addr, "--up", str(size), "--down", str(size))
    cpu = cpu_seconds(a.pid) + cpu_seconds(b.pid) - before
    return size / got["up_ms"] / 1000, size / got["down_ms"] / 1000, cpu * GIB / (2 * size)


def perf_foreign(a, b, size):
    before = cpu_seconds(a.pid) + cpu_seconds(b.pid)
    up = a("perf", peer=b.peer_id, up=size, down=0)["seconds"]
    down = a("perf", peer=b.peer_id, up=0, down=size)["seconds"]
    cpu = cpu_seconds(a.pid) + cpu_seconds(b.pid) - before
    return size / up / 1e6, size / down / 1e6, cpu * GIB / (2 * size)


def iperf(seconds=2):
    server = subprocess.Popen(["iperf3", "-s", "-1", "-p", "45201", "--forceflush"], stdout=subprocess.PIPE, text=True)
    server.stdout.readline()
    server.stdout.readline()
    done = subprocess.run(["iperf3", "-c", "127.0.0.1", "-p", "45201", "-t", str(seconds), "-J"], check=True,
                          capture_output=True, text=True)
    server.communicate()
    return json.loads(done.stdout)["end"]["sum_received"]["bits_per_second"] / 8e6


def perf_report(rows, name, pids, results, plot, title):
    """Add what the rounds of one program gave; returns the medians of speed and of CPU seconds."""
    ups, downs, cpus = zip(*results)
    rows.spread(f"/perf: {name}, up", ups, "MB/s", draw=(plot, title, name))
    rows.spread(f"/perf: {name}, down", downs, "MB/s")
    cpu = rows.spread(f"/perf: {name}, CPU of both sides", cpus, "s per GiB", draw=(plot + "-cpu", title + ", both sides", name))
    rows.add(f"/perf: {name}, peak of a side", max(map(peak_mib, pids)), "MiB")
    return statistics.median(ups + downs), cpu


def foreign_pairs():
    """{name: (a, b, bytes)} of the nodes of others that can be had here."""
    pairs = {}
    for kind, size in (("js", JS_SIZE), ("go", SIZE), ("rust", SIZE)):
        both = pair(kind)
        if both:
            pairs[f"{VERSIONS[kind]}, Noise"] = (*both, size)
    return pairs


def bench_perf(rows, program):
    a, b = Node(program), Node(program)
    a.cli("dial", b.addr)
    pairs = foreign_pairs()
    ours, theirs, plain = [], {name: [] for name in pairs}, []
    for _ in range(ROUNDS):
        ours.append(perf_pangea(a, b, SIZE))
        for name, (x, y, size) in pairs.items():
            theirs[name].append(perf_foreign(x, y, size))
        if shutil.which("iperf3"):
            plain.append(iperf())

    plot = ("perf-tcp", f"/perf over TCP with Noise, {SIZE / GIB:g} GiB each way")
    up, cpu = perf_report(rows, "pangea, hybrid Noise", (a.pid, b.pid), ours, *plot)
    for name, results in theirs.items():
        x, y, _ = pairs[name]
        foreign_up, foreign_cpu = perf_report(rows, name, (x.pid, y.pid), results, *plot)
        rows.add(f"/perf: pangea over {name}, speed", up / foreign_up, "x", ">= 5" if name.startswith("js") else ">= 1")
        rows.add(f"/perf: pangea over {name}, CPU", cpu / foreign_cpu, "x", "<= 1.1" if name.startswith("go") else "")
    if plain:
        rows.add("iperf3, one stream", statistics.median(plain), "MB/s")
        rows.add("/perf: pangea over iperf3, speed", up / statistics.median(plain), "x")
    for x, y, _ in pairs.values():
        x.end()
        y.end()
    a.end()
    b.end()


def main():
    program, peer = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
    rows = Rows()
    bench_start(rows, program)
    bench_idle(rows, program)
    bench_connect(rows, program, peer)
    bench_perf(rows, program)
    rows.write()


if __name__ == "__main__":
    main()
