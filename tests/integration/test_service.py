#!/usr/bin/env python3
"""A node that somebody keeps running: its settings, its log, and what it tells those who watch over it.

usage: test_service.py PANGEA
"""

import json
import stat
import sys
import unittest

from nodes import NOT_FOUND, USAGE, NodeTest, run


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


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=1)
