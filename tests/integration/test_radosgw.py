#!/usr/bin/env python3
"""The S3 client and the cold archive with a real S3 server, Ceph's gateway, which verifies signatures by code of its own. Not with the tests of every
change: its packages are large. Run by `make test-archive`.

usage: test_radosgw.py PANGEA S3_CLIENT
"""

import hashlib
import http.client
import subprocess
import sys
import time
import unittest

import radosgw
import s3_server
from nodes import KEY, NodeTest, await_that, run

CLIENT = sys.argv[2]
ACCESS, SECRET, BUCKET = "AKPANGEA", "a+secret/with.all=sorts", "pangea-archive"
SMALL = ("storage.quota=64MiB", "storage.cache=0", "net.drain_timeout=100ms", "dht.allow_private=true")


def setUpModule():
    began = time.monotonic()
    Archive.gateway = radosgw.Gateway(ACCESS, SECRET)
    unittest.addModuleCleanup(Archive.gateway.close)
    print(f"gateway answers after {time.monotonic() - began:.0f} s", file=sys.stderr)
    status = ask("PUT", f"/{BUCKET}")
    assert status == 200, status


def ask(method, path):
    """A request signed by the code of the tests; returns the status."""
    host = f"127.0.0.1:{Archive.gateway.port}"
    headers = {"host": host, "x-amz-content-sha256": s3_server.digest(b""), "x-amz-date": time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())}
    signature = s3_server.signature(SECRET, method, path, [], headers, s3_server.digest(b""), "us-east-1")
    scope = f"{headers['x-amz-date'][:8]}/us-east-1/s3/aws4_request"
    headers["Authorization"] = f"{s3_server.ALGORITHM} Credential={ACCESS}/{scope}, SignedHeaders={';'.join(sorted(headers))}, Signature={signature}"
    connection = http.client.HTTPConnection(host, timeout=60)
    connection.request(method, path, headers=headers)
    status = connection.getresponse().status
    connection.close()
    return status


class Archive(NodeTest):
    gateway = None

    def client(self, *operation, secret=SECRET, bucket=BUCKET):
        words = [CLIENT, self.gateway.url, bucket, "us-east-1", "path", "-", ACCESS, secret, "20000", *map(str, operation)]
        result = subprocess.run(words, capture_output=True, check=False, timeout=120)
        return result.stdout if result.returncode == 0 else result.stderr.decode()

    def test_all_operations(self):
        self.assertEqual(self.client("put", "v1/a b+c~d", "hello"), b"")
        self.assertEqual(self.client("get", "v1/a b+c~d"), b"hello")
        self.assertEqual(self.client("get", "v1/a b+c~d", 1, 3), b"ell")
        self.assertEqual(self.client("head", "v1/a b+c~d"), b"5\n")
        self.assertEqual(self.client("list", "v1/a b"), b"v1/a b+c~d 5\n")
        self.assertIn("corrupt", self.client("get", "v1/a b+c~d", 3, 3))
        self.assertIn("corrupt", self.client("get", "v1/a b+c~d", 9, 1))
        self.assertEqual(self.client("remove", "v1/a b+c~d"), b"")
        self.assertEqual(self.client("remove", "v1/a b+c~d"), b"")
        self.assertIn("not_found", self.client("get", "v1/a b+c~d"))
        self.assertIn("not_found", self.client("head", "v1/a b+c~d"))
        self.assertIn("does not take the secret key", self.client("put", "a", "x", secret="wrong"))
        self.assertIn("no bucket 'pangea-other'", self.client("put", "a", "x", bucket="pangea-other"))

    def test_archived__hosts_die__read_back(self):
        settings = (f"archive.endpoint={self.gateway.url}", f"archive.bucket={BUCKET}", "archive.cold_after=0s", "archive.when=cold")
        (archiver,) = self.mesh(1, *SMALL, *settings)
        others = self.mesh(3, *SMALL)
        owner, reader = self.mesh(2, *SMALL, "storage.accept=nobody")
        keys = self.write("keys", f"{ACCESS}\nwrong\n".encode())
        archiver.answer("archive", "login", "--key-file", keys)
        self.assertEqual(run("archive", "test", "--data", archiver.folder).returncode, KEY)
        keys.write_text(f"{ACCESS}\n{SECRET}\n")
        archiver.answer("archive", "login", "--key-file", keys)
        archiver.answer("archive", "test")
        content = self.content(40_000_000)
        put = owner.put(self.write("a file", content), "--code", "4+2")
        began = time.monotonic()

        def is_archived():
            told = archiver.answer("archive", "now")
            return told["failed"] == 0 and archiver.answer("archive", "status")["bytes"] >= len(content)

        await_that(is_archived, lambda: f"archived: {archiver.answer('archive', 'status')}")
        print(f"{len(content)} bytes archived in {time.monotonic() - began:.1f} s", file=sys.stderr)
        for node in (owner, *others):
            node.kill()
        began = time.monotonic()
        got = reader.fetch(put["link"])
        self.assertSame(got, content)
        print(f"read back in {time.monotonic() - began:.1f} s, SHA-256 {hashlib.sha256(got).hexdigest()}, "
              f"{hashlib.sha256(content).hexdigest()} was put; {archiver.answer('archive', 'status')['store']}", file=sys.stderr)
        (told,) = [archiver.answer("archive", "now")]
        self.assertEqual((told["damaged"], told["failed"]), (0, 0))


if __name__ == "__main__":
    if not radosgw.is_there():
        print("the gateway's packages are not here: ceph-mon, ceph-osd, radosgw")
        sys.exit(77)
    unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=1)
