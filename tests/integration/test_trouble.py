#!/usr/bin/env python3
"""Trouble with files among nodes: each kind has its message and its exit code, and nothing that was acknowledged is lost. A port in use, a
second node on a directory, mistakes in the settings and a wrong passphrase: see test_node.py. Hosts that cheat: see test_hostile.py.

usage: test_trouble.py PANGEA
"""

import resource
import signal
import sys
import unittest

import links
from nodes import (
    CLOSED,
    FULL,
    INTERRUPTED,
    KEY,
    MALFORMED,
    MISSING,
    NOT_FOUND,
    PENDING,
    TRUNCATED,
    UNREACHABLE,
    USAGE,
    NodeTest,
    run,
)

SMALL = ("storage.quota=64MiB", "storage.cache=0", "net.drain_timeout=100ms")
NOT_A_HOST = "storage.accept=nobody"
SEGMENT = 8 << 20


def file_size_limit(size):
    """A disk that takes no file beyond `size`: for a process."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def catches_interrupts(process):
    with open(f"/proc/{process.pid}/status", encoding="ascii") as status:
        caught = next(line for line in status if line.startswith("SigCgt"))
    return int(caught.split()[1], 16) >> (signal.SIGINT - 1) & 1


class TroubleTest(NodeTest):
    def trio(self, hosts, *settings):
        """Hosts, one that puts and one that gets, which are none."""
        mesh = self.mesh(hosts, *SMALL, *settings)
        self.uploader, self.reader = self.mesh(2, *SMALL, NOT_A_HOST)
        return mesh

    def names(self):
        return [file["name"] for file in self.uploader.answer("ls")["files"]]

    def get(self, link, name="got"):
        """Get into a file; returns the result and the path."""
        return self.reader.command("get", link, "-o", self.work / name), self.work / name

    def nothing_left(self, *names):
        """No file of a get, whole or half, but those named."""
        self.assertEqual(sorted(path.name for path in self.work.glob("*got*")), sorted(names))

    def ended(self, begun, drains=False):
        """The exit code and what was said, of a command whose input or output is a pipe; `drains`: once its output was read."""
        if drains:
            begun.stdout.read()
        said = begun.stderr.read()
        code = begun.wait(timeout=60)
        begun.stdout.close()
        begun.stderr.close()
        if begun.stdin:
            try:
                begun.stdin.close()
            except BrokenPipeError:
                pass
        return code, said.decode()


class Space(TroubleTest):
    def test_quota_of_all_hosts(self):
        self.trio(3, "storage.quota=16MiB")
        content = self.content(30_000_000)
        put = self.uploader.put(self.write("first", content))
        path = self.write("second", self.content(30_000_000, 1))
        result = run("put", path, "--data", self.uploader.folder)
        self.fails(result, FULL, "room")
        self.assertEqual(result.stdout, "")
        self.assertEqual(self.names(), ["first"])
        self.assertSame(self.reader.fetch(put["link"]), content)
        self.uploader.answer("rm", put["link"])
        for host in self.hosts(put):
            # but for the catalogue, which is some kilobytes
            self.wait_for(lambda host=host: host.stat()["place"]["lease_bytes"] < 1_000_000, "space is given back")

    def test_quota_of_the_node_itself(self):
        (alone,) = self.mesh(1, "storage.quota=16MiB")
        self.fails(alone.command("put", self.write("a", self.content(10_000_000))), PENDING)
        self.fails(alone.command("put", self.write("b", self.content(10_000_000, 1))), FULL, "full")
        self.assertEqual(alone.stat()["files"]["files_pending"], 1)
        (file,) = alone.answer("ls")["files"]
        self.assertSame(alone.fetch(file["link"]), self.content(10_000_000))

    def test_disk_of_a_host(self):
        """One of eleven hosts has a full disk: another takes its place, and it goes on when there is room."""
        self.mesh(10, *SMALL)
        full = self.node(
            "full", *SMALL, *(f"net.peers={node.addr}" for node in self.nodes), limit=file_size_limit(1 << 20)
        )
        self.uploader, self.reader = self.mesh(2, *SMALL, NOT_A_HOST)
        content = self.content(20_000_000)
        put = self.uploader.put(self.write("file", content))
        self.assertEqual((put["state"], put["survives"]), ("complete", 2))
        self.assertNotIn(full.peer_id, [host["peer_id"] for host in put["hosts"]])
        self.assertTrue(full.is_up(), full.log())
        self.assertSame(self.reader.fetch(put["link"]), content)
        small = self.uploader.put(self.write("small", self.content(200_000, 1)))
        self.assertEqual(small["state"], "complete")

    def test_disk_of_the_uploader(self):
        """Without hosts, and a full disk: the put fails, nothing of it stays, and what waits already is whole."""
        alone = self.node("alone", *SMALL, limit=file_size_limit(6 << 20))
        self.fails(alone.command("put", self.write("a", self.content(2_000_000))), PENDING)
        self.fails(alone.command("put", self.write("b", self.content(20_000_000, 1))), FULL)
        (file,) = alone.answer("ls")["files"]
        self.assertSame(alone.fetch(file["link"]), self.content(2_000_000))
        self.wait_for(lambda: alone.stat()["store"]["used_bytes"] < 3_000_000, "space is given back")
        alone.kill()
        alone.limit = None
        alone.start()
        self.assertSame(alone.fetch(file["link"]), self.content(2_000_000))
        self.fails(alone.command("put", self.write("b", self.content(20_000_000, 1))), PENDING)

    def test_disk_of_who_gets(self):
        self.trio(3)
        put = self.uploader.put(self.write("file", self.content(2_000_000)))
        words = ("get", put["link"], "-o", self.work / "got", "--json")
        result = self.reader.begin(*words, preexec_fn=file_size_limit(1_000_000))
        out, err = result.communicate(timeout=60)
        self.assertEqual(result.returncode, FULL, out + err)
        self.nothing_left()


class Damage(TroubleTest):
    def flip(self, node, at):
        """Change one byte in the middle of what a host keeps."""
        (pack,) = node.packs()
        with open(pack, "r+b") as file:
            file.seek(at)
            (byte,) = file.read(1)
            file.seek(at)
            file.write(bytes([byte ^ 1]))

    def test_flipped_bits(self):
        """In two hosts, one running and one stopped: found, counted, another shard is taken, and the hosts no longer claim what they lost."""
        hosts = self.trio(10)
        content = self.content(3_000_000)
        put = self.uploader.put(self.write("file", content))
        self.assertEqual(len(put["hosts"]), 10)
        (extent,) = self.reader.answer("link", "info", put["link"])["extents"]
        data = [self.host(holder["peer_id"]) for holder in extent["holders"] if holder["slots"][0] < 8]
        running, stopped = data[:2]
        stopped.stop()
        self.flip(stopped, 100_000)
        self.restart(stopped)
        self.flip(running, 100_000)
        self.meet()
        transfer = self.reader.answer("get", put["link"], "-o", self.work / "got")
        self.assertTrue((self.work / "got").read_bytes() == content)
        self.assertEqual(transfer["report"]["shards_fetched"], 8)
        for node in (running, stopped):
            self.wait_for(lambda node=node: node.stat()["store"]["lost_total"] == 1, "the damage is counted")
        self.assertEqual(sum(node.stat()["store"]["lost_total"] for node in hosts), 2)

        def claims():
            (extent,) = self.reader.answer("link", "info", put["link"])["extents"]
            return {holder["peer_id"] for holder in extent["holders"] if holder["slots"] and holder["is_reachable"]}

        lost = {running.peer_id, stopped.peer_id}
        self.wait_for(lambda: not claims() & lost, "they no longer claim it")
        self.assertEqual(len(claims()), 8)
        self.assertSame(self.uploader.fetch(put["link"]), content)

    def test_flipped_bits_of_a_file_that_waits(self):
        """Two blocks of the node's own, one of them found at the start after a crash: the code repairs them, and they go out whole."""
        (alone,) = self.mesh(1, *SMALL)
        content = self.content(3_000_000)
        self.fails(alone.command("put", self.write("file", content)), PENDING)
        self.flip(alone, 100_000)
        alone.kill()
        self.flip(alone, 1_500_000)
        self.restart(alone)
        (file,) = alone.answer("ls")["files"]
        self.assertSame(alone.fetch(file["link"]), content)
        self.mesh(10, *SMALL)
        self.wait_for(lambda: alone.file(file["root"])["state"] == "complete", "it goes out")
        alone.kill()
        self.assertSame(self.nodes[1].fetch(file["link"]), content)

    def test_damaged_database(self):
        (alone,) = self.mesh(1, *SMALL)
        alone.stop()
        database = alone.folder / "pangea.db"
        damaged = bytearray(database.read_bytes())
        damaged[5000] ^= 1
        database.write_bytes(damaged)
        result = run("run", "--data", alone.folder, "--listen", "/ip4/127.0.0.1/tcp/0")
        self.assertNotIn(result.returncode, (0, 1), result.stderr)
        self.assertIn("database", result.stderr)


class Links(TroubleTest):
    def test_links_that_lead_nowhere(self):
        self.trio(4)
        put = self.uploader.put(self.write("one", self.content(100_000)))
        other = self.uploader.put(self.write("two", self.content(100_000, 1)))
        link, key = put["link"].split("#")
        wrong = "2" if key[20] != "2" else "3"
        self.fails(self.get(f"{link}#{key[:20]}{wrong}{key[21:]}")[0], MALFORMED, "mistyped")
        self.fails(self.get(put["link"][:-7])[0], TRUNCATED)
        self.fails(self.get(link)[0], TRUNCATED)
        self.fails(self.get("https://example.org/#key")[0], USAGE)
        cid, right = links.parts(put["link"])
        self.assertEqual(links.make(cid, right), put["link"])
        other_key = links.make(cid, links.parts(other["link"])[1])
        self.fails(self.get(other_key)[0], KEY, "key")
        self.fails(self.reader.command("link", "info", other_key), KEY, "key")
        self.fails(self.get(f"{link}#{other['link'].split('#')[1]}")[0], MALFORMED, "mistyped")
        self.nothing_left()
        nobody = links.make(cid[:-1] + bytes([cid[-1] ^ 1]), right)
        self.fails(self.get(nobody)[0], NOT_FOUND, "with none of the nodes")
        for node in self.nodes:
            if node is not self.reader:
                node.kill()
        self.wait_for(lambda: not self.reader.peers(), "everybody is gone")
        self.fails(self.get(other["link"])[0], UNREACHABLE, "no other node is connected")
        self.nothing_left()


class Losses(TroubleTest):
    def test_more_hosts_gone_than_the_code_replaces(self):
        """The first segments are with the reader: the rest is not to be had, and half a file does not get its name."""
        self.mesh(10, *SMALL)
        self.uploader, self.reader = self.mesh(2, "storage.quota=64MiB", "storage.cache=32MiB", NOT_A_HOST)
        content = self.content(8 * SEGMENT)
        put = self.uploader.put(self.write("file", content))
        self.assertEqual(put["segments"], 8)
        begun = self.reader.begin("get", put["link"], "-o", "-")
        begun.stdout.read(1000)  # the pipe fills, and the node stops there
        begun.send_signal(signal.SIGINT)
        self.assertEqual(self.ended(begun)[0], INTERRUPTED)
        cached = self.wait_for(lambda: self.reader.stat()["store"]["blocks"] >= 10 and self.reader.stat()["store"]["blocks"], "a segment")
        self.assertLess(cached, 64)
        for node in self.hosts(put)[:3]:
            node.kill()
        self.uploader.kill()
        result, _ = self.get(put["link"])
        self.fails(result, MISSING, "segment", "7 of 10 shards are left, 8 are needed", "missing: ")
        self.nothing_left()
        for node in self.hosts(put)[:1]:
            self.restart(node)
        self.meet()
        result, path = self.get(put["link"])
        self.assertEqual(result.returncode, 0, result.stdout)
        self.assertTrue(path.read_bytes() == content)
        self.nothing_left("got")


class Interrupted(TroubleTest):
    def begin_put(self):
        """A put from a pipe of which more is to come: returns once some of it is placed."""
        begun = self.uploader.begin("put", "-", "--name", "begun", stdin=-1)
        begun.stdin.write(self.content(2 * SEGMENT))
        begun.stdin.flush()
        self.wait_for(lambda: any(node.stat()["place"]["session_bytes"] for node in self.nodes), "shards arrive")
        return begun

    def begin_get(self, link):
        """A get into a pipe that nobody reads on: returns when it is under way."""
        begun = self.reader.begin("get", link, "-o", "-")
        self.assertEqual(len(begun.stdout.read(1000)), 1000)
        return begun

    def test_ctrl_c(self):
        self.trio(4)
        kept = self.uploader.put(self.write("kept", self.content(4 * SEGMENT)))
        begun = self.begin_put()
        begun.send_signal(signal.SIGINT)
        self.assertEqual(self.ended(begun)[0], INTERRUPTED)
        self.wait_for(lambda: not self.uploader.stat()["files"]["files"] > 1, "it is given up")
        self.assertEqual(self.names(), ["kept"])
        begun = self.begin_get(kept["link"])
        begun.send_signal(signal.SIGINT)
        self.assertEqual(self.ended(begun)[0], INTERRUPTED)
        # A get whose node does not answer.
        self.reader.process.send_signal(signal.SIGSTOP)
        self.addCleanup(self.reader.process.send_signal, signal.SIGCONT)
        begun = self.reader.begin("get", kept["link"], "-o", self.work / "got")
        self.wait_for(lambda: catches_interrupts(begun), "the command runs")
        begun.send_signal(signal.SIGINT)
        self.assertEqual(self.ended(begun)[0], INTERRUPTED)
        self.reader.process.send_signal(signal.SIGCONT)
        self.nothing_left()
        self.assertSame(self.reader.fetch(kept["link"]), self.content(4 * SEGMENT))

    def test_node_killed_under_a_command(self):
        self.trio(4)
        kept = self.uploader.put(self.write("kept", self.content(4 * SEGMENT)))
        begun = self.begin_put()
        self.uploader.kill()
        code, said = self.ended(begun)
        self.assertEqual(code, CLOSED, said)
        begun = self.begin_get(kept["link"])
        self.reader.kill()
        code, said = self.ended(begun, drains=True)
        self.assertEqual(code, CLOSED, said)
        for node in (self.uploader, self.reader):
            self.restart(node)
        self.meet()
        self.assertEqual(self.names(), ["kept"])
        self.assertSame(self.reader.fetch(kept["link"]), self.content(4 * SEGMENT))
        again = self.uploader.put(self.write("again", self.content(SEGMENT, 1)))
        self.assertSame(self.reader.fetch(again["link"]), self.content(SEGMENT, 1))

    def test_node_killed_under_standard_input(self):
        """Nobody can give the bytes again: the node tells the hosts when it is back. Of the last segment it may not have noted that it is placed."""
        self.trio(4)

        def placed():
            return sum(node.stat()["place"]["session_bytes"] for node in self.nodes if node.is_up())

        begun = self.uploader.begin("put", "-", "--no-compress", stdin=-1)
        begun.stdin.write(self.content(3 * SEGMENT))
        begun.stdin.flush()
        self.wait_for(lambda: placed() > 3 * SEGMENT * 10 // 8, "three segments are placed")
        self.uploader.kill()
        code, said = self.ended(begun)
        self.assertEqual(code, CLOSED, said)
        self.restart(self.uploader)
        self.meet()
        self.wait_for(lambda: placed() < 1.1 * SEGMENT * 10 // 8, "the hosts are told")
        self.assertEqual(self.names(), [])

    def test_node_told_to_end_under_a_command(self):
        self.trio(4)
        kept = self.uploader.put(self.write("kept", self.content(4 * SEGMENT)))
        begun = self.begin_put()
        self.assertEqual(self.uploader.stop(), 0)
        code, said = self.ended(begun)
        self.assertEqual(code, CLOSED, said)
        begun = self.begin_get(kept["link"])
        self.assertEqual(self.reader.stop(), 0)
        code, said = self.ended(begun, drains=True)
        self.assertEqual(code, CLOSED, said)
        self.restart(self.uploader)
        self.restart(self.reader)
        self.meet()
        self.assertEqual(self.names(), ["kept"])
        self.assertSame(self.reader.fetch(kept["link"]), self.content(4 * SEGMENT))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[2:], verbosity=1)
