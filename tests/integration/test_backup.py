#!/usr/bin/env python3
"""pangea backup and restore as a person uses them: beside a node that works, alone, locked, damaged, killed in the middle; the drill; and a
restored node that finds what happened since, whose grants and list of files do not go backwards.

usage: test_backup.py PANGEA
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import unittest

from nodes import CORRUPT, EXISTS, KEY, MALFORMED, NOT_FOUND, PANGEA, TRUNCATED, NodeTest, begin, run

UNSUPPORTED, AUTH = 22, 24
SMALL = ("storage.quota=64MiB", "storage.cache=1MiB", "net.drain_timeout=100ms")


def tree(folder):
    """What stands under a folder, by name."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


class Backup(NodeTest):
    def backup(self, data, *options, name="node.backup"):
        file = self.work / name
        made = run("backup", file, "--data", data, "--json", *options)
        self.assertEqual(made.returncode, 0, made.stdout + made.stderr)
        told = json.loads(made.stdout)
        self.assertEqual((told["file"], told["bytes"]), (str(file), file.stat().st_size))
        self.assertEqual(file.stat().st_mode & 0o777, 0o600)
        return file, told

    def restore(self, file, name, *options):
        data = self.work / name
        done = run("restore", file, "--data", data, *options)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("never run it while the old one runs", done.stderr)
        self.assertEqual(data.stat().st_mode & 0o777, 0o700)
        return data

    def proved(self, file, data, *options, code=0):
        before = sorted(os.listdir(self.work))
        done = run("backup", "--verify", file, "--data", data, *options)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        self.assertEqual(sorted(os.listdir(self.work)), before)  # the scratch directory is gone
        return done.stdout if code == 0 else done.stderr


class Alone(Backup):
    def worked(self):
        """A node with files and blocks that has ended."""
        node = self.node("data", *SMALL)
        self.contents = {f"file {i}": self.content(700_000, i) for i in range(3)}
        for name, content in self.contents.items():
            self.assertEqual(run("put", self.write(name, content), "--data", node.folder).returncode, 37)
        self.links = {file["name"]: file["link"] for file in node.answer("ls")["files"]}
        self.cid = node.answer("block", "put", self.write("block", self.content(100_000, 9)))["cid"]
        return node

    def test_round_trip(self):
        node = self.worked()
        (node.folder / "pangea.conf").write_text("[storage]\nquota = 32MiB\n")
        live, told = self.backup(node.folder, "--blocks", name="live.backup")
        self.assertEqual((told["has_blocks"], told["is_locked"]), (True, False))
        proof = self.proved(live, node.folder)
        self.assertIn("3 files in it (3 of them in the running node, which has 3)", proof)
        self.assertIn("3 files opened to the last byte, 0 are with hosts", proof)
        self.assertEqual(len(proof.splitlines()), 1)
        node.stop()
        alone, _ = self.backup(node.folder, "--blocks", name="alone.backup")
        small, _ = self.backup(node.folder, name="small.backup")
        self.assertIn("blocks are not in it", self.proved(small, node.folder))
        self.assertLess(small.stat().st_size, alone.stat().st_size)
        with tarfile.open(live) as archive:  # any tar shows what is in it
            self.assertIn("pangea-backup/list", archive.getnames())
        self.assertFalse((node.folder / "pangea.db.copy").exists())
        for i, file in enumerate((live, alone)):
            data = self.restore(file, f"again {i}")
            self.assertEqual((data / "identity").read_bytes(), (node.folder / "identity").read_bytes())
            self.assertEqual((data / "pangea.conf").read_text(), "[storage]\nquota = 32MiB\n")
            again = self.node(data.name, *SMALL)
            self.assertEqual(again.peer_id, node.peer_id)
            self.assertEqual({file["name"]: file["link"] for file in again.answer("ls")["files"]}, self.links)
            for name, content in self.contents.items():
                self.assertSame(again.fetch(self.links[name]), content)
            self.assertEqual(again.answer("block", "get", self.cid, "-o", self.work / f"got {i}")["size_bytes"], 100_000)
            again.stop()

    def test_while_it_works(self):
        """Backups beside puts and removals: each is a moment that was."""
        node = self.worked()
        links, is_over = dict(self.links), threading.Event()
        known = dict(self.contents)

        def work():
            for i in range(12):
                name, content = f"more {i}", self.content(400_000, 100 + i)
                known[name] = content
                run("put", self.write(name, content), "--data", node.folder)
                if i % 3 == 2:
                    run("rm", f"more {i - 1}", "--data", node.folder)
            is_over.set()

        worker = threading.Thread(target=work)
        worker.start()
        made = []
        while not is_over.is_set() or not made:
            made.append(self.backup(node.folder, "--blocks", name=f"{len(made)}.backup")[0])
        worker.join()
        node.stop()
        for i, file in enumerate({made[0], made[len(made) // 2], made[-1]}):
            self.assertIn("proved", self.proved(file, node.folder))
            again = self.node(self.restore(file, f"again {i}").name, *SMALL)
            links = {file["name"]: file["link"] for file in again.answer("ls")["files"]}
            self.assertLessEqual(set(self.links), set(links))
            for name, link in links.items():
                got = again.fetch(link)
                if name.startswith("file") or isinstance(got, bytes):  # one that was just being removed may lack blocks
                    self.assertSame(got, known[name])
            again.stop()

    def test_what_a_thief_gets(self):
        """Without the identity's secret nothing of the content shows."""
        key = os.urandom(32).hex()
        data = self.work / "data"
        phrase = self.write("phrase", b"correct horse\n")
        self.assertEqual(run("init", "--data", data, "--passphrase-file", phrase).returncode, 0)
        (data / "swarm.key").write_text(f"/key/swarm/psk/1.0.0/\n/base16/\n{key}\n")
        (data / "pangea.conf").write_text("[net]\nswarm_key = swarm.key\npeers = /ip4/192.0.2.77/tcp/1/p2p/12D3KooWK81SuWftPUhX3b4WXZbKfnEhCu16bwT5cyqGC3ixCBTs\n")
        node = self.node("data", *SMALL, more=("--passphrase-file", phrase))
        put = run("put", self.write("diary of anna", self.content(100_000)), "--data", data)
        link = put.stdout.strip()
        self.fails(run("backup", self.work / "x", "--data", data), KEY, "--passphrase-file")
        file, told = self.backup(data, "--blocks", "--passphrase-file", phrase)
        self.assertTrue(told["is_locked"])
        whole = file.read_bytes()
        for word in (key, "192.0.2.77", "swarm.key", "diary", link.split("#")[1], "correct horse"):
            self.assertNotIn(word.encode(), whole)
        node.stop()
        self.fails(run("restore", file, "--data", self.work / "b"), KEY, "locked")
        wrong = self.write("wrong", b"another\n")
        self.fails(run("restore", file, "--data", self.work / "b", "--passphrase-file", wrong), KEY, "passphrase")
        self.assertFalse((self.work / "b").exists())
        again = self.restore(file, "b", "--passphrase-file", phrase)
        for name in ("pangea.conf", "swarm.key"):
            self.assertEqual((again / name).read_text(), (data / name).read_text())
            self.assertEqual((again / name).stat().st_mode & 0o777, 0o600)

    def test_lock_the_copy(self):
        data = self.work / "data"
        self.assertEqual(run("init", "--data", data).returncode, 0)
        warned = run("backup", self.work / "open.backup", "--data", data)
        self.assertIn("whoever gets the file is you", warned.stderr)
        phrase = self.write("phrase", b"correct horse\n")
        file, told = self.backup(data, "--lock-file", phrase)
        self.assertTrue(told["is_locked"])
        seeds = (data / "identity").read_bytes()[18:114]
        self.assertNotIn(seeds[:32], file.read_bytes())
        self.fails(run("backup", "--verify", file, "--data", data), KEY, "locked")
        self.assertIn("proved", self.proved(file, data, "--passphrase-file", phrase))
        again = self.restore(file, "b", "--passphrase-file", phrase)
        shown = run("id", "--data", again, "--passphrase-file", phrase, "--secret", "--json")
        self.assertEqual(json.loads(shown.stdout), json.loads(run("id", "--data", data, "--secret", "--json").stdout))

    def test_refusals(self):
        data = self.work / "data"
        self.assertEqual(run("init", "--data", data).returncode, 0)
        file, _ = self.backup(data)
        self.fails(run("backup", file, "--data", data), EXISTS, "already")
        self.fails(run("restore", file, "--data", data), EXISTS, "not empty")
        self.fails(run("restore", self.work / "none", "--data", self.work / "b"), NOT_FOUND)
        self.fails(run("backup", self.work / "no/where", "--data", data), NOT_FOUND)
        empty = self.work / "empty"
        empty.mkdir(mode=0o755)
        self.assertEqual(run("restore", file, "--data", empty).returncode, 0)
        self.assertEqual(empty.stat().st_mode & 0o777, 0o700)
        in_folder = json.loads(run("backup", self.work, "--data", data, "--json").stdout)["file"]
        self.assertRegex(in_folder, r"/pangea-\d+\.backup$")
        other = self.work / "other"
        self.assertEqual(run("init", "--data", other).returncode, 0)
        for bad in (b"", b"x" * 512, b"x" * 10_000, bytes(1024), (other / "identity").read_bytes() * 4):
            self.assertIn(run("restore", self.write("bad", bad), "--data", self.work / "b").returncode, (TRUNCATED, MALFORMED, UNSUPPORTED))

    def test_damage(self):
        """Every byte counts: wherever one changes, or the file ends, nothing is placed."""
        node = self.worked()
        node.stop()
        file, _ = self.backup(node.folder, "--blocks")
        whole = file.read_bytes()
        bad = self.work / "bad.backup"
        target = self.work / "b"
        marks = [0, 100, 140, 600, 900, 1024, 1100, 1600, len(whole) // 2, *(len(whole) - far for far in (5000, 1500, 1200, 700, 1))]
        with tarfile.open(file) as archive:
            marks += [member.offset + 130 for member in archive] + [member.offset_data + 3 for member in archive]
        for at in marks:
            bad.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
            done = run("restore", bad, "--data", target)
            self.assertIn(done.returncode, (TRUNCATED, MALFORMED, UNSUPPORTED, CORRUPT, AUTH, KEY), f"{at}: {done.stderr}")
            self.assertFalse(target.exists(), at)
        for length in (0, 511, 512, 5000, len(whole) // 2, len(whole) - 2000):
            bad.write_bytes(whole[:length])
            self.fails(run("restore", bad, "--data", target), TRUNCATED)
        self.fails(run("backup", "--verify", bad, "--data", node.folder), TRUNCATED)
        bad.write_bytes(whole + b"x")
        self.fails(run("restore", bad, "--data", target), MALFORMED)
        # A list that somebody made anew, digests and all, but without the secret.
        with tarfile.open(file) as archive:
            stored = archive.getmember("pangea-backup/blocks/store")
            listed = archive.getmember("pangea-backup/list")
        forged = bytearray(whole)
        forged[stored.offset_data + 20] ^= 1
        body = bytes(forged[listed.offset_data : listed.offset_data + listed.size])
        bad.write_bytes(bytes(forged))
        self.fails(run("restore", bad, "--data", target), CORRUPT, "blocks/store")
        self.assertIn(b" 96 pangea-backup/blocks/store", body)
        self.assertEqual(run("restore", file, "--data", target).returncode, 0)

    def test_killed(self):
        """A backup and a restore that are killed leave nothing that counts, and are begun anew."""
        node = self.worked()
        node.stop()
        target = self.work / "b"
        for i in range(12):
            file = self.work / f"{i}.backup"
            with begin("backup", file, "--data", node.folder, "--blocks") as process:
                try:
                    process.wait(timeout=0.004 * i)
                except subprocess.TimeoutExpired:
                    process.kill()
            if file.exists():
                self.assertIn("proved", run("backup", "--verify", file, "--data", node.folder).stdout)
        file, _ = self.backup(node.folder, "--blocks")
        for i in range(16):
            with begin("restore", file, "--data", target) as process:
                try:
                    process.wait(timeout=0.004 * i)
                except subprocess.TimeoutExpired:
                    process.kill()
            if target.exists():
                shutil.rmtree(target)
        data = self.restore(file, "b")
        self.assertFalse((self.work / "b.restoring").exists())
        self.assertEqual(tree(data)["identity"], (node.folder / "identity").read_bytes())
        again = self.node("b", *SMALL)
        for name, content in self.contents.items():
            self.assertSame(again.fetch(self.links[name]), content)

    def test_interrupted(self):
        node = self.worked()
        file = self.work / "cut.backup"
        for how in (signal.SIGINT, signal.SIGTERM):
            with begin("backup", file, "--data", node.folder, "--blocks") as process:
                process.send_signal(how)
                self.assertIn(process.wait(timeout=60), (0, 130, -how))
            file.unlink(missing_ok=True)
        self.backup(node.folder)  # nothing is in the way
        self.assertEqual([path.name for path in self.work.glob("*.part")], [])

    def test_damage_before_the_backup(self):
        node = self.worked()
        node.stop()
        with open(node.packs()[0], "r+b") as pack:
            pack.seek(60_000)
            pack.write(b"damage")
        (node.folder / "blocks/index").unlink(missing_ok=True)
        file, _ = self.backup(node.folder, "--blocks")
        # The directory was like this: one of ten pieces of a segment is not missed, and what is damaged is told as gone.
        proof = self.proved(file, node.folder)
        self.assertIn("3 files opened", proof)
        with tarfile.open(file) as archive:
            database = archive.getmember("pangea-backup/database")
        self.assertGreater(database.size, 4096)


class AmongHosts(Backup):
    def test_old_backup_does_not_go_backwards(self):
        """What happened after the backup is taken in again: new files come, removed ones stay removed, and hosts obey."""
        self.mesh(12, *SMALL)
        peers = [f"net.peers={node.addr}" for node in self.nodes]
        owner = self.node("owner", *SMALL, "storage.accept=nobody", *peers)
        self.wait_for(lambda: len(owner.peers()) >= 12, "the owner knows the hosts")

        def files_of(node):
            return {file["name"]: file["link"] for file in node.answer("ls")["files"]}

        def published(node):
            return self.wait_for(
                lambda: node.stat()["catalogue"]["state"] == "published" and node.stat()["catalogue"]["sequence"],
                lambda: f"published: {node.stat()['catalogue']}\n{node.log()}",
            )

        for name in ("kept", "removed"):
            owner.put(self.write(name, self.content(300_000, len(name))))
        before = published(owner)
        file, _ = self.backup(owner.folder, "--blocks")
        owner.answer("rm", "removed")
        owner.put(self.write("new", self.content(300_000, 99)))
        links = files_of(owner)
        self.assertEqual(owner.stop(), 0)  # which publishes what changed
        shutil.rmtree(owner.folder)

        again = self.restore(file, "owner")
        self.assertIn("2 files in it", self.proved(file, again))
        owner.start()
        self.assertEqual(owner.peer_id, json.loads(run("id", "--data", again, "--json").stdout)["peer_id"])
        self.wait_for(lambda: files_of(owner) == links, lambda: f"{files_of(owner)}\n{owner.log()}")
        self.assertSame(owner.fetch(links["new"]), self.content(300_000, 99))
        self.assertSame(owner.fetch(links["kept"]), self.content(300_000, 4))
        # Hosts take what it signs now: the drop of one from before the backup, of one from after it, and a new file.
        for name in ("kept", "new"):
            self.assertGreaterEqual(owner.answer("rm", name)["dropped"], 8)
        owner.put(self.write("newest", b"newest" * 10_000))
        self.assertEqual(owner.stop(), 0)  # which publishes it
        owner.start()
        after = owner.stat()["catalogue"]["sequence"]
        self.assertGreater(after, before + 1)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[2:], verbosity=1)
