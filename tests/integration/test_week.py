#!/usr/bin/env python3
"""A week of a node that somebody keeps running, in a minute: every day the clock is a day further, files are put, got and removed, settings
are changed and mistaken, the log turns over, and in the evening the node ends, by SIGTERM or by SIGKILL. It begins on the data directory of
an older program, goes on as one of a later version, and comes back. Nothing is lost, nothing grows, nothing is left to mend.

The time of day is that of calendar.c in all processes but this one; what waits, waits as long as ever.

usage: test_week.py PANGEA FUTURE_PANGEA SCHEMA_FOLDER CALENDAR
"""

import json
import os
import pathlib
import shutil
import signal
import struct
import sys
import time
import unittest
import unittest.mock

from nodes import PANGEA, USAGE, NodeTest, run

FUTURE = os.path.abspath(sys.argv[2])
OLD = sorted(pathlib.Path(sys.argv[3]).iterdir(), key=lambda folder: int(folder.name[1:]))[0]
CALENDAR = os.path.abspath(sys.argv[4])
HOSTS = 4
CODE = ("--code", "2+2")
SMALL = ("storage.quota=64MiB", "storage.cache=1MiB", "net.drain_timeout=100ms")
LOG_BYTES, LOG_FILES = 8192, 20  # more than a day's, less than a week's
LINE_BYTES = 1024  # which threads may write while it turns over
SIZES = (300, 120_000, 1_500_000)  # of the files of a day
DAY_S = 86_400
UNSUPPORTED = 22
OF_THIS_MACHINE = ("clock", "disk", "sync", "memory", "reachable", "open files")  # checks that judge it, not the node
# More than the noise of a day, which has 8 puts and 8 gets.
SLACK_FDS = 6
SLACK_KIB = 16 << 10
BACKUP_DAY, LATER_DAY, REMOVAL_DAY, BACK_DAY, DAYS = 2, 3, 3, 5, 7


def descriptors(node):
    """How many its process has open."""
    return len(os.listdir(f"/proc/{node.process.pid}/fd"))


class Week(NodeTest):
    def setUp(self):
        super().setUp()
        self.calendar = self.work / "calendar"
        self.calendar.write_bytes(bytes(8))
        self.day, self.day_ms = 0, 0  # which day it is, and when it began
        patch = unittest.mock.patch.dict(os.environ, LD_PRELOAD=CALENDAR, PG_TEST_CALENDAR=str(self.calendar))
        patch.start()
        self.addCleanup(patch.stop)
        self.others = self.mesh(HOSTS, *SMALL)
        self.data = self.work / "data"
        self.data.mkdir(mode=0o700)
        for name in ("identity", "pangea.db"):
            shutil.copy(OLD / name, self.data / name)
            (self.data / name).chmod(0o600)
        self.conf = self.data / "pangea.conf"
        self.conf.write_text("# A week\n")
        for key, *values in (
            ("log.file", "node.log"),
            ("log.file_bytes", LOG_BYTES),
            ("log.file_count", LOG_FILES),
            ("log.format", "json"),
            ("log.level", "trace"),
            ("net.peers", *(host.addr for host in self.others)),
        ):
            self.assertEqual(run("config", "set", key, *values, "--data", self.data).returncode, 0)
        self.own = None  # the node under test
        self.kept = {}  # link and content of what was put and not removed, by name
        self.mine = {}  # the links of what the node under test has in its list
        self.turns, self.levels = [], {}  # figures of each day
        self.backup = None

    def dawn(self, day):
        """It is another day for every process, at once."""
        self.day = day
        with open(self.calendar, "r+b", buffering=0) as calendar:
            calendar.write(struct.pack("=q", day * DAY_S))
        self.day_ms = self.now_ms()

    def now_ms(self):
        return int((time.time() + self.day * DAY_S) * 1000)

    # The log

    def log_files(self):
        files = [self.data / f"node.log.{i}" for i in range(LOG_FILES + 5, 0, -1)] + [self.data / "node.log"]
        return [file for file in files if file.exists()]

    def lines(self):
        """All lines that are still there, oldest first. The log may turn over while one reads: then one reads again."""
        while True:
            files = self.log_files()
            inodes = [file.stat().st_ino for file in files]
            texts = [file.read_text(encoding="utf-8") for file in files]
            again = self.log_files()
            if inodes == [file.stat().st_ino for file in again]:
                return [json.loads(line) for text in texts for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def await_event(self, name, since_ms):
        def found():
            return [line for line in self.lines() if line["event"] == name and line["time_ms"] >= since_ms]

        return self.wait_for(found, lambda: f"{name}: {self.lines()[-5:]}")[-1]

    def look_at_log(self):
        """It is bounded, in order, and every line that this process counted is there, over all turns. Returns how many files hold them."""
        self.own.answer("log", "level", "error")  # from here on it is silent
        text = run("metrics", "--data", self.data).stdout
        counted = sum(int(line.split()[-1]) for line in text.splitlines() if line.startswith("pangea_log_lines_total{"))
        lines = self.lines()
        today = [line for line in lines if line["time_ms"] >= self.day_ms]
        self.assertTrue(self.day == 1 or len(today) < len(lines), "a day is more than the files hold")
        self.assertEqual(len(today), counted, f"{today[:3]} ... {today[-3:]}")
        times = [line["time_ms"] for line in lines]
        self.assertEqual(times, sorted(times))
        self.assertLess(abs(times[-1] - self.now_ms()), 600_000, "its clock is not the one we set")
        files = self.log_files()
        self.assertLessEqual(len(files), LOG_FILES)
        self.assertTrue(all(file.stat().st_size <= LOG_BYTES + LINE_BYTES for file in files))
        return sum(len(json.dumps(line)) for line in today) // LOG_BYTES + 1

    # Settings

    def reload(self):
        """By SIGHUP, as a person does: one change that is taken, then a mistake that changes nothing."""
        quota = 64 + self.day
        told = self.own.answer("config", "set", "storage.uploader_max", f"{quota}MiB")
        self.assertTrue(told["changed"])
        since = self.now_ms()
        self.own.process.send_signal(signal.SIGHUP)
        self.assertEqual(self.await_event("node.config.reread", since)["changed"], 1)
        good = self.conf.read_text(encoding="utf-8")
        self.assertIn(f"uploader_max = {quota}MiB", good)
        self.fails(self.own.command("config", "set", "log.level", "loud"), USAGE, "not one of")
        self.assertEqual(self.conf.read_text(encoding="utf-8"), good)
        self.conf.write_text(good.replace(f"{quota}MiB", "1MiB") + "\n[net]\nlissten = x\n", encoding="utf-8")
        since = self.now_ms()
        self.own.process.send_signal(signal.SIGHUP)
        self.assertIn("lissten", self.await_event("node.config.refused", since)["detail"])
        self.conf.write_text(good, encoding="utf-8")
        # Of the mistaken file nothing was taken.
        self.assertEqual(self.own.answer("reload"), {"changed": [], "needs_restart": []})

    # Files

    def listed(self, node):
        return {file["name"]: file["link"] for file in node.answer("ls")["files"]}

    def await_listed(self):
        """The list is what it should be: also after a way back, when the hosts tell what was forgotten, and what is gone."""
        self.wait_for(
            lambda: self.listed(self.own) == self.mine,
            lambda: f"missing or too much: {set(self.listed(self.own)) ^ set(self.mine)} {self.own.stat()['catalogue']}",
        )

    def put(self, node, name, size):
        content = self.content(size, name)
        put = node.put(self.write(name, content), *CODE)
        self.assertEqual(put["state"], "complete", put)
        self.kept[name] = (put["link"], content)
        if node is self.own:
            self.mine[name] = put["link"]

    def remove(self, name):
        told = self.own.answer("rm", name)
        del self.mine[name]
        if self.kept.pop(name, None):
            self.assertGreater(told["dropped"], 0)

    def get(self, reader, name):
        link, content = self.kept[name]
        self.assertSame(reader.fetch(link), content)

    def get_all(self, *readers):
        for name in self.kept:
            for reader in readers:
                self.get(reader, name)
        self.assertEqual(self.listed(self.own), self.mine)

    # What happens

    def begin_day(self, day):
        self.dawn(day)
        if day == 1:
            self.own = self.node("data", *SMALL)
            expected = json.loads((OLD / "expected.json").read_text(encoding="utf-8"))
            self.assertEqual(self.own.peer_id, expected["peer_id"])
            self.assertTrue(self.await_event("node.database.upgraded", 0)["to"] > expected["schema"])
            self.mine.update(expected["files"])
        else:
            if day == BACK_DAY:
                self.assertEqual(run("run", "--data", self.data).returncode, UNSUPPORTED)
                self.assertEqual(run("downgrade", "--data", self.data).returncode, 0)
            self.own.program = FUTURE if LATER_DAY <= day < BACK_DAY else PANGEA
            self.own.start()
        self.wait_for(lambda: {host.peer_id for host in self.others} <= self.own.peers(), "the node knows its hosts")
        self.await_listed()

    def live(self, day):
        for i, size in enumerate(SIZES):
            self.put(self.own, f"day {day}, {i}", size)
        for i, host in enumerate(self.others):
            self.put(host, f"day {day}, of host {i}", SIZES[1])
            self.get(self.own, f"day {day}, of host {i}")
            self.get(host, f"day {day}, {i % len(SIZES)}")
        self.reload()
        if day == REMOVAL_DAY:
            for name in ("day 1, 2", *json.loads((OLD / "expected.json").read_text(encoding="utf-8"))["files"]):
                self.remove(name)
        if day == BACKUP_DAY:
            self.backup = self.work / "node.backup"
            self.assertEqual(run("backup", self.backup, "--data", self.data).returncode, 0)
        self.turns.append(self.look_at_log())
        for node in (self.own, *self.others):
            self.levels.setdefault(node, []).append((descriptors(node), node.memory_kib()))

    def end_day(self, day):
        self.put(self.own, f"evening of day {day}", SIZES[0])
        if day % 2 == 0:
            self.assertEqual(self.own.stop(), 0)
        else:
            self.own.kill()

    def look_at_growth(self):
        """Of the hosts, which run all week, and of the node under test, which does not: what the first three days took is enough for all."""
        fds, memory = (max(day[i] for days in self.levels.values() for day in days[:3]) for i in range(2))
        for node, days in self.levels.items():
            self.assertLessEqual(days[-1][0], fds + SLACK_FDS, f"{node.folder.name}: {days}")
            self.assertLess(days[-1][1], memory + SLACK_KIB, f"{node.folder.name}: {days}")

    def look_at_doctor(self, node):
        told = json.loads(run("doctor", "--data", node.folder, "--deep", "--json").stdout)
        bad = {check["name"]: check["found"] for check in told["checks"] if check["status"] != "ok"}
        for name in OF_THIS_MACHINE:
            bad.pop(name, None)
        self.assertEqual(set(bad), set() if node.is_up() else {"node"}, bad)

    def test_week(self):
        for day in range(1, DAYS + 1):
            self.begin_day(day)
            self.live(day)
            self.end_day(day)
        self.look_at_growth()
        self.assertTrue(all(turns > 1 for turns in self.turns), self.turns)
        self.assertGreater(sum(self.turns), LOG_FILES)
        self.assertEqual(len(self.log_files()), LOG_FILES)  # a week is more than they hold

        self.begin_day(DAYS + 1)
        self.get_all(self.own, self.others[0])
        for node in self.nodes:
            self.look_at_doctor(node)
        self.put(self.own, "last", SIZES[0])
        self.own.kill()
        self.begin_day(DAYS + 2)
        self.assertEqual(self.own.stop(), 0)  # at once: what was put before the kill is published now
        self.look_at_doctor(self.own)

        self.assertEqual(run("restore", self.backup, "--data", self.work / "restored").returncode, 0)
        self.own = self.node("restored", *SMALL)
        self.await_listed()
        self.get_all(self.own)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[5:], verbosity=1)
