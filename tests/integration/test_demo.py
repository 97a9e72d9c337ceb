#!/usr/bin/env python3
"""scripts/demo against a program that only plays: it tells the whole story, notices a file that came back wrong, and leaves nothing
behind.

usage: test_demo.py DEMO
"""

import os
import pathlib
import re
import signal
import stat
import subprocess
import sys
import tempfile
import time
import unittest

DEMO = os.path.abspath(sys.argv[1])

# Stands for `pangea`: its network are processes that sleep, its files stand in a folder. Moods come by the environment.
PLAYER = r'''#!/usr/bin/env python3
import json, os, pathlib, signal, subprocess, sys, time

words = sys.argv[1:]
mood = os.environ.get("MOOD", "")
value = lambda name: words[words.index(name) + 1]
LINK = "pangea:root#secret"

def devnet():
    if mood == "no-network":
        sys.exit("pangea devnet: no network today")
    stopped = []
    signal.signal(signal.SIGINT, lambda *_: stopped.append(1))
    folder = pathlib.Path(value("--dir"))
    folder.mkdir()
    children = [subprocess.Popen(["sleep", "1000"]) for _ in range(int(value("--nodes")))]
    nodes = []
    for i, child in enumerate(children, 1):
        (folder / f"{i:02}").mkdir()
        nodes.append({"index": i, "peer_id": f"peer{i}", "data": str(folder / f"{i:02}"), "addr": "/a", "pid": child.pid})
    pathlib.Path(os.environ["PIDS"]).write_text(" ".join(str(child.pid) for child in children))
    print(json.dumps({"nodes": nodes}), flush=True)
    while not stopped:
        for child in children:
            child.poll()  # takes in who was killed
        time.sleep(0.01)
    for child in children:
        child.kill()
        child.wait()

def put():
    if mood == "put-fails":
        print(json.dumps({"error": {"text": "no host has room"}}))
        sys.exit(17)
    content = pathlib.Path(words[1]).read_bytes()
    (pathlib.Path(value("--data")).parent / "stored").write_bytes(content)
    hosts = [{"peer_id": f"peer{i}", "slots": 1, "bytes": len(content) // 8} for i in range(3, 13)]
    print(json.dumps({"link": LINK, "packed_bytes": len(content) // 2, "stored_bytes": len(content), "survives": 2,
                      "seconds": 0.5, "hosts": hosts}))

def info():
    assert sys.stdin.read() == LINK
    holders = [{"peer_id": f"peer{i + 3}", "slots": [i]} for i in range(10)]
    print(json.dumps({"extents": [{"number": 0, "holders": holders}]}))

def get():
    assert sys.stdin.read() == LINK
    data = pathlib.Path(value("--data"))
    assert data.name in ("02", "13", "14"), data  # a node that holds nothing
    content = (data.parent / "stored").read_bytes()
    pathlib.Path(value("-o")).write_bytes(content[:-1] + b"?" if mood == "wrong" else content)
    report = {"shards_fetched": 8, "shards_absent": 2, "shards_corrupt": 0}
    print(json.dumps({"seconds": 0.25, "first_byte_ms": 7.0, "report": report}))

assert words[-1] == "--json" or words[0] == "devnet", words
{"devnet": devnet, "put": put, "link": info, "get": get}[words[0]]()
'''


class Demo(unittest.TestCase):
    def setUp(self):
        place = tempfile.TemporaryDirectory(prefix="pangea-demo-test-")
        self.addCleanup(place.cleanup)
        self.work = pathlib.Path(place.name)
        self.temporary = self.work / "tmp"
        self.temporary.mkdir()
        player = self.work / "pangea"
        player.write_text(PLAYER, encoding="utf-8")
        player.chmod(player.stat().st_mode | stat.S_IXUSR)
        self.file = self.work / "file"
        self.file.write_bytes(os.urandom(3 << 20))
        self.env = {**os.environ, "PANGEA": str(player), "TMPDIR": str(self.temporary), "PIDS": str(self.work / "pids")}

    def demo(self, *words, mood=""):
        done = subprocess.run(
            [sys.executable, DEMO, *words], env={**self.env, "MOOD": mood}, capture_output=True, text=True, timeout=120, check=False
        )
        self.nothing_left()
        return done

    def nothing_left(self):
        self.assertEqual(list(self.temporary.iterdir()), [])
        pids = self.work / "pids"
        for pid in pids.read_text(encoding="ascii").split() if pids.exists() else []:
            self.assertFalse(pathlib.Path(f"/proc/{pid}").exists())

    def test_story(self):
        done = self.demo(str(self.file))
        self.assertEqual(done.returncode, 0, done.stderr)
        sums = re.findall(r"SHA-256 ([0-9a-f]{64})", done.stdout)
        self.assertEqual((len(sums), len(set(sums))), (2, 1))
        for text in (
            "14 processes",
            "pangea:root#secret",
            "node  1  peer1    nothing  (the uploader)",
            "node  3  peer3  384.0 KiB  slot 0 of extent 0",
            "kill -9 of the hosts 3 and 4, and of node 1",
            "at node 2, which never saw the file",
            "the same file, byte for byte",
            "compressed                 1.5 MiB   2.00 times smaller",
            "1.00 times the file, any 2 hosts may be lost",
            "time to first byte            7 ms",
            "pieces fetched                   8   2 not found, 0 corrupt",
        ):
            self.assertIn(text, done.stdout)
        self.assertTrue(done.stdout.splitlines()[-1].startswith("Next: "))

    def test_trouble(self):
        done = self.demo(str(self.file), mood="wrong")
        self.assertEqual(done.returncode, 1)
        self.assertIn("is not the one that was put", done.stderr)
        self.assertIn("no host has room", self.demo(str(self.file), mood="put-fails").stderr)
        self.assertIn("no network today", self.demo(str(self.file), mood="no-network").stderr)
        self.assertIn("no file that can be read", self.demo(str(self.work / "none")).stderr)
        self.assertNotEqual(self.demo(str(self.work)).returncode, 0)

    def test_interrupted__leaves_nothing(self):
        for how in (signal.SIGINT, signal.SIGTERM):
            (self.work / "pids").unlink(missing_ok=True)
            words = [sys.executable, DEMO, str(self.file)]
            process = subprocess.Popen(words, env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while not (self.work / "pids").exists():
                self.assertIsNone(process.poll())
                time.sleep(0.01)  # another process: nothing else tells
            process.send_signal(how)
            self.assertEqual(process.wait(timeout=60), 130)
            self.nothing_left()


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[2:], verbosity=1)
