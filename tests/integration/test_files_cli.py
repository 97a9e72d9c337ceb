#!/usr/bin/env python3
"""put, get, ls, rm, link info, block and stat as processes against a fake node (fake_node.py): what comes back, every kind of
trouble with its own exit code and message, and nothing half-written left behind.

usage: test_files_cli.py PANGEA
"""

import io
import json
import os
import pathlib
import random
import resource
import signal
import stat
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import unittest

from fake_node import FakeNode, PEERS

PANGEA = os.path.abspath(sys.argv[1])
NOBODY = 65534
USAGE, IO, NOT_FOUND, EXISTS, ACCESS, FULL, BUSY, LIMIT = 2, 13, 14, 15, 16, 17, 18, 19
TRUNCATED, MALFORMED, KEY, MISSING, CLOSED = 20, 21, 25, 26, 29
PROTOCOL, CHANGED, NO_NODE, PENDING, INTERRUPTED = 33, 35, 36, 37, 130
LINKS = []


def make_links(count):
    """Links that are well-formed: those of `pangea shards encode`."""
    with tempfile.TemporaryDirectory(prefix="pangea-links-") as folder:
        for _ in range(count):
            done = subprocess.run(
                [PANGEA, "shards", "encode", "-", folder, "--quiet"], input=os.urandom(16), capture_output=True, check=True
            )
            LINKS.append(done.stdout.decode().strip())


def as_nobody():
    if os.getuid() == 0:
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def limit_file_size(limit):
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))


def snapshot(folder):
    """All that a tree is, name by name."""
    tree = {}
    for path in sorted([folder, *folder.rglob("*")]):
        info = path.lstat()
        if stat.S_ISREG(info.st_mode):
            what = path.read_bytes()
        else:
            what = os.readlink(path) if stat.S_ISLNK(info.st_mode) else None
        tree[str(path.relative_to(folder))] = (info.st_mode, info.st_mtime_ns, what)
    return tree


class Case(unittest.TestCase):
    maxDiff = 2000

    def setUp(self):
        place = tempfile.TemporaryDirectory(prefix="pangea-files-")
        self.addCleanup(place.cleanup)
        self.work = pathlib.Path(place.name)
        self.work.chmod(0o755)
        self.node = FakeNode(self.work / "node", LINKS)
        self.addCleanup(self.node.close)
        self.here = self.work / "here"  # the working directory of the commands
        self.here.mkdir(mode=0o777)
        self.here.chmod(0o777)
        self.random = random.Random(self.id())

    def words(self, *arguments):
        return [PANGEA, *map(str, arguments), "--data", self.node.folder]

    def run_here(self, *arguments, stdin=b"", preexec=None):
        return subprocess.run(
            self.words(*arguments), input=stdin, capture_output=True, check=False, timeout=120, cwd=self.here, preexec_fn=preexec
        )

    def start(self, *arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE):
        process = subprocess.Popen(self.words(*arguments), stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, cwd=self.here)
        self.addCleanup(lambda: process.poll() is None and process.kill())
        return process

    def end(self, process, how=None):
        if how is not None:
            process.send_signal(how)
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def works(self, done):
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def fails(self, done, code, *texts):
        """The command failed with its code and said why."""
        self.assertEqual(done.returncode, code, done.stderr)
        for text in texts:
            self.assertIn(text, done.stderr.decode())
        return done

    def nothing_left(self, *names):
        self.assertEqual(sorted(path.name for path in self.here.iterdir()), sorted(names))

    def source(self, size, name="source"):
        path = self.here / name
        path.write_bytes(self.random.randbytes(size))
        return path

    def on_terminal(self, *arguments):
        """Run with standard error on a terminal; returns exit code, standard output and what the terminal got."""
        ours, terminal = os.openpty()
        with subprocess.Popen(self.words(*arguments), stdout=subprocess.PIPE, stderr=terminal, cwd=self.here) as process:
            os.close(terminal)
            told = b""
            try:
                while more := os.read(ours, 65536):
                    told += more
            except OSError:  # the other side of the terminal is closed
                pass
            out = process.stdout.read()
        os.close(ours)
        return process.returncode, out, told


class Put(Case):
    def test_file__link_alone_on_standard_output(self):
        for size in (0, 1, 300000, 20000000):
            source = self.source(size)
            done = self.works(self.run_here("put", source))
            link = done.stdout.decode()
            self.assertEqual(link, link.strip() + "\n")
            self.assertEqual(self.node.contents[link.strip()], (source.read_bytes(), "source", "file"))
            query = self.node.queries[-1]
            noted = {name: query.pop(name, None) for name in ("source", "version", "start")}
            self.assertEqual(None in noted.values(), size < 8 << 20)
            self.assertEqual(query, {"kind": "file", "name": "source"} | ({"total_bytes": str(size)} if size else {}))
        self.assertIn(b"19.1 MiB in", done.stderr)
        self.assertIn(b"MB/s; compressed 2.00 times", done.stderr)
        self.assertIn(b"11.9 MiB on 10 hosts, code 8+2", done.stderr)
        self.assertIn(b"survives the loss of any 2 hosts", done.stderr)
        self.assertIn(b"hosts keep it for 30 d", done.stderr)

    def test_options__reach_the_node(self):
        source = self.source(1000, "a b&c=d%\u00e9")
        self.works(self.run_here("put", source))
        self.assertEqual(self.node.queries[-1]["name"], "a b&c=d%\u00e9")
        self.works(self.run_here("put", source, "--name", "other", "--code", "4+3", "--no-compress", "--ttl", "2w"))
        want = {"kind": "file", "name": "other", "code": "4+3", "no_compress": "true", "ttl_s": str(14 * 86400)}
        self.assertEqual(self.node.queries[-1], want | {"total_bytes": "1000"})
        self.works(self.run_here("put", source, "--no-name", "--ttl=90s"))
        self.assertEqual(self.node.queries[-1], {"kind": "file", "ttl_s": "90", "total_bytes": "1000"})
        for text, seconds in (("5m", 300), ("3h", 10800), ("60d", 5184000), ("7s", 7)):
            self.works(self.run_here("put", source, "--ttl", text))
            self.assertEqual(self.node.queries[-1]["ttl_s"], str(seconds))
        for text in ("61d", "9w", "5184001", "0", "1y"):
            self.fails(self.run_here("put", source, "--ttl", text), USAGE, "up to 60 days")

    def test_json_and_quiet(self):
        source = self.source(100000)
        done = self.works(self.run_here("put", source, "--json"))
        told = json.loads(done.stdout)
        self.assertEqual((told["size_bytes"], told["state"], len(told["hosts"]), done.stderr), (100000, "complete", 10, b""))
        self.assertGreater(told["seconds"], 0)
        done = self.works(self.run_here("put", source, "-q"))
        self.assertEqual((done.stdout[:7], done.stderr), (b"pangea:", b""))

    def test_standard_input(self):
        content = self.random.randbytes(3000000)
        done = self.works(self.run_here("put", "-", stdin=content))
        self.assertEqual(self.node.contents[done.stdout.decode().strip()], (content, None, "file"))
        done = self.works(self.run_here("put", "-", "--name", "x", stdin=b""))
        self.assertEqual(self.node.contents[done.stdout.decode().strip()], (b"", "x", "file"))
        with open(self.source(100000), "rb") as file:
            process = self.start("put", "-", stdin=file)
            done = self.works(self.end(process))
        self.assertEqual(len(self.node.contents[done.stdout.decode().strip()][0]), 100000)

    def test_slow_standard_input__is_sent_as_it_comes(self):
        process = self.start("put", "-", stdin=subprocess.PIPE)
        for _ in range(3):
            process.stdin.write(b"piece")
            process.stdin.flush()
            deadline = time.monotonic() + 30
            want = 5 * (1 + _)
            while not any(t["bytes"] == want for t in self.node.transfers.values()):
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.01)  # another process: nothing else tells
        done = self.works(self.end(process))
        self.assertEqual(self.node.contents[done.stdout.decode().strip()][0], b"piece" * 3)

    def test_named_pipe__is_read_to_its_end(self):
        os.mkfifo(self.here / "pipe")
        process = self.start("put", "pipe")
        with open(self.here / "pipe", "wb") as pipe:
            pipe.write(b"through the pipe")
        done = self.works(self.end(process))
        self.assertEqual(self.node.contents[done.stdout.decode().strip()], (b"through the pipe", "pipe", "file"))

    def test_file_of_proc__has_no_size_and_is_read_all_the_same(self):
        done = self.works(self.run_here("put", "/proc/version"))
        content = self.node.contents[done.stdout.decode().strip()][0]
        self.assertEqual(content, pathlib.Path("/proc/version").read_bytes())

    def test_pending__prints_the_link_and_ends_with_37(self):
        self.node.put_state = "pending"
        done = self.fails(self.run_here("put", self.source(1000)), PENDING, "no host could be reached")
        self.assertTrue(done.stdout.startswith(b"pangea:"))
        self.assertNotIn(b"survives", done.stderr)
        done = self.run_here("put", "source", "--json")
        self.assertEqual((done.returncode, json.loads(done.stdout)["state"]), (PENDING, "pending"))

    def test_partial__says_so(self):
        self.node.put_state = "partial"
        done = self.works(self.run_here("put", self.source(1000)))
        self.assertIn(b"4 hosts", done.stderr)
        self.assertIn(b"none may be lost", done.stderr)
        self.assertIn(b"fewer hosts than pieces", done.stderr)

    def test_wrong_use(self):
        source = self.source(10)
        for words, text in (
            (["--code", "0+1"], "code"),
            (["--code", "8"], "code"),
            (["--ttl", "0d"], "--ttl"),
            (["--ttl", "90"], "--ttl"),
            (["--ttl", "d"], "--ttl"),
            (["--ttl", "99999w"], "--ttl"),
            (["--ttl", "-1"], "--ttl"),
            (["--name", "a/b"], "--name"),
            (["--name", ".."], "--name"),
            (["--name", ""], "--name"),
            (["--name", "x" * 256], "--name"),
            (["--name", "x", "--no-name"], "exclude"),
            (["--frobnicate"], "unknown option"),
        ):
            self.fails(self.run_here("put", source, *words), USAGE, text)
        self.fails(self.run_here("put"), USAGE, "PATH is missing")
        self.fails(self.run_here("put", LINKS[0]), USAGE, "pangea get")
        self.fails(self.run_here("put", "none"), NOT_FOUND, "none")
        source.chmod(0)
        self.fails(self.run_here("put", source, preexec=as_nobody), ACCESS, "source")
        self.assertEqual(self.node.requests, [])

    def test_name_that_cannot_be_stored__is_left_out(self):
        for name in (b"a\nb", b"no\xffutf8", b"c1\xc2\x9b"):
            path = os.path.join(os.fsencode(self.here), name)
            pathlib.Path(os.fsdecode(path)).touch()
            done = self.works(self.run_here("put", os.fsdecode(path)))
            self.assertIn(b"not stored", done.stderr)
            self.assertNotIn("name", self.node.queries[-1])
        self.fails(self.run_here("put", os.fsdecode(path), "--name", os.fsdecode(b"\xff")), USAGE, "UTF-8")

    def test_dot__is_named_after_the_folder(self):
        self.source(10)
        self.works(self.run_here("put", "."))
        self.assertEqual((self.node.queries[-1]["name"], self.node.queries[-1]["kind"]), ("here", "folder"))
        self.works(self.run_here("put", "../here///"))
        self.assertEqual(self.node.queries[-1]["name"], "here")

    def test_refused__before_anything_is_sent(self):
        self.node.put_problem = {"code": "full", "detail": "this node has no room for 20000000 bytes"}
        self.fails(self.run_here("put", self.source(20000000)), FULL, "this node has no room for 20000000 bytes")
        self.fails(self.run_here("put", self.source(10)), FULL, "no room")
        self.fails(self.run_here("put", "-", stdin=bytes(3000000)), FULL, "no room")
        done = self.run_here("put", "source", "--json")
        error = json.loads(done.stdout)["error"]
        self.assertEqual((done.returncode, error["code"], error["exit_code"]), (FULL, "full", FULL))

    def test_broken_off_with_a_reason__tells_the_reason(self):
        self.node.put_fails_at = 5000000
        self.node.put_problem = {"code": "full", "detail": "host 7 ran full"}
        self.fails(self.run_here("put", self.source(20000000)), FULL, "host 7 ran full")

    def test_broken_off_without_a_reason(self):
        self.node.put_fails_at = 5000000
        done = self.fails(self.run_here("put", self.source(20000000)), CLOSED, "the node went away")
        self.assertEqual(done.stdout, b"")

    def test_reason_of_an_unknown_kind__is_told_all_the_same(self):
        self.node.put_problem = {"code": "invented_later", "detail": "something new"}
        self.fails(self.run_here("put", self.source(10)), PROTOCOL, "something new")

    def test_answers_that_are_none(self):
        source = self.source(10)
        for answer in ({}, {"link": "pangea:x"}, {"link": 7}):
            self.node.put_answer = answer
            self.fails(self.run_here("put", source), PROTOCOL, "no link")
        self.node.put_answer = {"link": LINKS[0], "size_bytes": 9}
        self.fails(self.run_here("put", source), PROTOCOL, "9 bytes of 10")
        self.node.put_answer = ["x"]
        self.fails(self.run_here("put", source), PROTOCOL, "no JSON object")

    def test_busy_node__is_waited_for(self):
        self.node.put_delay = 1.5
        self.works(self.run_here("put", self.source(1000)))

    def test_no_node(self):
        self.node.gone = True
        self.fails(self.run_here("put", self.source(10)), CLOSED, "went away")
        done = subprocess.run([PANGEA, "put", "source", "--data", "none"], cwd=self.here, capture_output=True, check=False)
        self.fails(done, NO_NODE, "start one with `pangea run`")

    def test_source_changes__nothing_is_put(self):
        def grow(path):
            with open(path, "ab") as file:
                file.write(b"more")

        changes = (grow, lambda path: os.truncate(path, 1000), lambda path: path.write_bytes(bytes(20000000)))
        for change in changes:
            source = self.source(20000000)
            os.utime(source, (1, 1))
            self.node.put_gate, self.node.put_started = threading.Event(), threading.Event()
            self.node.cancelled.clear()
            process = self.start("put", source)
            self.assertTrue(self.node.put_started.wait(60))
            change(source)
            self.node.put_gate.set()
            done = self.fails(self.end(process), CHANGED, "source")
            self.assertEqual(done.stdout, b"")
            self.assertTrue(self.node.cancelled.wait(60))
        self.assertEqual(self.node.files, {})

    def test_interrupted__upload_is_cancelled(self):
        for how in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self.node.put_gate, self.node.put_started = threading.Event(), threading.Event()
            self.node.cancelled.clear()
            process = self.start("put", self.source(20000000))
            self.assertTrue(self.node.put_started.wait(60))
            done = self.fails(self.end(process, how), INTERRUPTED, "interrupted")
            self.assertEqual(done.stdout, b"")
            self.node.put_gate.set()
            self.assertTrue(self.node.cancelled.wait(60))
        self.assertEqual(self.node.files, {})

    def test_interrupted__while_standard_input_is_idle(self):
        process = self.start("put", "-", stdin=subprocess.PIPE)
        process.stdin.write(b"some")
        process.stdin.flush()
        while not any(t["bytes"] == 4 for t in self.node.transfers.values()):
            time.sleep(0.01)  # another process: nothing else tells
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(timeout=60), INTERRUPTED)
        self.assertTrue(self.node.cancelled.wait(60))
        self.end(process)

    def test_interrupted__while_the_node_is_busy(self):
        self.node.put_delay = 30
        process = self.start("put", self.source(1000))
        self.assertTrue(self.node.put_started.wait(60))
        self.fails(self.end(process, signal.SIGINT), INTERRUPTED)

    def test_node_gone__while_standard_input_is_idle(self):
        self.node.put_fails_at = 4
        self.node.put_problem = {"code": "limit", "detail": "enough is enough"}
        process = self.start("put", "-", stdin=subprocess.PIPE)
        process.stdin.write(b"some")
        process.stdin.flush()
        self.assertEqual(process.wait(timeout=60), LIMIT)
        self.assertIn(b"enough is enough", process.stderr.read())
        self.end(process)

    def test_progress__on_a_terminal__is_a_bar_that_goes_away(self):
        code, out, told = self.on_terminal("put", self.source(20000000))
        self.assertEqual((code, out[:7]), (0, b"pangea:"))
        self.assertIn(b"put [########################] 100 %  19.1 MiB of 19.1 MiB", told)
        self.assertIn(b"\r\x1b[K19.1 MiB in", told)
        code, out, told = self.on_terminal("put", "source", "--json")
        self.assertEqual((code, json.loads(out)["size_bytes"]), (0, 20000000))
        self.assertIn(b"put [########################] 100 %", told)
        code, out, told = self.on_terminal("put", "source", "--quiet")
        self.assertEqual((code, told), (0, b""))

    def test_progress__is_what_the_node_has_placed(self):
        self.node.put_gate = threading.Event()
        ours, terminal = os.openpty()
        process = subprocess.Popen(self.words("put", self.source(20000000)), stdout=subprocess.PIPE, stderr=terminal)
        os.close(terminal)
        told = b""
        while b"62.5 KiB of 19.1 MiB" not in told and b"64.0 KiB of 19.1 MiB" not in told:
            told += os.read(ours, 65536)  # the first piece; libcurl has sent more
        self.node.put_gate.set()
        try:
            while os.read(ours, 65536):
                pass
        except OSError:
            pass
        os.close(ours)
        process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0)


class PutAgain(Case):
    """A put that was broken off, and the same command again."""

    MIB = 1 << 20

    def test_small_files_and_streams__are_not_noted(self):
        self.works(self.run_here("put", self.source(1000000)))
        self.works(self.run_here("put", "-", stdin=bytes(9 * self.MIB)))
        self.assertEqual(self.node.origins, [])

    def test_goes_on_where_the_node_says(self):
        path = self.source(20 * self.MIB)
        self.node.put_start = 16 * self.MIB
        done = self.works(self.run_here("put", path, "--json"))
        self.assertEqual(self.node.queries[-1]["start"], str(16 * self.MIB))
        self.assertEqual(self.node.queries[-1]["total_bytes"], str(20 * self.MIB))
        (content, _, _) = self.node.contents[json.loads(done.stdout)["link"]]
        self.assertEqual(content[16 * self.MIB :], path.read_bytes()[16 * self.MIB :])
        self.assertEqual(json.loads(done.stdout)["resumed_bytes"], 16 * self.MIB)
        self.assertIn(b"going on behind the 16.0 MiB", self.run_here("put", path).stderr)
        self.node.put_start = 20 * self.MIB  # all was placed, but for the root
        self.works(self.run_here("put", path))
        self.node.put_start = 21 * self.MIB
        self.fails(self.run_here("put", path), PROTOCOL, "behind the end")

    def test_identity__is_of_the_file_and_the_options(self):
        path = self.source(9 * self.MIB)
        for words in ([path], [path], [path, "--code", "4+2"], [path, "--no-name"]):
            self.works(self.run_here("put", *words))
        path.write_bytes(path.read_bytes())
        self.node.put_changed = True
        self.assertIn(b"put anew", self.works(self.run_here("put", path)).stderr)
        sources, versions = zip(*self.node.origins)
        self.assertEqual(len(set(sources)), 3)
        self.assertEqual((sources[0], versions[0]), (sources[1], versions[1]))
        self.assertEqual((sources[4], len(set(versions))), (sources[0], 2))

    def test_interrupted__says_that_it_goes_on(self):
        self.node.put_gate = threading.Event()
        process = self.start("put", self.source(20 * self.MIB))
        self.assertTrue(self.node.put_started.wait(60))
        self.fails(self.end(process, signal.SIGINT), INTERRUPTED, "the same command goes on", "interrupted")


class Get(Case):
    def setUp(self):
        super().setUp()
        self.content = self.random.randbytes(2000000)
        self.link = self.node.serve(self.content, "name.bin")

    def test_stored_name__here(self):
        done = self.works(self.run_here("get", self.link))
        self.assertEqual(done.stdout, b"name.bin\n")
        self.assertEqual((self.here / "name.bin").read_bytes(), self.content)
        self.assertIn(b"1.9 MiB in", done.stderr)
        self.assertIn(b"first byte after", done.stderr)
        self.assertIn(b"2 pieces were missing and 1 corrupt; others made up for them", done.stderr)
        self.nothing_left("name.bin")

    def test_output__file_folder_and_standard_output(self):
        self.works(self.run_here("get", self.link, "-o", "x"))
        (self.here / "folder").mkdir()
        done = self.works(self.run_here("get", self.link, "--output", "folder"))
        self.assertEqual(done.stdout, b"folder/name.bin\n")
        self.works(self.run_here("get", self.link, "-ofolder/", "--force"))
        self.assertEqual((self.here / "x").read_bytes(), (self.here / "folder/name.bin").read_bytes())
        done = self.works(self.run_here("get", self.link, "-o", "-"))
        self.assertEqual(done.stdout, self.content)
        with open(self.here / "y", "wb") as out:
            self.works(self.end(self.start("get", self.link, "-o-", stdout=out)))
        self.assertEqual((self.here / "y").read_bytes(), self.content)
        done = self.works(self.run_here("get", self.link, "-o", "-", "--json"))
        self.assertEqual((done.stdout == self.content, json.loads(done.stderr)["file"]), (True, "-"))
        self.nothing_left("x", "y", "folder")

    def test_empty_file(self):
        link = self.node.serve(b"", "empty")
        self.works(self.run_here("get", link))
        self.assertEqual((self.here / "empty").read_bytes(), b"")

    def test_link_from_standard_input(self):
        for text in (self.link, self.link + "\n", f"  {self.link}\r\nand more\n"):
            self.works(self.run_here("get", "-", "-o", "x", "--force", stdin=text.encode()))
            self.assertEqual((self.here / "x").read_bytes(), self.content)
        self.fails(self.run_here("get", "-", stdin=b""), USAGE, "no link came")
        self.fails(self.run_here("get", "-", stdin=b"x" * 5000), USAGE, "not a pangea link")

    def test_link__is_not_in_the_list_of_processes(self):
        self.node.get_gate = threading.Event()
        process = self.start("get", self.link)
        self.assertTrue(self.node.get_started.wait(60))
        seen = pathlib.Path(f"/proc/{process.pid}/cmdline").read_bytes().decode()
        root, secret = self.link.split("#")
        self.assertIn(root, seen)
        self.assertNotIn(secret[:6], seen)
        self.node.get_gate.set()
        self.works(self.end(process))
        self.assertEqual(self.node.links, [self.link])

    def test_json(self):
        told = json.loads(self.works(self.run_here("get", self.link, "--json")).stdout)
        self.assertEqual((told["file"], told["size_bytes"], told["report"]["shards_fetched"]), ("name.bin", 2000000, 80))
        self.assertGreater(told["first_byte_ms"], 0)

    def test_names_of_strangers__stay_here(self):
        for name, want in (
            ("../../evil", "_._.._evil"),
            ("/etc/passwd", "_etc_passwd"),
            (".bashrc", "_bashrc"),
            ("..", "_."),
            ("a\nb\x1b[2J", "a_b_[2J"),
            ("x" * 300, "x" * 255),
            ("caf\u00e9", "caf\u00e9"),
        ):
            link = self.node.serve(b"x", name)
            done = self.works(self.run_here("get", link))
            self.assertEqual(done.stdout.decode(), want + "\n")
            self.assertEqual(b"stored name was changed" in done.stderr, name != want)
            self.nothing_left(want)
            (self.here / want).unlink()

    def test_no_name(self):
        link = self.node.serve(b"x", None)
        self.fails(self.run_here("get", link), USAGE, "without a name", "-o")
        self.fails(self.run_here("get", link, "-o", "."), USAGE, "without a name")
        self.works(self.run_here("get", link, "-o", "x"))
        self.nothing_left("x")

    def test_there_already(self):
        (self.here / "name.bin").write_bytes(b"old")
        self.fails(self.run_here("get", self.link), EXISTS, "name.bin", "--force")
        self.assertEqual((self.here / "name.bin").read_bytes(), b"old")
        self.node.get_fails_at = 1000000
        self.fails(self.run_here("get", self.link, "--force"), CLOSED)
        self.assertEqual((self.here / "name.bin").read_bytes(), b"old")
        self.node.get_fails_at = None
        self.works(self.run_here("get", self.link, "-f"))
        self.assertEqual((self.here / "name.bin").read_bytes(), self.content)
        (self.here / "name.bin").unlink()
        (self.here / "name.bin").mkdir()
        self.fails(self.run_here("get", self.link, "--force"), USAGE, "no ordinary file")
        self.fails(self.run_here("get", self.link, "-o", "none/"), NOT_FOUND, "no folder none")
        self.fails(self.run_here("get", self.link, "-o", "none/x"), NOT_FOUND, "no folder none")
        self.fails(self.run_here("get", self.link, "-o", ""), USAGE, "-o")
        self.nothing_left("name.bin")

    def test_mistyped_links__never_reach_the_node(self):
        root, secret = self.link.split("#")
        for link, code, text in (
            ("x", USAGE, "not a pangea link"),
            ("https://example.org/", USAGE, "not a pangea link"),
            ("name.bin", USAGE, "not a pangea link"),
            (root, TRUNCATED, "the link has no key"),
            (root + "#", TRUNCATED, "the link has no key"),
            (self.link[:-1], TRUNCATED, ""),
            (root + "#" + secret.replace(secret[5], "2" if secret[5] != "2" else "3", 1), MALFORMED, "mistyped"),
            (self.link + "x", MALFORMED, "too long"),
        ):
            self.fails(self.run_here("get", link), code, text)
        self.assertEqual(self.node.requests, [])

    def test_refused(self):
        for code, number in (("not_found", NOT_FOUND), ("key", KEY), ("missing", MISSING)):
            self.node.get_problem = {"code": code, "detail": f"the detail of {code}"}
            self.fails(self.run_here("get", self.link), number, f"the detail of {code}")
            self.nothing_left()

    def test_broken_off__the_reason_is_asked_for(self):
        self.node.get_problem = {"code": "missing", "detail": "extent 0 segment 3: 7 of 8 shards are left"}
        for fails_at in (0, 1, 1000000, 1999999):
            for late in (False, True):
                self.node.get_fails_at, self.node.get_problem_late = fails_at, late
                self.fails(self.run_here("get", self.link), MISSING, "extent 0 segment 3")
                self.nothing_left()
        done = self.run_here("get", self.link, "--json")
        self.assertEqual(json.loads(done.stdout)["error"]["code"], "missing")

    def test_broken_off__without_a_reason(self):
        self.node.get_fails_at = 1000000
        self.fails(self.run_here("get", self.link), CLOSED, "the node went away")
        self.node.get_then_gone = True
        self.fails(self.run_here("get", self.link), CLOSED, "the node went away")
        self.nothing_left()

    def test_wrong_size(self):
        for size in (1999999, 2000001):
            self.node.get_size = size
            self.fails(self.run_here("get", self.link), TRUNCATED, f"2000000 bytes of {size}")
            self.nothing_left()

    def test_interrupted__nothing_is_left(self):
        (self.here / "old").write_bytes(b"old")
        for how in (signal.SIGINT, signal.SIGTERM):
            for words in ([], ["-o", "old", "--force"], ["-o", "-"]):
                self.node.get_gate, self.node.get_started = threading.Event(), threading.Event()
                process = self.start("get", self.link, *words)
                self.assertTrue(self.node.get_started.wait(60))
                self.fails(self.end(process, how), INTERRUPTED, "interrupted")
                self.node.get_gate.set()
                self.nothing_left("old")
                self.assertEqual((self.here / "old").read_bytes(), b"old")

    def test_interrupted__while_nobody_reads_standard_output(self):
        link = self.node.serve(bytes(20000000), None)
        process = self.start("get", link, "-o", "-")
        deadline = time.monotonic() + 60
        before = -1
        while True:  # until the node cannot send any more, since the pipe is full
            now = max((t["bytes"] for t in self.node.transfers.values()), default=0)
            if now == before and now > 0:
                break
            self.assertLess(time.monotonic(), deadline)
            before = now
            time.sleep(0.3)
        self.assertLess(now, 10000000)  # bounded: it does not take what nobody takes from it
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(timeout=60), INTERRUPTED)
        self.end(process)

    def test_reader_goes_away(self):
        process = self.start("get", self.link, "-o", "-")
        process.stdout.read(10)
        process.stdout.close()
        self.assertEqual(process.wait(timeout=60), CLOSED)
        self.assertIn(b"standard output", process.stderr.read())
        process.stderr.close()

    def test_no_room(self):
        self.fails(self.run_here("get", self.link, preexec=limit_file_size(1000000)), FULL)
        self.nothing_left()

    def test_folder_that_may_not_be_written(self):
        self.here.chmod(0o555)
        self.fails(self.run_here("get", self.link, preexec=as_nobody), ACCESS)

    def test_no_node(self):
        done = subprocess.run([PANGEA, "get", self.link, "--data", "none"], cwd=self.here, capture_output=True, check=False)
        self.fails(done, NO_NODE, "start one with `pangea run`")
        self.node.gone = True
        self.fails(self.run_here("get", self.link), CLOSED, "went away")

    def test_progress__on_a_terminal(self):
        code, out, told = self.on_terminal("get", self.link)
        self.assertEqual((code, out), (0, b"name.bin\n"))
        self.assertIn(b"get [########################] 100 %  1.9 MiB of 1.9 MiB", told)
        self.assertIn(b"\r\x1b[K", told)


class GetAgain(Case):
    """A get that was broken off, and the same command again."""

    MIB = 1 << 20

    def setUp(self):
        super().setUp()
        self.serve(24)

    def serve(self, size):
        self.content = self.random.randbytes(size * self.MIB)
        self.link = self.node.serve(self.content, "name.bin")

    def part(self):
        (path,) = self.here.glob(".pangea-*.part")
        return path

    def break_off(self, at, how, *words):
        """End a get with a signal when the node has sent so much."""
        self.node.get_gate, self.node.get_started, self.node.get_gate_at = threading.Event(), threading.Event(), at
        process = self.start("get", self.link, *words)
        self.assertTrue(self.node.get_started.wait(60))
        # What is sent stands in buffers: until the command has written most of it.
        deadline = time.monotonic() + 60
        while not (files := list(self.here.glob(".pangea-*.part"))) or files[0].stat().st_size < at - 4 * self.MIB:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)
        done = self.end(process, how)
        self.node.get_gate.set()
        self.node.get_gate = None
        self.node.starts.clear()
        return done

    def goes_on(self, *words):
        done = self.works(self.run_here("get", self.link, *words))
        self.assertEqual((self.here / "name.bin").read_bytes(), self.content)
        self.nothing_left("name.bin")
        (start,) = self.node.starts
        return done, start

    def test_interrupted__goes_on_behind_all_that_came(self):
        self.fails(self.break_off(16 * self.MIB, signal.SIGINT), INTERRUPTED, "the same command goes on")
        size = self.part().stat().st_size
        self.assertEqual(self.part().stat().st_mode & 0o777, 0o600)
        done, start = self.goes_on("--json")
        self.assertEqual(start, size)
        told = json.loads(done.stdout)
        self.assertEqual((told["size_bytes"], told["resumed_bytes"]), (len(self.content), size))

    def test_killed__goes_on_behind_what_was_noted(self):
        self.serve(48)
        self.break_off(40 * self.MIB, signal.SIGKILL)
        _, start = self.goes_on()
        self.assertGreaterEqual(start, 32 * self.MIB)

    def test_killed_again_and_again(self):
        self.serve(80)
        for at in (40, 70):
            self.break_off(at * self.MIB, signal.SIGKILL, "-o", "name.bin")
        _, start = self.goes_on("-o", "name.bin")
        self.assertGreaterEqual(start, 60 * self.MIB)  # the second run noted 32 MiB behind the first

    def test_broken_off_by_the_node(self):
        self.node.get_fails_at = 12 * self.MIB
        self.fails(self.run_here("get", self.link), CLOSED, "the same command goes on")
        self.node.get_fails_at = None
        self.node.starts.clear()
        _, start = self.goes_on()
        self.assertEqual(start, 12 * self.MIB)

    def test_changed__is_got_anew_and_said(self):
        self.break_off(16 * self.MIB, signal.SIGINT)
        with open(self.part(), "r+b") as part:
            part.seek(9 * self.MIB)
            part.write(b"x" if self.content[9 * self.MIB] != ord("x") else b"y")
        done, start = self.goes_on()
        self.assertEqual(start, 0)
        self.assertIn(b"was changed since", done.stderr)
        (self.here / "name.bin").unlink()
        self.break_off(16 * self.MIB, signal.SIGINT)
        os.truncate(self.part(), 10 * self.MIB)
        self.assertEqual(self.goes_on()[1], 0)

    def test_torn_note__the_older_one_counts(self):
        self.serve(80)
        self.break_off(75 * self.MIB, signal.SIGKILL)
        note = self.part().with_suffix(".note")
        sectors = bytearray(note.read_bytes())
        self.assertEqual(len(sectors), 1024)
        lengths = [int.from_bytes(sectors[at + 48 : at + 56], "big") for at in (0, 512)]
        self.assertGreaterEqual(min(lengths), 32 * self.MIB)
        self.assertGreaterEqual(max(lengths), 64 * self.MIB)
        torn = 512 * lengths.index(max(lengths))
        sectors[torn + 60 : torn + 512] = bytes(452)
        note.write_bytes(sectors)
        self.assertEqual(self.goes_on()[1], min(lengths))

    def test_note_of_others__is_not_believed(self):
        self.break_off(16 * self.MIB, signal.SIGINT)
        part, note = self.part(), self.part().with_suffix(".note")
        note.write_bytes(b"pangea-partial-1" + bytes(1008))
        self.assertEqual(self.goes_on()[1], 0)
        (self.here / "name.bin").unlink()
        self.break_off(16 * self.MIB, signal.SIGINT)
        part.chmod(0o666)  # who else could write it is not trusted with the rest
        self.assertEqual(self.goes_on()[1], 0)
        (self.here / "name.bin").unlink()
        secret = self.here / "mine"
        secret.write_bytes(b"mine")
        secret.chmod(0o600)
        part.symlink_to("mine")  # laid for us: it is removed, not followed
        self.works(self.run_here("get", self.link))
        self.assertEqual(secret.read_bytes(), b"mine")
        self.assertFalse((self.here / "name.bin").is_symlink())
        self.nothing_left("mine", "name.bin")

    def test_another_link_or_place__has_its_own(self):
        self.break_off(16 * self.MIB, signal.SIGINT)
        other = self.node.serve(self.content[: 9 * self.MIB], "other")
        self.works(self.run_here("get", other))
        self.works(self.run_here("get", self.link, "-o", "elsewhere"))
        self.assertEqual(self.node.starts, [0, 0])
        self.node.starts.clear()
        (self.here / "other").unlink()
        (self.here / "elsewhere").unlink()
        self.assertGreater(self.goes_on()[1], 0)

    def test_two_at_once__the_second_is_refused(self):
        self.node.get_gate, self.node.get_gate_at = threading.Event(), 12 * self.MIB
        process = self.start("get", self.link)
        self.assertTrue(self.node.get_started.wait(60))
        self.fails(self.run_here("get", self.link), BUSY, "another")
        self.node.get_gate.set()
        self.works(self.end(process))
        self.assertEqual((self.here / "name.bin").read_bytes(), self.content)
        self.nothing_left("name.bin")

    def test_standard_output__begins_anew_and_leaves_nothing(self):
        self.break_off(16 * self.MIB, signal.SIGINT)
        done = self.works(self.run_here("get", self.link, "-o", "-"))
        self.assertTrue(done.stdout == self.content)
        self.assertEqual(self.node.starts, [0])


class Folders(Case):
    def tree(self):
        """A folder with all that a folder may have."""
        top = self.here / "tree"
        deep = top / "deep" / ("d" * 200) / ("e" * 200)
        deep.mkdir(parents=True)
        (deep / ("f" * 200)).write_bytes(b"a path of 606 bytes")
        (top / "empty").touch()
        (top / "empty folder").mkdir(mode=0o700)
        (top / "caf\u00e9 \u4e2d\u6587").write_bytes("\u00e4".encode() * 1000)
        os.close(os.open(os.fsencode(top) + b"/no\xffutf8", os.O_CREAT | os.O_WRONLY, 0o644))
        (top / "random").write_bytes(self.random.randbytes(3000000))
        (top / "program").write_bytes(b"#!/bin/sh\n")
        (top / "program").chmod(0o755)
        (top / "secret").write_bytes(b"x")
        (top / "secret").chmod(0o400)
        (top / "link").symlink_to("random")
        (top / "dangling").symlink_to("/no/such/\u00e9")
        os.link(top / "random", top / "the same")
        with open(top / "sparse", "wb") as sparse:
            sparse.truncate(30 << 20)
            sparse.seek(10 << 20)
            sparse.write(b"island")
        for i, path in enumerate(sorted(top.rglob("*"))):
            os.utime(path, ns=(0, 10**18 + i * 1234567), follow_symlinks=False)
        (top / "empty folder").chmod(0o555)
        return top

    def put(self, path):
        return self.works(self.run_here("put", path)).stdout.decode().strip()

    def test_odd_tree__comes_back(self):
        tree = self.tree()
        done = self.works(self.run_here("put", "tree"))
        link = done.stdout.decode().strip()
        self.assertIn(b"16 files, folders and links as one archive", done.stderr)
        content, name, kind = self.node.contents[link]
        self.assertEqual((name, kind), ("tree", "folder"))
        self.assertLess(len(content), 4 << 20)  # the hole is not in it
        done = self.works(self.run_here("get", link, "-o", "back"))
        self.assertEqual(done.stdout, b"back\n")
        self.assertIn(b"unpacked 16 files, folders and links", done.stderr)
        self.assertEqual(snapshot(self.here / "back"), snapshot(tree))
        self.assertEqual((self.here / "back/random").stat().st_nlink, 2)
        self.assertLess((self.here / "back/sparse").stat().st_blocks * 512, 1 << 20)
        self.nothing_left("tree", "back")

    def test_places(self):
        link = self.put(self.tree())
        self.fails(self.run_here("get", link), EXISTS, "tree")
        (self.here / "other").mkdir()
        done = self.works(self.run_here("get", link, "-o", "other"))
        self.assertEqual(done.stdout, b"other/tree\n")
        (self.here / "other/tree/random").unlink()
        (self.here / "other/tree/more").touch()
        self.works(self.run_here("get", link, "-o", "other", "--force"))
        self.assertEqual(snapshot(self.here / "other/tree"), snapshot(self.here / "tree"))
        told = json.loads(self.works(self.run_here("get", link, "-o", "new", "--json")).stdout)
        self.assertEqual((told["folder"], told["entries"], told["skipped"]), ("new", 16, 0))
        self.nothing_left("tree", "other", "new")

    def test_archive_as_it_is__is_read_by_others(self):
        tree = self.tree()
        archive = self.works(self.run_here("get", self.put(tree), "-o", "-")).stdout
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            names = tar.getnames()
            self.assertEqual(tar.extractfile("random").read(), (tree / "random").read_bytes())
            self.assertEqual(tar.extractfile("sparse").read(), (tree / "sparse").read_bytes())
            self.assertTrue(tar.getmember("the same").islnk())
            self.assertEqual({(m.uid, m.gid, m.uname) for m in tar}, {(0, 0, "")})  # nobody's name goes along
        self.assertEqual(names, [".", *sorted(names[1:], key=lambda name: os.fsencode(name).replace(b"/", b"\0"))])

    def test_archives_of_others__are_unpacked(self):
        for kind in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT):
            data = io.BytesIO()
            with tarfile.open(fileobj=data, mode="w", format=kind) as tar:
                tar.add(self.tree() if kind == tarfile.PAX_FORMAT else self.here / "tree", "top", filter=short_of(kind))
            link = self.node.serve(data.getvalue(), "x", "folder")
            self.works(self.run_here("get", link, "-o", f"back{kind}"))
            got = self.here / f"back{kind}/top"
            self.assertEqual((got / "random").read_bytes(), (self.here / "tree/random").read_bytes())
            if kind != tarfile.USTAR_FORMAT:
                self.assertEqual((got / "caf\u00e9 \u4e2d\u6587").stat().st_size, 2000)
                self.assertTrue((got / "deep" / ("d" * 200) / ("e" * 200) / ("f" * 200)).exists())
        data = subprocess.run(["tar", "-C", self.here, "-c", "tree"], capture_output=True, check=True).stdout
        self.works(self.run_here("get", self.node.serve(data, "x", "folder"), "-o", "back"))
        self.assertEqual(snapshot(self.here / "back/tree")["random"][2], snapshot(self.here / "tree")["random"][2])

    def test_many_small_files(self):
        top = self.here / "many"
        for i in range(100):
            (top / f"{i:02d}").mkdir(parents=True)
            for k in range(100):
                (top / f"{i:02d}" / f"{k:02d}").write_bytes(b"%d %d" % (i, k))
        start = time.monotonic()
        link = self.put(top)
        middle = time.monotonic()
        self.works(self.run_here("get", link, "-o", "back"))
        print(f"10,000 files: put {middle - start:.2f} s, get {time.monotonic() - middle:.2f} s", file=sys.stderr)
        self.assertEqual(snapshot(top), snapshot(self.here / "back"))

    def test_empty_folder(self):
        (self.here / "nothing").mkdir()
        link = self.put("nothing")
        self.works(self.run_here("get", link, "-o", "back"))
        self.assertEqual(list((self.here / "back").iterdir()), [])

    def test_devices_and_sockets__are_left_out_and_told(self):
        top = self.here / "tree"
        top.mkdir()
        (top / "file").touch()
        os.mkfifo(top / "pipe")
        done = self.works(self.run_here("put", "tree"))
        self.assertIn("tree/pipe is a device, pipe or socket: left out", done.stderr.decode())
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w") as tar:
            for name, kind in (("dev", tarfile.CHRTYPE), ("block", tarfile.BLKTYPE), ("pipe", tarfile.FIFOTYPE)):
                member = tarfile.TarInfo(name)
                member.type, member.devmajor, member.devminor = kind, 1, 3
                tar.addfile(member)
            member = tarfile.TarInfo("root")
            member.mode = 0o6777
            tar.addfile(member)
        done = self.works(self.run_here("get", self.node.serve(data.getvalue(), "x", "folder")))
        self.assertIn("dev is a device, pipe or socket: left out", done.stderr.decode())
        self.assertEqual([path.name for path in (self.here / "x").iterdir()], ["root"])
        self.assertEqual(stat.S_IMODE((self.here / "x/root").stat().st_mode) & 0o7000, 0)

    def test_trouble_while_packing(self):
        tree = self.tree()
        tree.chmod(0o755)
        (tree / "secret").chmod(0)
        self.fails(self.run_here("put", "tree", preexec=as_nobody), ACCESS, "tree/secret")
        (tree / "secret").chmod(0o644)
        self.node.put_gate, self.node.put_started = threading.Event(), threading.Event()
        (tree / "random").write_bytes(self.random.randbytes(20000000))
        process = self.start("put", "tree")
        self.assertTrue(self.node.put_started.wait(60))
        os.truncate(tree / "random", 100)
        self.node.put_gate.set()
        self.fails(self.end(process), CHANGED, "tree/random changed")
        self.assertTrue(self.node.cancelled.wait(60))

    def test_interrupted__nothing_is_left(self):
        link = self.put(self.tree())
        for words in (["-o", "back"], ["-f"]):
            before = snapshot(self.here / "tree")
            self.node.get_gate, self.node.get_started = threading.Event(), threading.Event()
            process = self.start("get", link, *words)
            self.assertTrue(self.node.get_started.wait(60))
            self.fails(self.end(process, signal.SIGINT), INTERRUPTED)
            self.node.get_gate.set()
            self.nothing_left("tree")
            self.assertEqual(snapshot(self.here / "tree"), before)
        self.node.put_gate = threading.Event()
        self.node.put_started.clear()
        process = self.start("put", "tree")
        self.assertTrue(self.node.put_started.wait(60))
        self.fails(self.end(process, signal.SIGINT), INTERRUPTED)

    def test_broken_off__nothing_is_left(self):
        link = self.put(self.tree())
        whole = len(self.node.contents[link][0])
        for fails_at in (0, 600, whole // 2, whole - 1024, whole - 1):  # the last two behind the last entry
            self.node.get_fails_at = fails_at
            self.node.get_problem = {"code": "missing", "detail": "too few shards"}
            self.fails(self.run_here("get", link, "-o", "back"), MISSING, "too few shards")
            self.nothing_left("tree")

    def test_no_room(self):
        link = self.put(self.tree())
        self.fails(self.run_here("get", link, "-o", "back", preexec=limit_file_size(1000000)), FULL, "random")
        self.nothing_left("tree")

    def hostile(self, *members):
        """Unpack an archive of (name, type, linkname, content); it has to be refused and to leave nothing."""
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for name, kind, target, content in members:
                member = tarfile.TarInfo(name)
                member.type, member.linkname, member.size = kind, target, len(content)
                tar.addfile(member, io.BytesIO(content))
        link = self.node.serve(data.getvalue(), "target", "folder")
        (self.work / "outside").write_bytes(b"untouched")
        done = self.run_here("get", link, "--force")
        self.assertIn(done.returncode, (MALFORMED, LIMIT), (members[0][0][:40], done.stderr))
        self.nothing_left()
        self.assertEqual((self.work / "outside").read_bytes(), b"untouched")
        self.assertEqual(sorted(path.name for path in self.work.iterdir()), ["here", "node", "outside"])
        self.assertFalse(pathlib.Path("/tmp/pangea-hostile").exists())
        return done.stderr.decode()

    def test_hostile_archives__are_refused(self):
        file, folder, link, hard = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
        outside = str(self.work / "outside")
        self.assertIn("..", self.hostile(("../x", file, "", b"bad")))
        self.assertIn("..", self.hostile(("../outside", file, "", b"bad")))
        self.assertIn("..", self.hostile(("a/../../outside", file, "", b"bad")))
        self.assertIn("absolute", self.hostile(("/tmp/pangea-hostile", file, "", b"bad")))
        self.assertIn("absolute", self.hostile((outside, file, "", b"bad")))
        self.assertIn("through", self.hostile(("a", link, "/tmp", b""), ("a/pangea-hostile", file, "", b"bad")))
        self.assertIn("through", self.hostile(("a", link, "../..", b""), ("a/outside", file, "", b"bad")))
        self.assertIn("twice", self.hostile(("a", link, outside, b""), ("a", file, "", b"bad")))
        self.assertIn("through", self.hostile(("d", folder, "", b""), ("d/a", link, "../../..", b""), ("d/a/x/y", folder, "", b"")))
        self.assertIn("absolute", self.hostile(("a", hard, outside, b"")))
        self.assertIn("..", self.hostile(("a", hard, "../../outside", b"")))
        self.assertIn("no file", self.hostile(("l", link, "../..", b""), ("a", hard, "l/outside", b"")))
        self.assertIn("twice", self.hostile(("l", link, outside, b""), ("a", hard, "l", b""), ("a", file, "", b"bad")))
        self.assertIn("twice", self.hostile(("a", file, "", b"one"), ("a", file, "", b"two")))
        self.assertIn("twice", self.hostile(("a", file, "", b"one"), ("./a", file, "", b"two")))
        self.assertIn("256 bytes", self.hostile(("x" * 256, file, "", b"bad")))
        self.assertIn("bytes", self.hostile(("/".join(["x" * 200] * 30), file, "", b"bad")))
        self.assertIn("deeper", self.hostile(("/".join("x" * 300), file, "", b"bad")))

    def test_no_archive(self):
        for content in (b"", b"no archive", bytes(5000), self.random.randbytes(100000)):
            link = self.node.serve(content, "target", "folder")
            done = self.run_here("get", link)
            if content == bytes(5000):  # only zeros: an archive of nothing
                self.works(done)
                (self.here / "target").rmdir()
            else:
                self.assertIn(done.returncode, (TRUNCATED, MALFORMED), done.stderr)
                self.assertIn(b"no whole archive", done.stderr)
            self.nothing_left()


def short_of(kind):
    """Leave out what old formats cannot hold."""

    def keep(member):
        plain = member.name.isascii() and len(member.name) < 90 and member.linkname.isascii()
        member.mtime = int(member.mtime)
        return member if kind != tarfile.USTAR_FORMAT or plain else None

    return keep


class Catalogue(Case):
    def put(self, name, size=1000):
        link = self.works(self.run_here("put", self.source(size), "--name", name)).stdout.decode().strip()
        return link, link.split(":")[1].split("#")[0]

    def test_ls(self):
        done = self.works(self.run_here("ls"))
        self.assertEqual((done.stdout, done.stderr), (b"", b"nothing was put through this node\n"))
        link, root = self.put("one", 100000)
        self.put("two\u00e9")
        self.node.files[root]["name"] = "ev\x1bil\nname"
        self.node.put_state = "pending"
        self.run_here("put", ".")
        lines = self.works(self.run_here("ls")).stdout.decode().splitlines()
        self.assertEqual(len(lines), 3)
        self.assertRegex(lines[0], rf"^complete    97\.7 KiB       2 h ago      30 d left  {root}  ev\?il\?name$")
        self.assertIn("two\u00e9", lines[1])
        self.assertRegex(lines[2], r"^pending .* - left .* here/$")
        self.assertNotIn("#", "".join(lines))  # no secret without being asked
        self.assertIn(link, self.works(self.run_here("ls", "--links")).stdout.decode())
        told = json.loads(self.works(self.run_here("ls", "--json")).stdout)
        self.assertEqual((len(told["files"]), told["files"][0]["link"]), (3, link))

    def test_ls__page_by_page(self):
        self.node.page_files = 2
        for count in range(6):
            told = json.loads(self.works(self.run_here("ls", "--json")).stdout)
            self.assertEqual([file["root"] for file in told["files"]], list(self.node.files))
            self.assertEqual(len(self.works(self.run_here("ls")).stdout.splitlines()), count)
            told = json.loads(self.works(self.run_here("ls", "--health", "--json")).stdout)
            self.assertEqual([file["root"] for file in told["files"]], list(self.node.files))
            lines = self.works(self.run_here("ls", "--health")).stdout
            self.assertEqual((lines.count(b"not proven yet"), lines.count(b"no forecast yet")), (count, count // 2))
            self.assertEqual(lines.count(b"readable 50.00 % of the time"), count - count // 2)
            self.put(f"file {count}")
        self.works(self.run_here("rm", "file 5"))
        self.assertEqual(len(self.node.files), 5)
        self.node.page_removed = 0
        told = json.loads(self.works(self.run_here("ls", "--json")).stdout)
        self.assertEqual([file["root"] for file in told["files"]], list(self.node.files)[2:])
        self.node.page_gone, self.node.page_removed = 4, None
        done = self.fails(self.run_here("ls"), IO, "the disk of the list")
        self.assertEqual(len(done.stdout.splitlines()), 4)
        told = json.loads(self.run_here("ls", "--json").stdout)
        self.assertEqual((len(told["files"]), told["error"]["code"]), (4, "io"))
        self.fails(self.run_here("rm", "file 1"), IO, "the disk of the list")
        self.assertEqual(len(self.node.files), 5)

    def test_rm(self):
        for how in ("link", "-", "root", "name"):
            link, root = self.put("a name")
            word = {"link": link, "-": "-", "root": root, "name": "a name"}[how]
            done = self.works(self.run_here("rm", word, stdin=link.encode()))
            self.assertIn(b"8 of 10 hosts dropped it", done.stderr)
            self.assertEqual(self.node.files, {})
        _, root = self.put("x")
        self.assertEqual(json.loads(self.works(self.run_here("rm", "x", "--json")).stdout), {"dropped": 8, "hosts": 10})
        self.fails(self.run_here("rm", "x"), NOT_FOUND, "nothing named x", "pangea ls")
        self.fails(self.run_here("rm", root), NOT_FOUND, "was not put here")
        self.works(self.run_here("put", self.source(10), "--no-name"))
        self.fails(self.run_here("rm", "?"), NOT_FOUND)
        self.fails(self.run_here("rm", ""), NOT_FOUND)
        self.assertIn(b"(no name)", self.run_here("ls").stdout)
        self.node.files.clear()
        self.put("twin")
        self.put("twin")
        self.fails(self.run_here("rm", "twin"), USAGE, "2 files are named twin")
        self.fails(self.run_here("rm", LINKS[0][:-1]), TRUNCATED)
        self.assertEqual(len(self.node.files), 2)

    def test_link_info(self):
        link = self.node.serve(bytes(100000), "some name")
        done = self.works(self.run_here("link", "info", link))
        text = done.stdout.decode()
        self.assertIn("name  some name\nkind  file\nsize  97.7 KiB\nextent 0: 97.7 KiB, code 8+2\n", text)
        self.assertIn(f"  {PEERS[0]}  slot 0, keeps it for 30 d\n", text)
        self.assertIn(f"  {PEERS[3]}  slot 3, keeps it for 30 d, cannot be reached\n", text)
        told = json.loads(self.works(self.run_here("link", "info", "-", "--json", stdin=link.encode())).stdout)
        self.assertEqual(len(told["extents"][0]["holders"]), 10)
        self.node.extent_count = 5
        self.assertIn(b"and 4 extents more", self.run_here("link", "info", link).stdout)
        self.node.extent_count = 0
        small = self.node.serve(b"x", None, "folder")
        text = self.works(self.run_here("link", "info", small)).stdout.decode()
        self.assertIn("name  not stored\nkind  folder\nsize  1 B\nit is so small", text)
        self.fails(self.run_here("link", "info", LINKS[-1]), NOT_FOUND, "nobody has the root")
        self.fails(self.run_here("link", "info", link + "x"), MALFORMED, "mistyped")
        self.fails(self.run_here("link", "info"), USAGE, "LINK is missing")

    def test_block(self):
        source = self.source(2 << 20)
        cid = self.works(self.run_here("block", "put", source)).stdout.decode().strip()
        self.assertEqual(cid, self.node.block_cid)
        self.assertEqual(self.works(self.run_here("block", "get", cid)).stdout, source.read_bytes())
        done = self.works(self.run_here("block", "get", cid, "-o", "x"))
        self.assertEqual((done.stdout, (self.here / "x").read_bytes()), (b"x\n", source.read_bytes()))
        self.fails(self.run_here("block", "get", cid, "-o", "x"), EXISTS)
        told = json.loads(self.works(self.run_here("block", "get", cid, "-o", "x", "-f", "--json", "--timeout", "5")).stdout)
        self.assertEqual((told["size_bytes"], self.node.queries[-1]), (2 << 20, {"timeout_ms": "5"}))
        self.works(self.run_here("block", "put", "-", stdin=b"abc"))
        self.assertEqual(self.works(self.run_here("block", "get", cid)).stdout, b"abc")
        self.assertEqual(json.loads(self.run_here("block", "put", "-", "--json", stdin=b"abc").stdout)["cid"], cid)
        self.fails(self.run_here("block", "put", self.source((2 << 20) + 1)), LIMIT, "pangea put")
        self.fails(self.run_here("block", "put", "-", stdin=bytes((2 << 20) + 1)), LIMIT, "pangea put")
        self.fails(self.run_here("block", "put", "."), USAGE, "pangea put")
        self.fails(self.run_here("block", "get", "x"), USAGE, "no content id")
        self.fails(self.run_here("block", "get", cid, "--timeout", "x"), USAGE, "--timeout")
        self.node.blocks.clear()
        self.fails(self.run_here("block", "get", cid, "-o", "new"), NOT_FOUND, "nobody has")
        self.nothing_left("source", "x")

    def test_no_node__and_help(self):
        commands = (["ls"], ["rm", "x"], ["status"], ["link", "info", LINKS[0]], ["put", "-"], ["get", LINKS[0]])
        commands += (["block", "put", "-"], ["block", "get", self.node.block_cid])
        for words in commands:
            done = subprocess.run([PANGEA, *words, "--data", "none"], capture_output=True, check=False, cwd=self.here, input=b"")
            self.fails(done, NO_NODE, "start one with `pangea run`")
            name = words[:2] if words[0] in ("link", "block") else words[:1]
            done = self.works(self.run_here(*name, "--help"))
            self.assertIn(f"Usage: pangea {' '.join(name)}", done.stdout.decode())
            self.assertIn("--json", done.stdout.decode())
        self.assertEqual(self.node.requests, [])


if __name__ == "__main__":
    make_links(40)
    unittest.main(argv=sys.argv[:1] + sys.argv[2:], verbosity=1)
