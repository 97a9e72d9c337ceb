#!/usr/bin/env python3
"""A node that somebody keeps running: its settings, its log, and what it tells those who watch over it.

usage: test_service.py PANGEA
"""

import json
import os
import pathlib
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
import unittest
import urllib.error
import urllib.request

from api_client import Unix
from collector import Collector
from nodes import NO_NODE, NOT_FOUND, PANGEA, USAGE, NodeTest, run
from supervisor import Supervisor


class Settings(NodeTest):
    """pangea config, without a node."""

    def setUp(self):
        super().setUp()
        self.data = self.work / "data"
        self.data.mkdir()
        self.file = self.data / "pangea.conf"

    def config(self, *words):
        return run("config", *words, "--data", self.data)

    def done(self, *words):
        result = self.config(*words)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result

    def test_get(self):
        self.assertEqual(self.done("get", "storage.quota").stdout, "10GiB\n")
        self.file.write_text("[net]\npeers =\nlisten = /ip4/127.0.0.1/tcp/1\nlisten = /ip4/127.0.0.1/tcp/2\n")
        self.assertEqual(self.done("get", "net.listen").stdout, "/ip4/127.0.0.1/tcp/1\n/ip4/127.0.0.1/tcp/2\n")
        settings = {each["key"]: each for each in json.loads(self.done("get", "--json").stdout)["settings"]}
        self.assertEqual(settings["net.listen"]["value"], ["/ip4/127.0.0.1/tcp/1", "/ip4/127.0.0.1/tcp/2"])
        self.assertEqual((settings["net.listen"]["source"], settings["net.listen"]["takes_effect"]), ("file", "restart"))
        self.assertEqual((settings["net.peers"]["value"], settings["net.peers"]["source"]), ([], "file"))
        self.assertEqual((settings["log.level"]["value"], settings["log.level"]["source"]), ("info", "default"))
        self.assertEqual(settings["log.level"]["takes_effect"], "reload")
        plain = self.done("get").stdout.splitlines()
        self.assertIn("net.listen = /ip4/127.0.0.1/tcp/2", plain)
        self.assertIn("log.level = info  (default)", plain)
        self.assertEqual(json.loads(self.done("get", "log.level", "--json").stdout), settings["log.level"])
        self.fails(self.config("get", "log.levle"), USAGE, "did you mean 'log.level'?")
        self.fails(run("config", "get", "--config", self.work / "none"), NOT_FOUND)

    def test_set_and_unset_touch_their_line_only(self):
        self.file.write_text("# mine\n[log]\nlevel = info ; for now\n\n[net]\nmdns = false\n")
        self.file.chmod(0o640)
        told = self.done("set", "log.level", "debug")
        self.assertIn("rereads", told.stderr)
        self.assertEqual(self.file.read_text(), "# mine\n[log]\nlevel = debug ; for now\n\n[net]\nmdns = false\n")
        self.assertEqual(stat.S_IMODE(self.file.stat().st_mode), 0o640)
        told = json.loads(self.done("set", "net.echo", "true", "--json").stdout)
        self.assertEqual((told["key"], told["changed"], told["takes_effect"]), ("net.echo", True, "restart"))
        self.assertFalse(json.loads(self.done("set", "net.echo", "true", "--json").stdout)["changed"])
        self.done("set", "net.listen", "/ip4/127.0.0.1/tcp/0", "/ip6/::1/tcp/0")
        self.done("unset", "net.echo")
        self.assertEqual(
            self.file.read_text(),
            "# mine\n[log]\nlevel = debug ; for now\n\n[net]\nmdns = false\n"
            "listen = /ip4/127.0.0.1/tcp/0\nlisten = /ip6/::1/tcp/0\n",
        )
        self.assertFalse(json.loads(self.done("unset", "net.echo", "--json").stdout)["changed"])
        self.assertEqual([path.name for path in self.data.iterdir()], ["pangea.conf"])

    def test_what_does_not_fit_changes_nothing(self):
        text = "[log]\nlevel = info\n"
        self.file.write_text(text)
        self.fails(self.config("set", "log.level", "loud"), USAGE, "not one of")
        self.fails(self.config("set", "log.levle", "info"), USAGE, "did you mean 'log.level'?")
        self.fails(self.config("set", "log.level"), USAGE, "VALUE")
        self.fails(self.config("set", "log.level", "info", "warn"), USAGE, "one value")
        self.fails(self.config("set", "net.swarm_key", "a\n[net]\necho = true"), USAGE, "control character")
        self.assertEqual(self.file.read_text(), text)
        self.file.write_text(text + "colour = red\n")
        self.fails(self.config("set", "log.level", "warn"), USAGE, "line 3", "log.colour")
        self.assertEqual(self.file.read_text(), text + "colour = red\n")
        self.fails(run("config", "set", "log.level", "warn", "--data", self.work / "none"), NOT_FOUND, "pangea.conf")

    def test_check(self):
        self.assertIn("no mistakes", self.done("check").stderr)
        other = self.work / "other.conf"
        other.write_text("[net]\nlissten = x\n\n[limits]\nstreams = 1\n")
        result = self.config("check", other)
        self.fails(result, USAGE, "2 mistakes")
        lines = result.stdout.splitlines()
        self.assertEqual(lines[0], f"{other}: line 2: unknown key 'net.lissten', did you mean 'net.listen'?")
        self.assertIn("line 5: limits.streams: '1' is not a number from 64", lines[1])
        result = self.config("check", other, "--json")
        self.assertEqual(result.returncode, USAGE)
        self.assertEqual([mistake["line"] for mistake in json.loads(result.stdout)["mistakes"]], [2, 5])
        self.fails(self.config("check", self.work / "none"), NOT_FOUND)


class Reload(NodeTest):
    def test_reload_tells_what_changed(self):
        a = self.node("a")
        self.assertEqual(a.answer("reload"), {"changed": [], "needs_restart": []})
        self.assertIn("nothing changed", run("reload", "--data", a.folder).stderr)
        for key, value in (("log.format", "json"), ("storage.quota", "1GiB"), ("net.echo", "true"), ("dht.enabled", "false")):
            a.answer("config", "set", key, value)
        told = a.answer("reload")
        self.assertEqual(told, {"changed": ["log.format", "storage.quota"], "needs_restart": ["dht.enabled", "net.echo"]})
        self.assertEqual(a.stat()["store"]["quota_bytes"], 1 << 30)
        last = json.loads(a.log().splitlines()[-1])
        self.assertEqual((last["event"], last["changed"], last["needs_restart"]), ("node.config.reread", 2, "dht.enabled,net.echo"))
        again = run("reload", "--data", a.folder)
        self.assertEqual(again.stdout, "dht.enabled wants a restart\nnet.echo wants a restart\n")
        self.fails(run("reload", "--data", self.work / "none"), NO_NODE)

    def test_a_mistake_changes_nothing_and_says_why(self):
        a = self.node("a")
        conf = a.folder / "pangea.conf"
        conf.write_text("[log]\nformat = json\nfile = x.log\n[storage]\nquota = 1GiB\ncache = much\n")
        self.fails(a.command("reload"), USAGE, "pangea.conf: line 6: storage.cache")
        conf.write_text("[log]\nformat = json\nfile = no/such/folder.log\n[storage]\nquota = 1GiB\n")
        self.fails(a.command("reload"), NOT_FOUND, "log.file", "no/such/folder.log")
        self.assertNotIn("{", a.log())
        self.assertNotEqual(a.stat()["store"]["quota_bytes"], 1 << 30)
        self.assertEqual(a.log().count("node.config.refused"), 2)
        self.assertEqual([path.name for path in a.folder.glob("*.log*")], [])

    def test_many_at_once(self):
        a = self.node("a")
        conf = a.folder / "pangea.conf"
        commands = []
        for i in range(8):
            conf.write_text(f"[limits]\nstreams = {100 + i}\n")
            commands.append(a.begin("reload"))
            a.process.send_signal(signal.SIGHUP)
        for command in commands:
            out, err = command.communicate(timeout=60)
            self.assertEqual(command.returncode, 0, out + err)
        self.assertNotIn("node.config.refused", a.log())
        self.assertEqual(a.answer("reload")["changed"], [])


class Log(NodeTest):
    def test_level_changes_while_it_runs(self):
        a, b = self.node("a"), self.node("b")
        self.assertEqual(a.answer("log", "level"), {"level": "info"})
        b.answer("dial", a.addr)
        self.assertNotIn("net.conn.opened", a.log())
        self.assertEqual(run("log", "level", "debug", "--data", a.folder).stdout, "debug\n")
        b.answer("dial", a.addr, "--fresh")
        self.wait_for(lambda: "net.conn.opened" in a.log(), "lines of the level debug")
        self.assertEqual(a.answer("log", "level"), {"level": "debug"})
        a.answer("reload")  # what the settings say
        self.assertEqual(a.answer("log", "level"), {"level": "info"})
        self.fails(a.command("log", "level", "loud"), USAGE, "trace")
        self.fails(run("log", "level", "--data", self.work / "none"), NO_NODE)

    def test_no_addresses_and_no_peers_in_any_line(self):
        a, b = self.node("a", "log.level=trace"), self.node("b", "log.level=trace", "log.format=json")
        b.answer("dial", a.addr)
        nobody = "12D3KooWRBhwfeP2Y4TCx1SM6s9rUoHhR5STiGwxBhgFRcw3UERE"
        gone = "/dns4/home.example.invalid/tcp/4417"
        for target in ("/ip4/127.0.0.1/tcp/1", "/ip6/::1/tcp/1", gone, f"/ip4/127.0.0.1/tcp/1/p2p/{nobody}"):
            self.assertNotEqual(b.command("dial", target).returncode, 0)
        (a.folder / "pangea.conf").write_text("[net]\nannounce = /ip4/192.0.2.77/none/1\n")
        self.assertEqual(a.command("reload").returncode, USAGE)
        a.stop()
        self.wait_for(lambda: "net.conn.ended" in b.log(), "b sees that a is gone")
        self.assertIn("node.config.refused", a.log())
        for node in (a, b):
            for secret in ("127.0.0.1", "::1", "home.example", "192.0.2.77", nobody, a.peer_id, b.peer_id):
                self.assertNotIn(secret, node.log())

    def lines(self, a, name="node.log", count=5):
        """All lines of a log in files, oldest first."""
        files = [a.folder / f"{name}.{i}" for i in range(count, 0, -1)] + [a.folder / name]
        return [json.loads(line) for file in files if file.exists() for line in file.read_text().splitlines()]

    def test_file(self):
        settings = ("log.file=node.log", "log.file_bytes=4KiB", "log.file_count=3", "log.format=json", "log.level=debug")
        a = self.node("a", *settings)
        file = a.folder / "node.log"
        self.assertEqual(stat.S_IMODE(file.stat().st_mode), 0o600)
        self.wait_for(lambda: a.get("GET /livez")[0] == 200 and (a.folder / "node.log.2").exists(), "two turns of the log")
        a.stop()
        self.assertNotIn("node.ready", a.log())
        files = sorted(path.name for path in a.folder.glob("node.log*"))
        self.assertEqual(files, ["node.log", "node.log.1", "node.log.2"])
        self.assertTrue(all((a.folder / name).stat().st_size <= 4096 for name in files))
        lines = self.lines(a)
        self.assertIn("node.stopping", [line["event"] for line in lines])
        self.assertEqual([line["time_ms"] for line in lines], sorted(line["time_ms"] for line in lines))

    def test_file_that_was_moved_away(self):
        a = self.node("a", "log.format=json", "log.file=node.log")
        (a.folder / "node.log").rename(a.folder / "away.log")
        a.answer("reload")
        self.assertEqual([line["event"] for line in self.lines(a)], ["node.config.reread"])
        self.assertEqual(self.lines(a, "away.log")[-1]["event"], "node.ready")

    def test_file_that_cannot_be(self):
        a = self.node("a")
        a.stop()
        self.fails(run("run", "--data", a.folder, "--set", "log.file=no/such.log"), NOT_FOUND, "log.file", "no/such.log")


class Supervised(NodeTest):
    """By somebody who listens as systemd does."""

    def supervisor(self, address, **more):
        one = Supervisor(address, **more)
        self.addCleanup(one.close)
        return one

    def test_ready_reloading_stopping(self):
        one = self.supervisor(str(self.work / "notify.sock"))
        a = self.node("a", env=one.env)
        self.assertRegex(one.until("READY")["STATUS"], r"^0 peers, 0 files put, 0 MiB of blocks$")
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        a.process.send_signal(signal.SIGHUP)
        message = one.until("RELOADING")
        self.assertEqual(message["RELOADING"], "1")
        self.assertTrue(before <= int(message["MONOTONIC_USEC"]) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000)
        self.assertEqual(one.until("READY")["READY"], "1")
        (a.folder / "pangea.conf").write_text("nonsense\n")
        self.assertEqual(a.command("reload").returncode, USAGE)
        one.until("RELOADING")
        one.until("READY")  # as before
        a.tell_to_end()
        self.assertEqual(one.until("STOPPING")["STATUS"], "stopping")
        self.assertEqual(a.stop(), 0)
        self.assertFalse(any("WATCHDOG" in message for message in one.heard))

    def test_watchdog_hears_of_a_loop_that_turns(self):
        one = self.supervisor(f"@pangea-test-{self.work.name}", WATCHDOG_USEC="400000")
        a = self.node("a", env=one.env)
        one.until("READY")
        for _ in range(3):
            self.assertIn("peers", one.until("WATCHDOG")["STATUS"])
        a.process.send_signal(signal.SIGSTOP)  # a process that hangs
        one.socket.settimeout(1)
        with self.assertRaises(TimeoutError):
            while True:
                one.next()
        one.socket.settimeout(60)
        a.process.send_signal(signal.SIGCONT)
        one.until("WATCHDOG")
        a.stop()

    def test_watchdog_of_another_process(self):
        one = self.supervisor(str(self.work / "notify.sock"), WATCHDOG_USEC="2000", WATCHDOG_PID="1")
        a = self.node("a", env=one.env)
        one.until("READY")
        a.answer("reload")
        a.stop()
        one.until("STOPPING")
        self.assertFalse(any("WATCHDOG" in message for message in one.heard))

    @unittest.skipUnless(shutil.which("strace") and shutil.which("systemd-analyze"), "no strace, or no systemd-analyze")
    def test_calls_are_those_that_the_unit_allows(self):
        """What the node asks of the kernel while it serves, puts and gets, against the filter of the unit."""
        unit = pathlib.Path(PANGEA).parent / "deploy/pangea.service"
        filters = re.findall(r"^SystemCallFilter=(~?)(.*)$", unit.read_text(encoding="utf-8"), re.M)
        allowed = set()
        for removes, names in filters:
            calls = {call for name in names.split() for call in self.calls_of(name)}
            allowed = allowed - calls if removes else allowed | calls
        told = self.work / "calls"
        env = dict(os.environ, ASAN_OPTIONS="detect_leaks=0")  # which cannot be looked for under ptrace
        a = self.node("a", "log.file=node.log", prefix=("strace", "-D", "-f", "-c", "-o", told), env=env)
        b = self.node("b")
        b.answer("dial", a.addr)
        a.answer("dial", b.addr, "--fresh")
        file = a.put(self.write("file", self.content(20 << 20)))
        self.assertSame(a.fetch(file["link"]), self.content(20 << 20))
        a.answer("stat")
        a.answer("reload")
        a.stop()
        self.wait_for(lambda: told.exists() and "total" in told.read_text(), "the list of calls")
        made = {line.split()[-1] for line in told.read_text().splitlines()[2:] if line and line[0] != "-"} - {"total"}
        self.assertTrue({"sendto", "recvfrom", "fdatasync"} & made, made)
        # These are made before the filter counts, or have another name in the list.
        self.assertEqual(made - allowed - {"execve", "restart_syscall"}, set())

    def calls_of(self, name):
        """Names of calls that a name of a filter stands for."""
        if not name.startswith("@"):
            return {name}
        words = ["systemd-analyze", "syscall-filter", "--no-pager", name]
        text = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout
        lines = [line.strip() for line in text.splitlines()[1:]]
        return {call for line in lines if line and line[0] != "#" for call in self.calls_of(line)}

    def test_nobody_listens(self):
        for address in (str(self.work / "none"), "nonsense", "@" + "x" * 200):
            one = {"NOTIFY_SOCKET": address, "PATH": "/usr/bin:/bin"}
            a = self.node("a", env=one)
            a.answer("reload")
            self.assertEqual(a.stop(), 0)
            self.assertIn("node.supervisor.deaf", a.log())


class Metrics(NodeTest):
    NAME = r"[a-z][a-z0-9_]*"
    SAMPLE = re.compile(rf'^({NAME})(?:{{({NAME}="[^"\\]*"(?:,{NAME}="[^"\\]*")*)}})? (\d+(?:\.\d+)?)$')

    def read(self, text):
        """Samples by name and label. Every family has its help and type in front, once, and its samples behind it."""
        samples, types, family = {}, {}, None
        lines = text.splitlines()
        for i, line in enumerate(lines):
            if line.startswith("# HELP "):
                family, _, words = line.removeprefix("# HELP ").partition(" ")
                self.assertTrue(words.endswith(".") and family not in types, line)
                self.assertRegex(lines[i + 1], rf"^# TYPE {family} (counter|gauge)$")
                types[family] = lines[i + 1].split()[-1]
                self.assertEqual(family.endswith("_total"), types[family] == "counter", family)
            elif not line.startswith("# TYPE "):
                name, label, value = self.SAMPLE.match(line).groups()
                self.assertEqual(name, family, line)
                self.assertNotIn((name, label), samples)
                samples[name, label] = float(value)
        return samples

    def test_figures(self):
        a, b = self.mesh(2, "dht.allow_private=true")
        file = a.put(self.write("file", self.content(3 << 20)))
        self.assertSame(b.fetch(file["link"]), self.content(3 << 20))
        text = run("metrics", "--data", a.folder).stdout
        samples = self.read(text)
        self.assertEqual(json.loads(run("metrics", "--data", a.folder, "--json").stdout).keys(), {"text"})
        stat = a.stat()
        for field in ("blocks", "used_bytes", "quota_bytes"):
            self.assertEqual(samples[f"pangea_store_{field}", None], stat["store"][field])
        self.assertEqual(samples["pangea_files_puts_total", None], 1)
        self.assertEqual(samples["pangea_files_put_bytes_total", None], 3 << 20)
        self.assertEqual(samples["pangea_host_peers", None], 1)
        self.assertEqual(samples["pangea_store_was_rebuilt", None], 0)
        self.assertIn(("pangea_audit_slots_total", 'result="fault"'), samples)
        self.assertGreater(samples["pangea_api_requests_total", 'status="2xx"'], 1)
        self.assertEqual(samples["pangea_api_requests", None], 1)
        self.assertGreaterEqual(samples["pangea_dht_peers", 'realm="local"'], 0)
        self.assertGreater(samples["pangea_log_lines_total", 'level="info"'], 0)
        self.assertEqual(samples["pangea_runtime_fibers", 'kind="runtime.first"'], 1)
        self.assertTrue(0 < samples["process_cpu_seconds_total", None] < 600)
        self.assertAlmostEqual(samples["process_start_time_seconds", None], time.time(), delta=300)
        self.assertAlmostEqual(samples["process_resident_memory_bytes", None] / 1024, a.memory_kib(), delta=65536)
        for secret in (a.peer_id, b.peer_id, "127.0.0.1", file["root"], str(self.work)):
            self.assertNotIn(secret, text)
        self.fails(run("metrics", "--data", self.work / "none"), NO_NODE)

    @unittest.skipUnless(shutil.which("promtool"), "no promtool (Debian: prometheus)")
    def test_promtool_finds_no_fault(self):
        a = self.node("a")
        text = run("metrics", "--data", a.folder).stdout
        told = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False, timeout=60)
        self.assertEqual((told.returncode, told.stdout + told.stderr), (0, ""))

    def scrape(self, node, token=None):
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        request = urllib.request.Request(f"http://{node.ready['api_listen']}/metrics", headers=headers)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=30) as answer:
            return answer.headers["Content-Type"], answer.read().decode()

    def test_door(self):
        a = self.node("a", "api.listen=127.0.0.1:0")
        with self.assertRaises(urllib.error.HTTPError) as caught:
            self.scrape(a)
        self.assertEqual(caught.exception.code, 401)
        caught.exception.close()
        kind, text = self.scrape(a, (a.folder / "api.token").read_text().strip())
        self.assertEqual(kind, "text/plain; version=0.0.4; charset=utf-8")
        samples = self.read(text)
        self.assertEqual(samples["pangea_api_refused_total", None], 1)
        self.assertEqual(samples["pangea_api_requests_total", 'status="4xx"'], 1)

    @unittest.skipUnless(shutil.which("prometheus"), "no prometheus")
    def test_prometheus_scrapes_it(self):
        """With the configuration that the guide shows."""
        a = self.node("a", "api.listen=127.0.0.1:0")
        guide = pathlib.Path(__file__).parents[2] / "docs/guide/node.md"
        shown = re.search(r"```yaml\n(scrape_configs:.*?)```", guide.read_text(encoding="utf-8"), re.S).group(1)
        shown = shown.replace("127.0.0.1:4480", a.ready["api_listen"]).replace("/etc/prometheus/pangea.token", str(a.folder / "api.token"))
        config = self.write("prometheus.yml", ("global: {scrape_interval: 1s}\n" + shown).encode())
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        words = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={self.work}/tsdb", f"--web.listen-address=127.0.0.1:{port}"]
        log = open(self.work / "prometheus.log", "wb")
        self.addCleanup(log.close)
        process = subprocess.Popen(words, stdout=log, stderr=log)
        self.addCleanup(process.wait, 60)
        self.addCleanup(process.terminate)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

        def value():
            try:
                with opener.open(f"http://127.0.0.1:{port}/api/v1/query?query=pangea_store_quota_bytes", timeout=30) as answer:
                    found = json.loads(answer.read())["data"]["result"]
            except (urllib.error.URLError, ConnectionError):
                return None  # it is not up yet
            return found and float(found[0]["value"][1])

        got = self.wait_for(value, lambda: f"a scrape: {(self.work / 'prometheus.log').read_text()[-2000:]}")
        self.assertEqual(got, a.stat()["store"]["quota_bytes"])


class Traces(NodeTest):
    PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

    def setUp(self):
        super().setUp()
        self.collector = Collector()
        self.addCleanup(self.collector.close)

    def ask(self, node, path, *fields, method="GET", body=b""):
        """A request with header fields; returns its status."""
        with socket.socket(socket.AF_UNIX) as door:
            door.settimeout(60)
            door.connect(node.api)
            lines = [f"{method} {path} HTTP/1.1", "Host: x", "Connection: close", f"Content-Length: {len(body)}", *fields, "", ""]
            door.sendall("\r\n".join(lines).encode() + body)
            data = b""
            while piece := door.recv(65536):
                data += piece
        return int(data.split()[1])

    def test_spans_of_a_put_and_a_get(self):
        a, b = self.mesh(2, "dht.allow_private=true", f"trace.endpoint={self.collector.endpoint}")
        content = self.content(3 << 20)
        file = a.put(self.write("secret-name", content))
        self.assertSame(b.fetch(file["link"]), content)
        a.answer("dht", "find-peer", b.peer_id)
        for node in (a, b):
            node.stop()  # what is left is sent
        spans = self.collector.spans
        self.assertEqual(self.collector.faults, [])
        self.assertEqual({each["service.name"] for each in self.collector.resources}, {"pangea"})
        by_id = {span["spanId"]: span for span in spans}
        self.assertEqual(len(by_id), len(spans))
        for name, route in (("files.put", "/api/v1/files"), ("files.get", "/api/v1/files/get")):
            (span,) = self.collector.find(name)
            self.assertEqual((span["kind"], span["status"], span["attributes"]), (1, {}, {"pangea.bytes": 3 << 20}))
            parent = by_id[span["parentSpanId"]]
            self.assertEqual((parent["name"], parent["kind"], parent["traceId"]), ("api.request", 2, span["traceId"]))
            wanted = {"http.request.method": "POST", "http.route": route, "http.response.status_code": 200}
            self.assertEqual(parent["attributes"], wanted)
            self.assertTrue(int(parent["startTimeUnixNano"]) <= int(span["startTimeUnixNano"]))
        lookups = self.collector.find("dht.lookup")
        self.assertTrue(lookups)
        for span in lookups:
            self.assertEqual(set(span["attributes"]) - {"error.type"}, {"pangea.dht.realm", "pangea.dht.requests", "pangea.dht.answers"})
        for secret in (a.peer_id, b.peer_id, "127.0.0.1", file["root"], file["link"].split("#")[1], "secret-name"):
            self.assertFalse(any(secret in text for text in self.collector.texts), secret)

    def test_traceparent_of_a_client(self):
        a = self.node("a", f"trace.endpoint={self.collector.endpoint}")
        self.assertEqual(self.ask(a, "/api/v1/stat", f"traceparent: {self.PARENT}"), 200)
        self.assertEqual(self.ask(a, "/api/v1/peers", f"traceparent: {self.PARENT[:-1]}0"), 200)  # not sampled
        self.assertEqual(self.ask(a, "/api/v1/log", "traceparent: nonsense"), 200)
        self.assertEqual(self.ask(a, "/api/v1/blocks/nonsense"), 400)
        a.stop()
        self.assertEqual(self.collector.faults, [])
        (span,) = self.collector.find("api.request", http_route="/api/v1/stat")
        self.assertEqual((span["traceId"], span["parentSpanId"]), ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"))
        self.assertEqual(self.collector.find("api.request", http_route="/api/v1/peers"), [])
        (span,) = self.collector.find("api.request", http_route="/api/v1/log")
        self.assertNotIn("parentSpanId", span)
        (span,) = self.collector.find("api.request", http_route="/api/v1/blocks/{cid}")
        self.assertEqual((span["attributes"]["http.response.status_code"], span["status"]), (400, {}))

    def figure(self, node, name):
        line = next(line for line in run("metrics", "--data", node.folder).stdout.splitlines() if line.startswith(name))
        return int(line.split()[-1])

    def test_collector_that_is_slow_or_gone_holds_up_nothing(self):
        a = self.node("a", f"trace.endpoint={self.collector.endpoint}")
        self.collector.gate.clear()  # the first batch is taken and never answered
        door = Unix(a.api)
        self.addCleanup(door.close)
        for _ in range(3000):  # more than there is room for
            door.request("GET", "/livez")
            answer = door.getresponse()
            answer.read()
            self.assertEqual(answer.status, 200)
        self.assertGreater(self.figure(a, "pangea_trace_spans_dropped_total"), 0)
        self.collector.status = 503
        self.collector.gate.set()
        self.wait_for(lambda: "api.trace.failed" in a.log(), "it is told")
        self.collector.status = 200
        self.ask(a, "/livez")
        self.wait_for(lambda: self.figure(a, "pangea_trace_spans_exported_total") > 0, "it goes on when the collector does")
        self.collector.close()
        self.ask(a, "/livez")
        self.assertEqual(a.stop(), 0)
        self.assertLess(a.log().count("api.trace.failed"), 4)

    def test_off_by_default_and_refused_when_wrong(self):
        a = self.node("a")
        self.assertEqual(self.figure(a, "pangea_trace_spans_exported_total"), 0)
        a.stop()
        self.fails(run("run", "--data", a.folder, "--set", "trace.endpoint=file:///etc/passwd"), USAGE, "trace.endpoint", "no http")
        self.assertEqual(self.collector.texts, [])


class News(NodeTest):
    def listen(self, node, last_id=None):
        """A listener to events: yields id, kind and data of each."""
        door = socket.socket(socket.AF_UNIX)
        self.addCleanup(door.close)
        door.settimeout(60)
        door.connect(node.api)
        field = "" if last_id is None else f"Last-Event-ID: {last_id}\r\n"
        door.sendall(f"GET /api/v1/events HTTP/1.1\r\nHost: x\r\n{field}\r\n".encode())
        data = b""
        while b": here" not in data:
            data += door.recv(65536)
        return self.events_of(door, data)

    def events_of(self, door, data):
        while True:
            while match := re.search(rb"id: (\d+)\nevent: (\w+)\ndata: (.*)\n\n", data):
                data = data[match.end() :]
                yield int(match[1]), match[2].decode(), json.loads(match[3])
            piece = door.recv(65536)
            self.assertTrue(piece, "the connection was closed")
            data += piece

    def test_who_comes_back_misses_nothing(self):
        a, b = self.node("a"), self.node("b")
        first = self.listen(a)
        b.answer("dial", a.addr)
        number, kind, data = next(first)
        self.assertEqual((kind, data), ("peer", {"peer_id": b.peer_id, "event": "connected"}))
        first.close()  # hears no more
        self.wait_for(lambda: b.peer_id in a.peers(), "b is known")
        b.stop()
        self.wait_for(lambda: a.stats()["connections"] == 0, "b is gone")
        again = self.listen(a, number)
        heard = [next(again)]
        while heard[-1][2]["event"] != "disconnected":
            heard.append(next(again))
        self.assertEqual({data["event"] for _, _, data in heard}, {"identified", "disconnected"})
        last = number + len(heard)
        self.assertEqual([each for each, _, _ in heard], list(range(number + 1, last + 1)))
        fresh = self.listen(a, last - 1)
        self.assertEqual(next(fresh)[2]["event"], "disconnected")
        fresh.close()
        a.stop()
        a.start()  # numbers grow on over restarts: who comes back with an old one is told of a gap
        late = self.listen(a, last)
        b.start()
        b.answer("dial", a.addr)
        kinds = [next(late)[1] for _ in range(2)]
        self.assertEqual(kinds, ["gap", "peer"])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=1)
