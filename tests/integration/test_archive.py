#!/usr/bin/env python3
"""The cold archive end to end, as processes with an S3 server that verifies every signature: cold files are copied there, and are read back out of it
when too few of their hosts are left; who changes objects is found out; wrong keys, a full or failing store and a proxy that is away are told; keys
stand nowhere.

usage: test_archive.py PANGEA
"""

import pathlib
import sys
import unittest

import s3_server
from nodes import KEY, MISSING, NO_NODE, PANGEA, USAGE, NodeTest, await_that, run
from terminal import Terminal

SMALL = ("storage.quota=64MiB", "storage.cache=0", "net.drain_timeout=100ms", "dht.allow_private=true")
UNSUPPORTED, UNFIT = 22, 38
SECRET = 'wJalrX"UtnF\\EMI/K7MDENG+bPxRfi'


class Archive(NodeTest):
    """A store, a node that archives, and hosts; of each file every host has some."""

    def setUp(self):
        super().setUp()
        self.store = s3_server.Store(secret=SECRET)
        self.addCleanup(self.store.close)
        self.settings = (f"archive.endpoint={self.store.url}", f"archive.bucket={self.store.bucket}", "archive.cold_after=0s", "archive.when=cold")

    def keys(self, text=None):
        path = self.work / "keys"
        path.write_text(f"{self.store.access}\n{self.store.secret}\n" if text is None else text)
        return path

    def login(self, node, text=None):
        return node.answer("archive", "login", "--key-file", self.keys(text))

    def bad(self, code, *words, node, command):
        """A command that fails; standard error has the words, and no secret."""
        result = run(*command, "--data", node.folder)
        self.assertEqual(result.returncode, code, result.stdout + result.stderr)
        for word in words:
            self.assertIn(word, result.stderr)
        self.assertNotIn(self.store.secret, result.stdout + result.stderr)

    def secret_is_nowhere(self):
        for path in self.work.rglob("*"):
            if path.is_file() and path.name != "keys":
                content = path.read_bytes()
                self.assertNotIn(self.store.secret.encode(), content, path)
                self.assertNotIn(self.store.access.encode(), content, path)

    def network(self):
        """Four hosts of which the first archives, an owner and a reader who take nothing."""
        (self.archiver,) = self.mesh(1, *SMALL, *self.settings)
        self.others = self.mesh(3, *SMALL)
        self.owner, self.reader = self.mesh(2, *SMALL, "storage.accept=nobody")
        self.login(self.archiver)

    def segments(self):
        """Objects of segments; the list of the owner's files is archived too, but has none."""
        return [name for name in sorted(self.store.objects) if not name.endswith("/block")]

    def archived(self, links):
        """Wait until rounds by hand have archived all that is kept here."""
        def is_done():
            told = self.archiver.answer("archive", "now")
            return told["failed"] == 0 and told["cold"] == 0 and self.archiver.answer("archive", "status")["extents"] >= links

        await_that(is_done, lambda: f"archived: {self.archiver.answer('archive', 'status')} {self.archiver.log()[-2000:]}")

    def test_archived__hosts_die__read_back_out_of_the_store(self):
        self.network()
        content = self.content(20_000_000)
        put = self.owner.put(self.write("a file", content), "--code", "4+2")
        small = self.owner.put(self.write("a small one", b"small"))
        self.archived(2)
        names = sorted(self.store.objects)
        self.assertGreaterEqual([name.split("/")[-1] for name in names].count("block"), 3)  # descriptor, root, the small one
        self.assertEqual([self.store.count("PUT", name) for name in self.segments()], [1] * 5)  # of 4 MiB, each once
        log = self.archiver.answer("repair", "explain", put["link"])["extents"][0]["notes"]
        self.assertIn("archived", [note["what"] for note in log])
        metrics = run("metrics", "--data", self.archiver.folder).stdout
        for name in ("pangea_archive_failures_total 0", 'pangea_archive_uploads_total{result="failed"} 0'):
            self.assertIn(name, metrics)
        self.assertGreaterEqual(int(next(line for line in metrics.split("\n") if line.startswith("pangea_archive_extents ")).split()[1]), 2)
        self.owner.kill()
        for host in self.others:
            host.kill()
        self.assertSame(self.reader.fetch(put["link"]), content)
        self.assertSame(self.reader.fetch(small["link"]), b"small")
        self.assertGreater(self.archiver.answer("archive", "status")["reads"], 0)
        self.secret_is_nowhere()

    def test_the_archiving_node_has_lost_its_blocks(self):
        self.network()
        content = self.content(3_000_000)
        put = self.owner.put(self.write("a file", content), "--code", "4+2")
        self.archived(1)
        self.archiver.stop()
        for path in (self.archiver.folder / "blocks").iterdir():
            path.unlink()
        (self.archiver.folder / "blocks").rmdir()
        for node in (self.owner, *self.others):
            node.kill()
        self.archiver.start()
        self.assertTrue(self.archiver.answer("archive", "status")["has_credentials"])  # over a restart

        def is_there():
            got = self.reader.fetch(put["link"])
            return got if isinstance(got, bytes) else None

        self.assertEqual(await_that(is_there, "the file out of the archive alone"), content)
        self.assertSame(self.archiver.fetch(put["link"]), content)  # its own get reads the store itself

    def test_objects_are_changed__found_out(self):
        self.network()
        put = self.owner.put(self.write("a file", self.content(3_000_000)), "--code", "4+2")
        self.archived(1)
        (name,) = [name for name in self.store.objects if name.endswith("/000000")]
        good = self.store.objects[name]
        self.store.objects[name] = bytes(byte ^ 1 for byte in good)
        told = self.archiver.answer("archive", "now")  # hosts are there: it is put anew
        self.assertEqual((told["damaged"], told["uploaded"]), (1, 1), told)
        self.assertEqual(self.store.objects[name], good)
        self.store.objects[name] = good[:-1]
        self.assertEqual(self.archiver.answer("archive", "now")["damaged"], 1)
        self.store.objects[name] = bytes(byte ^ 1 for byte in good)
        for node in (self.owner, *self.others):
            node.kill()
        self.assertEqual(self.reader.fetch(put["link"]).returncode, MISSING)
        self.assertGreater(self.archiver.answer("archive", "status")["corrupt"], 0)

    def test_a_store_that_fails__tried_again(self):
        self.network()
        self.owner.put(self.write("a file", self.content(3_000_000)), "--code", "4+2")
        self.store.fail("503", "500", "close", "truncate", "html")
        self.archived(1)
        status = self.archiver.answer("archive", "status")
        self.assertGreater(status["store"]["retries"], 0)
        self.assertFalse(status["is_failing"])

    def test_quota(self):
        self.settings += ("archive.quota=1MiB",)
        self.network()
        self.owner.put(self.write("a file", self.content(3_000_000)), "--code", "4+2")

        def is_refused():
            result = self.archiver.command("archive", "now")
            return result.returncode != 0 and result

        await_that(is_refused, "a round that finds no room")
        self.bad(UNFIT, "could not be archived", node=self.archiver, command=("archive", "now"))
        self.assertIn("archive.quota", self.archiver.answer("archive", "status")["failure"])
        self.assertEqual(self.segments(), [])

    def test_removed__objects_go(self):
        self.network()
        put = self.owner.put(self.write("a file", self.content(3_000_000)), "--code", "4+2")
        self.archived(1)
        self.owner.answer("rm", put["root"])

        def is_empty():
            self.archiver.command("archive", "now")
            return not self.segments()

        await_that(is_empty, lambda: f"a bucket without it: {sorted(self.store.objects)}")

    # Commands and settings; one node is enough

    def test_what_is_wrong_is_told(self):
        node = self.node("a node", *SMALL, *self.settings)
        self.bad(KEY, "archive login", node=node, command=("archive", "test"))
        self.bad(KEY, "archive login", node=node, command=("archive", "now"))
        self.assertIn("no credentials", run("doctor", "--data", node.folder).stdout)
        self.login(node)
        self.assertIn("read back", run("archive", "test", "--data", node.folder).stdout)
        self.assertEqual(self.store.objects, {})
        self.assertIn("0 extents", run("doctor", "--data", node.folder).stdout)
        self.login(node, f"{self.store.access}\nwrong")
        self.bad(KEY, "writing (PUT)", "does not take the secret key", node=node, command=("archive", "test"))
        self.assertIn("secret key", run("doctor", "--data", node.folder).stdout)
        self.assertTrue(node.answer("archive", "status")["is_failing"])
        self.login(node, f"AKIDOTHER\r\n{self.store.secret}\r\n")
        self.bad(KEY, "does not know the access key", node=node, command=("archive", "test"))
        for text in ("", "one\n", "one\ntwo\nthree\n", "one\nt wo\n"):
            self.bad(USAGE, node=node, command=("archive", "login", "--key-file", self.keys(text)))
        piped = run("archive", "login", "--key-file", "-", "--data", node.folder, stdin=f"{self.store.access}\n{self.store.secret}")
        self.assertEqual(piped.returncode, 0, piped.stderr)
        node.answer("archive", "test")
        self.store.fail("wrong", method="GET")
        self.bad(23, "not what was put", node=node, command=("archive", "test"))
        node.answer("archive", "logout")
        self.bad(KEY, "archive login", node=node, command=("archive", "test"))
        self.assertIn("NO CREDENTIALS", run("archive", "status", "--data", node.folder).stdout)
        self.secret_is_nowhere()
        node.stop()
        self.bad(NO_NODE, node=node, command=("archive", "status"))

    def test_keys_are_typed_without_echo(self):
        node = self.node("a node", *SMALL, *self.settings)
        terminal = Terminal([PANGEA, "archive", "login", "--data", str(node.folder)])
        self.addCleanup(terminal.close)
        for prompt, key in (("Access key: ", self.store.access), ("Secret key: ", self.store.secret)):
            terminal.expect(prompt)
            terminal.type(f"{key}\n")
        self.assertEqual(terminal.rest(), 0)
        self.assertNotIn(self.store.secret, terminal.text())
        self.assertNotIn(self.store.access, terminal.text())
        node.answer("archive", "test")

    def test_settings(self):
        plain = self.node("plain", *SMALL)
        self.bad(UNSUPPORTED, "archive.endpoint", node=plain, command=("archive", "status"))
        for setting in ("archive.endpoint=ftp://x", "archive.style=other"):
            result = run("config", "check", "--data", plain.folder, "--set", setting)
            self.assertNotEqual(result.returncode, 0, setting)
        for more in (("archive.bucket=No",), ("archive.bucket=good-one", "archive.proxy=socks4://x:1")):
            words = [word for setting in (*SMALL, "archive.endpoint=http://127.0.0.1:1", *more) for word in ("--set", setting)]
            result = run("run", "--data", self.work / "bad", "--listen", "/ip4/127.0.0.1/tcp/0", "--set", "net.mdns=false", *words)
            self.assertEqual(result.returncode, USAGE, result.stderr)
            self.assertIn("archive", result.stderr)

    def test_through_a_proxy_or_not_at_all(self):
        socks = s3_server.Socks()
        url = f"http://s3.invalid:{self.store.port}"
        settings = (f"archive.endpoint={url}", f"archive.bucket={self.store.bucket}", f"archive.proxy={socks.url}", "archive.style=host")
        node = self.node("a node", *SMALL, *settings)
        self.login(node)
        node.answer("archive", "test")
        self.assertEqual(set(socks.names), {f"{self.store.bucket}.s3.invalid"})
        asked = len(self.store.requests)
        socks.close()
        self.bad(32, "writing (PUT)", node=node, command=("archive", "test"))
        self.assertEqual(len(self.store.requests), asked)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[2:], verbosity=1)
