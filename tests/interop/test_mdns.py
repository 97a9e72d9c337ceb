#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Our mDNS against that of js-libp2p, in both directions, on a network that the test makes of two namespaces and a link.

usage: test_mdns.py PANGEA

Exits with 77 where namespaces or multicast between them are not possible, or js-libp2p cannot be prepared.
"""
import json
import os
import queue
import subprocess
import sys
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "integration"))
import netns  # pylint: disable=wrong-import-position
from nodes import Node, NodeTest  # pylint: disable=wrong-import-position

TIMEOUT = 30


class Js:
    """The js-libp2p node, in the namespace that `words` enters."""

    def __init__(self, words, listen):
        words = [*words, "node", os.path.join(HERE, "js", "mdns.mjs"), listen]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.lines, self.seen = queue.Queue(), []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.peer_id = None

    def await_ready(self):
        self.peer_id = self.next_with("peerId")["peerId"]

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(json.loads(line))

    def next_with(self, key, value=None):
        """The first event, from the beginning, that has this key, with this value."""
        position, deadline = 0, time.monotonic() + TIMEOUT
        while True:
            while position == len(self.seen):
                try:
                    self.seen.append(self.lines.get(timeout=max(0.1, deadline - time.monotonic())))
                except queue.Empty:
                    what = key if value is None else f"{key} {value}"
                    raise AssertionError(f"js never told {what}; it told {self.seen}") from None
            event = self.seen[position]
            if key in event and value in (None, event[key]):
                return event
            position += 1

    def end(self):
        self.process.stdin.close()
        try:
            self.process.wait(TIMEOUT)
        finally:
            self.process.kill()  # what the reader waits for ends with it
            self.process.wait()
            self.reader.join()
            self.process.stdout.close()


class Mdns(NodeTest):
    def setUp(self):
        self.far = netns.Far()
        self.addCleanup(self.far.end)
        link = netns.Link(self.far, ["10.78.0.1/24"], ["10.78.0.2/24"])
        self.addCleanup(link.end)
        self.far.ip("route", "add", "default", "via", "10.78.0.1")  # js sends to groups by the default route
        super().setUp()

    def test_on_two_machines(self):
        self.meet_js(Js(self.far.words, "/ip4/10.78.0.2/tcp/0"))

    def test_on_one_machine(self):
        netns.ip("route", "add", "default", "via", "10.78.0.2")
        self.meet_js(Js([], "/ip4/10.78.0.1/tcp/0"))  # both have port 5353

    def meet_js(self, js):
        """Each finds the other."""
        self.addCleanup(js.end)
        js.await_ready()
        node = Node(self.work / "node", "net.mdns=true", source="/ip4/10.78.0.1/tcp/0")
        self.nodes.append(node)
        try:
            # ours finds theirs, and dials it
            opened = js.next_with("connected", node.peer_id)
            self.assertEqual(opened["direction"], "inbound")
            peer, = node.answer("peers")["peers"]
            self.assertEqual((peer["peer_id"], peer["direction"]), (js.peer_id, "outbound"))
            # theirs finds ours, by the address that it has on the link
            found = js.next_with("found", node.peer_id)
            self.assertEqual([f"{addr}/p2p/{node.peer_id}" for addr in found["addrs"]], node.ready["addrs"])
        except AssertionError as failure:
            raise AssertionError(f"{failure}\njs told: {js.seen}\nour log:\n{node.log()}") from failure


if __name__ == "__main__":
    if os.environ.get("PANGEA_NETNS") != "inside":  # inside there is no way to the packages
        prepared = subprocess.run([os.path.join(HERE, "prepare"), "js"], check=False)
        if prepared.returncode != 0:
            sys.exit(prepared.returncode)
    netns.enter()
    netns.require_multicast()
    unittest.main(argv=sys.argv[:1], verbosity=2)
