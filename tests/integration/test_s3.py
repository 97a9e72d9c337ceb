"""Goal: the S3 client does what it says with a server that verifies signatures, and tells what is wrong with one that fails.
Method: the client as a program (s3_client.c), a strict server that fails as it is told (s3_server.py)."""

import subprocess
import sys
import time
import unittest

import s3_server

CLIENT = sys.argv[1]
NOTHING = s3_server.digest(b"")
EXAMPLE = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")


class Signatures(unittest.TestCase):
    """The server's own code, held against the examples that Amazon publishes, which tests/unit/store/test_s3_sign.c holds ours against."""

    def check(self, expected, method, path, query=(), payload=NOTHING, **more):
        headers = {"host": "examplebucket.s3.amazonaws.com", "x-amz-content-sha256": payload, "x-amz-date": "20130524T000000Z"}
        headers |= {name.replace("_", "-"): value for name, value in more.items()}
        self.assertEqual(s3_server.signature(EXAMPLE[1], method, path, query, headers, payload, "us-east-1"), expected)

    def test_as_published(self):
        self.check("f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41", "GET", "/test.txt", range="bytes=0-9")
        self.check("98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd", "PUT", "/test%24file.text",
                   payload=s3_server.digest(b"Welcome to Amazon S3."), date="Fri, 24 May 2013 00:00:00 GMT",
                   x_amz_storage_class="REDUCED_REDUNDANCY")
        self.check("fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543", "GET", "/", [("lifecycle", "")])
        self.check("34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7", "GET", "/", [("max-keys", "2"), ("prefix", "J")])


class Client(unittest.TestCase):
    def setUp(self):
        self.store = s3_server.Store()
        self.addCleanup(self.store.close)

    def run_client(self, *operation, **other):
        it = {"endpoint": self.store.url, "bucket": self.store.bucket, "region": self.store.region, "style": "path", "proxy": "-",
              "access": self.store.access, "secret": self.store.secret, "timeout": "20000"} | other
        return subprocess.run([CLIENT, *it.values(), *map(str, operation)], capture_output=True, check=False, timeout=120)

    def good(self, *operation, **other):
        result = self.run_client(*operation, **other)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    def bad(self, error, *operation, **other):
        result = self.run_client(*operation, **other)
        text = result.stderr.decode()
        self.assertEqual(result.returncode, 1, text)
        self.assertTrue(text.startswith(error + ": "), text)
        self.assertNotIn(other.get("secret", self.store.secret), text)
        return text

    def test_all_operations(self):
        self.good("put", "v1/a b+c", "hello")
        self.assertEqual(self.store.objects, {"v1/a b+c": b"hello"})
        self.assertEqual(self.good("get", "v1/a b+c"), b"hello")
        self.assertEqual(self.good("get", "v1/a b+c", 1, 3), b"ell")
        self.assertEqual(self.good("head", "v1/a b+c"), b"5\n")
        self.good("put", "v1/a b+c", "")
        self.assertEqual(self.good("get", "v1/a b+c"), b"")
        self.good("remove", "v1/a b+c")
        self.good("remove", "v1/a b+c")
        self.bad("not_found", "get", "v1/a b+c")
        self.bad("not_found", "head", "v1/a b+c")

    def test_lists_over_pages(self):
        self.store.page = 3
        self.store.objects |= {f"v1/{i}&<": bytes(i) for i in range(8)} | {"other": b""}
        self.assertEqual(self.good("list", "v1/").decode().split("\n"), [f"v1/{i}&< {i}" for i in range(8)] + [""])
        self.assertEqual(self.store.count("GET"), 3)
        self.assertEqual(self.good("list", "none"), b"")

    def test_the_bucket_in_the_host(self):
        socks = s3_server.Socks()
        self.addCleanup(socks.close)
        host = {"endpoint": f"http://s3.example:{self.store.port}", "style": "host", "proxy": socks.url}
        self.good("put", "v1/a", "hello", **host)
        self.assertEqual(self.good("get", "v1/a", **host), b"hello")
        self.assertEqual(self.good("list", "v1/", **host), b"v1/a 5\n")
        self.assertEqual(self.store.requests[0][2], f"pangea-test.s3.example:{self.store.port}")
        self.assertEqual(set(socks.names), {"pangea-test.s3.example"})  # resolved by the proxy alone

    def test_a_proxy_that_is_away_is_not_gone_round(self):
        socks = s3_server.Socks()
        socks.close()
        self.bad("unreachable", "put", "a", "x", proxy=socks.url)
        self.assertEqual(self.store.requests, [])

    def test_wrong_credentials_are_told_apart(self):
        self.assertIn("secret key", self.bad("key", "put", "a", "x", secret="wrong"))
        self.assertIn("access key", self.bad("key", "put", "a", "x", access="AKIDOTHER"))
        self.assertIn("archive login", self.bad("key", "put", "a", "x", secret="-"))
        self.assertEqual(self.store.objects, {})

    def test_wrong_settings_are_told_apart(self):
        self.assertIn("no bucket 'pangea-other'", self.bad("invalid", "put", "a", "x", bucket="pangea-other"))
        self.assertIn("region 'us-east-1', not 'mars'", self.bad("invalid", "put", "a", "x", region="mars"))
        for setting in ({"endpoint": "ftp://x"}, {"endpoint": "http://"}, {"endpoint": "http://x/y"}, {"endpoint": "http://u:p@x"},
                        {"bucket": "A"}, {"bucket": "a/b"}, {"bucket": "a..b"}, {"region": ""}, {"region": "a/b"},
                        {"proxy": "socks4://127.0.0.1:1"}):
            self.bad("invalid", "put", "a", "x", **setting)
        self.bad("auth", "put", "a", "x", endpoint=self.store.url.replace("http", "https"))

    def test_what_passes_is_tried_again(self):
        self.store.fail("close", "503", "500")
        result = self.run_client("put", "a", "hello")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn(b"requests 4 retries 3 failures 0", result.stderr)
        self.store.fail("truncate", "html")
        self.assertEqual(self.good("get", "a"), b"hello")
        self.assertEqual(self.store.objects, {"a": b"hello"})

    def test_what_stays_is_given_up(self):
        self.store.fail(*["503"] * 5)
        self.assertIn("SlowDown", self.bad("busy", "put", "a", "x"))
        self.store.fail("507")
        self.bad("full", "put", "a", "x")
        self.assertEqual(self.store.count("PUT"), 6)

    def test_silence_is_given_up(self):
        self.store.fail(*["silence"] * 5)
        self.bad("timeout", "get", "a", timeout="200")

    def test_an_object_that_is_shorter_is_found_out_at_once(self):
        self.store.objects["a"] = b"hello"
        self.bad("corrupt", "get", "a", 3, 3)
        self.bad("corrupt", "get", "a", 9, 1)
        self.assertEqual(self.store.count("GET"), 2)

    def test_a_server_without_ranges_is_not_read_beyond_them(self):
        self.store.objects["a"] = b"hello"
        self.store.fail("whole", "whole")
        self.bad("limit", "get", "a", 1, 3)
        self.assertEqual(self.good("get", "a", 0, 5), b"hello")

    def test_ending_is_quick(self):
        self.store.fail("silence")
        began = time.monotonic()
        self.bad("cancelled", "end-early", "a")
        self.assertLess(time.monotonic() - began, 10)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
