#!/usr/bin/env python3
"""From one version of the database to the next and back, with data directories that older programs wrote and a program of a later
version: what was there is there, whatever is killed and however full the disk is, and who meets a newer database is told what to do.

usage: test_upgrade.py PANGEA FUTURE_PANGEA SCHEMA_FOLDER
"""

import json
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import unittest

from nodes import CORRUPT, EXISTS, FULL, NOT_FOUND, PANGEA, Node, NodeTest, await_that, begin, run

UNSUPPORTED = 22
FUTURE = os.path.abspath(sys.argv[2])
SCHEMAS = pathlib.Path(sys.argv[3])
SMALL = ("storage.quota=64MiB", "storage.cache=1MiB", "net.drain_timeout=100ms")


def limit_files(size):
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


class Upgrade(NodeTest):
    def copied(self, schema, name="data"):
        """A data directory of an older program, and what that one said of it."""
        data = self.work / name
        data.mkdir(mode=0o700)
        for each in ("identity", "pangea.db"):
            shutil.copy(SCHEMAS / schema / each, data / each)
            (data / each).chmod(0o600)
        return data, json.loads((SCHEMAS / schema / "expected.json").read_text())

    def version(self, data):
        """Of a database that nobody has open, without changing it; every page is read."""
        told = run("doctor", "--data", data, "--json", "--deep").stdout
        found = next(check for check in json.loads(told)["checks"] if check["name"] == "database")["found"]
        self.assertIn("every page was read", found)
        return int(found.split()[1])

    def known(self):
        """The version that the program writes."""
        node = self.node("fresh", *SMALL)
        node.stop()
        return self.version(node.folder)

    def listed(self, node):
        return {file["name"]: file["link"] for file in node.answer("ls")["files"]}

    def starts_not(self, data, code, *words, program=PANGEA, limit=None):
        process = subprocess.run(
            [program, "run", "--data", data, "--listen", "/ip4/127.0.0.1/tcp/0", "--set", "net.mdns=false"],
            capture_output=True, text=True, timeout=60, preexec_fn=limit, check=False,
        )
        self.assertEqual(process.returncode, code, process.stderr)
        for word in words:
            self.assertIn(word, process.stderr)


class FromOlder(Upgrade):
    def test_every_older_version(self):
        known = self.known()
        for folder in sorted(SCHEMAS.iterdir()):
            data, expected = self.copied(folder.name, folder.name)
            self.assertEqual(self.version(data), expected["schema"])
            node = self.node(folder.name, *SMALL)
            self.assertEqual(node.peer_id, expected["peer_id"])
            self.assertEqual(self.listed(node), expected["files"])
            self.assertEqual(len(node.answer("pin", "ls")["pins"]), expected["pins"])
            self.assertEqual(run("put", self.write("one more", b"x" * 100_000), "--data", data).returncode, 37)
            self.assertEqual(set(self.listed(node)), {*expected["files"], "one more"})
            node.stop()
            self.assertEqual(self.version(data), known)
            if expected["schema"] == known:
                continue  # of this very version: nothing changed
            self.assertIn(f"node.database.upgraded from={expected['schema']} to={known}", node.log())
            copy = data / f"pangea.db.v{expected['schema']}"
            self.assertEqual(copy.stat().st_mode & 0o777, 0o600)
            # The copy is what was there: an older program could run on it.
            other, _ = self.copied(folder.name, folder.name + " again")
            shutil.copy(copy, other / "pangea.db")
            self.assertEqual(self.version(other), expected["schema"])

    def test_backup_of_an_older_program(self):
        data, expected = self.copied("v7")
        file = self.work / "old.backup"
        self.assertEqual(run("backup", file, "--data", data).returncode, 0)
        self.assertEqual(self.version(data), 7)  # a backup changes nothing
        self.assertIn("database version 7 whole, 2 files", run("backup", "--verify", file, "--data", data).stdout)
        self.assertEqual(run("restore", file, "--data", self.work / "again").returncode, 0)
        self.assertEqual(self.listed(self.node("again", *SMALL)), expected["files"])

    def test_killed_in_the_middle(self):
        known = self.known()
        seen = set()
        i = 0
        while i < 24 or (len(seen) < 2 and i < 200):  # until it was killed before and after
            data, expected = self.copied("v7", f"data {i}")
            words = ("run", "--data", data, "--listen", "/ip4/127.0.0.1/tcp/0", "--set", "net.mdns=false")
            with begin(*words) as process:
                try:
                    process.wait(timeout=0.004 * i)
                except subprocess.TimeoutExpired:
                    process.kill()
            seen.add(self.version(data))
            self.assertLessEqual(seen, {7, known})
            i += 1
            if i % 5 == 0:
                node = self.node(data.name, *SMALL)
                self.assertEqual(self.listed(node), expected["files"])
                node.stop()
                self.assertTrue((data / "pangea.db.v7").exists())
        self.assertEqual(seen, {7, known})

    def test_full_disk(self):
        data, expected = self.copied("v7")
        before = (data / "pangea.db").read_bytes()
        self.starts_not(data, FULL, "copy of version 7 before the upgrade", limit=limit_files(100_000))
        self.assertEqual((data / "pangea.db").read_bytes(), before)
        self.assertEqual(sorted(path.name for path in data.glob("pangea.db*")), ["pangea.db"])
        self.assertEqual(self.version(data), 7)
        self.assertEqual(self.listed(self.node("data", *SMALL)), expected["files"])


class ToNewer(Upgrade):
    def test_there_and_back(self):
        node = self.node("data", *SMALL)
        data = node.folder
        self.assertEqual(run("put", self.write("before", b"before" * 1000), "--data", data).returncode, 37)
        links = self.listed(node)
        node.stop()
        known = self.version(data)
        self.fails(run("downgrade", "--data", data), EXISTS, "nothing to go back for")
        # Full in the middle: the copy fits, the step does not.
        self.starts_not(data, FULL, f"upgrade from version {known} to {known + 1}, now undone", program=FUTURE, limit=limit_files(1_500_000))
        self.assertEqual(self.version(data), known)
        # Killed in the middle, again and again.
        seen = set()
        for i in range(20):
            with subprocess.Popen([FUTURE, "run", "--data", data, "--listen", "/ip4/127.0.0.1/tcp/0", "--set", "net.mdns=false"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
                try:
                    process.wait(timeout=0.01 * i)
                except subprocess.TimeoutExpired:
                    process.kill()
            seen.add(self.version(data))
        self.assertLessEqual(seen, {known, known + 1})
        later = Node(data, *SMALL, program=FUTURE, beside=self.work / "later")
        self.nodes.append(later)
        self.assertEqual(self.listed(later), links)
        self.assertEqual(run("put", self.write("after", b"after" * 1000), "--data", data).returncode, 37)
        later.stop()
        self.assertEqual(self.version_of_newer(data), known + 1)

        self.starts_not(data, UNSUPPORTED, f"has version {known + 1}", f"knows up to {known}", "run the newer program again", "`pangea downgrade`")
        self.assertIn("of a newer program", run("doctor", "--data", data).stdout)
        went = run("downgrade", "--data", data, "--json")
        self.assertEqual((went.returncode, json.loads(went.stdout)), (0, {"from": known + 1, "to": known}))
        self.assertTrue((data / f"pangea.db.v{known + 1}").exists())
        again = self.node("data", *SMALL)
        self.assertEqual(self.listed(again), links)  # as before the upgrade
        again.stop()
        later.start()  # forward once more
        self.assertEqual(self.listed(later), links)
        later.stop()

        for copy in data.glob("pangea.db.v*"):
            copy.unlink()
        self.starts_not(data, UNSUPPORTED, "run the newer program again", "`pangea restore`")
        self.fails(run("downgrade", "--data", data), NOT_FOUND, "run the newer program again")
        later.start()
        later.stop()

    def version_of_newer(self, data):
        told = json.loads(run("doctor", "--data", data, "--json").stdout)
        database = next(check for check in told["checks"] if check["name"] == "database")
        self.assertEqual(database["status"], "fail")
        return int(database["found"].split()[1].rstrip(","))

    def version(self, data):
        told = json.loads(run("doctor", "--data", data, "--json", "--deep").stdout)
        return int(next(check for check in told["checks"] if check["name"] == "database")["found"].split()[1].rstrip(","))

    def test_downgrade_is_killed(self):
        """Whenever the way back is broken off, one of the two databases is there, whole."""
        node = self.node("data", *SMALL)
        data = node.folder
        self.assertEqual(run("put", self.write("before", b"before" * 1000), "--data", data).returncode, 37)
        links = self.listed(node)
        node.stop()
        known = self.version(data)
        later = Node(data, *SMALL, program=FUTURE, beside=self.work / "later")
        self.nodes.append(later)
        later.stop()
        for i in range(25):
            with begin("downgrade", "--data", data) as process:
                try:
                    process.wait(timeout=0.002 * i)
                except subprocess.TimeoutExpired:
                    process.kill()
            version = self.version(data)
            self.assertIn(version, (known, known + 1))
            if version == known:
                again = self.node("data", *SMALL)
                self.assertEqual(self.listed(again), links)
                again.stop()
                later.start()
                later.stop()
        self.assertEqual(run("downgrade", "--data", data).returncode, 0)

    def test_damaged_copy(self):
        node = self.node("data", *SMALL)
        node.stop()
        known = self.version(node.folder)
        later = Node(node.folder, *SMALL, program=FUTURE, beside=self.work / "later")
        self.nodes.append(later)
        later.stop()
        with open(node.folder / f"pangea.db.v{known}", "r+b") as copy:
            copy.seek(3 * 4096 + 100)
            copy.write(b"damage")
        self.fails(run("downgrade", "--data", node.folder), CORRUPT, "the copy to go back to")
        self.assertEqual(self.version(node.folder), known + 1)
        self.assertTrue(await_that(lambda: later.start() is None, "the newer one runs"))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[4:], verbosity=1)
