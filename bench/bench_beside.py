#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What others are measured in, beside them: taking a file in (restic, Kubo), a DHT of fifty nodes (OpenDHT), a node at rest
(Kubo, Syncthing). Rounds alternate between the programs; who cannot be had here is left out.

usage: bench_beside.py PANGEA BENCH_DHT
"""
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from bench_node import GIB, ROUNDS, Node, Rows, commands_cpu, cpu_seconds, resident_kib
from bench_peers import Kubo, Syncthing
from foreign import program as foreign_program

SIZE = int(os.environ.get("PANGEA_BENCH_BYTES", GIB))
NODES, CALLS = 50, 200
NO_HOSTS = 37  # exit code of a put that waits for hosts
IDLE_S = 10


def text_file(path, size):
    """Lines of made-up words in ever another order: it shrinks, and no long piece of it comes again."""
    words = ["".join(random.choices("etaoinshrdlucmfw", k=random.randint(2, 10))) for _ in range(20000)]
    lines = [" ".join(random.choices(words, k=12)) + "\n" for _ in range(100_000)]
    with open(path, "w", encoding="ascii") as out:
        while out.tell() < size:
            random.shuffle(lines)
            out.write("".join(lines))
        out.truncate(size)


def random_file(path, size):
    with open(path, "wb") as out:
        for begin in range(0, size, 1 << 24):
            out.write(os.urandom(min(1 << 24, size - begin)))


# ---- Taking a file in


class Lone:
    """Our node without others: it compresses, seals, codes 8+2 and stores durably, all of it here."""

    name = "pangea put, no hosts"

    def __init__(self, program, _folder):
        self.node = Node(program, "storage.quota=64GiB")
        self.pids = [self.node.pid]

    def take(self, path):
        done = subprocess.run([self.node.program, "put", path, "--json", "--data", self.node.data()], check=False, capture_output=True,
                              text=True)
        if done.returncode != NO_HOSTS:
            raise SystemExit(f"put: exit code {done.returncode}: {done.stderr}")
        return json.loads(done.stdout)["link"]

    def drop(self, link):
        self.node.cli("rm", link)

    def end(self):
        self.node.end()


class Restic:
    """Compresses, seals, and looks for what it has already; a repository of its own for every file."""

    name = "restic backup"

    def __init__(self, _program, folder):
        self.repo, self.pids = os.path.join(folder, "restic"), []
        self.environment = {**os.environ, "RESTIC_PASSWORD": "bench", "RESTIC_CACHE_DIR": self.repo + "-cache"}
        self.run("init")

    def run(self, *words):
        subprocess.run(["restic", "-r", self.repo, "-q", *words], env=self.environment, check=True, stdout=subprocess.DEVNULL)

    def take(self, path):
        self.run("backup", path)

    def drop(self, _):
        shutil.rmtree(self.repo)
        self.run("init")

    def end(self):
        pass


class Add:
    """Kubo's add, which cuts and hashes."""

    name = "Kubo add"

    def __init__(self, folder):
        self.kubo = Kubo(foreign_program("kubo")[0], folder)
        self.pids = self.kubo.pids

    def take(self, path):
        return self.kubo.run(self.kubo.repos[0], "add", "-Q", path).strip()

    def drop(self, cid):
        self.kubo.run(self.kubo.repos[0], "pin", "rm", cid)
        self.kubo.run(self.kubo.repos[0], "repo", "gc", "-q")

    def end(self):
        self.kubo.end()


def take_measured(side, path):
    size = os.path.getsize(path)
    os.sync()  # what the one before left to be written is not this one's
    cpu, start = sum(map(cpu_seconds, side.pids)) + commands_cpu(), time.monotonic()
    name = side.take(path)
    took = time.monotonic() - start
    cpu = sum(map(cpu_seconds, side.pids)) + commands_cpu() - cpu
    side.drop(name)
    return size / took / 1e6, cpu * GIB / size


def bench_ingest(rows, program, folder):
    sides = [Lone(program, folder)]
    if shutil.which("restic"):
        sides.append(Restic(program, folder))
    if foreign_program("kubo"):
        sides.append(Add(folder))
    results, told = {}, {}
    for kind, make in (("random", random_file), ("text", text_file)):
        path = os.path.join(folder, kind)
        make(path, SIZE)
        for _ in range(ROUNDS):
            for side in sides:
                os.utime(path)  # nobody is to know it from before
                results.setdefault((kind, side.name), []).append(take_measured(side, path))
        os.unlink(path)
    for (kind, name), found in results.items():
        speeds, cpus = zip(*found)
        title = f"Taking in {SIZE / GIB:g} GiB of {kind} bytes" if kind == "random" else f"Taking in {SIZE / GIB:g} GiB of text"
        told[kind, name] = rows.spread(f"ingest, {kind}: {name}", speeds, "MB/s", draw=(f"ingest-{kind}", title, name))
        rows.spread(f"ingest, {kind}: {name}", cpus, "CPU s/GiB")
    for (kind, name), speed in told.items():
        if name != Lone.name:
            aim = {"restic backup": {"random": ">= 5", "text": ">= 2.5"}}.get(name, {}).get(kind, ">= 1.5")
            rows.add(f"ingest, {kind}: pangea over {name}", told[kind, Lone.name] / speed, "x", aim)
    for side in sides:
        side.end()


# ---- The DHT


def p95(values):
    return statistics.quantiles(values, n=20)[18]


def dht_ours(bench_dht, folder):
    out = os.path.join(folder, "dht.json")
    subprocess.run([bench_dht, "loopback"], check=True, stdout=subprocess.DEVNULL, env={**os.environ, "PANGEA_BENCH_JSON": out})
    with open(out, encoding="utf-8") as file:
        found = {row["name"]: row for row in map(json.loads, file)}
    put, get = (next(row for name, row in found.items() if name.startswith(f"dht loopback {what}")) for what in ("put", "get"))
    return put["p50_ms"], put["p95_ms"], get["p50_ms"], get["p95_ms"]


def dht_told(answer):
    put, get = answer["put_ms"], answer["get_ms"]
    return statistics.median(put), p95(put), statistics.median(get), p95(get)


def dht_opendht(argv):
    done = subprocess.run([*argv, str(NODES), str(CALLS)], check=True, stdout=subprocess.PIPE, text=True)
    return dht_told(json.loads(done.stdout.splitlines()[-1]))


def bench_dht(rows, program, folder):
    opendht = foreign_program("opendht")
    sides = {"pangea, hybrid Noise": lambda: dht_ours(program, folder)}
    if opendht:
        sides["OpenDHT, datagrams"] = lambda: dht_opendht(opendht)
    results = {name: [] for name in sides}
    for _ in range(ROUNDS):
        for name, measure in list(sides.items()):
            try:
                results[name].append(measure())
            except subprocess.CalledProcessError as failure:
                print(f"{name}: exit code {failure.returncode}: its rows are left out", file=sys.stderr)
                del sides[name], results[name]
    for place, what in enumerate(("put: p50", "put: p95", "get: p50", "get: p95")):
        for name, found in results.items():
            plot = f"dht-{what[:3]}" if what.endswith("p95") else None
            draw = (plot, f"DHT of {NODES} nodes in one process, {what[:3]} of 1 KiB, 95th percentile", name) if plot else None
            rows.spread(f"DHT, {NODES} nodes: {what}: {name}", [each[place] for each in found], "ms", draw=draw)


# ---- At rest


def at_rest(rows, name, pids):
    time.sleep(5)  # what starting needs is over
    before = sum(map(cpu_seconds, pids))
    time.sleep(IDLE_S)
    rows.spread(f"at rest: {name}: CPU", [(sum(map(cpu_seconds, pids)) - before) / IDLE_S * 100], "%")
    rows.spread(f"at rest: {name}: resident", [sum(map(resident_kib, pids)) / 1024], "MiB", draw=("idle", "Resident memory of a node at rest", name))


def bench_rest(rows, program, folder):
    node = Node(program)
    at_rest(rows, "pangea", [node.pid])
    node.end()
    if foreign_program("kubo"):
        kubo = Kubo(foreign_program("kubo")[0], folder)
        at_rest(rows, "Kubo, one of two", kubo.pids[:1])
        kubo.end()
    if shutil.which("syncthing"):
        other = Syncthing(folder)
        at_rest(rows, "Syncthing, one of two", other.pids[:len(other.pids) // 2])
        other.end()
    starts = []
    for _ in range(2 * ROUNDS):
        node = Node(program)
        starts.append(node.start_ms)
        node.end()
    rows.spread("exec to ready: pangea", starts, "ms", "< 50")


# ---- Compression


def bench_compression(rows, program, folder):
    """The tar that `make run` takes unless told otherwise, stored by a node without others."""
    path = os.path.join(folder, "tar")
    with open(path, "wb") as out:
        tar = subprocess.Popen(["tar", "-C", "/", "-c", "usr/share/doc", "usr/bin", "usr/share", "usr/lib"], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL)
        left = 256 << 20
        while left > 0 and (piece := tar.stdout.read(min(left, 1 << 20))):
            out.write(piece)
            left -= len(piece)
        tar.kill()
        tar.wait()
    node = Lone(program, folder)
    before = node.node.cli("stat")["store"]["used_bytes"]
    node.take(path)
    kept = node.node.cli("stat")["store"]["used_bytes"] - before
    rows.add("default tar: its size over what is kept, without the code's quarter", os.path.getsize(path) / (kept / 1.25), "x", ">= 2")
    node.end()


def main():
    program, dht = (os.path.abspath(path) for path in sys.argv[1:3])
    rows = Rows()
    try:
        with tempfile.TemporaryDirectory(prefix="pangea-bench-") as folder:
            for what, work in (("dht", lambda: bench_dht(rows, dht, os.path.join(folder, "dht"))),
                               ("rest", lambda: bench_rest(rows, program, os.path.join(folder, "rest"))),
                               ("compression", lambda: bench_compression(rows, program, os.path.join(folder, "compression"))),
                               ("ingest", lambda: bench_ingest(rows, program, os.path.join(folder, "ingest")))):
                if what in os.environ.get("PANGEA_BENCH_PARTS", what):
                    os.mkdir(os.path.join(folder, what))
                    work()
    finally:
        rows.write()  # what was measured until then is worth keeping


if __name__ == "__main__":
    main()
