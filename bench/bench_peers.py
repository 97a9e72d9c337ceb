#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A file from one node to another, beside what Syncthing, Kubo and Helia take for it, in one run that alternates between them.

usage: bench_peers.py PANGEA

Ours is put and got through 14 nodes; Syncthing copies it between two folders; Kubo adds it, and another node of Kubo gets it; Helia
does the same with the first 128 MiB, its blocks in memory. All on loopback, with their own encryption. CPU seconds are those of all
nodes and of the commands. Syncthing is taken from PATH, Kubo is built from its Go module, Helia comes by npm; who is not there is left out.
"""
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import xml.etree.ElementTree as ElementTree

from bench_network import GIB, NODES, SIZE, Network, file_make
from bench_node import QUIC, ROUNDS, TCP, Rows, commands_cpu, cpu_seconds, peak_mib
from foreign import VERSIONS, pair, program as foreign_program

HELIA_SIZE = min(SIZE, 128 << 20)
PATIENCE = 600


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def children(pid):
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):  # any of its threads may have started them
        with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
            found += [int(word) for word in file.read().split()]
    return found


class Side:
    """Somebody who is measured: his processes, and what was found."""

    def __init__(self, name):
        self.name, self.pids, self.found = name, [], {}

    def measure(self, what, size, work):
        """Note the speed and the CPU seconds for a GiB of `work`, which returns what the next step needs."""
        cpu, start = sum(map(cpu_seconds, self.pids)) + commands_cpu(), time.monotonic()
        result = work()
        took = time.monotonic() - start
        cpu = sum(map(cpu_seconds, self.pids)) + commands_cpu() - cpu
        self.found.setdefault(what, []).append((size / took / 1e6, cpu * GIB / size))
        print(f"# {self.name}: {what}: {size / took / 1e6:.0f} MB/s, {cpu * GIB / size:.2f} CPU s/GiB", file=sys.stderr, flush=True)
        return result

    def report(self, rows):
        size = f"{SIZE >> 20} MiB of random bytes"
        for what, values in self.found.items():
            speeds, cpus = zip(*values)
            who = f"{self.name}: {what}"
            rows.spread(who, speeds, "MB/s", draw=("files", f"{size} from node to node", who))
            rows.spread(who, cpus, "CPU s/GiB", draw=("files-cpu", f"{size} from node to node, all processes", who))
        rows.add(f"{self.name}: peak of a process", max(map(peak_mib, self.pids)), "MiB")


class Pangea(Side):
    def __init__(self, program, transport, listen):
        super().__init__(f"pangea, 14 nodes, {transport}")
        self.network = Network(program, listen)
        self.pids = [node.pid for node in self.network.nodes]

    def round(self, path, turn):
        putter, getter = self.network.nodes[turn % NODES], self.network.nodes[(turn + 7) % NODES]
        size, out = os.path.getsize(path), path + ".out"
        link = self.measure("put", size, lambda: putter.cli("put", path))["link"]
        self.measure("get", size, lambda: getter.cli("get", link, "-o", out))
        subprocess.run(["cmp", path, out], check=True)
        os.unlink(out)
        putter.cli("rm", link)

    def end(self):
        self.network.end()


class Syncthing(Side):
    """Two of it that share a folder. It is told to look: watching a folder would only add its delay."""

    def __init__(self, folder):
        super().__init__("Syncthing, 2 nodes")
        self.homes = [os.path.join(folder, f"syncthing-{i}") for i in range(2)]
        self.folders = [home + "-files" for home in self.homes]
        self.apis, self.listens = ([free_port(), free_port()] for _ in range(2))
        self.environment = {**os.environ, "STNORESTART": "1", "STNOUPGRADE": "1", "HOME": folder}
        for home, place in zip(self.homes, self.folders):
            os.makedirs(place)
            self.run("generate", "--no-default-folder", "--home", home)
        self.ids = [self.run("--device-id", "--home", home).strip() for home in self.homes]
        self.keys = [self.configure(i) for i in range(2)]
        self.processes = [subprocess.Popen(["syncthing", "serve", "--no-browser", "--no-restart", "--no-upgrade", "--home", home],
                                           env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                          for home in self.homes]
        self.wait(lambda: all(self.connected(i) for i in range(2)))
        self.pids = [pid for process in self.processes for pid in [process.pid, *children(process.pid)]]

    def run(self, *words):
        return subprocess.run(["syncthing", *words], env=self.environment, check=True, capture_output=True, text=True).stdout

    def configure(self, i):
        path = os.path.join(self.homes[i], "config.xml")
        tree = ElementTree.parse(path)
        root = tree.getroot()
        options = root.find("options")
        for name in ("listenAddress", "globalAnnounceEnabled", "localAnnounceEnabled", "relaysEnabled", "natEnabled", "urAccepted",
                     "crashReportingEnabled", "startBrowser", "setLowPriority"):
            for old in options.findall(name):
                options.remove(old)
            value = {"listenAddress": f"tcp://127.0.0.1:{self.listens[i]}", "urAccepted": "-1"}.get(name, "false")
            ElementTree.SubElement(options, name).text = value
        root.find("gui/address").text = f"127.0.0.1:{self.apis[i]}"
        for device in root.findall("device"):
            root.remove(device)
        shared = ElementTree.SubElement(root, "folder", id="files", path=self.folders[i], type="sendreceive", rescanIntervalS="0",
                                        fsWatcherEnabled="false")
        for j in range(2):
            ElementTree.SubElement(shared, "device", id=self.ids[j])
            device = ElementTree.SubElement(root, "device", id=self.ids[j], name=str(j))
            ElementTree.SubElement(device, "address").text = f"tcp://127.0.0.1:{self.listens[j]}"
        tree.write(path)
        return root.find("gui/apikey").text

    def ask(self, i, path, method="GET"):
        request = urllib.request.Request(f"http://127.0.0.1:{self.apis[i]}/rest/{path}", method=method,
                                         headers={"X-API-Key": self.keys[i]})
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.read()

    def connected(self, i):
        try:
            return json.loads(self.ask(i, "system/connections"))["connections"][self.ids[1 - i]]["connected"]
        except (OSError, KeyError):
            return False

    def wait(self, is_done):
        deadline = time.monotonic() + PATIENCE
        while not is_done():
            if time.monotonic() > deadline:
                raise SystemExit("bench_peers: Syncthing does not come to an end")
            time.sleep(0.05)

    def copy(self, there):
        self.ask(0, "db/scan?folder=files", "POST")  # returns when it has hashed the file
        self.wait(lambda: os.path.exists(there))  # it writes under another name

    def round(self, path, turn):
        name = f"file-{turn}"
        here, there = (os.path.join(place, name) for place in self.folders)
        os.link(path, here)
        self.measure("copy, its scan included", os.path.getsize(path), lambda: self.copy(there))
        subprocess.run(["cmp", path, there], check=True)
        os.unlink(here)
        self.ask(0, "db/scan?folder=files", "POST")
        self.wait(lambda: not os.path.exists(there))

    def end(self):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait()


class Kubo(Side):
    """Two of it that know each other and nobody else."""

    def __init__(self, program, folder):
        super().__init__("Kubo, 2 nodes")
        self.program, self.processes = program, []
        self.repos = [os.path.join(folder, f"kubo-{i}") for i in range(2)]
        for repo in self.repos:
            self.run(repo, "init", "--profile=test")
            self.run(repo, "bootstrap", "rm", "--all")
            self.processes.append(subprocess.Popen([program, "daemon"], env={**os.environ, "IPFS_PATH": repo},
                                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            self.wait(repo)
        self.pids = [process.pid for process in self.processes]
        there = json.loads(self.run(self.repos[0], "id"))
        addr = next(addr for addr in there["Addresses"] if "/tcp/" in addr and "127.0.0.1" in addr)
        self.run(self.repos[1], "swarm", "connect", addr)

    def run(self, repo, *words):
        return subprocess.run([self.program, *words], env={**os.environ, "IPFS_PATH": repo}, check=True, capture_output=True,
                              text=True).stdout

    def wait(self, repo):
        deadline = time.monotonic() + PATIENCE
        while not os.path.exists(os.path.join(repo, "api")):
            if time.monotonic() > deadline:
                raise SystemExit("bench_peers: Kubo does not start")
            time.sleep(0.1)

    def round(self, path, turn):
        size, out = os.path.getsize(path), f"{path}.kubo-{turn}"
        cid = self.measure("add", size, lambda: self.run(self.repos[0], "add", "-Q", path)).strip()
        self.measure("get", size, lambda: self.run(self.repos[1], "get", "-o", out, cid))
        subprocess.run(["cmp", path, out], check=True)
        os.unlink(out)
        self.run(self.repos[0], "pin", "rm", cid)
        for repo in self.repos:
            self.run(repo, "repo", "gc", "-q")

    def end(self):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait()


class Helia(Side):
    """Two of it that know each other and nobody else."""

    def __init__(self, nodes):
        super().__init__(f"{VERSIONS['helia']}, 2 nodes, {HELIA_SIZE >> 20} MiB")
        self.nodes, self.pids = nodes, [node.pid for node in nodes]

    def round(self, path, turn):
        (adder, getter), out = self.nodes, f"{path}.helia-{turn}"
        cid = self.measure("add", HELIA_SIZE, lambda: adder("add", path=path, bytes=HELIA_SIZE))["cid"]
        self.measure("get", HELIA_SIZE, lambda: getter("get", cid=cid, path=out))
        if os.path.getsize(out) != HELIA_SIZE:
            raise SystemExit("bench_peers: Helia got another length")
        subprocess.run(["cmp", "-n", str(HELIA_SIZE), path, out], check=True)
        os.unlink(out)
        for node in self.nodes:
            node("drop")

    def end(self):
        for node in self.nodes:
            node.end()


def sides_make(program, folder, sides):
    """Append to `sides`, so that those which were made are ended when the next one cannot be."""
    sides.append(Pangea(program, "TCP", TCP))
    sides.append(Pangea(program, "QUIC", QUIC))
    if shutil.which("syncthing"):
        sides.append(Syncthing(folder))
    ipfs = foreign_program("kubo")
    if ipfs:
        sides.append(Kubo(ipfs[0], folder))
    helia = pair("helia")
    if helia:
        sides.append(Helia(helia))


def main():
    rows, sides = Rows(), []
    try:
        with tempfile.TemporaryDirectory(prefix="pangea-bench-") as folder:
            sides_make(os.path.abspath(sys.argv[1]), folder, sides)
            for turn in range(ROUNDS):
                path = file_make(folder, SIZE, "random")
                for side in sides:
                    side.round(path, turn)
                os.unlink(path)
            for side in sides:
                side.report(rows)
    finally:
        for side in sides:
            side.end()
    rows.write()


if __name__ == "__main__":
    main()
