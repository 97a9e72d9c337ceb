"""Many nodes as processes, of which some come and go all the time, the files among them, and what all of it costs."""

import concurrent.futures
import json
import os
import pathlib
import random
import signal
import statistics
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "integration"))

from nodes import MISSING, NodeTest, await_that, run  # noqa: E402  the folder has to be known first

NODES = int(os.environ.get("PG_CLUSTER_NODES", "16"))
FILES = int(os.environ.get("PG_CLUSTER_FILES", str(NODES)))
SEED = int(os.environ.get("PG_CLUSTER_SEED", "1"))
PATIENCE_S = int(os.environ.get("PG_CLUSTER_PATIENCE", "30"))
FILE_BYTES = (40_000, 400_000)
SETTINGS = ("storage.quota=256MiB", "storage.cache=0", "net.drain_timeout=100ms", "audit.interval=0s")
UNBOUND = ("repair.bandwidth=0",)
USUAL = (8, 2)
READERS = 4
ASKERS = 8
LOOK_S = 2  # between two looks at all files: each look asks all of their hosts
LONG_S = 3600  # after which redundancy counts as never coming: a machine may have other work
AWAY_PART = 16  # of how many others one is away at any time
AWAY_S = (1.0, PATIENCE_S / 8)  # less than the quarter of patience after which somebody is urgently missed
TICK = os.sysconf("SC_CLK_TCK")


class Rows:
    """The report of a part: printed, and written as JSON into the folder that PG_CLUSTER_JSON names."""

    def __init__(self, part):
        self.part, self.rows = part, []
        print(f"\n== {part}: {NODES} nodes, {FILES} files, seed {SEED}", flush=True)

    def add(self, name, value, unit="", note=""):
        self.rows.append({"row": name, "value": round(value, 4), "unit": unit, "note": note})
        print(f"{name:<66} {value:>12.2f} {unit:<8} {note}", flush=True)

    def write(self):
        folder = os.environ.get("PG_CLUSTER_JSON")
        if folder:
            os.makedirs(folder, exist_ok=True)
            what = {"part": self.part, "nodes": NODES, "files": FILES, "seed": SEED, "patience_s": PATIENCE_S, "rows": self.rows}
            text = json.dumps(what, indent=1) + "\n"
            pathlib.Path(folder, f"{self.part}.json").write_text(text, encoding="utf-8")


class File:
    """A file that was acknowledged."""

    def __init__(self, link, content, code, hosts):
        self.link, self.content, self.code = link, content, code
        self.slots = {host["peer_id"]: host["slots"] for host in hosts}  # who got how many when it was put
        self.slot_bytes = sum(host["bytes"] for host in hosts) / sum(self.slots.values())
        self.holders = dict(self.slots)  # who had how many when somebody last asked

    def left(self, gone):
        """How many of its slots are with others than the peers that are gone, before anything is repaired."""
        return sum(slots for peer, slots in self.slots.items() if peer not in gone)

    def survives(self, gone):
        return self.left(gone) >= self.code[0]

    def bytes_with(self, peers):
        """What some peers had of it when somebody last asked."""
        return self.slot_bytes * sum(slots for peer, slots in self.holders.items() if peer in peers)


class Books:
    """What each node took, over its restarts."""

    def __init__(self):
        self.lock = threading.RLock()
        self.cpu, self.peak, self.pushed, self.repairs = {}, {}, {}, {}

    def close(self, node):
        """Keep the figures of a process; before it ends."""
        with self.lock:
            self.cpu[node] = self.cpu.get(node, 0) + cpu_s(node)
            self.peak[node] = max(self.peak.get(node, 0), peak_mib(node))
            told = node.get("GET /api/v1/repair")[1]
            self.pushed[node] = self.pushed.get(node, 0) + told["repaired_bytes"]
            self.repairs[node] = self.repairs.get(node, 0) + told["repairs"]

    def totals(self, nodes):
        """(CPU seconds, peaks in MiB, bytes pushed, repairs) of all nodes, of which those in `nodes` run."""
        now = Books()
        for mine, kept in ((now.cpu, self.cpu), (now.peak, self.peak), (now.pushed, self.pushed), (now.repairs, self.repairs)):
            mine.update(kept)
        for node in nodes:
            now.close(node)
        return list(now.cpu.values()), list(now.peak.values()), sum(now.pushed.values()), sum(now.repairs.values())


def cpu_s(node):
    fields = pathlib.Path(f"/proc/{node.process.pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def peak_mib(node):
    status = pathlib.Path(f"/proc/{node.process.pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


def wire_bytes(pids=("self",), name="lo"):
    """The bytes that an interface of the network namespaces of some processes has sent."""
    total = 0
    for pid in pids:
        for line in pathlib.Path(f"/proc/{pid}/net/dev").read_text(encoding="ascii").splitlines():
            device, _, counts = line.partition(":")
            total += int(counts.split()[8]) if device.strip() == name else 0
    return total


class Cycling:
    """Others that come and go: each in its turn is stopped for a while, or killed and started again."""

    def __init__(self, cluster, nodes, seed):
        self.cluster, self.is_over = cluster, threading.Event()
        self.frozen = self.killed = 0
        self.late = []  # who was away for longer than hosts wait when more are missing: what they had may be placed anew
        self.faults = []
        lanes = max(1, len(nodes) // AWAY_PART)
        self.threads = [
            threading.Thread(target=self.run, args=(nodes[lane::lanes], random.Random(f"{seed} {lane}")), daemon=True)
            for lane in range(lanes)
        ]
        for thread in self.threads:
            thread.start()

    def run(self, nodes, chosen):
        try:
            while not self.is_over.is_set():
                node, away = chosen.choice(nodes), chosen.uniform(*AWAY_S)
                if chosen.random() < 0.5:
                    self.freeze(node, away)
                else:
                    self.kill(node, away)
                self.is_over.wait(chosen.uniform(0, 1))
        except Exception as fault:  # told by end()
            self.faults.append(fault)

    def freeze(self, node, away):
        began = time.monotonic()
        node.process.send_signal(signal.SIGSTOP)
        self.is_over.wait(away)
        node.process.send_signal(signal.SIGCONT)
        self.frozen += 1
        self.note(node, began)

    def kill(self, node, away):
        self.cluster.books.close(node)
        began = time.monotonic()
        node.kill()
        self.is_over.wait(away)
        self.cluster.restart(node)
        self.killed += 1
        self.note(node, began)

    def note(self, node, began):
        if time.monotonic() - began > PATIENCE_S / 4:
            self.late.append(node)

    def end(self):
        """All are there again when this returns."""
        self.is_over.set()
        for thread in self.threads:
            thread.join()
        if self.faults:
            raise self.faults[0]


class Cluster(NodeTest):
    """A network in which `reader` keeps nothing and is always there."""

    meeting = 900  # fifty processes may share a core with other work

    def setUp(self):
        super().setUp()
        self.books, self.files, self.gone, self.cycling = Books(), [], set(), None
        self.chosen = random.Random(SEED)
        self.addCleanup(self.cycle_end)

    def found(self, *settings):
        self.mesh(NODES - 1, *SETTINGS, *settings)
        (self.reader,) = self.mesh(1, *SETTINGS, *settings, "storage.accept=nobody")
        self.hosts = self.nodes[:-1]

    def await_long(self, condition, what):
        return await_that(condition, what, LONG_S, LOOK_S)

    # Files

    def put_file(self, node, code=USUAL):
        number = len(self.files)
        content = self.content(self.chosen.randrange(*FILE_BYTES), number)
        put = node.put(self.write("file", content), "--code", f"{code[0]}+{code[1]}")
        self.assertEqual(put["state"], "complete")
        self.files.append(File(put["link"], content, code, put["hosts"]))
        return self.files[-1]

    def put_files(self, count, code=USUAL, nodes=None):
        nodes = nodes or self.hosts
        return [self.put_file(nodes[number % len(nodes)], code) for number in range(count)]

    def fetch_all(self, files=None, reader=None):
        """The exit codes of getting each file; one that comes is compared."""
        reader = reader or self.reader

        def fetch(file):
            done = run("get", file.link, "-o", "-", "--data", reader.folder, text=False, timeout=LONG_S)
            if done.returncode == 0:
                self.assertTrue(done.stdout == file.content, "a file came with other bytes")
            return done.returncode

        with concurrent.futures.ThreadPoolExecutor(READERS) as pool:
            return list(pool.map(fetch, self.files if files is None else files))

    def all_readable(self, files=None, reader=None):
        codes = self.fetch_all(files, reader)
        self.assertEqual([number for number, code in enumerate(codes) if code != 0], [], "lost")

    def refused_well(self, codes):
        self.assertEqual(set(codes) - {0, MISSING}, set(), "what cannot be read says that pieces are missing")

    def hasten(self):
        """From now on nobody is waited for longer than PATIENCE_S; before it the many rounds would only cost."""

        def tell(node):
            node.answer("config", "set", "repair.patience", f"{PATIENCE_S}s")
            node.answer("reload")

        with concurrent.futures.ThreadPoolExecutor(READERS) as pool:
            list(pool.map(tell, self.nodes))

    # Who is there

    def cycle(self, nodes):
        self.cycling = Cycling(self, nodes, SEED)

    def cycle_end(self):
        cycling, self.cycling = self.cycling, None
        if cycling is not None:
            cycling.end()
        return cycling

    def lose(self, nodes):
        """Kill nodes at the same moment, for good."""
        for node in nodes:
            self.books.close(node)
        for node in nodes:
            node.process.kill()
        for node in nodes:
            node.process.wait()
            self.gone.add(node.peer_id)
            self.nodes.remove(node)

    # Redundancy

    def look(self, file):
        """Ask who has what of a file; true when somebody who is not gone has each of its slots, whether he is away just now or not."""
        status, told = self.reader.post("/api/v1/repair/explain", json.dumps({"link": file.link}).encode())
        if status != 200 or not told["extents"]:
            return False
        holders, is_whole = {}, True
        for extent in told["extents"]:
            slots = set()
            for host in extent["hosts"]:
                if host["peer_id"] not in self.gone and host["slots"]:
                    slots |= set(host["slots"])
                    holders[host["peer_id"]] = len(host["slots"])
            is_whole &= len(slots) == extent["slots"]
        file.holders = holders
        return is_whole

    def looks(self, files):
        """Those of the files that miss something."""
        with concurrent.futures.ThreadPoolExecutor(ASKERS) as pool:
            return [file for file, is_whole in zip(files, pool.map(self.look, files)) if not is_whole]

    def await_whole(self, files, began=None):
        """Wait until each of the files is whole again; the seconds it took since `began`, or the call, for half of them and for all."""
        began = began or time.monotonic()
        count, left, half = len(files), list(files), 0.0

        def is_done():
            nonlocal left, half
            left = self.looks(left)
            half = half or (time.monotonic() - began if len(left) * 2 <= count else 0.0)
            return not left

        self.await_long(is_done, lambda: f"full redundancy of {len(left)} of {count} files")
        return half, time.monotonic() - began

    # The report

    def cpu(self):
        return sum(self.books.totals(self.nodes)[0])

    def rows_costs(self, rows, began, cpu_before):
        """What the nodes took: call it when all that live are there."""
        cpu, peaks, _, _ = self.books.totals(self.nodes)
        took = time.monotonic() - began
        rows.add("CPU seconds of all nodes, their start and the puts included", sum(cpu), "s", f"{sum(cpu) - cpu_before:.1f} of it since, in {took:.0f} s")
        rows.add("of a node, median", statistics.median(cpu), "s", f"most {max(cpu):.1f}")
        rows.add("memory of a node at its peak, median", statistics.median(peaks), "MiB", f"most {max(peaks):.0f}")
