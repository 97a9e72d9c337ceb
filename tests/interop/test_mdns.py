#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Our mDNS against that of js-libp2p, in both directions, on a network that the test makes of two namespaces and a link.

usage: test_mdns.py PANGEA

Exits with 77 where namespaces are not possible or js-libp2p cannot be prepared.
"""
import json
import os
import pathlib
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "integration"))
import netns  # pylint: disable=wrong-import-position

PANGEA = os.path.abspath(sys.argv[1])
TIMEOUT = 60


class Js:
    """The js-libp2p node, in the namespace that `words` enters."""

    def __init__(self, words, listen):
        words = [*words, "node", os.path.join(HERE, "js", "mdns.mjs"), listen]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.lines, self.seen = queue.Queue(), []
        threading.Thread(target=self._read, daemon=True).start()
        self.peer_id = self.next_with("peerId")["peerId"]

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(json.loads(line))

    def next_with(self, key, value=None):
        """The first event, from the beginning, that has this key, with this value."""
        position, deadline = 0, time.monotonic() + TIMEOUT
        while True:
            while position == len(self.seen):
                self.seen.append(self.lines.get(timeout=max(0.1, deadline - time.monotonic())))
            event = self.seen[position]
            if key in event and value in (None, event[key]):
                return event
            position += 1

    def end(self):
        self.process.stdin.close()
        self.process.wait(TIMEOUT)
        self.process.stdout.close()


class Mdns(unittest.TestCase):
    def setUp(self):
        place = tempfile.TemporaryDirectory(prefix="pangea-mdns-")
        self.addCleanup(place.cleanup)
        self.work = pathlib.Path(place.name)
        self.far = netns.Far()
        self.addCleanup(self.far.end)
        link = netns.Link(self.far, ["10.78.0.1/24"], ["10.78.0.2/24"])
        self.addCleanup(link.end)
        self.far.ip("route", "add", "default", "via", "10.78.0.1")  # js sends to groups by the default route

    def pangea(self, *words):
        done = subprocess.run([PANGEA, *words, "--data", self.work / "node", "--json"],
                              capture_output=True, text=True, timeout=TIMEOUT, check=True)
        return json.loads(done.stdout)

    def test_on_two_machines(self):
        self.meet(Js(self.far.words, "/ip4/10.78.0.2/tcp/0"))

    def test_on_one_machine(self):
        netns.ip("route", "add", "default", "via", "10.78.0.2")
        self.meet(Js([], "/ip4/10.78.0.1/tcp/0"))  # both have port 5353

    def meet(self, js):
        """Each finds the other."""
        self.addCleanup(js.end)
        words = [PANGEA, "run", "--data", self.work / "node", "--listen", "/ip4/10.78.0.1/tcp/0"]
        with open(self.work / "log", "wb") as log:
            node = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            ready = json.loads(node.stdout.readline())
            # ours finds theirs, and dials it
            opened = js.next_with("connected", ready["peer_id"])
            self.assertEqual(opened["direction"], "inbound")
            peer, = self.pangea("peers")["peers"]
            self.assertEqual((peer["peer_id"], peer["direction"]), (js.peer_id, "outbound"))
            # theirs finds ours, by the address that it has on the link
            found = js.next_with("found", ready["peer_id"])
            while not found["addrs"]:  # from the connection that ours made, before mDNS told where it is
                found = js.next_with("found", ready["peer_id"])
            self.assertEqual([f"{addr}/p2p/{ready['peer_id']}" for addr in found["addrs"]], ready["addrs"])
        finally:
            node.send_signal(signal.SIGTERM)
            self.assertEqual(node.wait(TIMEOUT), 0)
            node.stdout.close()


if __name__ == "__main__":
    if os.environ.get("PANGEA_NETNS") != "inside":  # inside there is no way to the packages
        prepared = subprocess.run([os.path.join(HERE, "prepare"), "js"], check=False)
        if prepared.returncode != 0:
            sys.exit(prepared.returncode)
    netns.enter()
    unittest.main(argv=sys.argv[:1], verbosity=2)
