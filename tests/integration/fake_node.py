"""A node that is not there: HTTP on a Unix socket as docs/guide/node.md describes it, which keeps what is put in memory and can be
told to misbehave. For tests of the commands alone."""

import http.server
import json
import os
import queue
import re
import socketserver
import threading
import time
import urllib.parse

PEERS = [f"12D3KooWFake{i:032d}" for i in range(14)]
PROBLEM_STATUS = {"full": 507, "invalid": 400, "not_found": 404, "missing": 503, "key": 400, "limit": 413}


class Broken(Exception):
    """The connection is to be closed without another word."""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def address_string(self):
        return "unix"

    def log_message(self, *arguments):
        pass

    @property
    def node(self):
        return self.server.node

    def handle_expect_100(self):
        """A put that is refused is refused before its content is sent."""
        if self.node.put_problem and not self.node.put_fails_at:
            return True
        return super().handle_expect_100()

    # Pieces of an exchange

    def answer(self, body, status=200):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def problem(self, code, detail):
        self.answer({"code": code, "detail": detail, "title": code}, PROBLEM_STATUS.get(code, 500))

    def content(self):
        """The request's body, piece by piece."""
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline().split(b";")[0], 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return
        left = int(self.headers.get("Content-Length", 0))
        while left > 0:
            piece = self.rfile.read(min(left, 65536))
            if not piece:
                raise Broken
            left -= len(piece)
            yield piece

    def body(self):
        return json.loads(b"".join(self.content()) or b"{}")

    def transfer(self, kind):
        name = self.headers.get("Pangea-Transfer")
        transfer = {"id": name, "kind": kind, "state": "running", "bytes": 0, "total_bytes": 0, "hosts": 0}
        transfer.update({"problem": None, "report": None})
        self.node.transfers[name] = transfer
        return transfer

    # Methods

    def serve(self):
        path, _, query = self.path.partition("?")
        self.node.requests.append((self.command, self.path))
        if self.node.gone:
            self.close_connection = True
            return
        query = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        for pattern, method in ROUTES:
            match = re.fullmatch(pattern, f"{self.command} {path}")
            if match:
                try:
                    method(self, query, *match.groups())
                except (Broken, ConnectionError):
                    self.close_connection = True
                return
        self.problem("not_found", f"nothing at {path}")

    do_GET = do_POST = do_DELETE = serve

    def files_post(self, query):
        node = self.node
        node.queries.append(query)
        transfer = self.transfer("put")
        if node.put_problem and not node.put_fails_at:
            transfer.update(state="failed", problem=node.put_problem)
            self.close_connection = True
            self.problem(**node.put_problem)
            return
        content = bytearray(int(query.get("start", 0)))
        try:
            for piece in self.content():
                content += piece
                transfer.update(bytes=len(content), hosts=10)
                if node.put_fails_at and len(content) >= node.put_fails_at:
                    transfer.update(state="failed", problem=node.put_problem)
                    raise Broken
                if node.put_gate:
                    node.put_started.set()
                    node.put_gate.wait(60)
        except (ConnectionError, ValueError, Broken):
            node.cancelled.set()
            raise Broken from None
        file = node.file_make(bytes(content), query)
        if node.put_delay:
            node.put_started.set()
            time.sleep(node.put_delay)  # the node is busy
        transfer.update(state="done", bytes=len(content))
        if node.put_answer is not None:
            self.answer(node.put_answer)
        else:
            self.answer(file, 202 if node.put_state == "pending" else 200)

    def files_get(self, query):
        begin = int(query.get("after", "0.0").split(".")[1])
        if begin == self.node.page_gone:
            self.problem("io", "the disk of the list")
            return
        files = [{k: v for k, v in f.items() if k != "hosts"} for f in self.node.files.values()]
        end = begin + self.node.page_files
        removed = end if begin == self.node.page_removed else begin  # all of a page, while the node read it
        self.answer({"files": files[removed:end], **({"next": f"1.{end}"} if end < len(files) else {})})

    def health_get(self, query):
        begin = int(query.get("after", "0.0").split(".")[1])
        rows = [{"root": root, "hosts": 10, "networks": 1, "proven_s": 0, "readable": 0.5} for root in self.node.files]
        for row in rows[::2]:
            row["is_forecast"] = True
        self.answer({"files": rows[begin : begin + self.node.page_files]})

    def files_start(self, _query):
        body = self.body()
        self.node.origins.append((body["source"], body["version"]))
        self.answer({"start": self.node.put_start, "was_changed": self.node.put_changed})

    def file_get(self, _query, root):
        file = self.node.files.get(root)
        self.answer(file) if file else self.problem("not_found", f"{root} was not put here")

    def file_delete(self, _query, root):
        if self.node.files.pop(root, None) is None:
            self.problem("not_found", f"{root} was not put here")
        else:
            self.answer({"dropped": 8, "hosts": 10})

    def content_post(self, _query):
        node = self.node
        body = self.body()
        link, start = body["link"], body.get("start", 0)
        node.links.append(link)
        node.starts.append(start)
        transfer = self.transfer("get")
        if node.get_problem and node.get_fails_at is None:
            self.problem(**node.get_problem)
            return
        content, name, kind = node.contents[link]
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        if name is not None:
            self.send_header("Pangea-Name", urllib.parse.quote(name.encode("utf-8", "surrogateescape"), safe=""))
        self.send_header("Pangea-Kind", kind)
        self.send_header("Pangea-Size", str(node.get_size if node.get_size is not None else len(content)))
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        end = len(content) if node.get_fails_at is None else node.get_fails_at
        for begin in range(start, end, 65536):
            self.wfile.write(content[begin : min(begin + 65536, end)])
            transfer["bytes"] = min(begin + 65536, end)
            if node.get_gate and begin >= node.get_gate_at:
                node.get_started.set()
                node.get_gate.wait(60)
        if node.get_fails_at is not None:
            if node.get_problem_late:
                threading.Timer(0.3, transfer.update, [], {"state": "failed", "problem": node.get_problem}).start()
            else:
                transfer.update(state="failed", problem=node.get_problem)
            if node.get_then_gone:
                node.gone = True
            raise Broken
        report = {"shards_fetched": 80, "shards_local": 0, "shards_absent": 2, "shards_corrupt": 1, "first_byte_ms": 3}
        transfer.update(state="done", report=report)

    def transfer_get(self, _query, name):
        transfer = self.node.transfers.get(name)
        self.answer(transfer) if transfer else self.problem("not_found", f"no transfer {name}")

    def inspect_post(self, _query):
        link = self.body()["link"]
        if link not in self.node.contents:
            self.problem("not_found", "nobody has the root of this link")
            return
        content, name, kind = self.node.contents[link]
        holders = [
            {"peer_id": PEERS[i], "slots": [i], "is_reachable": i != 3, "expiry_s": int(time.time()) + 30 * 86400 + 600}
            for i in range(10)
        ]
        extent = {"number": 0, "plain_bytes": len(content), "descriptor": "bafy", "data_shards": 8, "parity_shards": 2}
        extents = [] if len(content) <= 32768 else [{**extent, "holders": holders}]
        root = link.split(":")[1].split("#")[0]
        answer = {"root": root, "name": name, "kind": kind, "size_bytes": len(content), "is_inline": not extents}
        self.answer({**answer, "extents": extents, "extent_count": self.node.extent_count or len(extents)})

    def blocks_post(self, _query):
        data = b"".join(self.content())
        self.node.blocks[self.node.block_cid] = data
        self.answer({"cid": self.node.block_cid, "size_bytes": len(data)})

    def block_get(self, query, cid):
        self.node.queries.append(query)
        data = self.node.blocks.get(cid)
        if data is None:
            self.problem("not_found", f"nobody has {cid}")
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def peers_get(self, _query):
        self.answer({"peers": [{"peer_id": peer, "addr": f"/ip4/192.0.2.{i}/tcp/4417"} for i, peer in enumerate(PEERS)]})

    def stat_get(self, _query):
        self.answer(
            {
                "store": {"blocks": 17, "used_bytes": 5 << 20, "quota_bytes": 1 << 40, "lost_total": 0},
                "files": {"files": len(self.node.files), "cache_bytes": 1234},
                "catalogue": {"state": "published", "sequence": 2, "published_s": 1700000000, "peers": 4, "looks": 9, "snapshots": 2},
                "peers": 13,
                "uptime_ms": 7300000,
            }
            | self.node.stat
        )

    def node_get(self, _query):
        self.answer(
            {
                "version": "0.6.0",
                "peer_id": PEERS[0],
                "person_id": PEERS[1],
                "addrs": self.node.addrs,
                "stats": {"accepted_total": self.node.accepted},
            }
        )

    def dht_get(self, _query):
        self.answer({"dhts": [{"realm": "local", "server": True, "peers": 9, "records": 3}]})

    def transfers_get(self, _query):
        self.answer({"transfers": list(self.node.transfers.values())})

    def events_get(self, _query):
        """Events as long as the node is there: what the test puts into the queue, None to end."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self.wfile.write(b": here\n\n")
        self.close_connection = True
        while (event := self.node.events.get()) is not None:
            self.wfile.write(f"event: transfer\ndata: {json.dumps(event)}\n\n".encode())


ROUTES = [
    ("POST /api/v1/files", Handler.files_post),
    ("POST /api/v1/files/start", Handler.files_start),
    ("GET /api/v1/files", Handler.files_get),
    ("GET /api/v1/repair/files", Handler.health_get),
    ("GET /api/v1/files/([a-z0-9]+)", Handler.file_get),
    ("DELETE /api/v1/files/([a-z0-9]+)", Handler.file_delete),
    ("POST /api/v1/files/get", Handler.content_post),
    ("GET /api/v1/transfers/([0-9a-zA-Z_-]+)", Handler.transfer_get),
    ("POST /api/v1/links/inspect", Handler.inspect_post),
    ("POST /api/v1/blocks", Handler.blocks_post),
    ("GET /api/v1/blocks/([a-zA-Z0-9]+)", Handler.block_get),
    ("GET /api/v1/peers", Handler.peers_get),
    ("GET /api/v1/stat", Handler.stat_get),
    ("GET /api/v1/node", Handler.node_get),
    ("GET /api/v1/dht", Handler.dht_get),
    ("GET /api/v1/transfers", Handler.transfers_get),
    ("GET /api/v1/events", Handler.events_get),
]


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        pass  # clients that go away are part of the tests


class FakeNode:
    """The node and its moods. `links` are given to what is put, in turn."""

    def __init__(self, folder, links):
        os.makedirs(folder, exist_ok=True)
        self.folder = str(folder)
        self.free_links = list(links)
        self.files, self.contents, self.transfers, self.blocks = {}, {}, {}, {}
        self.requests, self.queries, self.links, self.starts = [], [], [], []
        self.block_cid = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"
        self.gone = False
        self.stat, self.addrs, self.events = {}, ["/ip4/8.8.4.4/tcp/4417"], queue.Queue()
        self.accepted = 5
        self.page_files, self.page_gone, self.page_removed = 1000, None, None
        self.put_state = "complete"
        self.put_problem, self.put_fails_at, self.put_gate, self.put_answer = None, 0, None, None
        self.put_delay = 0
        self.put_start, self.put_changed, self.origins = 0, False, []
        self.get_problem, self.get_fails_at, self.get_gate, self.get_size = None, None, None, None
        self.get_gate_at = 0
        self.get_problem_late = self.get_then_gone = False
        self.put_started, self.get_started, self.cancelled = threading.Event(), threading.Event(), threading.Event()
        self.extent_count = 0
        self.server = Server(os.path.join(self.folder, "api.sock"), Handler)
        os.chmod(os.path.join(self.folder, "api.sock"), 0o777)  # for tests as somebody else
        self.server.node = self
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()

    def close(self):
        for gate in (self.put_gate, self.get_gate):
            if gate:
                gate.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
        os.unlink(os.path.join(self.folder, "api.sock"))

    def serve(self, content, name=None, kind="file"):
        """Keep something to get, and return its link."""
        link = self.free_links.pop(0)
        self.contents[link] = (content, name, kind)
        return link

    def file_make(self, content, query):
        link = self.serve(content, query.get("name"), query.get("kind", "file"))
        data, _, parity = query.get("code", "8+2").partition("+")
        root = link.split(":")[1].split("#")[0]
        pending = self.put_state == "pending"
        hosts = 0 if pending else 4 if self.put_state == "partial" else int(data) + int(parity)
        file = {
            "link": link,
            "root": root,
            "name": query.get("name"),
            "kind": query.get("kind", "file"),
            "state": self.put_state,
            "size_bytes": len(content),
            "packed_bytes": max(len(content) // 2, 1),
            "stored_bytes": len(content) * 5 // 8,
            "extents": 1,
            "segments": 1 + len(content) // (8 << 20),
            "data_shards": int(data),
            "parity_shards": int(parity),
            "survives": 0 if pending else int(parity) if self.put_state == "complete" else 0,
            "put_ms": int(time.time() * 1000) - 7200000,
            "expiry_s": 0 if pending else int(time.time()) + int(query.get("ttl_s", 30 * 86400 + 600)),
            "hosts": [{"peer_id": PEERS[i], "slots": 1, "bytes": len(content) // 8} for i in range(hosts)],
        }
        self.files[root] = file
        return file
