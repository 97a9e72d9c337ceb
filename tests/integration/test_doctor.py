#!/usr/bin/env python3
"""pangea doctor as a person uses it: with and without a node, each kind of trouble with the fix that ends it, on one screen; and the
bundle, which is looked through for everything that must not leave the machine.

usage: test_doctor.py PANGEA
"""

import base64
import fcntl
import http.server
import json
import os
import re
import shutil
import socket
import socketserver
import struct
import subprocess
import sys
import tarfile
import termios
import threading
import unittest

from nodes import NOT_FOUND, PANGEA, USAGE, NodeTest, run

UNFIT = 38
SMALL = ("storage.quota=64MiB", "storage.cache=1MiB", "net.drain_timeout=100ms")


class Doctor(NodeTest):
    def examine(self, data, *options, code=0):
        """What it says: status and checks by name."""
        done = run("doctor", "--data", data, "--json", *options)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        told = json.loads(done.stdout)
        return told["status"], {check["name"]: check for check in told["checks"]}

    def fails_in(self, data, name, *words, options=()):
        """Exactly this check fails; returns it."""
        status, checks = self.examine(data, *options, code=UNFIT)
        self.assertEqual(status, "fail")
        self.assertEqual([check for check in checks.values() if check["status"] == "fail"], [checks[name]])
        for word in words:
            self.assertIn(word, checks[name]["found"])
        self.assertTrue(checks[name]["fix"])
        return checks[name]

    def made(self, *options):
        data = self.work / "data"
        self.assertEqual(run("init", "--data", data, *options).returncode, 0)
        (data / "pangea.conf").write_text("[net]\nlisten = /ip4/127.0.0.1/tcp/0\n")
        return data


class WithoutNode(Doctor):
    def test_nothing_there(self):
        self.fails(run("doctor", "--data", self.work / "none"), NOT_FOUND, "pangea init")
        self.fails(run("doctor", "--data", self.work, "--log", "x"), USAGE, "--bundle")

    def test_nothing_is_made_by_looking(self):
        data = self.made()
        before = sorted(path.name for path in data.iterdir())
        status, checks = self.examine(data)
        self.assertEqual((status, checks["node"]["status"]), ("warn", "warn"))
        self.assertEqual(checks["database"]["found"], "none yet")
        after = sorted(path.name for path in data.iterdir())
        self.assertEqual(before, after)

    def test_modes(self):
        data = self.made()
        (data / "identity").chmod(0o644)
        fix = self.fails_in(data, "secrets", "identity", "0644")["fix"]
        subprocess.run(fix, shell=True, check=True)  # what it says is what one types
        self.examine(data)
        data.chmod(0o777)
        subprocess.run(self.fails_in(data, "secrets", "the directory")["fix"], shell=True, check=True)
        self.examine(data)
        (data / "identity").unlink()
        _, checks = self.examine(data, code=UNFIT)
        self.assertEqual((checks["secrets"]["status"], checks["secrets"]["fix"]), ("fail", "pangea init"))

    def test_settings(self):
        data = self.made()
        (data / "pangea.conf").write_text("[net]\nlisten = nowhere\n")
        self.fails_in(data, "settings", "line 2")

    def test_ports(self):
        data = self.made()
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            (data / "pangea.conf").write_text(f"[net]\nlisten = /ip4/127.0.0.1/tcp/{port}\n")
            self.fails_in(data, "ports", f"TCP {port}", "python", f"process {os.getpid()}")
        _, checks = self.examine(data)
        self.assertIn(f"TCP {port}: free", checks["ports"]["found"])

    def test_passphrase(self):
        phrase = self.write("phrase", b"correct horse\n")
        data = self.made("--passphrase-file", phrase)
        _, checks = self.examine(data)
        self.assertEqual(checks["database"]["status"], "warn")
        self.assertIn("--passphrase-file", checks["database"]["fix"])
        _, checks = self.examine(data, "--passphrase-file", phrase)
        self.assertEqual(checks["database"]["status"], "ok")
        wrong = self.write("wrong", b"another\n")
        self.fails_in(data, "database", "passphrase", options=("--passphrase-file", wrong))

    def test_busy(self):
        data = self.made()
        with open(data / "lock", "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            _, checks = self.examine(data)
        self.assertEqual(checks["database"]["status"], "warn")
        self.assertIn("another node is running", checks["database"]["found"])

    def test_newer_database_and_damage(self):
        node = self.node("data", *SMALL)
        cids = [node.answer("block", "put", self.write("block", self.content(50_000, i)))["cid"] for i in range(4)]
        node.stop()
        shutil.rmtree(self.work / "copy", ignore_errors=True)
        _, checks = self.examine(node.folder, "--deep")
        self.assertIn("4 of 4", checks["blocks"]["found"])
        with open(node.packs()[0], "r+b") as pack:
            pack.seek(30_000)
            pack.write(b"damage")
        _, checks = self.examine(node.folder)  # headers alone do not show it
        self.assertEqual(checks["blocks"]["status"], "ok")
        self.fails_in(node.folder, "blocks", "1 of 4", cids[0], options=("--deep",))
        self.fails_in(node.folder, "blocks", "1 of 4", options=("--deep",))  # it was only looked at
        node.start()
        self.fails_in(node.folder, "blocks", "1 of 4", cids[0], options=("--deep",))
        node.stop()
        database = node.folder / "pangea.db"
        with open(database, "r+b") as file:
            file.seek(3 * 4096 + 100)
            file.write(b"damage")
        _, checks = self.examine(node.folder, "--deep", code=UNFIT)
        self.assertEqual(checks["database"]["status"], "fail")


class WithNode(Doctor):
    def test_one_screen(self):
        node = self.node("data", *SMALL)
        whole = self.on_terminal(node, 24)
        self.assertIn(f"runs as process {node.process.pid}", whole)
        small = self.on_terminal(node, 12)  # what is well is only counted
        self.assertIn("warn", small)
        self.assertNotIn("runs as process", small)

    def on_terminal(self, node, rows):
        ours, terminal = os.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, 80, 0, 0))
        env = {**os.environ, "TERM": "xterm"}
        env.pop("NO_COLOR", None)
        done = subprocess.Popen([PANGEA, "doctor", "--data", node.folder], stdout=terminal, stderr=terminal, env=env)
        os.close(terminal)
        text = b""
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:  # nobody writes any more
                break
            if not piece:
                break
            text += piece
        os.close(ours)
        self.assertEqual(done.wait(timeout=60), 0, text)
        self.assertIn(b"\x1b[", text)  # colours
        lines = re.sub(r"\x1b\[[0-9;]*m", "", text.decode()).splitlines()
        self.assertLess(len(lines), rows, text)
        self.assertLess(max(map(len, lines[1:])), 81, text)
        self.assertIn("to mend", lines[-1])
        return "\n".join(lines)

    def test_peers_and_clock(self):
        nodes = self.mesh(5, *SMALL)
        owner = nodes[-1]  # it dialed all others
        self.assertIn("put", owner.put(self.write("file", self.content(200_000)))["state"] + "put")
        _, checks = self.examine(owner.folder)
        for name in ("clock", "peers", "dht", "ports", "files", "database", "blocks"):
            self.assertEqual(checks[name]["status"], "ok", checks[name])
        self.assertRegex(checks["clock"]["found"], "within [01] s of the median of [34] hosts")
        self.assertEqual(checks["reachable"]["status"], "warn")
        self.assertIn("4 connected", checks["peers"]["found"])
        self.assertIn(f"TCP {owner.port}", checks["ports"]["found"])
        _, checks = self.examine(nodes[0].folder)
        self.assertEqual(checks["reachable"]["status"], "ok")

    def test_bundle_tells_no_secrets(self):
        self.bundle_tells_no_secrets("text")

    def test_bundle_tells_no_secrets_of_a_log_in_json(self):
        self.bundle_tells_no_secrets("json")

    def bundle_tells_no_secrets(self, log_format):
        key = os.urandom(32)
        swarm = f"/key/swarm/psk/1.0.0/\n/base16/\n{key.hex()}\n"
        nodes = []
        for name in ("friend", "data"):
            folder = self.work / name
            folder.mkdir()
            (folder / "swarm.key").write_text(swarm)
            (folder / "swarm.key").chmod(0o600)
            peers = "".join(f"peers = {node.addr}\n" for node in nodes)
            (folder / "pangea.conf").write_text(f"[net]\nswarm_key = swarm.key\n{peers}[api]\nlisten = 127.0.0.1:0\n")
            nodes.append(self.node(name, *SMALL, "log.level=debug", f"log.format={log_format}"))
        friend, node = nodes
        self.meet()
        file = self.work / "diary of anna.txt"
        file.write_bytes(self.content(100_000))
        put = node.put(file)
        mistyped = put["link"][:-1] + ("y" if put["link"].endswith("x") else "x")
        for peer in nodes:
            self.fails(run("get", mistyped, "--data", peer.folder, "-o", "-"), 21)
        bundle = self.work / "support.tar.gz"
        with open(node.log_file, "a", encoding="utf-8") as log:  # what a later program may log, and what is none of ours
            log.write('{"level":"warn","event":"x","path":"/home/anna/diary","more":{"peer":["12D3KooWabc"]}}\n')
            log.write("12:00 warn x.y path=/home/anna/diary\n/home/anna/diary 127.0.0.1:1 x\n{broken diary\n")
        for running in (True, False):
            if not running:
                node.stop()
            self.assertIn(run("doctor", "--data", node.folder, "--bundle", bundle, "--log", node.log_file).returncode, (0, UNFIT))
            self.look_through(bundle, node, friend, key, put, running)
            self.fails(run("doctor", "--data", node.folder, "--bundle", bundle), 15, "support.tar.gz")
            bundle.unlink()

    def look_through(self, bundle, node, friend, key, put, running):
        with tarfile.open(bundle) as archive:
            texts = {member.name: archive.extractfile(member).read() for member in archive}
        self.assertEqual(
            set(texts),
            {f"pangea-support/{name}" for name in ("version.txt", "doctor.json", "node.json", "settings.txt", "log.txt")},
        )
        whole = b"\n".join(texts.values()) + bundle.read_bytes()
        self.assertIn(b"swarm_key = (set)", whole)
        self.assertIn(b"node.ready", whole)  # the log is of use
        self.assertIn(b"schema of the database", whole)
        if running:
            self.assertIn(b'"files": 1', whole)  # and so are the numbers
        identity = (node.folder / "identity").read_bytes()
        secret = json.loads(run("id", "--data", node.folder, "--secret", "--json").stdout)["secret"]
        seeds = [identity[18 + 32 * i : 50 + 32 * i] for i in range(3)]
        link_root, link_key = put["link"].removeprefix("pangea:").split("#")
        words = [*seeds, key, secret, secret.replace("-", ""), link_root, link_key, put["root"], "diary", "anna"]
        words += [(node.folder / "api.token").read_text().strip(), str(self.work), "swarm.key"]
        for each in (node, friend):
            person = json.loads(run("id", "--data", each.folder, "--json").stdout)
            words += [person["peer_id"], person["person_id"], each.addr, each.ready["api"], f"tcp/{each.port}"]
        words += ["127.0.0.1", "/ip4/", "12D3KooW", "pangea:b"]
        for word in words:
            raw = word if isinstance(word, bytes) else word.encode()
            self.assertGreater(len(raw), 3)
            forms = [raw]
            if isinstance(word, bytes):
                forms += [raw.hex().encode(), base64.b64encode(raw).rstrip(b"="), base64.urlsafe_b64encode(raw).rstrip(b"=")]
            for form in forms:
                self.assertNotIn(form, whole, word)
        self.assertEqual(re.findall(rb"\b\d+\.\d+\.\d+\.\d+\b", b"\n".join(texts.values())), [])


class Judgements(Doctor):
    """What it makes of facts that no test can bring about, told by something that answers as a node."""

    def setUp(self):
        super().setUp()
        self.data = self.made()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.listener.close)
        port = self.listener.getsockname()[1]
        size = 64 << 20
        self.answers = {
            "/api/v1/node": {"version": self.ours(), "uptime_ms": 1000, "addrs": [f"/ip4/127.0.0.1/tcp/{port}/p2p/12D3KooW"]},
            "/api/v1/peers": {"peers": [{"direction": "inbound", "observed_addr": None}]},
            "/api/v1/stat": {
                "peers": 1,
                "store": {"quota_bytes": size, "has_failed": False},
                "files": {"files": 1, "files_pending": 0},
                "catalogue": {"state": "published"},
                "finding": {"bootstrap_peers": 0, "bootstrap_good": 0, "remembered": 0},
            },
            "/api/v1/dht": {"dhts": [{"realm": "local", "peers": 1, "server": True}]},
            "/api/v1/doctor": {
                "clock": {"is_kept": True, "hosts": 5, "hosts_ahead_s": 0, "quiet_s": 0},
                "process": {"pid": os.getpid(), "open_files": 10, "open_files_max": 4096, "memory_bytes": size},
                "store": {"blocks": 9, "checked": 9, "damaged": 0, "ledger_bytes": 4096, "disk_bytes": 4096, "first_damaged": None},
                "database": {"version": 1, "checked": True, "fault": None},
            },
        }
        answers = self.answers

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = json.dumps(answers[self.path]).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

            def address_string(self):
                return "x"

        server = socketserver.ThreadingUnixStreamServer(str(self.data / "api.sock"), Handler)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        threading.Thread(target=server.serve_forever, daemon=True).start()

    def ours(self):
        return json.loads(run("version", "--json").stdout)["version"]

    def judged(self, name, status, *words):
        code = UNFIT if status == "fail" else 0
        _, checks = self.examine(self.data, code=code)
        self.assertEqual(checks[name]["status"], status, checks[name])
        for word in words:
            self.assertIn(word, checks[name]["found"])

    def test_clock(self):
        clock = self.answers["/api/v1/doctor"]["clock"]
        self.judged("clock", "ok", "within 0 s of the median of 5 hosts")
        clock["hosts_ahead_s"] = 7200
        self.judged("clock", "fail", "2 h behind the median of 5 hosts")
        clock["hosts_ahead_s"] = -90
        self.judged("clock", "warn", "ahead of the median")
        clock["hosts"] = 2  # who could both lie
        self.judged("clock", "ok", "something keeps it right")
        clock["quiet_s"] = 3600
        self.judged("clock", "warn", "it stepped")

    def test_reach(self):
        peers = self.answers["/api/v1/peers"]["peers"]
        self.judged("reachable", "ok", "by this machine only; 1 of 1")  # as status says
        peers[0] = {"direction": "outbound", "observed_addr": "/ip4/203.0.113.7/tcp/52110"}
        self.judged("reachable", "warn", "other machines cannot reach this node")
        addrs = self.answers["/api/v1/node"]["addrs"]
        addrs.append(f"/ip4/8.8.4.4/tcp/{addrs[0].split('/')[4]}")
        self.judged("reachable", "warn", "behind a router; peers see /ip4/203.0.113.7/tcp/52110")
        peers[0]["observed_addr"] = "/ip4/8.8.4.4/tcp/5"
        self.judged("reachable", "warn", "nobody of 1 peers")
        peers[0]["direction"] = "inbound"
        self.judged("reachable", "ok", "1 of 1 connections")
        self.answers["/api/v1/stat"]["peers"] = 0
        self.judged("peers", "warn", "0 connected")
        self.answers["/api/v1/stat"]["finding"] = {"bootstrap_peers": 2, "bootstrap_good": 0, "remembered": 0}
        self.judged("peers", "fail", "0 of 2")

    def test_store_and_process(self):
        facts, stat = self.answers["/api/v1/doctor"], self.answers["/api/v1/stat"]
        facts["process"]["open_files"] = 3500
        self.judged("open files", "fail", "3500 of 4096")
        facts["process"].update(open_files=10, open_files_max=256)
        self.judged("open files", "warn")
        facts["store"]["disk_bytes"] = 1 << 30
        self.judged("blocks", "warn", "more than is counted")
        facts["store"].update(damaged=2, first_damaged="bafkr4iabc")
        self.judged("blocks", "fail", "2 of 9 are damaged", "bafkr4iabc")
        facts["store"]["damaged"] = 0
        stat["store"]["has_failed"] = True
        self.judged("blocks", "fail", "failed to make a block durable")
        stat["store"].update(has_failed=False, quota_bytes=1 << 60)
        self.judged("quota", "warn", "more than the disk has")
        facts["database"]["version"] = 9000
        self.judged("database", "fail", "of a newer program")

    def test_another_version_runs(self):
        self.answers["/api/v1/node"]["version"] = "0.1.0"
        self.judged("version", "warn", "while the node runs 0.1.0")
        self.listener.close()
        self.judged("ports", "fail", "nobody listens on TCP")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[2:], verbosity=1)
