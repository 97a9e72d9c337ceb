#!/usr/bin/env python3
"""Put, get and what belongs to it among nodes as processes: fourteen of them, hosts that die, hosts that come late, files of every size.

usage: test_files.py PANGEA
"""

import json
import os
import signal
import subprocess
import sys
import unittest

from nodes import FULL, NOT_FOUND, PANGEA, PENDING, NodeTest, run

SMALL = ("storage.quota=64MiB", "storage.cache=16MiB", "net.drain_timeout=100ms")


def compressible(size):
    line = b"what is written twice is half as long\n"
    return (line * (size // len(line) + 1))[:size]


class Files(NodeTest):
    """Fourteen nodes, of which the last takes nothing for others: it can only read."""

    def setUp(self):
        super().setUp()
        self.mesh(13, *SMALL)
        (self.reader,) = self.mesh(1, *SMALL, "storage.accept=nobody")
        self.uploader = self.nodes[0]

    def kill_some(self, put):
        """SIGKILL two hosts of a file and its uploader."""
        hosts = self.hosts(put)
        for node in (hosts[0], hosts[len(hosts) // 2], self.uploader):
            node.kill()

    def test_every_size_survives_two_hosts_and_the_uploader(self):
        contents = [b"", b"x", self.content(32768), self.content(32769, 1), self.content(300_000, 2)]
        contents += [compressible(20_000_000), self.content(20_000_000, 3)]
        puts = []
        for i, content in enumerate(contents):
            put = self.uploader.put(self.write(f"file {i}", content))
            self.assertEqual((put["state"], put["kind"], put["size_bytes"]), ("complete", "file", len(content)))
            self.assertEqual(len(put["hosts"]), 10 if len(content) > 32768 else 4)
            self.assertGreaterEqual(put["survives"], 2)
            self.assertNotIn(self.uploader.peer_id, [host["peer_id"] for host in put["hosts"]])
            puts.append(put)
        self.assertLess(puts[5]["stored_bytes"], 1_000_000)
        self.assertEqual(puts[6]["segments"], 3)
        listed = self.uploader.answer("ls")["files"]
        self.assertEqual([file["link"] for file in listed], [put["link"] for put in reversed(puts)])
        self.assertEqual(listed[0]["name"], "file 6")
        self.kill_some(puts[6])
        for put, content in zip(puts, contents):
            self.assertSame(self.reader.fetch(put["link"]), content)

    def test_folder(self):
        folder = self.work / "a folder"
        (folder / "deep/er").mkdir(parents=True)
        (folder / "deep/er/ä file").write_bytes(self.content(500_000))
        (folder / "empty").touch()
        (folder / "run").write_text("#!/bin/sh\n", encoding="ascii")
        (folder / "run").chmod(0o755)
        (folder / "link").symlink_to("deep/er")
        put = self.uploader.put(folder)
        self.assertEqual((put["kind"], put["name"]), ("folder", "a folder"))
        self.kill_some(put)
        where = self.work / "elsewhere"
        where.mkdir()
        got = self.reader.answer("get", put["link"], "-o", str(where) + "/")
        self.assertTrue(got["folder"].endswith("elsewhere/a folder"), got)
        back = where / "a folder"
        self.assertEqual((back / "deep/er/ä file").read_bytes(), self.content(500_000))
        self.assertEqual((back / "empty").read_bytes(), b"")
        self.assertTrue(os.access(back / "run", os.X_OK))
        self.assertEqual(os.readlink(back / "link"), "deep/er")

    def test_streams(self):
        """From standard input of unknown length, as a pipe gives it, and to standard output."""
        content = self.content(9_000_000, 5)
        command = self.uploader.begin("put", "-", "--name", "from a pipe", stdin=-1)
        out, err = command.communicate(content, timeout=60)
        self.assertEqual(command.returncode, 0, err)
        put = json.loads(out)
        self.assertEqual((put["size_bytes"], put["name"], put["state"]), (len(content), "from a pipe", "complete"))
        self.assertSame(self.reader.fetch(put["link"]), content)
        # As a person does it: the link alone on standard output, and on standard input of the get.
        plain = run("put", "-", "--data", self.uploader.folder, stdin=b"by hand", text=False)
        self.assertEqual(plain.returncode, 0, plain.stderr)
        got = run("get", "-", "-o", "-", "--data", self.reader.folder, stdin=plain.stdout, text=False)
        self.assertEqual(got.stdout, b"by hand")

    def test_who_reads_gives_on(self):
        """With all hosts and the uploader gone, a node that has read a file has it, and gives it to those that have not."""
        content = self.content(3_000_000, 6)
        put = self.uploader.put(self.write("seed", content))
        self.assertSame(self.reader.fetch(put["link"]), content)
        shards = 8  # of its one segment
        self.wait_for(lambda: self.reader.stat()["store"]["blocks"] >= shards + 2, "the cache is written")
        for node in (*self.hosts(put), self.uploader):
            node.kill()
        self.assertSame(self.reader.fetch(put["link"]), content)
        strangers = [node for node in self.nodes if node.is_up() and node is not self.reader]
        self.assertEqual(len(strangers), 2)
        self.assertSame(strangers[0].fetch(put["link"]), content)
        self.reader.stop()
        self.restart(self.reader)  # the cache outlives it
        self.assertSame(self.reader.fetch(put["link"]), content)

    def test_pin(self):
        """What is pinned outlives a killed node, a cache that is emptied, and all hosts; what is unpinned is deleted."""
        content = self.content(20_000_000, 8)
        put = self.uploader.put(self.write("keep me", content))
        other = self.uploader.put(self.write("other", self.content(14_000_000, 9)))
        self.assertEqual(self.reader.answer("pin", "ls")["pins"], [])
        pin = self.reader.answer("pin", put["link"])
        self.assertEqual((pin["root"], pin["name"], pin["state"]), (put["root"], "keep me", "complete"))
        self.assertEqual(pin["size_bytes"], len(content))
        self.assertLess(pin["kept_bytes"], 21_000_000)
        self.reader.kill()
        self.restart(self.reader)
        self.assertSame(self.reader.fetch(other["link"]), self.content(14_000_000, 9))  # crowds the cache
        too_large = self.uploader.put(self.write("large", self.content(48_000_000, 10)))
        refused = self.reader.command("pin", too_large["link"])
        self.assertEqual(refused.returncode, FULL, refused.stdout)
        self.assertIn("quota", refused.stdout)
        for node in self.nodes:
            if node is not self.reader:
                node.kill()
        self.assertSame(self.reader.fetch(put["link"]), content)
        (listed,) = self.reader.answer("pin", "ls")["pins"]
        self.assertEqual(listed, pin)
        shown = run("pin", "ls", "--data", self.reader.folder).stdout
        self.assertIn(f"{put['root']}  keep me", shown)
        self.assertNotIn("#", shown)
        self.reader.answer("unpin", put["link"])
        self.assertEqual(self.reader.command("unpin", put["root"]).returncode, NOT_FOUND)
        self.assertEqual(self.reader.answer("pin", "ls")["pins"], [])
        self.assertNotEqual(self.reader.command("get", put["link"], "-o", "-").returncode, 0)

    def test_put_goes_on(self):
        """After Ctrl-C, and after the command and then its node were killed: what was placed is neither read nor sent again."""
        content = self.content(100_000_000, 12)
        path = self.write("long", content)
        others = [node for node in self.nodes if node is not self.uploader]

        def placed():
            return sum(node.stat()["store"]["puts_total"] for node in others)

        before = placed()
        for victim in ("interrupt", "command", "node"):
            reached = placed() + 25
            command = self.uploader.begin("put", path)
            self.wait_for(lambda: placed() >= reached, "some of it is placed")
            if victim == "node":
                self.uploader.kill()
            else:
                command.send_signal(signal.SIGINT if victim == "interrupt" else signal.SIGKILL)
            command.communicate()
            if victim == "node":
                self.restart(self.uploader)
                self.wait_for(lambda: len(self.uploader.answer("peers")["peers"]) >= 13, "all are connected")
        self.assertEqual(self.uploader.answer("ls")["files"], [])
        put = self.uploader.put(path)
        self.assertGreaterEqual(put["resumed_bytes"], 3 * 8_388_608 // 2)
        self.assertEqual((put["size_bytes"], put["segments"], put["state"]), (len(content), 12, "complete"))
        self.assertLessEqual(placed() - before, 12 * 10 + 20 + 3 * 7 * 10)
        self.assertSame(self.reader.fetch(put["link"]), content)
        path.write_bytes(self.content(100_000_000, 14))
        command = self.uploader.begin("put", path)
        reached = placed() + 25
        self.wait_for(lambda: placed() >= reached, "some of it is placed")
        command.send_signal(signal.SIGINT)
        command.communicate()
        other = self.content(100_000_000, 13)
        path.write_bytes(other)
        again = self.uploader.put(path)
        self.assertEqual(again["resumed_bytes"], 0)
        self.assertSame(self.reader.fetch(again["link"]), other)

    def test_put_whose_answer_was_lost(self):
        """The node ended it, and nobody read the link: the same command prints it, and sends nothing."""
        path = self.write("lost", self.content(20_000_000, 21))

        def pushed():
            return sum(node.stat()["place"]["pushes_total"] for node in self.nodes if node.is_up())

        with open("/dev/full", "wb") as nowhere:
            words = [PANGEA, "put", str(path), "--data", self.uploader.folder]
            lost = subprocess.run(words, stdout=nowhere, stderr=subprocess.PIPE, check=False, timeout=120)
        self.assertNotEqual(lost.returncode, 0)
        (file,) = [file for file in self.uploader.answer("ls", "--links")["files"] if file["name"] == "lost"]
        before = pushed()
        again = self.uploader.put(path)
        self.assertEqual((again["link"], again["was_put_before"], again["state"]), (file["link"], True, "complete"))
        self.assertLess(pushed() - before, 10)  # not one segment; the list of files may go out meanwhile
        said = run("put", path, "--data", self.uploader.folder)
        self.assertEqual(said.stdout.strip(), file["link"])
        self.assertIn("nothing is sent", said.stderr)
        self.assertEqual([one["name"] for one in self.uploader.answer("ls")["files"]].count("lost"), 1)
        other = self.uploader.put(path, "--name", "other")
        self.assertNotEqual(other["link"], file["link"])
        self.assertFalse(other["was_put_before"])
        self.assertSame(self.reader.fetch(again["link"]), path.read_bytes())

    def test_get_goes_on(self):
        """After the command, and then its node, were killed: what is on the disk is not fetched again."""
        content = self.content(120_000_000, 11)
        put = self.uploader.put(self.write("long", content))
        (place := self.work / "place").mkdir()

        def noted():
            notes = [path.read_bytes() for path in place.glob(".pangea-*.note")]
            return any(int.from_bytes(note[48:56], "big") for note in notes)

        for victim in ("command", "node"):
            command = self.reader.begin("get", put["link"], "-o", str(place))
            self.wait_for(noted, "a part is on the disk")
            command.kill() if victim == "command" else self.reader.kill()
            command.communicate()
            if victim == "node":
                self.restart(self.reader)
        got = self.reader.answer("get", put["link"], "-o", str(place))
        self.assertGreaterEqual(got["resumed_bytes"], 32 << 20)
        segments = -(-(len(content) - got["resumed_bytes"]) // (8 << 20)) + 1  # one of them may be begun
        report = got["report"]
        self.assertLessEqual(report["shards_fetched"] + report["shards_local"], 8 * segments)
        self.assertSame((place / "long").read_bytes(), content)
        self.assertEqual([path.name for path in place.iterdir()], ["long"])

    def test_link_info_and_stat(self):
        put = self.uploader.put(self.write("told", self.content(300_000)), "--ttl", "12h")
        told = self.reader.answer("link", "info", put["link"])
        self.assertEqual((told["name"], told["size_bytes"], told["extent_count"]), ("told", 300_000, 1))
        (extent,) = told["extents"]
        self.assertEqual((extent["data_shards"], extent["parity_shards"]), (8, 2))
        self.assertEqual({holder["peer_id"] for holder in extent["holders"]}, {node.peer_id for node in self.hosts(put)})
        self.assertEqual(sorted(holder["slots"][0] for holder in extent["holders"]), list(range(10)))
        self.assertTrue(all(holder["is_reachable"] for holder in extent["holders"]))
        gone = self.hosts(put)[0]
        gone.kill()
        self.wait_for(lambda: gone.peer_id not in self.reader.peers(), "the reader notices")
        (extent,) = self.reader.answer("link", "info", put["link"])["extents"]
        lost = [holder for holder in extent["holders"] if not holder["is_reachable"]]
        self.assertEqual([holder["peer_id"] for holder in lost], [gone.peer_id])  # receipts of others tell of it
        tiny = self.uploader.put(self.write("tiny", b"x"))
        self.assertTrue(self.reader.answer("link", "info", tiny["link"])["is_inline"])

        def is_even(stat):
            return stat["store"]["used_bytes"] == stat["place"]["lease_bytes"]

        for node in self.hosts(put)[1:]:
            self.wait_for(lambda: is_even(node.stat()), "what is stored is what is promised, and no list of files on its way")
            stat = node.stat()
            self.assertGreaterEqual(stat["place"]["leases"], 1)
            self.assertLess(abs(stat["store"]["used_bytes"] - node.disk_bytes()), 65536)
        self.assertIn("lost_total", self.reader.answer("stat")["store"])
        self.assertEqual(self.uploader.stat()["files"]["files"], 2)

    def test_remove_with_an_absent_host(self):
        put = self.uploader.put(self.write("gone soon", self.content(300_000)))
        kept = self.uploader.put(self.write("stays", self.content(50_000, 1)))
        absent = self.hosts(put)[3]
        before = {node: node.stat()["place"]["leases"] for node in self.hosts(put)}
        absent.kill()
        removed = self.uploader.answer("rm", put["link"])
        self.assertEqual((removed["dropped"], removed["hosts"]), (9, 10))
        for node in self.hosts(put):
            if node is not absent:
                self.assertEqual(node.stat()["place"]["leases"], before[node] - 1)
        self.assertEqual([file["name"] for file in self.uploader.answer("ls")["files"]], ["stays"])
        self.fails(self.uploader.command("rm", put["link"]), NOT_FOUND)
        self.restart(absent)
        self.wait_for(lambda: absent.stat()["place"]["leases"] == before[absent] - 1, "it is told when it is back")
        result = self.reader.fetch(put["link"])
        self.assertEqual(result.returncode, NOT_FOUND, result.stderr)
        self.assertSame(self.reader.fetch(kept["link"]), self.content(50_000, 1))
        for node in self.nodes:
            self.wait_for(
                lambda node=node: node.stat()["store"]["used_bytes"] == node.stat()["place"]["lease_bytes"] or node is self.reader,
                "space is given back",
            )

    def test_blocks(self):
        put = self.uploader.answer("block", "put", self.write("block", b"a block for anybody"))
        self.assertTrue(put["cid"].startswith("bafkrei"))  # raw, sha2-256: what IPFS calls it
        again = self.uploader.answer("block", "put", self.write("block", b"a block for anybody"))
        self.assertEqual(again["cid"], put["cid"])
        got = run("block", "get", put["cid"], "-o", "-", "--data", self.reader.folder)
        self.assertEqual(got.stdout, "a block for anybody")
        self.uploader.kill()
        self.restart(self.uploader)
        self.assertEqual(self.uploader.stat()["files"]["pinned_blocks"], 1)
        other = self.nodes[5]
        got = run("block", "get", put["cid"], "-o", "-", "--data", other.folder)
        self.assertEqual(got.stdout, "a block for anybody")
        nowhere = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"
        self.fails(self.reader.command("block", "get", nowhere, "-o", "-"), NOT_FOUND)
        self.fails(self.reader.command("block", "get", "nonsense", "-o", "-"), 2)


class Few(NodeTest):
    """Fewer hosts than slots, or none, and more that come."""

    def test_pending_goes_out(self):
        (alone,) = self.mesh(1, *SMALL)
        content = self.content(2_000_000)
        result = alone.command("put", self.write("waits", content))
        self.fails(result, PENDING)
        put = json.loads(result.stdout)
        self.assertEqual((put["state"], put["survives"], put["hosts"]), ("pending", 0, []))
        plain = run("put", self.write("small", b"waits too"), "--data", alone.folder)
        self.fails(plain, PENDING, "no host could be reached", "goes out when hosts appear")
        small = alone.answer("ls")["files"][0]
        self.assertEqual(plain.stdout, small["link"] + "\n")
        alone.kill()  # and it is still there
        self.restart(alone)
        self.assertSame(alone.fetch(put["link"]), content)
        self.assertEqual(alone.stat()["files"]["files_pending"], 2)
        self.mesh(11, *SMALL)
        for file in (put, small):
            self.wait_for(lambda file=file: alone.file(file["root"])["state"] == "complete", "it goes out")
        told = alone.file(put["root"])
        self.assertEqual(len(told["hosts"]), 10)
        self.wait_for(lambda: alone.stat()["store"]["blocks"] == alone.stat()["place"]["leases"], "nothing of it is left here")
        self.assertEqual(alone.stat()["files"]["files_pending"], 0)
        hosts = self.hosts(told)
        for node in (hosts[2], hosts[7], alone):
            node.kill()
        reader = next(node for node in self.nodes if node.is_up())
        self.assertSame(reader.fetch(put["link"]), content)
        self.assertSame(reader.fetch(small["link"]), b"waits too")

    def test_partial_spreads(self):
        self.mesh(4, *SMALL)
        uploader = self.nodes[0]
        content = self.content(3_000_000)
        plain = run("put", self.write("spreads", content), "--data", uploader.folder)
        self.assertEqual(plain.returncode, 0, plain.stderr)
        self.assertIn("on 3 hosts, code 8+2", plain.stderr)
        self.assertIn("none may be lost", plain.stderr)
        self.assertIn("spreads as more appear", plain.stderr)
        (listed,) = uploader.answer("ls")["files"]
        file = uploader.file(listed["root"])
        self.assertEqual((file["state"], file["survives"], len(file["hosts"])), ("partial", 0, 3))
        small = run("put", self.write("small", b"small"), "--data", uploader.folder)
        self.assertIn("on 3 hosts, a whole copy on each", small.stderr)
        before = self.hosts(file)
        self.mesh(8, *SMALL)
        self.wait_for(lambda: uploader.file(listed["root"])["state"] == "complete", "it spreads")
        file = uploader.file(listed["root"])
        self.assertEqual((file["survives"], len(file["hosts"]), {host["slots"] for host in file["hosts"]}), (2, 10, {1}))
        for node in before:  # what moved away was given back
            self.wait_for(lambda node=node: node.stat()["place"]["lease_bytes"] < 600_000, "old hosts drop what moved")
        for node in (before[0], before[1], uploader):
            node.kill()
        self.assertSame(self.nodes[-1].fetch(listed["link"]), content)

    def test_hosts_outlast_other_peers(self):
        a = self.node("a", *SMALL, "dht.enabled=false", "limits.connections_high=1", "net.connection_grace=2s")
        plain = ("dht.enabled=false", "limits.connections_low=0")  # who is let go does not come back
        host = self.node("host", *SMALL, *plain)
        host.answer("dial", a.addr)
        self.wait_for(lambda: a.peers() == {host.peer_id}, "a host is there")
        self.assertEqual(len(a.put(self.write("kept", b"kept"))["hosts"]), 1)
        for number in range(3):  # each in use more lately than the host
            other = self.node(f"other{number}", *SMALL, *plain, "storage.accept=nobody")
            other.answer("dial", a.addr)
        self.wait_for(lambda: a.stats()["connections"] == 1, "the others are let go")
        self.assertEqual(a.peers(), {host.peer_id})
        self.assertEqual(a.stat()["finding"]["trimmed_total"], 3)

    def test_whole_code_of_32(self):
        """The widest code, on few hosts: every slot counts."""
        self.mesh(5, *SMALL)
        content = self.content(3_000_000)
        put = self.nodes[0].put(self.write("wide", content), "--code", "24+8")
        self.assertEqual((put["survives"], len(put["hosts"])), (1, 4))
        self.nodes[0].kill()
        self.hosts(put)[0].kill()
        reader = next(node for node in self.nodes if node.is_up())
        self.assertSame(reader.fetch(put["link"]), content)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[2:], verbosity=1)
