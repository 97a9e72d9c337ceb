#!/usr/bin/env python3
"""All is lost but the secret: a new node finds the files again, gets them, drops one; what it changed is found by the next.

usage: test_restore.py PANGEA
"""

import json
import shutil
import sys
import unittest

from nodes import NodeTest, run

SMALL = ("storage.quota=64MiB", "storage.cache=1MiB", "net.drain_timeout=100ms")


class Restore(NodeTest):
    """Twelve hosts, and a person whose node comes and goes."""

    def setUp(self):
        super().setUp()
        self.mesh(12, *SMALL)
        self.peers = [f"net.peers={node.addr}" for node in self.nodes]

    def person(self, name):
        return self.node(name, *SMALL, "storage.accept=nobody", *self.peers)

    def restored(self, name, secret):
        """A node in an empty directory that has the secret alone."""
        path = self.write(f"secret of {name}", secret.encode())
        made = run("init", "--data", self.work / name, "--restore", "--secret-file", path)
        self.assertEqual(made.returncode, 0, made.stderr)
        self.assertIn("pangea ls", made.stderr)
        return self.person(name)

    def secret_of(self, node):
        return json.loads(run("id", "--data", node.folder, "--secret", "--json").stdout)["secret"]

    def files_of(self, node):
        return {file["name"]: file["link"] for file in node.answer("ls")["files"]}

    def pins_of(self, node):
        return [(pin["link"], pin["state"]) for pin in node.answer("pin", "ls")["pins"]]

    def await_published(self, node):
        def is_published():
            return node.stat()["catalogue"]["state"] == "published"

        for _ in range(2):  # a change may wait for a minute
            try:
                return self.wait_for(is_published, lambda: f"published: {node.stat()['catalogue']}\n{node.log()}")
            except AssertionError as error:
                last = error
        raise last

    def lose(self, node):
        node.kill()
        shutil.rmtree(node.folder)

    def test_all_is_lost_but_the_secret(self):
        contents = {"tiny": b"x", "small": self.content(300_000, 1), "large": self.content(3_000_000, 2)}
        owner = self.person("owner")
        self.wait_for(lambda: len(owner.peers()) >= 12, "the owner knows the hosts")
        self.wait_for(lambda: owner.stat()["catalogue"]["state"] == "empty", "there is nothing to publish")
        puts = {name: owner.put(self.write(name, content)) for name, content in contents.items()}
        links = {name: put["link"] for name, put in puts.items()}
        pinned = self.nodes[0].put(self.write("of another", self.content(500_000, 3)))
        owner.answer("pin", pinned["link"])
        self.await_published(owner)
        secret = self.secret_of(owner)
        self.lose(owner)
        for node in self.hosts(puts["large"])[:2]:
            node.kill()

        again = self.restored("again", secret)
        self.assertNotEqual(again.peer_id, owner.peer_id)
        self.wait_for(lambda: self.files_of(again) == links, lambda: f"{self.files_of(again)}\n{again.log()}")
        for name, content in contents.items():
            self.assertSame(again.fetch(links[name]), content)
        listed = {file["name"]: file for file in again.answer("ls")["files"]}
        self.assertEqual(listed["large"]["size_bytes"], 3_000_000)
        self.wait_for(lambda: self.pins_of(again) == [(pinned["link"], "complete")], lambda: f"{self.pins_of(again)}\n{again.log()}")
        dropped = again.answer("rm", "small")
        self.assertGreaterEqual(dropped["dropped"], 8)
        self.assertEqual(again.stop(), 0)  # which publishes what changed

        third = self.restored("third", secret)
        del links["small"]
        self.wait_for(lambda: self.files_of(third) == links, lambda: f"{self.files_of(third)}\n{third.log()}")
        self.assertSame(third.fetch(links["large"]), contents["large"])

    def test_nothing_to_be_found_is_told(self):
        fresh = self.work / "fresh"
        self.assertEqual(run("init", "--data", fresh).returncode, 0)
        secret = json.loads(run("id", "--data", fresh, "--secret", "--json").stdout)["secret"]
        node = self.restored("again", secret)
        self.wait_for(lambda: node.stat()["catalogue"]["looks"] > 1, "it asks again")
        told = run("ls", "--data", node.folder)
        self.assertEqual(told.returncode, 0)
        self.assertIn("not found yet, asking again", told.stderr)
        put = node.put(self.write("new", b"while it is looked for"))  # it is of use meanwhile
        self.assertEqual(self.files_of(node), {"new": put["link"]})


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[2:], verbosity=1)
