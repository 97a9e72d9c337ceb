#!/usr/bin/env python3
"""`pangea status`, tables and colours on a terminal, elsewhere, and as JSON, against a fake node (fake_node.py).

usage: test_status.py PANGEA
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

from fake_node import FakeNode, PEERS
from terminal import Terminal

PANGEA = os.path.abspath(sys.argv[1])
LINKS = [f"pangea:bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52z{letter}#5Kd3{letter}" for letter in "abc"]
NO_NODE, CLOSED = 36, 29


class Case(unittest.TestCase):
    def setUp(self):
        place = tempfile.TemporaryDirectory(prefix="pangea-status-")
        self.addCleanup(place.cleanup)
        self.data = pathlib.Path(place.name) / "data"
        self.node = FakeNode(self.data, LINKS)
        self.addCleanup(self.node.close)
        self.addCleanup(self.node.events.put, None)
        self.env = {**os.environ, "TERM": "xterm"}
        self.env.pop("NO_COLOR", None)

    def words(self, *words):
        return [PANGEA, *words, "--data", str(self.data)]

    def run_here(self, *words, **env):
        return subprocess.run(
            self.words(*words), env={**self.env, **env}, capture_output=True, text=True, check=False, timeout=60
        )

    def terminal(self, *words, columns=100, **env):
        terminal = Terminal(self.words(*words), columns=columns, env={**self.env, **env})
        self.addCleanup(terminal.close)
        return terminal

    def shown(self, *words, **more):
        """What a command writes on a terminal."""
        terminal = self.terminal(*words, **more)
        self.code = terminal.rest()
        return terminal.raw.decode()


class Screen(Case):
    def test_one_screen(self):
        self.node.file_make(b"x" * 2048, {"name": "one"})
        self.node.stat = {"files": {"files": 1, "files_bytes": 2048, "files_pending": 0, "files_partial": 0, "cache_bytes": 1}}
        done = self.run_here("status")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        lines = done.stdout.splitlines()
        self.assertLessEqual(len(lines), 24)
        self.assertLessEqual(max(map(len, lines[1:])), 80)
        self.assertEqual(lines[0], f"pangea 0.6.0, up for 2 h, in {self.data}")
        for line in (
            f"node       {PEERS[0]}",
            f"person     {PEERS[1]}",
            "reachable  by anybody, firewalls aside (1 address, 5 connections came in)",
            "peers      13 connected, 0 being dialed, 0 known from earlier",
            "DHT        local  server, 9 peers in the table, keeps 3 records for others",
            "files      1, 2.0 KiB; all on as many hosts as they have pieces",
            "disk       [........................]   0 %  5.0 MiB of 1.0 TiB",
        ):
            self.assertIn(line, lines)
        self.assertNotIn("!", done.stdout)

    def test_other_name__is_the_same(self):
        self.assertEqual(self.run_here("stat").stdout, self.run_here("status").stdout)
        self.assertIn("pangea stat is the same", self.run_here("status", "--help").stdout)

    def test_transfers_that_run__have_bars(self):
        self.node.transfers = {
            "a": {"kind": "put", "state": "running", "bytes": 1 << 20, "total_bytes": 4 << 20},
            "b": {"kind": "get", "state": "running", "bytes": 3 << 20, "total_bytes": 0},
            "c": {"kind": "pin", "state": "done", "bytes": 1, "total_bytes": 1},
        }
        text = self.run_here("status").stdout
        self.assertIn("\nput        [######..................]  25 %  1.0 MiB of 4.0 MiB\n", text)
        self.assertIn("\nget        3.0 MiB so far\n", text)
        self.assertNotIn("\npin", text)

    def test_network_on_one_machine__is_as_it_should_be(self):
        self.node.addrs = ["/ip4/127.0.0.1/tcp/1"]
        text = self.run_here("status").stdout
        self.assertIn("reachable  by this machine only (1 address, 5 connections came in)", text)
        self.assertNotIn("!", text)

    def test_what_is_wrong__is_told_with_what_to_do(self):
        self.node.addrs, self.node.accepted = ["/ip4/127.0.0.1/tcp/1"], 0
        self.node.stat = {
            "peers": 3,
            "store": {"used_bytes": 99, "quota_bytes": 100, "lost_total": 2, "has_failed": True},
            "files": {"files": 5, "files_pending": 2, "files_partial": 1, "files_bytes": 1},
            "catalogue": {"state": "restoring", "looks": 4},
        }
        done = self.run_here("status", "--quiet")
        warnings = [line for line in done.stdout.splitlines() if line.startswith("! ")]
        self.assertEqual(
            warnings,
            [
                "! blocks could not be written to the disk: none is taken any more",
                "! 2 blocks were found damaged on this disk",
                "! the quota is used up by 99 %",
                "! other machines cannot reach this node",
                "! with 3 peers files lie on fewer hosts than they have pieces (10, unless --code)",
                "! 2 files are on this node only",
                "! 1 file is on fewer hosts than there are pieces",
                "! the catalogue of your files is being restored and was not found yet",
            ],
        )
        self.assertEqual(done.stdout.count("\n  to do: "), len(warnings))
        self.assertIn("files      5, 1 B; 3 at risk", self.run_here("status").stdout)
        self.node.stat["catalogue"] = {"state": "too_large"}
        self.assertIn("too large to be kept among the hosts", self.run_here("status").stdout)
        self.assertIn("to do: remove files", self.run_here("status", "-q").stdout)
        self.node.stat["peers"] = 0
        self.assertIn("the node is connected with nobody\n  to do: `pangea join", self.run_here("status").stdout)

    def test_quiet__says_nothing_when_all_is_well(self):
        done = self.run_here("status", "--quiet")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))

    def test_json(self):
        status = json.loads(self.run_here("status", "--json").stdout)
        self.assertEqual(status["store"]["blocks"], 17)
        self.assertEqual((status["node"]["version"], status["dhts"][0]["peers"]), ("0.6.0", 9))
        self.assertEqual((status["transfers"], status["warnings"]), ([], []))

    def test_parts_that_a_node_does_not_have(self):
        self.node.stat = {"store": None, "place": None, "files": None, "catalogue": None, "bitswap": None, "finding": None}
        done = self.run_here("status")
        self.assertEqual(done.returncode, 0)
        self.assertIn("none put yet", done.stdout)
        self.assertNotIn("disk", done.stdout)


class Watch(Case):
    def test_terminal__drawn_again_by_events(self):
        terminal = self.terminal("status", "--watch")
        terminal.expect("13 connected")
        self.node.stat = {"peers": 12}
        self.node.events.put({"state": "running"})
        terminal.expect("12 connected")
        terminal.type("\x03")
        self.assertEqual(terminal.rest(), 0)
        self.assertIn(b"\x1b[?25h\x1b[?1049l", terminal.raw)
        self.assertIn("12 connected", terminal.raw.decode().rpartition("\x1b[?1049l")[2])

    def test_node_that_stops__is_told(self):
        terminal = self.terminal("status", "--watch")
        terminal.expect("13 connected")
        self.node.events.put(None)
        self.assertEqual(terminal.rest(), CLOSED)
        self.assertIn("the node has stopped", terminal.text())

    def test_json__a_line_each_time(self):
        with subprocess.Popen(self.words("status", "--watch", "--json"), stdout=subprocess.PIPE, text=True) as process:
            self.assertEqual(json.loads(process.stdout.readline())["peers"], 13)
            self.node.stat = {"peers": 11}
            self.node.events.put({"state": "running"})
            while json.loads(process.stdout.readline())["peers"] != 11:
                pass
            process.terminate()
            process.stdout.read()
        self.assertEqual(process.returncode, 0)


class Colours(Case):
    def test_auto__on_terminals_only(self):
        self.assertIn("\x1b[32m13 connected\x1b[0m", self.shown("status"))
        self.assertNotIn("\x1b", self.run_here("status").stdout)
        self.assertNotIn("\x1b", self.shown("status", NO_COLOR="1"))
        self.assertNotIn("\x1b", self.shown("status", TERM="dumb"))
        self.assertIn("\x1b[32m", self.shown("status", NO_COLOR=""))

    def test_option__counts_for_more(self):
        self.assertNotIn("\x1b", self.shown("status", "--color=never"))
        self.assertIn("\x1b[32m", self.shown("status", "--color", "always", NO_COLOR="1"))
        self.assertIn("\x1b[32m", self.run_here("status", "--color=always").stdout)
        self.assertNotIn("\x1b", self.run_here("status", "--color=always", "--json").stdout)
        done = self.run_here("status", "--color=sometimes")
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn('--color takes auto|always|never, not "sometimes"', done.stderr)

    def test_errors(self):
        self.node.gone = True
        self.assertIn("\x1b[31mpangea ls:\x1b[0m the node went away", self.shown("ls"))
        self.assertNotIn("\x1b", self.run_here("ls").stderr)


class Tables(Case):
    def setUp(self):
        super().setUp()
        for name, state in (("one.txt", "complete"), ("two", "pending")):
            self.node.put_state = state
            self.node.file_make(b"x", {"name": name})

    def test_ls__as_wide_as_the_terminal(self):
        for columns, has_root in ((140, True), (80, False)):
            text = self.shown("ls", columns=columns, NO_COLOR="1")
            head, *rows = text.splitlines()
            self.assertEqual(head.split(), ["STATE", "SIZE", "PUT", "KEPT", "ROOT", "NAME"])
            self.assertEqual(len(rows), 2)
            for row in rows:
                self.assertLessEqual(len(row), columns)
                self.assertEqual(row.index(row.split()[-1]), head.index("NAME"))
                self.assertEqual(row.index("baf"), head.index("ROOT"))
            self.assertEqual(LINKS[0][7:66] in text, has_root)

    def test_ls__elsewhere_without_a_head(self):
        done = self.run_here("ls")
        self.assertEqual(len(done.stdout.splitlines()), 2)
        self.assertIn(LINKS[0][7:66], done.stdout)
        self.assertNotIn("STATE", self.shown("ls", "--quiet"))

    def test_peers__a_line_each(self):
        head, *rows = self.shown("peers", columns=80, NO_COLOR="1").splitlines()
        self.assertTrue(head.startswith("PEER"))
        self.assertEqual([row.split()[0] for row in rows], PEERS)
        self.assertLessEqual(max(map(len, [head, *rows])), 80)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
