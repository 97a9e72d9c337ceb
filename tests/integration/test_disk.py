#!/usr/bin/env python3
"""Disks that are really full: small ones in memory, mounted where only this test sees them. A clear message and its exit code, nothing that was
acknowledged is lost, and the node goes on once there is room. Exits with 77 where such mounts are not possible.

usage: test_disk.py PANGEA
"""

import os
import subprocess
import sys
import unittest

from netns import SKIP, tool
from nodes import FULL, PENDING, NodeTest, run

SETTINGS = ("storage.quota=1GiB", "storage.cache=0", "net.drain_timeout=100ms")
NOT_A_HOST = "storage.accept=nobody"
MIB = 1 << 20


def enter():
    """Run this program again with mounts of its own; exits with 77 where that is not possible."""
    if os.environ.get("PANGEA_MOUNTNS") == "inside":
        return
    words = [tool("unshare"), "--mount"] if os.geteuid() == 0 else [tool("unshare"), "--mount", "--map-root-user"]
    probe = [*words, tool("mount"), "-t", "tmpfs", "-o", "size=1m", "none", "/mnt"]
    if subprocess.run(probe, capture_output=True, check=False).returncode != 0:
        print("skipped: mounts of its own are not possible here")
        sys.exit(SKIP)
    os.environ["PANGEA_MOUNTNS"] = "inside"
    os.execv(words[0], [*words, sys.executable, *sys.argv])


class Disk:
    """A disk of some bytes at a folder of the test."""

    def __init__(self, path, size):
        self.path = path
        path.mkdir()
        subprocess.run([tool("mount"), "-t", "tmpfs", "-o", f"size={size}", "none", path], check=True)

    def resize(self, size):
        subprocess.run([tool("mount"), "-o", f"remount,size={size}", self.path], check=True)

    def fill(self):
        """Leave not a byte."""
        with open(self.path / "filler", "ab", buffering=0) as file:
            for step in (MIB, 4096, 1):
                try:
                    while file.write(bytes(step)) == step:
                        pass
                except OSError:
                    pass

    def make_room(self):
        (self.path / "filler").unlink()

    def end(self):
        subprocess.run([tool("umount"), "--lazy", self.path], check=True)


class FullDisk(NodeTest):
    def disk(self, name, size):
        disk = Disk(self.work / name, size)
        self.addCleanup(disk.end)
        self.addCleanup(self.end)  # of the nodes, before that
        return disk

    def on(self, disk, name, *settings):
        """A node on a disk, which dials all that are there."""
        known = (f"net.peers={node.addr}" for node in self.nodes)
        return self.node(f"{disk.path.name}/{name}", *SETTINGS, *settings, *known, beside=self.work / name)

    def test_node_alone(self):
        """A put that has no room fails, and nothing of it stays; what waits already is whole, also over kill -9 on the full disk."""
        disk = self.disk("small", "12m")
        alone = self.on(disk, "alone")
        kept = self.content(2_000_000)
        self.fails(alone.command("put", self.write("kept", kept)), PENDING)
        large = self.write("large", self.content(40_000_000, 1))
        result = run("put", large, "--data", alone.folder)
        self.fails(result, FULL, "No space left")
        self.assertEqual(result.stdout, "")
        (file,) = alone.answer("ls")["files"]
        self.wait_for(lambda: alone.stat()["store"]["used_bytes"] < 3_000_000, "its space is given back")
        self.assertSame(alone.fetch(file["link"]), kept)
        disk.fill()
        self.fails(alone.command("put", self.write("tiny", b"x" * 700)), FULL)
        self.assertSame(alone.fetch(file["link"]), kept)
        self.assertEqual(len(alone.answer("ls")["files"]), 1)
        alone.kill()
        disk.make_room()
        alone.start()
        self.assertSame(alone.fetch(file["link"]), kept)
        self.fails(alone.command("put", self.write("tiny", b"x" * 700)), PENDING)
        disk.resize("100m")
        self.fails(alone.command("put", large), PENDING)
        self.assertEqual(len(alone.answer("ls")["files"]), 3)

    def test_start_on_a_full_disk(self):
        """A node whose disk has not a byte left starts, gives what it has, and takes nothing; with room it is what it was."""
        disk = self.disk("small", "12m")
        alone = self.on(disk, "alone")
        kept = self.content(2_000_000)
        self.fails(alone.command("put", self.write("kept", kept)), PENDING)
        (file,) = alone.answer("ls")["files"]
        alone.kill()
        disk.fill()
        alone.start()
        self.assertSame(alone.fetch(file["link"]), kept)
        self.assertEqual(alone.answer("ls")["files"], [file])
        self.fails(alone.command("put", self.write("tiny", b"x")), FULL, "free some room")
        alone.kill()
        alone.start()
        self.assertSame(alone.fetch(file["link"]), kept)
        alone.stop()
        alone.start()
        self.assertSame(alone.fetch(file["link"]), kept)
        alone.kill()
        disk.make_room()
        alone.start()
        self.assertSame(alone.fetch(file["link"]), kept)
        self.fails(alone.command("put", self.write("more", kept[:1_000_000])), PENDING)

    def test_removing_makes_room(self):
        """What is removed on a disk without a byte left gives its room back, again and again, after a kill too; then there is room to put."""
        disk = self.disk("small", "16m")
        alone = self.on(disk, "alone")
        for number in range(5):
            self.fails(alone.command("put", self.write(f"file{number}", self.content(1_000_000, number))), PENDING)
        files = alone.answer("ls")["files"]
        disk.fill()
        alone.kill()
        alone.start()
        for file in files[:3]:
            disk.fill()
            self.fails(alone.command("put", self.write("tiny", b"x" * 700)), FULL, "pangea rm")
            before = alone.stat()["store"]["used_bytes"]
            self.assertEqual(alone.answer("rm", file["root"])["dropped"], 0)
            self.wait_for(lambda: alone.stat()["store"]["used_bytes"] < before - 1_000_000, "its space is given back")
        disk.fill()
        for pulls_the_plug in (False, True):
            if pulls_the_plug:
                alone.kill()
                alone.start()
            self.assertEqual([one["root"] for one in alone.answer("ls")["files"]], [file["root"] for file in files[3:]])
        for file in files[3:]:
            self.assertSame(alone.fetch(file["link"]), self.content(1_000_000, int(file["name"][-1])))
        alone.answer("rm", files[3]["root"])
        self.wait_for(lambda: alone.stat()["store"]["used_bytes"] < 2_000_000, "its space is given back")
        self.fails(alone.command("put", self.write("again", self.content(500_000, 9))), PENDING)
        (link,) = [one["link"] for one in alone.answer("ls")["files"] if one["name"] == "again"]
        self.assertSame(alone.fetch(link), self.content(500_000, 9))

    def test_host(self):
        """A host whose disk fills up is passed over; it keeps what it promised, drops what it is told to drop, and takes again."""
        self.mesh(9, *SETTINGS)
        disk = self.disk("small", "16m")
        host = self.on(disk, "host")
        self.meet()
        uploader, reader = self.mesh(2, *SETTINGS, NOT_A_HOST)
        first, content = uploader.put(self.write("first", self.content(20_000_000))), self.content(20_000_000)
        self.assertIn(host.peer_id, [one["peer_id"] for one in first["hosts"]])
        leases = host.stat()["place"]["leases"]
        disk.fill()
        second = uploader.put(self.write("second", self.content(20_000_000, 1)))
        self.assertNotIn(host.peer_id, [one["peer_id"] for one in second["hosts"]])
        self.assertTrue(host.is_up(), host.log())
        self.assertEqual(host.stat()["place"]["leases"], leases)
        for node in [one for one in self.hosts(first) if one is not host][:2]:  # so that its part is needed
            node.kill()
        self.assertSame(reader.fetch(first["link"]), content)
        host.kill()
        disk.make_room()
        self.restart(host)
        for node in self.nodes:
            if not node.is_up():
                self.restart(node)
        self.meet()
        self.assertGreaterEqual(host.stat()["place"]["leases"], leases)
        self.assertEqual(host.stat()["store"]["lost_total"], 0)
        disk.fill()
        for put in (first, second):
            self.assertGreaterEqual(uploader.answer("rm", put["link"])["dropped"], 9)
        self.wait_for(lambda: host.stat()["place"]["leases"] == 0, "it drops though its disk is full")
        disk.make_room()
        third = uploader.put(self.write("third", self.content(2_000_000, 2)))
        self.assertIn(host.peer_id, [one["peer_id"] for one in third["hosts"]])
        self.assertSame(reader.fetch(third["link"]), self.content(2_000_000, 2))

    def test_who_gets(self):
        """The file does not fit where it is to go: nothing half-written is left, and it goes elsewhere."""
        (host, reader) = self.mesh(2, *SETTINGS)
        content = self.content(9_000_000)
        put = host.put(self.write("file", content))
        disk = self.disk("small", "4m")
        self.fails(reader.command("get", put["link"], "-o", disk.path / "got"), FULL, "No space left")
        self.assertEqual(list(disk.path.iterdir()), [])
        folder = self.work / "folder"
        folder.mkdir()
        (folder / "large").write_bytes(content)
        put = host.put(folder)
        self.fails(reader.command("get", put["link"], "-o", disk.path / "got"), FULL, "No space left")
        self.assertEqual(list(disk.path.iterdir()), [])
        disk.resize("40m")
        self.assertEqual(reader.command("get", put["link"], "-o", disk.path / "got").returncode, 0)
        self.assertTrue((disk.path / "got/large").read_bytes() == content)


if __name__ == "__main__":
    enter()
    unittest.main(argv=sys.argv[:1] + sys.argv[2:], verbosity=1)
