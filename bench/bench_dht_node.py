#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The DHT among real node processes on loopback: a network started by `pangea devnet`, asked over the local API as any program asks.

usage: bench_dht_node.py PANGEA        PANGEA_BENCH_NODES: how many, 50 unless set

bench_dht has the same with all nodes in one process, which leaves out the processes' switching and the API. The round trip of the API
alone is a row of its own: `dht status` asks nothing of the network.
"""
import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time

from bench_node import Rows, cpu_seconds

NODES = int(os.environ.get("PANGEA_BENCH_NODES", "50"))
ROUNDS = 200
WARM = 20  # not counted
PATIENCE = 120  # seconds


class Api(http.client.HTTPConnection):
    """A node's socket, one connection kept open."""

    def __init__(self, path):
        super().__init__("localhost", timeout=PATIENCE)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(self.path)

    def ask(self, method, path, body=None):
        self.request(method, path, json.dumps(body) if body else None, {"Content-Type": "application/json"} if body else {})
        answer = self.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise SystemExit(f"{method} {path}: {answer.status} {text.decode()}")
        return json.loads(text)


def devnet_begin(program, folder):
    words = [program, "devnet", "--nodes", str(NODES), "--dir", folder, "--json", "--set", "dht.test_namespace=true"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    return process, json.loads(process.stdout.readline())["nodes"]


def await_tables(apis):
    """Until the nodes know each other: half of all, or as many as a table of that size holds."""
    deadline = time.monotonic() + PATIENCE
    for api in apis:
        while max(dht["peers"] for dht in api.ask("GET", "/api/v1/dht")["dhts"]) < min(NODES - 1, 20):
            if time.monotonic() > deadline:
                raise SystemExit("the nodes do not find each other")
            time.sleep(0.1)


def percentiles(times):
    return statistics.median(times), statistics.quantiles(times, n=20)[18]


def timed(rounds, step):
    """Milliseconds of each round, those to get warm left out."""
    times = []
    for number in range(-WARM, rounds):
        start = time.monotonic()
        step(number)
        if number >= 0:
            times.append((time.monotonic() - start) * 1000)
    return times


def bench(rows, apis, pids):
    values = {}

    def key_of(number):
        return f"/test/bench-{number}"

    def put(number):
        values[number] = f"{number:08d}".encode().hex()
        api = apis[number % len(apis)]
        api.ask("POST", "/api/v1/dht/put", {"key": key_of(number), "value_hex": values[number]})

    def get(number):
        api = apis[(number * 7 + 3) % len(apis)]
        if api.ask("POST", "/api/v1/dht/get", {"key": key_of(number)})["value_hex"] != values[number]:
            raise SystemExit("another value than the one that was put")

    for name, step, aim in (
        ("API alone (dht status)", lambda number: apis[number % len(apis)].ask("GET", "/api/v1/dht"), ""),
        ("put", put, "< 5"),
        ("get", get, "< 5"),
    ):
        cpu = sum(cpu_seconds(pid) for pid in pids)
        p50, p95 = percentiles(timed(ROUNDS, step))
        cpu = sum(cpu_seconds(pid) for pid in pids) - cpu
        rows.add(f"{NODES} nodes, {name}: p50", p50, "ms")
        rows.add(f"{NODES} nodes, {name}: p95", p95, "ms", aim)
        rows.add(f"{NODES} nodes, {name}: all nodes", cpu * 1000 / (ROUNDS + WARM), "CPU ms")


def main():
    program = os.path.abspath(sys.argv[1])
    rows = Rows()
    with tempfile.TemporaryDirectory(prefix="pangea-bench-") as folder:
        process, nodes = devnet_begin(program, os.path.join(folder, "net"))
        try:
            apis = [Api(os.path.join(node["data"], "api.sock")) for node in nodes]
            await_tables(apis)
            bench(rows, apis, [node["pid"] for node in nodes])
        finally:
            process.terminate()
            process.wait(timeout=PATIENCE)
    rows.write()


if __name__ == "__main__":
    main()
