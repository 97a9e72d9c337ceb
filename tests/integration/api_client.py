"""The server of the API tests (api_server.c) as a process, and HTTP by hand: what a client library would mend must show."""

import http.client
import json
import pathlib
import signal
import socket
import subprocess
import tempfile
import time

PERIOD = bytes(i % 251 for i in range((1 << 20) + 251))


def pattern(at, length):
    """Bytes of the pattern that the fake files service sends and checks (fake_files.h), at most a MiB."""
    return PERIOD[at % 251 : at % 251 + length]


class Unix(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=60)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(self.path)


class Server:
    def __init__(self, program, *arguments):
        self.place = tempfile.TemporaryDirectory(prefix="pangea-api-")
        self.process = subprocess.Popen([program, self.place.name, *arguments], stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError("the server did not start")
        self.ready = json.loads(line)
        self.path = self.ready["api"]
        self.port = int(self.ready["api_listen"].rsplit(":", 1)[1])

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=60)
        self.process.stdout.close()
        self.place.cleanup()
        return code

    def open(self):
        """A connection without a request."""
        line = socket.socket(socket.AF_UNIX)
        line.settimeout(60)
        line.connect(self.path)
        return line

    def send(self, method, path, headers=(), body=b"", line=None):
        """Send a request on a connection, without waiting for an answer."""
        line = line or self.open()
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers)
        line.sendall(head.encode() + b"\r\n" + body)
        return line

    def ask(self, method, path, body=None, headers=None, connection=None):
        """One request as a client makes it: status, headers, body; JSON is decoded."""
        door = connection or Unix(self.path)
        if isinstance(body, dict):
            body = json.dumps(body)
        door.request(method, path, body=body, headers=headers or {})
        answer = door.getresponse()
        data = answer.read()
        if connection is None:
            door.close()
        if "json" in answer.headers.get("Content-Type", ""):
            data = json.loads(data)
        return answer.status, answer.headers, data

    def put(self, name, body=b"x", **headers):
        """Put a file of the fake and return its document."""
        status, _, file = self.ask("POST", f"/api/v1/files?name={name}", body, headers)
        if status != 200:
            raise AssertionError((status, file))
        return file

    def get(self, link, **more):
        """Ask for a file; the answer is still to be read."""
        body = json.dumps({"link": link, **more.pop("body", {})}).encode()
        headers = [("Content-Length", len(body)), *more.pop("headers", ())]
        return self.send("POST", "/api/v1/files/get", headers, body)

    def counters(self):
        return self.ask("GET", "/test/counters")[2]

    def memory_kib(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


def wait_for(condition, what):
    deadline = time.monotonic() + 60
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(what)


def read_head(line):
    """Read an answer's head from a socket; returns status, headers, and what came behind them."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = line.recv(65536)
        if not piece:
            raise AssertionError(f"no head, but {data!r}")
        data += piece
    head, _, rest = data.partition(b"\r\n\r\n")
    first, *fields = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
    return int(first.split()[1]), headers, rest


def read_pattern(line, at, first=b""):
    """Read to the end of the connection or of `at + length`; check the pattern; return how many bytes came."""
    total = 0
    piece = first
    while piece or not total:
        if piece:
            for begin in range(0, len(piece), 1 << 20):
                part = piece[begin : begin + (1 << 20)]
                if part != pattern(at + total, len(part)):
                    raise AssertionError(f"not the pattern at {at + total}")
                total += len(part)
        piece = line.recv(1 << 20)
        if not piece:
            break
    return total


class Events:
    """A listener to server-sent events, on a connection of its own."""

    def __init__(self, server, last_id=None):
        headers = [] if last_id is None else [("Last-Event-ID", last_id)]
        self.line = server.send("GET", "/api/v1/events", headers)
        self.status, self.headers, rest = read_head(self.line)
        self.file = Chunks(self.line, rest)

    def next(self):
        """The next event as (id, kind, data), or a comment as (None, None, text)."""
        fields = {}
        while True:
            text = self.file.line()
            if text.startswith(":"):
                self.file.line()
                return None, None, text[1:].strip()
            if not text:
                return int(fields["id"]), fields["event"], json.loads(fields["data"])
            name, _, value = text.partition(": ")
            fields[name] = value

    def until(self, condition):
        """The events up to the first that is as wanted."""
        heard = []
        while not heard or not condition(*heard[-1]):
            heard.append(self.next())
        return heard

    def close(self):
        self.line.close()


class Chunks:
    """Lines of a body in chunked coding."""

    def __init__(self, line, rest):
        self.socket, self.raw, self.text = line, rest, b""

    def take(self, length):
        while len(self.raw) < length:
            piece = self.socket.recv(65536)
            if not piece:
                raise EOFError("the connection was closed")
            self.raw += piece
        piece, self.raw = self.raw[:length], self.raw[length:]
        return piece

    def line(self):
        while b"\n" not in self.text:
            size = b""
            while not size.endswith(b"\r\n"):
                size += self.take(1)
            length = int(size, 16)
            if length == 0:
                raise EOFError("the body ended")
            self.text += self.take(length + 2)[:-2]
        text, _, self.text = self.text.partition(b"\n")
        return text.decode()
