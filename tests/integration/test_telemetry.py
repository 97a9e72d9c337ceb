#!/usr/bin/env python3
"""Telemetry, as processes: what a strict collector gets on the wire is what was shown, byte for byte, and nothing of who, where or what; nothing comes
before somebody agreed, nothing after they took it back; no redirect is followed; the proxy of the environment is taken.

usage: test_telemetry.py PANGEA DOCS
"""

import http.server
import json
import os
import pathlib
import pty
import re
import select
import subprocess
import sys
import threading
import unittest

from nodes import NO_NODE, PANGEA, REFUSED, USAGE, NodeTest, await_that, run

DOCS = pathlib.Path(sys.argv[2])
SMALL = ("storage.quota=64MiB", "storage.cache=1MiB", "net.drain_timeout=100ms", "repair.enabled=false")
HEADERS = {"host", "content-type", "content-length"}
WORDS = {"os": {"linux", "other"}, "arch": {"x86_64", "aarch64", "arm", "riscv", "other"}, "format": {"pangea-telemetry-1"}}


def is_power(value):
    return value == 0 or value & (value - 1) == 0


def check(document, fields):
    """What of a document is not in the list, or finer than the list says."""
    found = [] if list(document) == fields else [f"fields {list(document)}"]
    for name, value in document.items():
        if name in WORDS:
            good = value in WORDS[name]
        elif name == "tag":
            good = re.fullmatch("[0-9a-f]{32}", value)
        elif name == "version":
            good = re.fullmatch(r"[0-9]+(\.[0-9]+)*", value)
        elif name.endswith("_percent"):
            good = value is None or (type(value) is int and value in range(0, 101, 5))
        else:
            good = value is None or (type(value) is int and is_power(value))
        found += [] if good else [f"{name} is {value!r}"]
    return found


class Collector:
    """Takes one POST a connection, and keeps the bytes of it as they came."""

    def __init__(self):
        outer = self
        self.status, self.more, self.requests = 200, {}, []

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, format, *arguments):
                pass

            def do_GET(self):
                outer.requests.append((self.requestline, dict(self.headers), b""))
                self.send_error(405)

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.requests.append((self.requestline, {name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(outer.status)
                for name, value in outer.more.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/pangea"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    def stop(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


class Telemetry(NodeTest):
    def setUp(self):
        super().setUp()
        self.collector = Collector()
        self.addCleanup(self.collector.stop)

    def alone(self, name="node", **more):
        """A node that knows where to send to, and nothing else."""
        node = self.node(name, *SMALL, **more)
        self.assertEqual(node.command("config", "set", "telemetry.url", self.collector.url).returncode, 0)
        node.answer("reload")
        return node

    def secrets(self, node, files):
        """All that must not be in what is sent."""
        found = {other.peer_id for other in self.nodes} | {f"{mark}{other.port}" for other in self.nodes for mark in ":/"}
        found |= {str(self.work), os.uname().nodename, "127.0.0.1/tcp", node.get("GET /api/v1/node")[1]["person_id"]}
        for file in files:
            found |= {file["link"], file["root"], str(file["size_bytes"])}
        return found

    def test_what_comes_is_what_was_shown__and_tells_nobody(self):
        self.mesh(6, *SMALL)
        node = self.nodes[1]
        self.assertEqual(node.command("config", "set", "telemetry.url", self.collector.url).returncode, 0)
        node.answer("reload")
        names = [f"a-name-of-mine-{i}.txt" for i in range(9)]
        files = [node.put(self.write(name, self.content(1_300_000 + 7 * i, i))) for i, name in enumerate(names)]
        for file in files[:8]:
            self.assertIsInstance(node.fetch(file["link"]), bytes)
        fields = [field["name"] for field in node.answer("telemetry", "show")["fields"]]
        self.assertEqual(self.collector.requests, [])
        node.answer("telemetry", "on", "--yes")
        shown = node.answer("telemetry", "show")["document"]
        told = node.answer("telemetry", "send")["sent"][0]
        ((line, headers, body),) = self.collector.requests
        self.assertEqual(body.decode(), shown)
        self.assertEqual((told["document"], told["url"], told["result"]), (shown, self.collector.url, "taken"))
        self.assertEqual(line, "POST /pangea HTTP/1.1")
        self.assertEqual(set(headers), HEADERS)
        self.assertEqual(headers["content-type"], "application/json")
        document = json.loads(body)
        self.assertEqual(check(document, fields), [])
        self.assertEqual((document["files"], document["puts"], document["gets"]), (8, 8, 8))
        self.assertEqual((document["put_percent"], document["get_percent"]), (100, 100))
        self.assertGreater(document["put_ms_p50"], 0)
        self.assertGreater(document["get_speed_p50"], 0)
        self.assertEqual(document["peers"], 4)
        wire = f"{line}{headers}{body.decode()}".replace(self.collector.url, "").replace(f"127.0.0.1:{self.collector.port}", "")
        for secret in self.secrets(node, files) | set(names):
            self.assertNotIn(secret, wire)
        metrics = run("metrics", "--data", node.folder).stdout
        self.assertIn("pangea_telemetry_on 1", metrics)
        self.assertIn('pangea_telemetry_documents_total{result="taken"} 1', metrics)
        # Whoever holds all documents of a week can put them together, and no longer.
        again = json.loads(node.answer("telemetry", "send")["sent"][0]["document"])
        self.assertEqual((again["tag"], again["puts"], again["put_ms_p50"]), (document["tag"], 0, None))
        node.answer("telemetry", "off")
        self.assertNotEqual(json.loads(node.answer("telemetry", "show")["document"])["tag"], document["tag"])

    def test_before_and_after__nothing(self):
        node = self.alone()
        self.assertEqual(node.command("telemetry", "send").returncode, USAGE)
        self.assertEqual(node.command("config", "set", "telemetry.enabled", "true").returncode, 0)
        node.answer("reload")  # the setting alone sends nothing
        self.assertEqual(node.command("telemetry", "send").returncode, USAGE)
        self.assertIn("nobody agreed yet", run("telemetry", "status", "--data", node.folder).stdout)
        node.answer("telemetry", "on", "--yes")
        node.answer("telemetry", "send")
        self.assertEqual(len(self.collector.requests), 1)
        node.stop()
        node.start()  # it was agreed to for good
        node.answer("telemetry", "send")
        # Another URL was not agreed to.
        other = Collector()
        self.addCleanup(other.stop)
        node.command("config", "set", "telemetry.url", other.url)
        node.answer("reload")
        self.assertIn("another than was agreed to", run("telemetry", "status", "--data", node.folder).stdout)
        self.assertEqual(node.command("telemetry", "send").returncode, USAGE)
        node.command("config", "set", "telemetry.url", self.collector.url)
        node.answer("reload")
        node.answer("telemetry", "off")
        self.assertEqual(node.command("telemetry", "send").returncode, USAGE)
        status = node.answer("telemetry", "status")
        self.assertEqual((status["is_on"], status["is_enabled"], len(status["sent"])), (False, False, 2))
        node.stop()
        node.start()
        self.assertEqual(node.command("telemetry", "send").returncode, USAGE)
        self.assertEqual((len(self.collector.requests), other.requests), (2, []))
        self.assertEqual([sent["document"] for sent in status["sent"]], [body.decode() for _, _, body in reversed(self.collector.requests)])

    def test_off_while_no_node_runs(self):
        node = self.alone()
        node.answer("telemetry", "on", "--yes")
        node.stop()
        self.assertEqual(node.command("telemetry", "show").returncode, NO_NODE)
        self.assertEqual(node.command("telemetry", "off").returncode, 0)
        node.start()
        self.assertEqual(node.command("config", "set", "telemetry.enabled", "true").returncode, 0)
        node.answer("reload")
        self.assertFalse(node.answer("telemetry", "status")["is_on"])  # it was taken back

    def test_asked_at_a_terminal(self):
        node = self.alone()
        refused = run("telemetry", "on", "--data", node.folder, stdin="y\n")
        self.assertEqual(refused.returncode, USAGE)
        self.assertIn("no terminal to ask on", refused.stderr)
        for answer, code in (("n\n", REFUSED), ("\n", REFUSED), ("yes please\n", REFUSED), ("y\n", 0)):
            ours, theirs = pty.openpty()
            words = [PANGEA, "telemetry", "on", "--data", str(node.folder)]
            with subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=theirs) as process:
                os.close(theirs)
                seen = b""

                def is_asked():
                    nonlocal seen
                    if select.select([ours], [], [], 0)[0]:
                        seen += os.read(ours, 65536)
                    return b"[y/N]" in seen

                await_that(is_asked, lambda: f"the question: {seen!r}")
                os.write(ours, answer.encode())
                self.assertEqual(process.wait(timeout=60), code, seen)
            os.close(ours)
            for field in node.answer("telemetry", "show")["fields"]:
                self.assertIn(field["meaning"].encode(), seen)  # all of it, before the question
            self.assertIn(self.collector.url.encode(), seen)
            self.assertEqual(node.answer("telemetry", "status")["is_on"], code == 0)
        self.assertEqual(self.collector.requests, [])

    def test_no_url_and_bad_ones(self):
        node = self.node("node", *SMALL)
        missing = run("telemetry", "on", "--yes", "--data", node.folder)
        self.assertEqual(missing.returncode, USAGE)
        self.assertIn("the project runs no collector", missing.stderr)
        self.assertFalse(node.answer("telemetry", "status")["is_enabled"])
        for url, why in (("http://collector.example/", "this machine"), ("https://me:secret@collector.example/", "who sends"), ("collector.example", "no http")):
            refused = run("config", "set", "telemetry.url", url, "--data", node.folder)
            self.assertEqual(refused.returncode, USAGE)
            self.assertIn(why, refused.stderr)

    def test_collector_refuses__redirects__is_gone(self):
        node = self.alone()
        node.answer("telemetry", "on", "--yes")
        target = Collector()
        self.addCleanup(target.stop)
        for status in (301, 302, 307, 308, 401, 500):
            self.collector.status = status
            self.collector.more = {"Location": target.url, "WWW-Authenticate": "Basic", "Set-Cookie": "who=you"}
            refused = node.command("telemetry", "send")
            self.assertEqual(refused.returncode, REFUSED)
            self.assertIn(f"status {status}", refused.stdout)
        self.assertEqual(target.requests, [])
        self.assertEqual(len(self.collector.requests), 6)  # one try each
        self.collector.status = 204
        node.answer("telemetry", "send")
        self.assertTrue(all(set(headers) == HEADERS for _, headers, _ in self.collector.requests))  # no cookie comes back
        sent = node.answer("telemetry", "status")["sent"]
        self.assertEqual([each["result"] for each in sent], ["taken"] + 6 * ["not_taken"])
        for _ in range(12):
            node.answer("telemetry", "send")
        self.assertEqual(len(node.answer("telemetry", "status")["sent"]), 16)

    def test_proxy_of_the_environment(self):
        env = {**os.environ, "http_proxy": f"http://127.0.0.1:{self.collector.port}", "no_proxy": ""}
        node = self.node("node", *SMALL, env=env)
        node.command("config", "set", "telemetry.url", "http://localhost:1/behind-it")
        node.answer("reload")
        node.answer("telemetry", "on", "--yes")
        node.answer("telemetry", "send")
        ((line, headers, _),) = self.collector.requests
        self.assertEqual(line, "POST http://localhost:1/behind-it HTTP/1.1")
        self.assertEqual(set(headers) - {"proxy-connection"}, HEADERS)

    def test_guide_has_the_list(self):
        node = self.node("node", *SMALL)
        fields = [(field["name"], field["meaning"]) for field in node.answer("telemetry", "show")["fields"]]
        guide = (DOCS / "guide/telemetry.md").read_text(encoding="utf-8")
        told = re.findall(r"^\| `(\w+)` \| (.*) \|$", guide, re.MULTILINE)
        self.assertEqual([row for row in told if "." not in row[0]], fields)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=1)
