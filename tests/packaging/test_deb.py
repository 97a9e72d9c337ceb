#!/usr/bin/env python3
"""The Debian package in a Debian of its own, without systemd and without a network: installed, used as its service would be run,
upgraded, removed, purged. Needs root.

usage: test_deb.py PACKAGE.deb ROOTFS.tar
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

PACKAGE, ROOTFS = map(os.path.abspath, sys.argv[1:3])
PATIENCE = 60
CONF = "etc/pangea/pangea.conf"
DATA = "var/lib/pangea"
SERVICE = ["run", "--data", f"/{DATA}", "--config", f"/{CONF}"]


def call(*words, **more):
    return subprocess.run(words, check=True, capture_output=True, text=True, **more).stdout


def field(package, name):
    return call("dpkg-deb", "-f", package, name).strip()


class Debian:
    """A root directory to install into."""

    def __init__(self, place):
        self.top = pathlib.Path(place) / "root"
        self.top.mkdir()
        call("tar", "-C", str(self.top), "-xf", ROOTFS)
        call("mount", "-t", "proc", "proc", str(self.top / "proc"))
        # Nothing is to be started: there is no init.
        (self.top / "usr/sbin/policy-rc.d").write_text("#!/bin/sh\nexit 101\n", encoding="ascii")
        (self.top / "usr/sbin/policy-rc.d").chmod(0o755)

    def close(self):
        call("umount", "-l", str(self.top / "proc"))

    def run(self, *words, user=None, check=True, **more):
        """Run a command inside."""
        inside = ["chroot", *([f"--userspec={user}:{user}"] if user else []), str(self.top), *words]
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
        done = subprocess.run(inside, capture_output=True, text=True, check=False, env=env, timeout=600, **more)
        if check and done.returncode != 0:
            raise AssertionError(f"{words}: {done.returncode}: {done.stdout}{done.stderr}")
        return done

    def install(self, package):
        shutil.copy(package, self.top / "tmp/pangea.deb")
        return self.run("dpkg", "--force-confold", "-i", "/tmp/pangea.deb")

    def status(self):
        done = self.run("dpkg-query", "-W", "-f", "${db:Status-Status} ${Version}", "pangea", check=False)
        return done.stdout or "not-installed"


def newer(package, place):
    """The same package with a higher version and another configuration file, as an upgrade would bring."""
    tree = pathlib.Path(place) / "newer"
    call("dpkg-deb", "-R", package, str(tree))
    control = tree / "DEBIAN/control"
    version = field(package, "Version") + "+upgraded"
    control.write_text(re.sub(r"(?m)^Version: .*$", f"Version: {version}", control.read_text()))
    with open(tree / CONF, "a", encoding="ascii") as conf:
        conf.write("\n# of the newer version\n")
    (tree / "DEBIAN/md5sums").unlink()
    out = pathlib.Path(place) / "newer.deb"
    call("dpkg-deb", "--root-owner-group", "-b", str(tree), str(out))
    return out, version


class Life(unittest.TestCase):
    def setUp(self):
        place = tempfile.TemporaryDirectory(prefix="pangea-deb-")
        self.addCleanup(place.cleanup)
        self.place = place.name
        self.debian = Debian(self.place)
        self.addCleanup(self.debian.close)
        self.node = None
        self.addCleanup(self.node_end)

    def path(self, name):
        return self.debian.top / name

    # The service's command, by hand

    def node_start(self):
        ready = self.path(f"{DATA}/ready")
        ready.unlink(missing_ok=True)
        words = ["chroot", "--userspec=pangea:pangea", str(self.debian.top), "/usr/bin/pangea", *SERVICE]
        words += ["--ready-file", f"/{DATA}/ready", "--listen", "/ip4/127.0.0.1/tcp/0", "--set", "net.mdns=false"]
        self.node = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + PATIENCE
        while not ready.exists():
            self.assertIsNone(self.node.poll(), "the node ended" if self.node.poll() is None else self.node.stderr.read())
            self.assertLess(time.monotonic(), deadline, "the node is never ready")
            time.sleep(0.02)
        return json.loads(ready.read_text())["peer_id"]

    def node_end(self):
        if self.node:
            self.node.terminate()
            self.node.communicate(timeout=PATIENCE)
            self.assertEqual(self.node.returncode, 0)
            self.node = None

    def pangea(self, *words, **more):
        return self.debian.run("pangea", *words, "--data", f"/{DATA}", user="pangea", **more).stdout

    # The story

    def test_installed_used_upgraded_removed_purged(self):
        self.debian.install(PACKAGE)
        self.assertEqual(self.debian.status(), f"installed {field(PACKAGE, 'Version')}")
        self.check_files()
        peer_id, link = self.check_use()
        self.check_upgrade(peer_id, link)
        self.check_removal(peer_id)

    def check_files(self):
        user = self.debian.run("getent", "passwd", "pangea").stdout.strip().split(":")
        self.assertEqual(user[5], f"/{DATA}")
        self.assertIn(user[6], ("/usr/sbin/nologin", "/bin/false"))
        data = self.path(DATA).stat()
        self.assertEqual((data.st_mode & 0o7777, data.st_uid, data.st_gid), (0o700, int(user[2]), int(user[3])))
        self.assertEqual(self.path(CONF).stat().st_mode & 0o7777, 0o644)
        for name in (
            "usr/share/man/man1/pangea.1.gz",
            "usr/share/doc/pangea/changelog.gz",
            "usr/share/bash-completion/completions/pangea",
            "usr/share/zsh/vendor-completions/_pangea",
            "usr/share/fish/vendor_completions.d/pangea.fish",
        ):
            listed = self.debian.run("dpkg", "-L", "pangea").stdout.splitlines()
            self.assertIn(f"/{name}", listed)
        units = [line for line in listed if line.endswith("/system/pangea.service")]
        self.assertEqual(len(units), 1)
        wants = self.path("etc/systemd/system/multi-user.target.wants/pangea.service")
        self.assertTrue(wants.is_symlink(), "the service is not enabled")
        drop_in = self.path(units[0].lstrip("/") + ".d/10-debian.conf").read_text()
        self.assertIn(f"ExecStart=/usr/bin/pangea {' '.join(SERVICE)}\n", drop_in)
        self.debian.run("pangea", "config", "check", f"/{CONF}")

    def check_use(self):
        peer_id = self.node_start()
        self.path("tmp/note").write_text("kept over an upgrade\n")
        put = json.loads(self.pangea("put", "/tmp/note", "--json", check=False))
        self.assertEqual(self.pangea("get", put["link"], "-o", "-"), "kept over an upgrade\n")
        self.assertEqual(json.loads(self.pangea("status", "--json"))["node"]["peer_id"], peer_id)
        self.node_end()
        return peer_id, put["link"]

    def check_upgrade(self, peer_id, link):
        with open(self.path(CONF), "a", encoding="ascii") as conf:
            conf.write("\n[log]\nlevel = debug\n")
        ours = self.path(CONF).read_text()
        package, version = newer(PACKAGE, self.place)
        self.debian.install(package)
        self.assertEqual(self.debian.status(), f"installed {version}")
        self.assertEqual(self.path(CONF).read_text(), ours)
        self.assertIn("of the newer version", self.path(CONF + ".dpkg-dist").read_text())
        self.assertEqual(self.node_start(), peer_id)
        self.assertEqual(self.pangea("get", link, "-o", "-"), "kept over an upgrade\n")
        self.node.terminate()
        log = self.node.communicate(timeout=PATIENCE)[1]
        self.node = None
        self.assertIn(" debug ", log)

    def check_removal(self, peer_id):
        self.debian.run("dpkg", "-r", "pangea")
        self.assertFalse(self.path("usr/bin/pangea").exists())
        self.assertTrue(self.path(CONF).exists() and self.path(f"{DATA}/identity").exists())
        self.debian.install(PACKAGE)  # and back again: it is the same node
        self.assertEqual(self.node_start(), peer_id)
        self.node_end()
        self.debian.run("dpkg", "-P", "pangea")
        self.assertIn(self.debian.status().split()[0], ("not-installed", "unknown"))
        for name in ("etc/pangea", DATA, "usr/bin/pangea", "etc/systemd/system/multi-user.target.wants/pangea.service"):
            self.assertFalse(os.path.lexists(self.path(name)), name)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
