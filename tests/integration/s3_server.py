"""A strict S3 server for tests: verifies every signature by code of its own, knows one bucket, and fails as it is told. Also a SOCKS5
proxy that counts what goes through it."""

import hashlib
import hmac
import http.server
import re
import socket
import threading
import time
import urllib.parse
import xml.sax.saxutils

ALGORITHM = "AWS4-HMAC-SHA256"


def digest(data):
    return hashlib.sha256(data).hexdigest()


def mac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def signature(secret, method, path, query, headers, payload, region):
    """The signature of a request: `headers` are those that are signed, `query` a list of pairs, undone of their escapes."""
    names = sorted(headers)
    quote = lambda text: urllib.parse.quote(text, safe="-_.~")
    canonical = "\n".join([
        method, path, "&".join(sorted(f"{quote(name)}={quote(value)}" for name, value in query)),
        *(f"{name}:{' '.join(headers[name].split())}" for name in names), "", ";".join(names), payload])
    stamp = headers["x-amz-date"]
    scope = f"{stamp[:8]}/{region}/s3/aws4_request"
    key = mac(mac(mac(mac(b"AWS4" + secret.encode(), stamp[:8]), region), "s3"), "aws4_request")
    return hmac.new(key, "\n".join([ALGORITHM, stamp, scope, digest(canonical.encode())]).encode(), hashlib.sha256).hexdigest()


class Refusal(Exception):
    def __init__(self, status, code, message="", more=""):
        super().__init__(code)
        self.status, self.code, self.message, self.more = status, code, message, more


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, refusal):
        text = f"<Message>{xml.sax.saxutils.escape(refusal.message)}</Message>{refusal.more}"
        body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{refusal.code}</Code>{text}<RequestId>1</RequestId></Error>'
        self.answer(refusal.status, body.encode(), [("Content-Type", "application/xml")])

    def verify(self, path, query, body):
        store = self.server.store
        match = re.fullmatch(ALGORITHM + r" Credential=([^/,]+)/(\d{8})/([^/]+)/s3/aws4_request, SignedHeaders=([a-z0-9;-]+), "
                             r"Signature=([0-9a-f]{64})", self.headers.get("Authorization", ""))
        if match is None:
            raise Refusal(403, "AccessDenied", "no signature that is understood")
        access, day, region, names, given = match.groups()
        if region != store.region:
            raise Refusal(400, "AuthorizationHeaderMalformed", f"the region '{region}' is wrong; expecting '{store.region}'",
                          f"<Region>{store.region}</Region>")
        if access != store.access:
            raise Refusal(403, "InvalidAccessKeyId", "The access key does not exist.")
        signed = {name: self.headers.get(name) for name in names.split(";")}
        must = {"host", "x-amz-date", "x-amz-content-sha256"}
        must |= {name.lower() for name in self.headers if name.lower().startswith("x-amz-")}
        if not must <= set(signed) or None in signed.values() or names.split(";") != sorted(signed):
            raise Refusal(403, "AccessDenied", "headers that have to be signed are not")
        stamp = signed["x-amz-date"]
        if not re.fullmatch(r"\d{8}T\d{6}Z", stamp) or stamp[:8] != day:
            raise Refusal(403, "AccessDenied", "bad date")
        asked = time.mktime(time.strptime(stamp, "%Y%m%dT%H%M%SZ")) - time.timezone
        if abs(asked - time.time()) > 900:
            raise Refusal(403, "RequestTimeTooSkewed", "The difference is too large.")
        payload = signed["x-amz-content-sha256"]
        if payload != digest(body):
            raise Refusal(400, "XAmzContentSHA256Mismatch", "the body is another")
        right = signature(store.secret, self.command, path, query, signed, payload, region)
        if not hmac.compare_digest(right, given):
            raise Refusal(403, "SignatureDoesNotMatch", "The signature does not match.")

    def fault(self, name):
        """Fail as told; returns True when the request is over."""
        kind = self.server.store.fault_for(self.command, name)
        if kind is None:
            return None
        if kind in ("500", "503", "507"):
            codes = {"500": "InternalError", "503": "SlowDown", "507": "QuotaExceeded"}
            raise Refusal(int(kind), codes[kind], "Please reduce your request rate.")
        if kind == "html":
            self.answer(502, b"<html><body>Bad Gateway</body></html>", [("Content-Type", "text/html")])
        elif kind == "close":
            self.connection.shutdown(socket.SHUT_RDWR)
        elif kind == "silence":
            self.server.store.released.wait(60)
        else:
            return kind  # truncate, wrong, long: of the body
        self.close_connection = True
        return True

    def handle_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        store = self.server.store
        raw, _, query = self.path.partition("?")
        pairs = urllib.parse.parse_qsl(query, keep_blank_values=True)
        host = self.headers.get("Host", "")
        path = urllib.parse.unquote(raw)
        if host.startswith(store.bucket + "."):
            path = f"/{store.bucket}{path}"
        _, bucket, name = (path + "/").split("/", 2)
        name = name[:-1]
        store.note(self.command, name, host)
        try:
            fault = self.fault(name)
            if fault is True:
                return
            self.verify(raw, pairs, body)
            if bucket != store.bucket:
                raise Refusal(404, "NoSuchBucket", "The bucket does not exist.")
            if name == "":
                self.list(dict(pairs))
            else:
                self.object(name, body, fault)
        except Refusal as refusal:
            self.refuse(refusal)

    do_GET = do_PUT = do_HEAD = do_DELETE = handle_any

    def object(self, name, body, fault):
        store = self.server.store
        if self.command == "PUT":
            if store.room is not None and sum(map(len, store.objects.values())) + len(body) > store.room:
                raise Refusal(403, "QuotaExceeded", "no more room")
            store.objects[name] = body
            self.answer(200, b"", [("ETag", f'"{hashlib.md5(body).hexdigest()}"')])
        elif self.command == "DELETE":
            store.objects.pop(name, None)
            self.answer(204)
        elif name not in store.objects:
            raise Refusal(404, "NoSuchKey", "The key does not exist.")
        else:
            self.give(store.objects[name], fault)

    def give(self, content, fault):
        status, headers = 200, []
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if asked and fault != "whole":
            first, last = int(asked[1]), min(int(asked[2]), len(content) - 1)
            if first > last:
                raise Refusal(416, "InvalidRange", "The range is not satisfiable.")
            status, headers = 206, [("Content-Range", f"bytes {first}-{last}/{len(content)}")]
            content = content[first:last + 1]
        if fault == "wrong":
            content = bytes(byte ^ 1 for byte in content)
        if fault == "truncate":
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[:len(content) // 2])
            self.close_connection = True
            return
        self.answer(status, content, headers)

    def list(self, query):
        store = self.server.store
        if query.get("list-type") != "2":
            raise Refusal(501, "NotImplemented", "only the second version of lists")
        prefix, token = query.get("prefix", ""), query.get("continuation-token", "")
        names = sorted(name for name in store.objects if name.startswith(prefix) and name > token)
        page = names[:store.page]
        escape = xml.sax.saxutils.escape
        text = "".join(f"<Contents><Key>{escape(name)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
                       f"<Size>{len(store.objects[name])}</Size></Contents>" for name in page)
        more = len(page) < len(names)
        text += f"<IsTruncated>{str(more).lower()}</IsTruncated>"
        text += f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
        body = f'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{text}</ListBucketResult>'
        self.answer(200, body.encode(), [("Content-Type", "application/xml")])


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_):
        pass  # clients that go away


class Store:
    """A server with its bucket. `faults` are taken one after another: (method or None, part of the name, kind)."""

    def __init__(self, bucket="pangea-test", access="AKIDEXAMPLE", secret="wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", region="us-east-1", address="127.0.0.1"):
        self.bucket, self.access, self.secret, self.region = bucket, access, secret, region
        self.objects, self.faults, self.requests = {}, [], []
        self.page, self.room = 1000, None
        self.lock = threading.Lock()
        self.released = threading.Event()
        self.server = Server((address, 0), Handler)
        self.server.store = self
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()

    def note(self, method, name, host):
        with self.lock:
            self.requests.append((method, name, host))

    def fault_for(self, method, name):
        with self.lock:
            for at, (only, part, kind) in enumerate(self.faults):
                if only in (None, method) and part in name:
                    del self.faults[at]
                    return kind
        return None

    def fail(self, *kinds, method=None, part=""):
        with self.lock:
            self.faults += [(method, part, kind) for kind in kinds]

    def count(self, method, part=""):
        with self.lock:
            return sum(1 for each, name, _ in self.requests if each == method and part in name)

    def close(self):
        self.released.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class Socks:
    """A SOCKS5 proxy that resolves every name to this machine, and notes the names."""

    def __init__(self):
        self.names = []
        self.clients = []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.url = f"socks5h://127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self):
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            self.clients.append(client)
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        exactly = lambda count: client.recv(count, socket.MSG_WAITALL)
        with client:
            _, methods = exactly(2)
            exactly(methods)
            client.sendall(b"\x05\x00")
            _, _, _, kind = exactly(4)
            name = exactly(exactly(1)[0]).decode() if kind == 3 else socket.inet_ntoa(exactly(4))
            port = int.from_bytes(exactly(2), "big")
            self.names.append(name)
            with socket.create_connection(("127.0.0.1", port)) as server:
                client.sendall(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
                other = threading.Thread(target=self.copy, args=(server, client), daemon=True)
                other.start()
                self.copy(client, server)
                other.join()

    @staticmethod
    def copy(source, target):
        try:
            while part := source.recv(65536):
                target.sendall(part)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self):
        """End it, with what goes through it now."""
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        for client in self.clients:
            try:
                client.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it has ended
        self.thread.join()
