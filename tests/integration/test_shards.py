#!/usr/bin/env python3
"""pangea shards encode and decode as a process: what comes back, every kind of trouble with its own exit code and message, and
nothing half-written left behind.

usage: test_shards.py PANGEA VECTORS
"""

import json
import os
import pathlib
import random
import re
import resource
import signal
import subprocess
import sys
import tempfile
import unittest

PANGEA = os.path.abspath(sys.argv[1])
VECTORS = pathlib.Path(sys.argv[2]).read_text(encoding="utf-8")
NOBODY = 65534
USAGE, NOT_FOUND, EXISTS, ACCESS, FULL = 2, 14, 15, 16, 17
TRUNCATED, MALFORMED, CORRUPT, KEY, MISSING, CHANGED, INTERRUPTED = 20, 21, 23, 25, 26, 35, 130


def run(*arguments, stdin=b"", preexec=None, cwd=None):
    """Run the program to its end."""
    return subprocess.run(
        [PANGEA, *map(str, arguments)], input=stdin, capture_output=True, preexec_fn=preexec, cwd=cwd, check=False, timeout=120
    )


def as_nobody():
    if os.getuid() == 0:
        os.setuid(NOBODY)


def limit_file_size(limit):
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))


class Shards(unittest.TestCase):
    def setUp(self):
        self.place = tempfile.TemporaryDirectory(prefix="pangea-shards-")
        self.addCleanup(self.place.cleanup)
        self.work = pathlib.Path(self.place.name)
        self.work.chmod(0o755)
        self.folders = [self.work / f"f{i}" for i in range(10)]
        for folder in self.folders:
            folder.mkdir()
        self.out = self.work / "out"
        self.random = random.Random(self.id())

    def source(self, size, name="source"):
        path = self.work / name
        path.write_bytes(self.random.randbytes(size))
        return path

    def encode(self, source, *options, folders=None):
        done = run("shards", "encode", source, *(folders or self.folders), *options)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.decode().strip()

    def decode(self, link, *options, folders=None):
        return run("shards", "decode", link, *(folders or self.folders), *(options or ("-o", self.out)))

    def fails(self, done, code, *texts):
        """The command failed with its code, said why in one line, and left nothing half-written."""
        self.assertEqual(done.returncode, code, done.stderr)
        for text in texts:
            self.assertIn(text, done.stderr.decode())
        self.assertNotIn(b"Assertion", done.stderr)
        self.assertEqual([p for p in self.work.rglob("*pangea-*")], [])

    def block(self, folder, kind):
        """A block of a folder's set: its largest file is a shard, as long as the file is not tiny."""
        blocks = sorted(folder.glob("*/*"), key=lambda p: p.stat().st_size)
        return blocks[-1] if kind == "shard" else next(p for p in blocks if p.name == p.parent.name)

    # What works

    def test_sizes__come_back(self):
        for size in (0, 1, 32768, 32769, 3000000, 20000000):
            source = self.source(size)
            link = self.encode(source, "--quiet")
            done = self.decode(link, "-o", self.out, "--force", folders=self.folders[2:])
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(self.out.read_bytes(), source.read_bytes())

    def test_standard_input_and_output__come_back(self):
        content = self.random.randbytes(5000000)
        done = run("shards", "encode", "-", *self.folders[:3], "--code=2+1", stdin=content)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(b"any 1 of the 3 folders may be lost", done.stderr)
        link = done.stdout.decode().strip()
        done = self.decode(link, "-o", "-", folders=self.folders[1:3])
        self.assertEqual((done.returncode, done.stdout == content), (0, True), done.stderr)
        self.fails(self.decode(link, "--quiet", folders=self.folders[:3]), USAGE, "without a name")

    def test_stored_name__is_used_where_one_stands(self):
        link = self.encode(self.source(100000, "a name.bin"))
        away = self.work / "away"
        away.mkdir()
        done = run("shards", "decode", link, *self.folders, cwd=away)
        self.assertEqual((done.returncode, done.stdout), (0, b"a name.bin\n"), done.stderr)
        self.assertEqual((away / "a name.bin").read_bytes(), (self.work / "a name.bin").read_bytes())

    def test_json__tells_result_and_error(self):
        done = run("shards", "encode", self.source(100000), *self.folders, "--json")
        told = json.loads(done.stdout)
        self.assertEqual((told["size_bytes"], told["survives"], told["folders"], done.stderr), (100000, 2, 10, b""))
        self.block(self.folders[0], "shard").unlink()
        told = json.loads(self.decode(told["link"], "-o", self.out, "--json").stdout)
        self.assertEqual((told["shards_absent"], told["problems"][0]["fault"]), (1, "absent"))
        done = self.decode("pangea:", "--json")
        self.assertEqual(json.loads(done.stdout)["error"]["exit_code"], TRUNCATED)

    def test_no_compress_and_no_name__hide_length_and_name(self):
        (self.work / "text").write_bytes(b"all the same " * 10000)
        link = self.encode(self.work / "text", "--no-compress", "--no-name")
        self.assertEqual(self.block(self.folders[0], "shard").stat().st_size, (1 << 20) + 64)
        self.assertEqual(self.decode(link).returncode, 0)
        self.assertEqual(self.out.read_bytes(), b"all the same " * 10000)

    def test_progress__on_a_terminal__is_a_bar_that_goes_away(self):
        source = self.source(20000000)
        ours, terminal = os.openpty()
        with subprocess.Popen([PANGEA, "shards", "encode", source, *self.folders], stdout=subprocess.DEVNULL, stderr=terminal) as process:
            os.close(terminal)
            told = b""
            try:
                while more := os.read(ours, 65536):
                    told += more
            except OSError:  # the other side of the terminal is closed
                pass
        os.close(ours)
        self.assertEqual(process.returncode, 0)
        self.assertIn(b"encode [########################] 100 %  19.1 MiB of 19.1 MiB", told)
        self.assertIn(b"\r\x1b[K19.1 MiB in", told)

    def test_folders_of_sets__can_be_given_themselves(self):
        source = self.source(100000)
        link = self.encode(source)
        sets = [next(folder.iterdir()) for folder in self.folders[:8]]
        self.assertEqual(self.decode(link, folders=sets).returncode, 0)
        self.assertEqual(self.out.read_bytes(), source.read_bytes())

    # Lost and corrupt pieces

    def test_corrupt_shards__are_named_and_replaced(self):
        source = self.source(100000)
        link = self.encode(source)
        for number in (0, 1):
            shard = self.block(self.folders[number], "shard")
            content = bytearray(shard.read_bytes())
            content[77] ^= 1
            shard.write_bytes(content if number == 0 else content[:-1])
        done = self.decode(link)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.out.read_bytes(), source.read_bytes())
        for number in (0, 1):
            self.assertIn(f"segment 0: shard {number} (slot {number}) is corrupt: {self.folders[number]}", done.stderr.decode())

    def test_damaged_copies_of_root_and_descriptor__others_serve(self):
        link = self.encode(self.source(100000))
        for path in self.folders[0].glob("*/*"):
            path.write_bytes(b"not what it was")
        done = self.decode(link)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(b"the copy of", done.stderr)

    def test_too_few_folders__names_segment_and_shards(self):
        link = self.encode(self.source(9000000))
        done = self.decode(link, folders=self.folders[3:])
        self.fails(done, MISSING, "segment 0: 7 of 10 shards are left, 8 are needed; missing: 0, 1, 2")
        self.assertFalse(self.out.exists())

    def test_root_in_no_folder__says_so(self):
        link = self.encode(self.source(100000))
        empty = self.work / "empty"
        empty.mkdir()
        self.fails(self.decode(link, folders=[empty]), NOT_FOUND, "no folder has bafkr4i")
        for folder in self.folders:
            self.block(folder, "root").write_bytes(b"")
        self.fails(self.decode(link), CORRUPT, "no folder has a whole copy")

    # Links

    def test_links__each_fault_has_its_code(self):
        link = self.encode(self.source(100))
        at = link.index("#") + 20
        mistyped = link[:at] + ("2" if link[at] != "2" else "3") + link[at + 1 :]
        for wrong, code, text in (
            ("https://example.org/file", USAGE, "not a pangea link"),
            (link[:-1], TRUNCATED, "ends too early"),
            (link[: link.index("#")], TRUNCATED, "no key"),
            (mistyped, MALFORMED, "mistyped"),
            (link + "2", MALFORMED, "mistyped"),
        ):
            self.fails(self.decode(wrong), code, text)
        self.assertFalse(self.out.exists())

    def test_wrong_key__is_told_from_damage(self):
        links = re.findall(r"^link (\S+)$", VECTORS, re.M)
        cid, block = re.findall(r"^cid (\S+)\nblock (\S+)$", VECTORS, re.M)[0]
        (self.folders[0] / cid).write_bytes(bytes.fromhex(block))
        self.assertEqual(self.decode(links[0]).returncode, 0)
        self.assertEqual(self.out.read_bytes(), b"a file of 37 bytes stands in its root")
        self.fails(self.decode(links[2], "-o", self.out, "--force"), KEY, "key of the link")

    # Sources

    def test_sources__that_cannot_be_read(self):
        source = self.source(100)
        source.chmod(0)
        self.fails(run("shards", "encode", self.work / "nothing", *self.folders), NOT_FOUND, "nothing")
        self.fails(run("shards", "encode", self.folders[0], *self.folders), USAGE, "is a folder")
        self.fails(run("shards", "encode", source, *self.folders, preexec=as_nobody), ACCESS, "source")

    def test_source__that_shrinks(self):
        source = self.work / "source"
        source.touch()
        os.truncate(source, 1 << 31)
        with subprocess.Popen([PANGEA, "shards", "encode", source, *self.folders], stderr=subprocess.PIPE) as process:
            while not any(self.folders[9].glob(".pangea-*/*")):  # a shard has been written: reading has begun
                self.assertIsNone(process.poll(), "ended before it was stopped")
            process.send_signal(signal.SIGSTOP)
            os.truncate(source, 1 << 20)
            process.send_signal(signal.SIGCONT)
            _, told = process.communicate(timeout=120)
        self.fails(subprocess.CompletedProcess([], process.returncode, b"", told), CHANGED, "changed while it was read")
        self.assertEqual([any(folder.iterdir()) for folder in self.folders], [False] * 10)

    # Folders and outputs

    def test_folders__that_cannot_be_used(self):
        source = self.source(100)
        source.chmod(0o644)
        for folder in self.folders:
            folder.chmod(0o777)
        self.folders[5].chmod(0o755)
        for folders, code, text in (
            ([self.folders[0], self.work / "nothing"], NOT_FOUND, "nothing"),
            ([self.folders[0], source], USAGE, "is no folder"),
            ([self.folders[0], self.folders[0]], USAGE, "named twice"),
            (self.folders, ACCESS, "f5"),
            ([*self.folders, self.work], USAGE, "11 folders for 10 shards"),
        ):
            self.fails(run("shards", "encode", source, *folders, preexec=as_nobody), code, text)
            self.assertEqual(list(self.folders[0].iterdir()), [])

    def test_disk__full_while_encoding_and_decoding(self):
        source = self.source(3000000)
        done = run("shards", "encode", source, *self.folders, preexec=limit_file_size(100000))
        self.fails(done, FULL, "f0")
        link = self.encode(source)
        done = run("shards", "decode", link, *self.folders, "-o", self.out, preexec=limit_file_size(100000))
        self.fails(done, FULL, "out")
        self.assertFalse(self.out.exists())

    def test_output__that_is_there(self):
        link = self.encode(self.source(100000))
        self.out.write_bytes(b"mine")
        self.fails(self.decode(link), EXISTS, "--force")
        self.assertEqual(self.out.read_bytes(), b"mine")
        self.fails(self.decode(link, "-o", self.work, "--force"), USAGE, "no ordinary file")
        self.fails(self.decode(link, "-o", "/dev/null", "-f"), USAGE, "no ordinary file")
        self.fails(self.decode(link, "-o", self.work / "no" / "where"), NOT_FOUND)
        self.assertEqual(self.decode(link, "-fo", self.out).returncode, 0)
        self.assertEqual(self.out.stat().st_size, 100000)

    def test_pipe__that_nobody_reads(self):
        link = self.encode(self.source(3000000))
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run(
            [PANGEA, "shards", "decode", link, *self.folders, "-o", "-"], stdout=writer, stderr=subprocess.PIPE, check=False
        )
        os.close(writer)
        self.fails(done, 29)

    def test_interrupt__leaves_nothing(self):
        with subprocess.Popen(
            [PANGEA, "shards", "encode", "-", *self.folders], stdin=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            process.stdin.write(self.random.randbytes(9000000))
            process.stdin.flush()
            while not any(self.folders[9].glob(".pangea-*/*")):
                self.assertIsNone(process.poll())
            process.send_signal(signal.SIGINT)
            process.wait(timeout=60)
            told = process.stderr.read()
        self.fails(subprocess.CompletedProcess([], process.returncode, b"", told), INTERRUPTED, "interrupted")
        self.assertEqual([any(folder.iterdir()) for folder in self.folders], [False] * 10)

    # The command line itself

    def test_help__of_everything(self):
        top = run("--help")
        self.assertEqual(top.returncode, 0)
        self.assertEqual(run("help").stdout, top.stdout)
        commands = [command["name"] for command in json.loads(run("help", "--json").stdout)["commands"]]
        for command in commands:
            self.assertIn(command, top.stdout.decode())
            told = run(*command.split(), "--help")
            self.assertEqual(told.returncode, 0)
            self.assertEqual(run("help", *command.split()).stdout, told.stdout)
            self.assertIn(f"Usage: pangea {command}".encode(), told.stdout)
        self.assertEqual(run("help", "shards").stdout, run("shards", "--help").stdout)
        self.assertIn(b" 26  missing", run("help", "exit-codes").stdout)
        self.assertEqual(run("--version").stdout, run("version").stdout)

    def test_wrong_use__says_what_is_wrong(self):
        for words, text in (
            ([], "which command?"),
            (["shards"], "pangea help shards"),
            (["shards", "frobnicate"], 'unknown command "shards frobnicate"'),
            (["frobnicate"], 'unknown command "frobnicate"'),
            (["help", "frobnicate"], 'no command "frobnicate"'),
            (["--frobnicate"], "unknown option --frobnicate; --help lists them"),
            (["stauts"], 'unknown command "stauts": did you mean "status"?'),
            (["shards", "enc"], 'unknown command "shards enc": did you mean "shards encode"?'),
            (["ls", "--lnks"], "unknown option --lnks: did you mean --links?"),
            (["x" * 300], "unknown command"),
            (["version", "-x"], "unknown option -x"),
            (["version", "more"], "one argument too many"),
            (["version", "--json=yes"], "takes no value"),
            (["shards", "encode", "a"], "DIR is missing"),
            (["shards", "encode", "a", "b", "--code"], "needs a value"),
            (["shards", "encode", "a", "b", "-c"], "needs a value"),
            (["shards", "encode", "a", "b", "-c1+1", "-c", "2+1"], "given twice"),
            (["shards", "encode", "a", "b", "--code", "8:2"], "k+m"),
            (["shards", "encode", "--", "--a"], "DIR is missing"),
        ):
            self.fails(run(*words), USAGE, text)


unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
