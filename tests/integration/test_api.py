#!/usr/bin/env python3
"""The local API as its clients meet it: streams of any length with bounded memory, clients that are slow, go away or send nonsense,
strangers at the TCP door, events that are missed. Behind it stands a files service that does what the name of a file says.

usage: test_api.py SERVER BYTES [NAME]...    BYTES: how much the long streams have
"""

import base64
import concurrent.futures
import http.client
import json
import os
import signal
import socket
import sys
import threading
import unittest

from api_client import Events, Server, Unix, pattern, read_head, read_pattern, wait_for

PROGRAM = os.path.abspath(sys.argv[1])
BYTES = int(sys.argv[2])
MIB = 1 << 20


class ApiTest(unittest.TestCase):
    def setUp(self):
        self.server = Server(PROGRAM)
        self.addCleanup(self.end)

    def end(self):
        self.assertEqual(self.server.stop(), 0)

    def ask(self, *arguments, **more):
        return self.server.ask(*arguments, **more)

    def fails(self, answer, status, code, *words):
        got, headers, problem = answer
        self.assertEqual((got, headers["Content-Type"]), (status, "application/problem+json"), problem)
        self.assertEqual((problem["status"], problem["code"]), (status, code))
        for word in words:
            self.assertIn(word, problem["detail"])
        return headers

    def cancelled(self, count):
        wait_for(lambda: self.server.counters()["cancelled"] == count, f"{count} are cancelled")
        counters = self.server.counters()
        self.assertEqual((counters["puts_running"], counters["gets_running"]), (0, 0))


class Streams(ApiTest):
    def test_long_put_and_get_take_bounded_memory(self):
        before = self.server.memory_kib()
        line = self.server.send("POST", "/api/v1/files?name=pattern&kind=folder", [("Content-Length", BYTES)])
        for at in range(0, BYTES, MIB):
            line.sendall(pattern(at, min(MIB, BYTES - at)))
        status, _, _ = read_head(line)
        line.close()
        self.assertEqual(status, 200)
        self.assertEqual(self.server.counters()["bytes_in"], BYTES)
        link = self.server.put(f"size:{BYTES}")["link"]
        line = self.server.get(link)
        status, headers, rest = read_head(line)
        self.assertEqual((status, headers["content-length"]), (200, str(BYTES)))
        done = len(rest)
        self.assertEqual(rest, pattern(0, done))
        while done < BYTES:
            piece = line.recv(MIB)
            self.assertTrue(piece)
            self.assertEqual(piece, pattern(done, len(piece)))
            done += len(piece)
        line.close()
        self.assertLess(self.server.memory_kib() - before, 65536)

    def test_chunks_of_all_sizes(self):
        line = self.server.send("POST", "/api/v1/files?name=pattern", [("Transfer-Encoding", "chunked")])
        at = 0
        for size in [1, 2, 3, 250, 4096, 65537, MIB, 1, MIB - 1] * 5:
            line.sendall(b"%x\r\n" % size + pattern(at, size) + b"\r\n")
            at += size
        line.sendall(b"0\r\n\r\n")
        status, _, _ = read_head(line)
        line.close()
        self.assertEqual((status, self.server.counters()["bytes_in"]), (200, at))

    def test_slow_writer(self):
        body = pattern(0, 3000)
        line = self.server.send("POST", "/api/v1/files?name=pattern", [("Content-Length", len(body))])
        for byte in body:
            line.sendall(bytes([byte]))
        self.assertEqual(self.ask("GET", "/livez")[0], 200)
        self.assertEqual(read_head(line)[0], 200)
        line.close()

    def test_what_came_is_used_while_the_writer_is_silent(self):
        line = self.server.send("POST", "/api/v1/files?name=within:50", [("Transfer-Encoding", "chunked")])
        line.sendall(b"5\r\nhello\r\n")
        wait_for(lambda: self.server.counters()["bytes_in"] == 5, "the first words")
        line.sendall(b"6\r\n world\r\n")
        wait_for(lambda: self.server.counters()["bytes_in"] == 11, "the next")
        line.sendall(b"0\r\n\r\n")
        status, _, body = read_head(line)
        self.assertEqual(status, 200)
        self.assertIn(b'"size_bytes":11', body.replace(b" ", b""))
        self.assertIn(b'"extents":3', body.replace(b" ", b""))
        line.close()

    def test_slow_reader_holds_the_sender_up(self):
        link = self.server.put(f"size:{64 * MIB}")["link"]
        line = self.server.get(link)
        wait_for(lambda: self.server.counters()["gets_running"] == 1, "the get begins")
        for _ in range(200):
            self.assertLessEqual(self.server.counters()["bytes_out"], MIB)
        _, _, rest = read_head(line)
        line.shutdown(socket.SHUT_WR)  # as good as gone
        self.assertLess(read_pattern(line, 0, rest), 64 * MIB)
        line.close()
        self.cancelled(1)

    def test_slow_reader_gets_all(self):
        link = self.server.put(f"size:{8 * MIB}")["link"]
        line = self.server.get(link)
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        _, _, rest = read_head(line)
        done = len(rest)
        while done < 8 * MIB:
            piece = line.recv(4096)
            self.assertEqual(piece, pattern(done, len(piece)))
            done += len(piece)
        line.close()

    def test_node_that_does_not_read_holds_the_client_up(self):
        line = self.server.send("POST", f"/api/v1/files?name=park:{MIB}", [("Content-Length", 1 << 40)])
        wait_for(lambda: self.server.counters()["puts_running"] == 1, "the put begins")
        line.setblocking(False)
        sent = 0
        refused = 0
        while refused < 200:  # as often, with the server at work in between
            try:
                sent += line.send(bytes(65536))
                refused = 0
            except BlockingIOError:
                refused += 1
                self.server.counters()
        self.assertLess(sent, 8 * MIB)
        line.close()
        self.cancelled(1)

    def test_start_in_the_middle(self):
        link = self.server.put(f"size:{3 * MIB}")["link"]
        line = self.server.get(link, body={"start": MIB}, headers=[("Connection", "close")])
        _, headers, rest = read_head(line)
        self.assertEqual((headers["content-length"], headers["pangea-size"]), (str(2 * MIB), str(3 * MIB)))
        self.assertEqual(read_pattern(line, MIB, rest), 2 * MIB)
        line.close()
        status, _, data = self.ask("POST", "/api/v1/files/get", {"link": link, "start": 3 * MIB})
        self.assertEqual((status, data), (200, b""))
        self.fails(self.ask("POST", "/api/v1/files/get", {"link": link, "start": 3 * MIB + 1}), 400, "invalid", "start")

    def test_many_at_once(self):
        def one(i):
            body = pattern(0, 300000 + i)
            link = self.server.put("pattern-size:1048576", body)["link"]
            return len(self.ask("POST", "/api/v1/files/get", {"link": link})[2])

        with concurrent.futures.ThreadPoolExecutor(32) as pool:
            self.assertEqual(set(pool.map(one, range(200))), {MIB})

    def test_answer_before_the_body_is_read(self):
        status, _, data = self.ask("POST", "/test/early", bytes(3 * MIB))
        self.assertEqual((status, data), (200, b"early"))


class Trouble(ApiTest):
    def test_client_goes_away(self):
        cases = 0
        for name, body in (("park:0", b"x" * MIB), ("park:1048576", b"x" * 3 * MIB)):
            line = self.server.send("POST", f"/api/v1/files?name={name}", [("Content-Length", 1 << 30)], body[:1])
            wait_for(lambda: self.server.counters()["puts_running"] == 1, "the put begins")
            line.close()
            cases += 1
            self.cancelled(cases)
        line = self.server.send("POST", "/api/v1/files?name=a", [("Content-Length", 1 << 30)], b"x" * 3 * MIB)
        wait_for(lambda: self.server.counters()["bytes_in"] >= 2 * MIB, "the body comes")
        line.close()
        self.cancelled(cases + 1)
        cases += 1
        for name in ("stall:0", f"size:{3 * MIB}-stall:{MIB}", f"size:{1 << 30}"):
            link = self.server.put(name)["link"]
            line = self.server.get(link)
            wait_for(lambda: self.server.counters()["gets_running"] == 1, "the get begins")
            line.close()
            cases += 1
            self.cancelled(cases)

    def test_client_goes_away_over_tcp(self):
        link = self.server.put("stall:0")["link"]
        body = json.dumps({"link": link})
        token = self.server.ready["token"]
        line = socket.create_connection(("127.0.0.1", self.server.port), timeout=60)
        head = f"POST /api/v1/files/get HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
        line.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        wait_for(lambda: self.server.counters()["gets_running"] == 1, "the get begins")
        line.close()
        self.cancelled(1)

    def test_crowd_goes_away(self):
        link = self.server.put("stall:0")["link"]
        lines = [self.server.get(link) for _ in range(100)]
        wait_for(lambda: self.server.counters()["gets_running"] == 100, "all wait")
        for line in lines:
            line.close()
        self.cancelled(100)

    def test_put_that_fails_on_its_way(self):
        self.fails(self.ask("POST", "/api/v1/files?name=full:0", bytes(MIB)), 507, "full", "no host has room")
        self.fails(self.ask("POST", "/api/v1/files?name=full:2097152", bytes(30 * MIB)), 507, "full")
        self.fails(self.ask("POST", "/api/v1/files?name=pattern", b"x" * MIB), 502, "corrupt", "from 0 on")

    def test_put_that_fails_and_a_client_that_does_not_stop(self):
        headers = [("Transfer-Encoding", "chunked"), ("Pangea-Transfer", "endless-put")]
        line = self.server.send("POST", "/api/v1/files?name=full:1048576", headers)
        self.addCleanup(line.close)
        with self.assertRaises(OSError):
            while True:
                line.sendall(b"100000\r\n" + bytes(MIB) + b"\r\n")
        _, _, transfer = self.ask("GET", "/api/v1/transfers/endless-put")
        self.assertEqual((transfer["state"], transfer["problem"]["code"]), ("failed", "full"))

    def test_client_that_waits_for_leave(self):
        headers = [("Content-Length", 1 << 30), ("Expect", "100-continue"), ("Connection", "close")]
        line = self.server.send("POST", "/api/v1/files?kind=nothing", headers)
        self.assertEqual(read_head(line)[0], 400)  # at once, without the body
        line.close()
        headers[0] = ("Content-Length", 5)
        line = self.server.send("POST", "/api/v1/files", headers)
        self.assertEqual(read_head(line)[0], 100)
        line.sendall(b"12345")
        self.assertEqual(read_head(line)[0], 200)
        line.close()

    def test_get_that_fails(self):
        link = self.server.put(f"size:{3 * MIB}-missing:0")["link"]
        self.fails(self.ask("POST", "/api/v1/files/get", {"link": link}), 503, "missing", "7 of 8 shards")
        link = self.server.put(f"size:{3 * MIB}-missing:{MIB}")["link"]
        line = self.server.get(link, headers=[("Pangea-Transfer", "broken-get")])
        status, headers, rest = read_head(line)
        self.assertEqual((status, headers["content-length"]), (200, str(3 * MIB)))
        self.assertLessEqual(read_pattern(line, 0, rest), MIB)  # and then the end
        line.close()
        _, _, transfer = self.ask("GET", "/api/v1/transfers/broken-get")
        self.assertEqual((transfer["state"], transfer["kind"], transfer["bytes"]), ("failed", "get", MIB))
        self.assertEqual(transfer["problem"]["code"], "missing")
        self.assertEqual(transfer["report"]["first_byte_ms"], 7)

    def test_answer_that_is_too_short(self):
        line = self.server.send("POST", "/test/short", [("Content-Length", 0)])
        _, headers, rest = read_head(line)
        self.assertEqual(headers["content-length"], "10")
        while piece := line.recv(65536):
            rest += piece
        line.close()
        self.assertEqual(rest, b"short")

    def test_links_that_are_none(self):
        link = self.server.put("a")["link"]
        for text, status, code in (
            ("", 400, "invalid"),
            ("https://example.org", 400, "invalid"),
            (link[:-1], 400, "truncated"),
            (link[:-1] + ("2" if link[-1] != "2" else "3"), 400, "malformed"),
            (link.split("#")[0], 400, "truncated"),
        ):
            for path in ("files/get", "links/inspect"):
                self.fails(self.ask("POST", f"/api/v1/{path}", {"link": text}), status, code)
        self.ask("DELETE", "/api/v1/files/" + link[7:].split("#")[0])
        self.fails(self.ask("POST", "/api/v1/files/get", {"link": link}), 404, "not_found")

    def test_requests_that_make_no_sense(self):
        for body in (b"[1]", b"{", b'{"link": 1}', b'{"x": "' + b"y" * 70000 + b'"}', b"{}{}", b"[" * 60000):
            self.fails(self.ask("POST", "/api/v1/files/get", body), 400, "invalid")
        root = self.server.put("a")["root"]
        for method, path in (
            ("POST", "/api/v1/files?name=" + "a" * 256),
            ("POST", "/api/v1/files?name=a%2Fb"),
            ("POST", "/api/v1/files?name=%00"),
            ("POST", "/api/v1/files?name=%0a"),
            ("POST", "/api/v1/files?name=%ff"),
            ("POST", "/api/v1/files?name=%C2%85"),
            ("POST", "/api/v1/files?name=.."),
            ("POST", "/api/v1/files?name=%"),
            ("POST", "/api/v1/files?name=a&name=b"),
            ("POST", "/api/v1/files?nam=a"),
            ("POST", "/api/v1/files?kind=link"),
            ("POST", "/api/v1/files?code=8"),
            ("POST", "/api/v1/files?code=0%2B2"),
            ("POST", "/api/v1/files?code=30%2B3"),
            ("POST", "/api/v1/files?no_compress=1"),
            ("POST", "/api/v1/files?ttl_s=-1"),
            ("POST", "/api/v1/files?ttl_s=99999999999"),
            ("POST", "/api/v1/files?total_bytes=many"),
            ("POST", "/api/v1/files?name=" + "a" * 5000),
            ("GET", "/api/v1/files?limit=0"),
            ("GET", "/api/v1/files?limit=10001"),
            ("GET", "/api/v1/files?after=1"),
            ("GET", "/api/v1/files?after=1.x"),
            ("GET", "/api/v1/files?after=1.99999999999999999999"),
            ("GET", "/api/v1/files?before=1.1"),
            ("GET", "/livez?x"),
            ("GET", "/" + "a" * 5000),
            ("GET", "/api/v1/transfers/short"),
            ("GET", f"/api/v1/blocks/{root}?timeout_ms=soon"),
        ):
            self.fails(self.ask(method, path, b"body" if method == "POST" else None), 400, "invalid")
        for method, path, code in (
            ("GET", "/api/v1/files/bafk", "malformed"),
            ("GET", "/api/v1/files/no-cid", "malformed"),
            ("DELETE", "/api/v1/files/x", "malformed"),
            ("GET", "/api/v1/blocks/x", "malformed"),
            ("GET", "/api/v1/blocks/" + root[:-1] + "!", "malformed"),
        ):
            self.fails(self.ask(method, path), 400, code)
        answer = self.ask("POST", "/api/v1/files", b"x", {"Pangea-Transfer": "no good"})
        self.fails(answer, 400, "invalid", "Pangea-Transfer")
        self.fails(self.ask("GET", "/api/v1/events", headers={"Last-Event-ID": "x"}), 400, "invalid", "Last-Event-ID")

    def test_paths_and_methods_nobody_serves(self):
        for path in ("/", "/api/v1", "/api/v1/files/a/b", "/api/v1/files/", "/api/v2/node", "//livez", "/livez/"):
            self.fails(self.ask("GET", path), 404, "not_found", path)
        headers = self.fails(self.ask("DELETE", "/api/v1/node"), 405, "unsupported")
        self.assertEqual(headers["Allow"], "GET")
        headers = self.fails(self.ask("PUT", "/api/v1/files", b"x"), 405, "unsupported")
        self.assertEqual(headers["Allow"], "POST, GET")
        line = self.server.send("HEAD", "/livez")
        self.assertEqual(read_head(line)[0], 405)
        line.close()

    def test_garbage_on_the_socket(self):
        for data in (b"\r\n\r\n", b"\x00" * 1000, b"GET", b"GET / HTTP/1.1\r\nHost", b"GET\r\n\r\n"):
            line = self.server.open()
            line.sendall(data)
            line.close()
        for data, status in (
            (b"GET / HTTP/9.9\r\n\r\n", 505),
            (b"GET / HTTP/1.1\r\nnonsense\r\n\r\n", 400),
            (b"POST /api/v1/files HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
            (b"POST /api/v1/files HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
        ):
            line = self.server.open()
            line.sendall(data)
            self.assertEqual(read_head(line)[0], status)
            line.close()
        line = self.server.open()
        with self.assertRaises(OSError):
            while True:
                line.sendall(b"x" * MIB)
        line.close()
        self.assertEqual(self.ask("GET", "/livez")[0], 200)
        wait_for(lambda: self.server.counters()["puts_running"] == 0, "the put ends")

    def test_connection_serves_again_and_again(self):
        door = Unix(self.server.path)
        for i in range(50):
            status, _, file = self.ask("POST", "/api/v1/files?name=pattern", pattern(0, 100 * i), connection=door)
            self.assertEqual((status, file["size_bytes"]), (200, 100 * i))
            line = door.sock
            status, _, data = self.ask("POST", "/api/v1/files/get", {"link": file["link"]}, connection=door)
            self.assertEqual((status, data), (200, pattern(0, 100 * i)))
            self.assertEqual(self.ask("GET", "/api/v1/nothing", connection=door)[0], 404)
            self.assertEqual(self.ask("POST", "/api/v1/dial", b"{", connection=door)[0], 400)
            self.assertIs(door.sock, line)
        door.close()

    def test_requests_sent_ahead(self):
        line = self.server.open()
        for _ in range(10):
            self.server.send("GET", "/livez", line=line)
        data = b""
        while data.count(b'{"status":"alive"}') < 10:
            data += line.recv(65536)
        line.close()

    def test_end_while_all_kinds_of_work_are_under_way(self):
        lines = []
        for name in ("park:0", "a"):
            headers = [("Content-Length", 1 << 30)]
            lines.append(self.server.send("POST", f"/api/v1/files?name={name}", headers, b"x" * 100000))
        for name in (f"size:{1 << 30}", f"size:{3 * MIB}-stall:{MIB}"):
            lines.append(self.server.get(self.server.put(name)["link"]))
        lines.append(Events(self.server))
        stalled = self.server.get(self.server.put("stall:0")["link"])
        wait_for(lambda: self.server.counters()["gets_running"] == 3, "they run")
        self.server.process.send_signal(signal.SIGTERM)
        status, _, rest = read_head(stalled)
        self.assertEqual((status, json.loads(rest)["code"]), (503, "cancelled"))
        for line in [*lines, stalled]:
            line.close()


class Files(ApiTest):
    def test_put_states_and_names(self):
        status, _, file = self.ask("POST", "/api/v1/files?name=pending&code=4%2B3&ttl_s=60", bytes(1000))
        self.assertEqual((status, file["state"], file["hosts"]), (202, "pending", []))
        self.assertEqual((file["data_shards"], file["parity_shards"], file["expiry_s"]), (4, 3, 1060))
        status, _, file = self.ask("POST", "/api/v1/files?name=%C3%A4%20b%2B&kind=folder&no_compress=true", bytes(1000))
        self.assertEqual((status, file["state"], file["name"], file["kind"]), (200, "partial", "ä b+", "folder"))
        self.assertEqual(file["packed_bytes"], 1000)
        self.assertEqual([host["slots"] for host in file["hosts"]], [3, 3, 3])
        status, headers, data = self.ask("POST", "/api/v1/files/get", {"link": file["link"]})
        self.assertEqual((status, len(data)), (200, 1000))
        self.assertEqual((headers["Pangea-Name"], headers["Pangea-Kind"]), ("%C3%A4%20b%2B", "folder"))
        nameless = self.ask("POST", "/api/v1/files", b"")[2]
        self.assertEqual((nameless["name"], nameless["size_bytes"]), (None, 0))
        status, headers, data = self.ask("POST", "/api/v1/files/get", {"link": nameless["link"]})
        self.assertEqual((status, data, headers["Content-Length"]), (200, b"", "0"))
        self.assertNotIn("Pangea-Name", headers)

    def test_catalogue(self):
        files = [self.server.put(f"f{i}") for i in range(3)]
        listed = self.ask("GET", "/api/v1/files")[2]["files"]
        self.assertEqual([file["name"] for file in listed], ["f2", "f1", "f0"])
        self.assertNotIn("hosts", listed[0])
        paged, query = [], "limit=2"
        while query:
            page = self.ask("GET", f"/api/v1/files?{query}")[2]
            self.assertLessEqual(len(page["files"]), 2)
            paged += page["files"]
            query = "next" in page and f"limit=2&after={page['next']}"
        self.assertEqual(paged, listed)
        self.assertEqual(self.ask("GET", f"/api/v1/files/{files[1]['root']}")[2], files[1])
        status, _, dropped = self.ask("DELETE", f"/api/v1/files/{files[1]['root']}")
        self.assertEqual((status, dropped), (200, {"dropped": 3, "hosts": 3}))
        self.fails(self.ask("GET", f"/api/v1/files/{files[1]['root']}"), 404, "not_found")
        self.fails(self.ask("DELETE", f"/api/v1/files/{files[1]['root']}"), 404, "not_found")
        self.assertEqual(len(self.ask("GET", "/api/v1/files")[2]["files"]), 2)

    def test_inspect(self):
        link = self.server.put("f")["link"]
        status, _, info = self.ask("POST", "/api/v1/links/inspect", {"link": link})
        self.assertEqual((status, info["extent_count"], len(info["extents"])), (200, 1 << 40, 1000))
        self.assertEqual((info["root"], info["name"], info["is_inline"]), (link[7:].split("#")[0], "f", False))
        self.assertEqual([holder["slots"] for holder in info["extents"][7]["holders"]], [[0, 31], [1]])

    def test_blocks(self):
        for size in (0, 1, 2 * MIB):
            status, _, kept = self.ask("POST", "/api/v1/blocks", pattern(0, MIB)[:size] * 2 if size > MIB else bytes(size))
            self.assertEqual((status, kept["size_bytes"] >= size), (200, True))
            status, headers, data = self.ask("GET", f"/api/v1/blocks/{kept['cid']}")
            self.assertEqual((status, len(data)), (200, kept["size_bytes"]))
            self.assertEqual(headers["Content-Type"], "application/octet-stream")
        self.fails(self.ask("POST", "/api/v1/blocks", bytes(2 * MIB + 1)), 413, "limit")
        self.fails(self.ask("POST", "/api/v1/blocks", bytes(9 * MIB)), 413, "limit")
        unknown = kept["cid"][:-10] + "aaaaaaaaaa"
        self.fails(self.ask("GET", f"/api/v1/blocks/{unknown}?timeout_ms=1"), 404, "not_found")

    def test_transfers(self):
        self.fails(self.ask("GET", "/api/v1/transfers/never-was"), 404, "not_found")
        self.server.put("pattern", pattern(0, MIB), **{"Pangea-Transfer": "transfer-1"})
        _, _, transfer = self.ask("GET", "/api/v1/transfers/transfer-1")
        self.assertEqual(transfer["kind"], "put")
        self.assertEqual((transfer["state"], transfer["bytes"], transfer["total_bytes"]), ("done", MIB, MIB))
        self.assertIsNone(transfer["problem"])
        link = self.server.put(f"size:{3 * MIB}-stall:{MIB}")["link"]
        line = self.server.get(link, headers=[("Pangea-Transfer", "transfer-2")])
        _, _, rest = read_head(line)
        got = len(rest)
        while got < MIB:
            got += len(line.recv(65536))
        _, _, transfer = self.ask("GET", "/api/v1/transfers/transfer-2")
        self.assertEqual((transfer["state"], transfer["bytes"], transfer["total_bytes"]), ("running", MIB, 3 * MIB))
        again = self.ask("POST", "/api/v1/files/get", {"link": link}, {"Pangea-Transfer": "transfer-2"})
        self.fails(again, 409, "exists", "transfer-2")
        line.close()
        self.cancelled(1)
        _, _, transfer = self.ask("GET", "/api/v1/transfers/transfer-2")
        self.assertEqual((transfer["state"], transfer["problem"]["code"]), ("failed", "cancelled"))

    def test_node_without_files(self):
        bare = Server(PROGRAM, "bare")
        self.addCleanup(bare.stop)
        root = self.server.put("f")["root"]
        for method, path, body in (
            ("POST", "/api/v1/files", b"x"),
            ("GET", "/api/v1/files", None),
            ("POST", "/api/v1/files/get", {"link": "x"}),
            ("GET", f"/api/v1/files/{root}", None),
            ("DELETE", f"/api/v1/files/{root}", None),
            ("POST", "/api/v1/links/inspect", {"link": "x"}),
            ("POST", "/api/v1/blocks", b"x"),
            ("GET", f"/api/v1/blocks/{root}", None),
        ):
            self.fails(bare.ask(method, path, body), 501, "unsupported", "keeps no files")
        stat = bare.ask("GET", "/api/v1/stat")[2]
        self.assertEqual([stat[part] for part in ("store", "place", "files", "bitswap")], [None] * 4)


class Door(ApiTest):
    """The door over TCP, where any page in a browser of this machine could knock."""

    def knock(self, path, **headers):
        door = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        door.putrequest("GET", path, skip_host=True)
        for name, value in {"Host": f"127.0.0.1:{self.server.port}", **headers}.items():
            door.putheader(name, value)
        door.endheaders()
        answer = door.getresponse()
        data = json.loads(answer.read())
        door.close()
        return answer.status, answer.headers, data

    def test_token(self):
        token = self.server.ready["token"]
        self.assertEqual(self.knock("/livez")[0], 200)
        self.assertEqual(self.knock("/readyz")[0], 200)
        self.assertEqual(self.knock("/api/v1/node", Authorization=f"Bearer {token}")[0], 200)
        headers = self.fails(self.knock("/api/v1/node"), 401, "access", "token")
        self.assertEqual(headers["WWW-Authenticate"], "Bearer")
        basic = base64.b64encode(f"x:{token}".encode()).decode()
        for wrong in (f"Bearer {token[:-1]}", f"Bearer {token}A", "Bearer ", token, f"Basic {basic}"):
            self.fails(self.knock("/api/v1/node", Authorization=wrong), 401, "access")
        self.fails(self.knock("/api/v1/nothing"), 401, "access")  # what there is, strangers do not learn
        self.fails(self.knock("/api/v1/files?" + "a" * 5000), 401, "access")

    def test_another_name_for_this_machine(self):
        bearer = f"Bearer {self.server.ready['token']}"
        for host in ("evil.example", f"evil.example:{self.server.port}", "127.0.0.1:1", "192.0.2.1", ""):
            self.fails(self.knock("/api/v1/node", Host=host, Authorization=bearer), 403, "access")
            self.fails(self.knock("/livez", Host=host), 403, "access")
        for host in ("localhost", f"localhost:{self.server.port}", "[::1]"):
            self.assertEqual(self.knock("/api/v1/node", Host=host, Authorization=bearer)[0], 200)

    def test_another_site(self):
        bearer = f"Bearer {self.server.ready['token']}"
        port = self.server.port
        for origin in ("http://evil.example", "null", f"https://127.0.0.1:{port}", "http://127.0.0.1:1"):
            self.fails(self.knock("/api/v1/node", Origin=origin, Authorization=bearer), 403, "access", "sites")
        own = f"http://127.0.0.1:{port}"
        status, headers, _ = self.knock("/api/v1/node", Origin=own, Authorization=bearer)
        self.assertEqual(status, 200)
        self.assertNotIn("Access-Control-Allow-Origin", headers)

    def test_the_socket_asks_nothing(self):
        status = self.ask("GET", "/api/v1/node", headers={"Host": "evil.example", "Origin": "null"})[0]
        self.assertEqual(status, 200)

    def test_streams(self):
        bearer = f"Bearer {self.server.ready['token']}"
        door = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        headers = {"Authorization": bearer}
        _, _, file = self.ask("POST", "/api/v1/files?name=pattern", pattern(0, MIB), headers, connection=door)
        _, _, data = self.ask("POST", "/api/v1/files/get", {"link": file["link"]}, headers, connection=door)
        self.assertEqual(data, pattern(0, MIB))
        door.close()


class EventsTest(ApiTest):
    def publish(self, count):
        self.assertEqual(self.ask("POST", "/test/publish", {"count": count})[0], 200)

    def listen(self, last_id=None):
        events = Events(self.server, last_id)
        self.addCleanup(events.close)
        self.assertEqual((events.status, events.headers["content-type"]), (200, "text/event-stream"))
        self.assertEqual(events.next()[2], "here")
        return events

    def test_all_are_heard_in_order_and_resumed(self):
        first = self.listen()
        self.publish(100)
        heard = [first.next() for _ in range(100)]
        self.assertEqual([data["n"] for _, _, data in heard], list(range(100)))
        ids = [number for number, _, _ in heard]
        self.assertEqual(ids, list(range(ids[0], ids[0] + 100)))
        first.close()
        again = self.listen(ids[41])
        self.assertEqual([again.next() for _ in range(58)], heard[42:])
        self.publish(1)
        self.assertEqual(again.next()[0], ids[-1] + 1)

    def test_gap(self):
        first = self.listen()
        self.publish(1)
        last_id = first.next()[0]
        self.publish(3000)
        again = self.listen(last_id)
        number, kind, data = again.next()
        self.assertEqual((number, kind, data), (last_id + 3000 - 1024, "gap", {"next_id": last_id + 3000 - 1023}))
        self.assertEqual(again.next()[2], {"n": 3000 - 1024})

    def test_slow_listener_is_dropped_to_the_tail(self):
        slow = self.listen()
        quick = self.listen()
        for _ in range(20):
            self.publish(5000)
        last = quick.until(lambda _, kind, data: data == {"n": 4999})[-1]
        self.assertLess(self.server.memory_kib(), 1 << 20)
        self.publish(1)
        heard = slow.until(lambda number, kind, data: number > last[0] and data == {"n": 0} or number == last[0] + 80001)
        kinds = [kind for _, kind, _ in heard]
        self.assertIn("gap", kinds)
        self.assertLess(len(heard), 90000)
        ids = [number for number, _, _ in heard]
        self.assertEqual(ids, sorted(ids))

    def test_peers_and_transfers(self):
        events = self.listen()
        addr = self.server.ready["peer_addr"]
        peer = addr.split("/")[-1]
        self.assertEqual(self.ask("POST", "/api/v1/dial", {"target": addr})[0], 200)
        heard = events.until(lambda _, kind, data: kind == "peer" and data["event"] == "identified")
        self.assertEqual(heard[0][1:], ("peer", {"peer_id": peer, "event": "connected"}))
        self.ask("POST", "/test/part", b"{}")
        heard = events.until(lambda _, kind, data: kind == "peer" and data["event"] == "disconnected")
        self.assertEqual(heard[-1][2]["peer_id"], peer)
        self.server.put("pattern", pattern(0, MIB), **{"Pangea-Transfer": "transfer-1"})
        heard = events.until(lambda _, kind, data: kind == "transfer" and data["state"] != "running")
        self.assertEqual(heard[-1][2], self.ask("GET", "/api/v1/transfers/transfer-1")[2])
        self.ask("POST", "/api/v1/files?name=full:0", b"x", {"Pangea-Transfer": "transfer-2"})
        heard = events.until(lambda _, kind, data: kind == "transfer" and data["state"] != "running")
        self.assertEqual(heard[-1][2]["problem"]["code"], "full")

    def test_progress_is_told_now_and_then(self):
        events = self.listen()
        stop = threading.Event()

        def slowly():
            headers = [("Transfer-Encoding", "chunked"), ("Pangea-Transfer", "transfer-1")]
            line = self.server.send("POST", "/api/v1/files", headers)
            while not stop.is_set():
                line.sendall(b"10000\r\n" + bytes(65536) + b"\r\n")
            line.sendall(b"0\r\n\r\n")
            read_head(line)
            line.close()

        sender = threading.Thread(target=slowly)
        sender.start()
        heard = [events.next() for _ in range(3)]
        stop.set()
        sender.join()
        self.assertEqual({(kind, data["state"]) for _, kind, data in heard}, {("transfer", "running")})
        amounts = [data["bytes"] for _, _, data in heard]
        self.assertEqual(amounts, sorted(amounts))
        self.assertGreater(amounts[0], 0)

    def test_quiet_connection_shows_that_it_lives(self):
        events = self.listen()
        self.assertEqual(events.next(), (None, None, "still here"))

    def test_too_many_listeners(self):
        crowd = [self.listen() for _ in range(32)]
        self.fails(self.ask("GET", "/api/v1/events"), 503, "busy")
        crowd[0].close()

        def is_free():
            events = Events(self.server)
            events.close()
            return events.status == 200

        wait_for(is_free, "a place is free again")


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]], verbosity=1)
