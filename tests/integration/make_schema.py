#!/usr/bin/env python3
"""Make a data directory for tests/vectors/schema: run by hand with the program of a release, before its schema has a successor.

usage: make_schema.py PANGEA FOLDER    (FOLDER as tests/vectors/schema/vN, which is made)
"""

import json
import pathlib
import shutil
import subprocess
import sys
import unittest

from nodes import PANGEA, NodeTest

SMALL = ("storage.quota=64MiB", "storage.cache=1MiB", "net.drain_timeout=100ms", "dht.test_namespace=true")
OUT = pathlib.Path(sys.argv[2])


class Make(NodeTest):
    def test_make(self):
        """A node among three: owner of files, host of others, with a pin, a block, a record and a removed file."""
        self.mesh(3, *SMALL)
        node = self.nodes[1]
        for i, (name, size) in enumerate({"tiny.txt": 1, "letter.txt": 40_000, "picture.jpg": 900_000}.items()):
            node.put(self.write(name, self.content(size, i)))
        theirs = self.nodes[0].put(self.write("theirs", self.content(200_000, 7)))
        node.answer("pin", theirs["link"])
        node.answer("block", "put", self.write("block", b"a public block"))
        node.answer("dht", "put", "/test/upgrade", "value")
        node.answer("rm", "tiny.txt")
        stat = node.stat()
        self.assertGreater(stat["place"]["leases"], 0)
        expected = {
            "files": {file["name"]: file["link"] for file in node.answer("ls")["files"]},
            "leases": stat["place"]["leases"],
            "peer_id": node.peer_id,
            "pins": len(node.answer("pin", "ls")["pins"]),
            "program": json.loads(subprocess.run([PANGEA, "version", "--json"], capture_output=True, check=True).stdout)["version"],
        }
        node.stop()
        told = json.loads(subprocess.run([PANGEA, "doctor", "--data", node.folder, "--json"], capture_output=True, check=True).stdout)
        found = next(check for check in told["checks"] if check["name"] == "database")["found"]
        expected["schema"] = int(found.split()[1])
        OUT.mkdir(parents=True)
        for name in ("identity", "pangea.db"):
            shutil.copy(node.folder / name, OUT / name)
            (OUT / name).chmod(0o644)
        (OUT / "expected.json").write_text(json.dumps(expected, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=1)
