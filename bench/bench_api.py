#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The local API by itself: how fast bodies and answers stream, and what a small request costs. Behind it stands the files service of the
tests, which copies a pattern and nothing else; beside it a plain socket between two processes, as the limit.

usage: bench_api.py SERVER [--json FILE]

SERVER is tests/integration/api_server.c. Rounds alternate; medians are printed, and the CPU time of the server alone, which counts where the
machine has other work.
"""
import json
import os
import socket
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "integration"))
from api_client import Server, Unix, read_head  # noqa: E402

GIB = 1 << 30
ROUNDS = 5
TICK = os.sysconf("SC_CLK_TCK")
PIECE = bytes(1 << 20)
SPACE = bytearray(1 << 20)


def drain(line, length):
    while length > 0:
        got = line.recv_into(SPACE)
        if got == 0:
            raise SystemExit("the connection ended early")
        length -= got


def fill(line, length):
    for _ in range(length // len(PIECE)):
        line.sendall(PIECE)


def plain():
    """A GiB from a process to this one."""
    here, there = socket.socketpair()
    child = os.fork()
    if child == 0:
        here.close()
        fill(there, GIB)
        os._exit(0)
    there.close()
    start = time.monotonic()
    drain(here, GIB)
    took = time.monotonic() - start
    os.waitpid(child, 0)
    here.close()
    return took


class Bench:
    def __init__(self, program):
        self.server = Server(program)
        self.link = self.server.put(f"size:{GIB}")["link"]

    def open(self, over):
        if over == "unix":
            return self.server.open()
        line = socket.create_connection(("127.0.0.1", self.server.port))
        line.settimeout(60)
        return line

    def send(self, over, path, length, body=b""):
        line = self.open(over)
        token = self.server.ready["token"]
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Length: {length}\r\n\r\n"
        line.sendall(head.encode() + body)
        return line

    def put(self, over):
        line = self.send(over, "/api/v1/files", GIB)
        start = time.monotonic()
        fill(line, GIB)
        status, _, _ = read_head(line)
        took = time.monotonic() - start
        line.close()
        if status != 200:
            raise SystemExit(f"put: {status}")
        return took

    def get(self, over):
        body = json.dumps({"link": self.link}).encode()
        line = self.send(over, "/api/v1/files/get", len(body), body)
        start = time.monotonic()
        status, _, rest = read_head(line)
        drain(line, GIB - len(rest))
        took = time.monotonic() - start
        line.close()
        if status != 200:
            raise SystemExit(f"get: {status}")
        return took

    def cpu_seconds(self):
        with open(f"/proc/{self.server.process.pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def requests(self, count, kept):
        """Microseconds of a request: median as the client sees it, and CPU time of the server."""
        door = Unix(self.server.path)
        took = []
        before = self.cpu_seconds()
        for _ in range(count):
            start = time.monotonic()
            if not kept:
                door.close()
            door.request("GET", "/livez")
            door.getresponse().read()
            took.append((time.monotonic() - start) * 1e6)
        door.close()
        return statistics.median(took), (self.cpu_seconds() - before) / count * 1e6


def main():
    bench = Bench(os.path.abspath(sys.argv[1]))
    runs = {"plain socket": plain}
    for over in ("unix", "tcp"):
        runs[f"put, {over}"] = lambda over=over: bench.put(over)
        runs[f"get, {over}"] = lambda over=over: bench.get(over)
    seconds = {name: [] for name in runs}
    cpu = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, run in runs.items():
            before = bench.cpu_seconds()
            seconds[name].append(run())
            cpu[name].append(bench.cpu_seconds() - before)
    rows = {}
    for name in runs:
        rows[f"{name}, MB/s"] = round(GIB / 1e6 / statistics.median(seconds[name]))
        if name in list(runs)[1:]:
            rows[f"{name}, CPU s per GiB"] = round(statistics.median(cpu[name]), 2)
    for name, kept in (("request on an open connection", True), ("request with a new connection", False)):
        rows[f"{name}, us"], rows[f"{name}, CPU us"] = map(round, bench.requests(2000, kept))
    rows["peak memory, MiB"] = bench.server.memory_kib() // 1024
    bench.server.stop()
    for name, value in rows.items():
        print(f"{name:42} {value:>8,}")
    path = os.environ.get("PANGEA_BENCH_JSON") or (sys.argv[3] if len(sys.argv) > 3 else None)
    if path:
        with open(path, "w", encoding="utf-8") as file:
            json.dump(rows, file, indent=1)


main()
