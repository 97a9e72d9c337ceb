#!/usr/bin/env python3
"""Completion in real shells: bash with bash-completion and zsh on a terminal, where TAB is pressed, and fish, which is asked for its
candidates. The scripts are those that `pangea completion` prints, found where the shells look for them.

usage: test_completion.py PANGEA
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

from fake_node import FakeNode, PEERS
from terminal import Terminal

PANGEA = os.path.abspath(sys.argv[1])
LINKS = [f"pangea:bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52z{letter}#5Kd3{letter}" for letter in "abc"]
PLACES = {
    "bash": "share/bash-completion/completions/pangea",
    "zsh": "share/zsh/site-functions/_pangea",
    "fish": "share/fish/vendor_completions.d/pangea.fish",
}


def here_or_skip(program, *files):
    """Skip a test where its shell is not installed."""
    there = shutil.which(program) and all(map(os.path.exists, files))
    return unittest.skipUnless(there, f"no {program} here")


class Case(unittest.TestCase):
    def setUp(self):
        place = tempfile.TemporaryDirectory(prefix="pangea-completion-")
        self.addCleanup(place.cleanup)
        self.here = pathlib.Path(place.name)
        (self.here / "bin").mkdir()
        (self.here / "bin/pangea").symlink_to(PANGEA)
        for shell, path in PLACES.items():
            path = self.here / path
            path.parent.mkdir(parents=True)
            path.write_bytes(subprocess.run([PANGEA, "completion", shell], capture_output=True, check=True).stdout)
        (self.here / "work/folder").mkdir(parents=True)
        (self.here / "work/file one.txt").touch()
        self.node = FakeNode(self.here / "work/data", LINKS)
        self.addCleanup(self.node.close)
        for name in ("photos.tar", "two words.txt"):
            self.node.file_make(b"content", {"name": name})
        self.env = {
            "PATH": f"{self.here}/bin:{os.environ['PATH']}",
            "HOME": str(self.here),
            "TERM": "xterm",
            "LC_ALL": "C.UTF-8",
            "XDG_DATA_DIRS": f"{self.here}/share",
            "XDG_DATA_HOME": f"{self.here}/home",
            "UBSAN_OPTIONS": os.environ.get("UBSAN_OPTIONS", ""),
        }


class OnTerminal:
    """What is asked of a shell whose lines are completed by TAB. ^G writes the line between < and >, ^U empties it."""

    AFTERWARDS = ""  # what else the shell writes after ^G

    def start(self, *words):
        self.shell = Terminal(list(words), env=self.env, cwd=self.here / "work")
        self.addCleanup(self.shell.close)

    def line(self, typed, tabs=1):
        """The line after TAB; `listed` has what was written meanwhile."""
        self.shell.type(typed + "\t" * tabs + "\x07")
        match = self.shell.expect(r"(.*)<<(.*?)>>" + self.AFTERWARDS)
        self.listed = match[1]
        self.shell.type("\x15")
        return match[2]

    def lists(self, typed, *candidates):
        self.line(typed, 2)
        for candidate in candidates:
            self.assertIn(candidate, self.listed)

    def test_commands(self):
        self.assertEqual(self.line("pangea unp"), "pangea unpin ")
        self.assertEqual(self.line("pangea shards e"), "pangea shards encode ")
        self.assertEqual(self.line("pangea help shards d"), "pangea help shards decode ")
        self.lists("pangea s", "shards", "stat")

    def test_options_and_their_values(self):
        self.assertEqual(self.line("pangea get --forc"), "pangea get --force ")
        self.assertEqual(self.line("pangea run --set log.form"), "pangea run --set log.format=")
        self.assertEqual(self.line("pangea run --set log.format=j"), "pangea run --set log.format=json ")
        self.assertEqual(self.line("pangea run --set=log.format=j"), "pangea run --set=log.format=json ")
        self.assertEqual(self.line("pangea completion f"), "pangea completion fish ")
        self.lists("pangea run --set log.level=", "debug", "error")

    def test_files_and_folders(self):
        self.assertEqual(self.line("pangea put fi"), "pangea put file\\ one.txt ")
        self.assertEqual(self.line("pangea put x --data fo"), "pangea put x --data folder/")
        self.assertEqual(self.line("pangea put x --data fi"), "pangea put x --data fi")
        self.assertEqual(self.line("pangea put x --data=fo"), "pangea put x --data=folder/")
        self.assertEqual(self.line("pangea get x --output=fi"), "pangea get x --output=file\\ one.txt ")

    def test_what_the_node_knows(self):
        self.assertEqual(self.line("pangea rm --data data ph"), "pangea rm --data data photos.tar ")
        self.assertEqual(self.line("pangea rm --data=data two"), "pangea rm --data=data two\\ words.txt ")
        self.assertEqual(self.line("pangea get --data data pan"), "pangea get --data data pangea:")
        self.assertIn(
            self.line(f"pangea get --data data {LINKS[0][:-6]}"),
            [f"pangea get --data data {link} " for link in (LINKS[0], LINKS[0].replace("#", "\\#"))],
        )
        self.assertEqual(self.line(f"pangea get --data data '{LINKS[0][:-6]}"), f"pangea get --data data '{LINKS[0]}' ")
        self.lists("pangea ping --data data 12D", *PEERS)

    def test_no_node__nothing_is_offered_or_said(self):
        self.assertEqual(self.line("pangea rm --data folder ph"), "pangea rm --data folder ph")
        self.assertNotIn("no node", self.listed)


@here_or_skip("bash", "/usr/share/bash-completion/bash_completion")
class Bash(Case, OnTerminal):
    AFTERWARDS = r".*?\$ "

    def setUp(self):
        super().setUp()
        rc = self.here / "bashrc"
        rc.write_text(
            "PS1='$ '; HISTFILE=\n. /usr/share/bash-completion/bash_completion\n"
            "bind 'set show-all-if-ambiguous on'; bind 'set completion-query-items 0'; bind 'set page-completions off'\n"
            "bind 'set enable-bracketed-paste off'; bind 'set bell-style none'\n"
            """bind -x '"\\C-g": printf "<<%s>>" "$READLINE_LINE"'\n""",
            encoding="utf-8",
        )
        self.start("bash", "--rcfile", str(rc), "--noprofile", "-i")
        self.shell.expect(r"\$ ")

    def test_program_by_its_path(self):
        self.line("pangea unp")  # bash does not complete a path by what it loads at that moment
        self.assertEqual(self.line(f"{self.here}/bin/pangea unp"), f"{self.here}/bin/pangea unpin ")
        self.assertEqual(self.line("~/bin/pangea unp"), "~/bin/pangea unpin ")


@here_or_skip("zsh")
class Zsh(Case, OnTerminal):
    def setUp(self):
        super().setUp()
        (self.here / ".zshrc").write_text(
            f"PS1='$ '; LISTMAX=1000; unsetopt beep\nfpath=({self.here}/share/zsh/site-functions $fpath)\n"
            "autoload -Uz compinit; compinit -u -D\n"
            """show() { print -rn -- "<<$BUFFER>>" >/dev/tty }; zle -N show; bindkey '^G' show; bindkey '^U' kill-whole-line\n""",
            encoding="utf-8",
        )
        self.start("zsh", "-d", "-i")
        self.shell.expect(r"\$ ")

    def test_summaries_are_shown(self):
        self.lists("pangea shards ", "seal a file and spread it over folders")


@here_or_skip("fish")
class Fish(Case):
    def candidates(self, line):
        script = f"complete -C {json.dumps(line).replace('$', chr(92) + '$')}"
        done = subprocess.run(
            ["fish", "--no-config", "-c", f"source {self.here / PLACES['fish']}; {script}"],
            env=self.env,
            cwd=self.here / "work",
            capture_output=True,
            text=True,
            check=True,
        )
        self.assertEqual(done.stderr, "")
        return dict((*row.split("\t", 1), "")[:2] for row in done.stdout.splitlines())

    def test_commands(self):
        self.assertEqual(self.candidates("pangea unp"), {"unpin": "let go of a file that was pinned on this node"})
        self.assertEqual(set(self.candidates("pangea shards ")), {"encode", "decode"})
        self.assertEqual(set(self.candidates("pangea help shards d")), {"decode"})

    def test_options_and_their_values(self):
        self.assertEqual(set(self.candidates("pangea get --forc")), {"--force"})
        self.assertEqual(set(self.candidates("pangea run --set log.fo")), {"log.format="})
        self.assertEqual(set(self.candidates("pangea run --set=log.format=j")), {"--set=log.format=json"})
        self.assertEqual(set(self.candidates("pangea completion ")), {"bash", "zsh", "fish", "words"})

    def test_files_and_folders(self):
        self.assertIn("file one.txt", self.candidates("pangea put fi"))
        self.assertEqual(set(self.candidates("pangea put x --data fo")), {"folder/"})
        self.assertEqual(set(self.candidates("pangea put x --data fi")), set())
        self.assertEqual(set(self.candidates("pangea put x --data=fo")), {"--data=folder/"})
        self.assertIn("--output=file one.txt", self.candidates("pangea get x --output=fi"))

    def test_what_the_node_knows(self):
        self.assertIn("photos.tar", self.candidates("pangea rm --data data ph"))
        self.assertIn("two words.txt", self.candidates("pangea rm --data=data two"))
        self.assertEqual(set(self.candidates("pangea get --data data pan")), {"pangea:"})
        self.assertIn(LINKS[0], self.candidates("pangea get --data data pangea:"))
        self.assertIn(LINKS[0], self.candidates("pangea get --data data 'pangea:"))
        self.assertEqual(set(self.candidates("pangea ping --data data 12D")), set(PEERS))
        self.assertEqual(set(self.candidates("pangea rm --data folder ph")), set())


class Words(Case):
    """What the scripts ask."""

    def words(self, *words):
        return subprocess.run(
            [PANGEA, "completion", *words], env=self.env, cwd=self.here / "work", capture_output=True, text=True, check=False
        )

    def test_json(self):
        done = self.words("words", "--json", "--", "pin", "l")
        want = {"kind": "words", "candidates": [{"text": "ls", "summary": "list the files that are pinned on this node"}]}
        self.assertEqual((done.returncode, json.loads(done.stdout)), (0, want))
        self.assertEqual(json.loads(self.words("words", "--json", "--", "put", "").stdout)["kind"], "files")
        done = self.words("zsh", "--json")
        self.assertEqual(json.loads(done.stdout)["script"], (self.here / PLACES["zsh"]).read_text(encoding="utf-8"))

    def test_names_that_no_shell_could_show__are_left_out(self):
        self.node.file_make(b"x", {"name": "evil\nname\x1b[2J"})
        told = self.words("words", "--", "rm", "--data", "data", "").stdout
        self.assertNotIn("\x1b", told)
        self.assertNotIn("evil\n", told)
        self.assertEqual(len(told.splitlines()), 1 + 2 + 3)

    def test_bad_calls__are_refused(self):
        for words in (["tcsh"], [], ["bash", "more"]):
            done = self.words(*words)
            self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn('"tcsh" is not one of bash|zsh|fish|words', self.words("tcsh").stderr)

    def test_links__only_for_who_types_one(self):
        for words in (["rm", "--data", "data", ""], ["get", "--data", "data", ""]):
            self.assertNotIn("#", self.words("words", "--", *words).stdout)

    def test_node_that_does_not_answer__is_not_waited_for(self):
        self.node.gone = True
        self.assertEqual(self.words("words", "--", "rm", "--data", "data", "ph").stdout, "words\n")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
