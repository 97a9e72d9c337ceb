#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The node as a whole, as processes on loopback: start, idle, connections, and /perf beside other programs.

usage: bench_node.py PANGEA PEER [--json FILE]

PEER is the test client tests/interop/peer.c. Foreign programs are measured in the same run where they are there:
iperf3, js-libp2p (Node.js 20), go-libp2p (Go). Rounds alternate between the programs; medians are printed.
"""
import atexit
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
INTEROP = os.path.join(HERE, "..", "tests", "interop")
TICK = os.sysconf("SC_CLK_TCK")
GIB = 1 << 30
ROUNDS = 5
CROWD = 200
SETTLE_S = 5  # until connections count as idle


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def resident_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))


class Node:
    def __init__(self, program, *settings, listen="/ip4/127.0.0.1/tcp/0"):
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


class Foreign:
    def __init__(self, argv):
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        hello = json.loads(self.process.stdout.readline())
        self.peer_id, self.addr, self.pid = hello["peerId"], hello["addrs"][0], self.process.pid
        atexit.register(self.end)

    def __call__(self, cmd, **args):
        self.process.stdin.write(json.dumps({"cmd": cmd, **args}) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if not answer["ok"]:
            raise SystemExit(f"{cmd}: {answer['error']}")
        return answer

    def end(self):
        self.process.kill()
        self.process.wait()


class Rows:
    def __init__(self):
        self.rows = []

    def add(self, name, value, unit, reach=""):
        self.rows.append({"row": name, "value": round(value, 3), "unit": unit, "reach": reach})
        print(f"{name:<58} {value:>10.2f} {unit:<14} {reach}", flush=True)

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
    time.sleep(2)
    before = cpu_seconds(node.pid)
    time.sleep(10)
    rows.add("idle: CPU", (cpu_seconds(node.pid) - before) * 10, "%", "< 0.1")
    rows.add("idle: resident", resident_kib(node.pid) / 1024, "MiB", "< 15")
    node.end()


def bench_crowd(rows, program, peer):
    node = Node(program, "limits.connections=4096", "limits.pending=1024")
    before = resident_kib(node.pid)
    crowd = subprocess.Popen([peer, node.addr, f"crowd:{CROWD}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    crowd.stdout.readline()
    time.sleep(SETTLE_S)
    after = resident_kib(node.pid)
    rows.add(f"memory per idle connection ({CROWD})", (after - before) / CROWD, "KiB", "< 20")
    crowd.stdin.close()
    crowd.wait()
    crowd.stdout.close()
    node.end()


def bench_connect(rows, program):
    a, b = Node(program), Node(program)
    times = []
    for _ in range(50):
        dial = a.cli("dial", b.addr, "--fresh")["dial_ms"]
        times.append(dial)
    rows.add("new connection, hybrid Noise, yamux, identify: median", statistics.median(times), "ms")
    rows.add("new connection, hybrid Noise, yamux, identify: p95", sorted(times)[47], "ms")
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


def foreign_pairs():
    def prepare(*args):
        return subprocess.run([os.path.join(INTEROP, "prepare"), *args], check=False, stdout=subprocess.DEVNULL).returncode == 0

    pairs = {}
    go_peer = os.path.join(tempfile.gettempdir(), f"pangea-bench-go-{os.getpid()}")
    if prepare("js"):
        pairs["js-libp2p, Noise"] = ["node", os.path.join(INTEROP, "js", "peer.mjs")], 64 << 20
    if prepare("go", go_peer):
        pairs["go-libp2p, Noise"] = [go_peer], GIB
    started = {}
    for name, (argv, size) in pairs.items():
        a, b = Foreign(argv), Foreign(argv)
        a("dial", addr=b.addr)
        started[name] = (a, b, size)
    if os.path.exists(go_peer):
        os.unlink(go_peer)
    return started


def bench_perf(rows, program):
    a, b = Node(program), Node(program)
    a.cli("dial", b.addr)
    pairs = foreign_pairs()
    ours, theirs, plain = [], {name: [] for name in pairs}, []
    for _ in range(ROUNDS):
        ours.append(perf_pangea(a, b, GIB))
        for name, (x, y, size) in pairs.items():
            theirs[name].append(perf_foreign(x, y, size))
        if shutil.which("iperf3"):
            plain.append(iperf())

    def tell(name, results):
        up, down, cpu = (statistics.median(column) for column in zip(*results))
        rows.add(f"/perf: {name}, up", up, "MB/s")
        rows.add(f"/perf: {name}, down", down, "MB/s")
        rows.add(f"/perf: {name}, CPU of both sides", cpu, "s per GiB")
        return up, cpu

    up, cpu = tell("pangea, hybrid Noise", ours)
    for name, results in theirs.items():
        foreign_up, foreign_cpu = tell(name, results)
        rows.add(f"/perf: pangea over {name}, speed", up / foreign_up, "x", ">= 3" if name.startswith("js") else ">= 1")
        rows.add(f"/perf: pangea over {name}, CPU", cpu / foreign_cpu, "x", "" if name.startswith("js") else "<= 1.1")
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
    bench_crowd(rows, program, peer)
    bench_connect(rows, program)
    bench_perf(rows, program)
    rows.write()


if __name__ == "__main__":
    main()
