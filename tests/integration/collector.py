"""A collector of traces: takes OTLP over HTTP as JSON and looks at every field."""

import http.server
import json
import re
import threading

HEX = {16: re.compile(r"^(?!0+$)[0-9a-f]{16}$"), 32: re.compile(r"^(?!0+$)[0-9a-f]{32}$")}


def check(condition, what):
    if not condition:
        raise ValueError(what)


def exact(value, required, optional=()):
    check(isinstance(value, dict), f"{value!r} is no object")
    check(set(required) <= set(value) <= set(required) | set(optional), f"fields {sorted(value)}, not {sorted(required)}")


def one(value):
    check(isinstance(value, list) and len(value) == 1, f"{value!r} is no list of one")
    return value[0]


def number(text):
    """64-bit numbers are texts in JSON."""
    check(isinstance(text, str) and re.match(r"^(0|[1-9][0-9]*)$", text) and int(text) < 1 << 64, f"{text!r} is no number")
    return int(text)


def attributes(values):
    """A list of key and value, as a dictionary."""
    found = {}
    for each in values:
        exact(each, ["key", "value"])
        check(isinstance(each["key"], str) and each["key"] not in found, each)
        ((kind, value),) = each["value"].items()
        check(kind in ("stringValue", "intValue"), kind)
        check(isinstance(value, str), value)
        found[each["key"]] = number(value) if kind == "intValue" else value
    return found


def read_span(span):
    exact(
        span,
        ["traceId", "spanId", "name", "kind", "startTimeUnixNano", "endTimeUnixNano", "attributes", "status"],
        ["parentSpanId"],
    )
    check(HEX[32].match(span["traceId"]) and HEX[16].match(span["spanId"]), span)
    check("parentSpanId" not in span or HEX[16].match(span["parentSpanId"]), span)
    check(span["kind"] in (1, 2, 3), span)
    check(number(span["startTimeUnixNano"]) <= number(span["endTimeUnixNano"]), span)
    exact(span["status"], [], ["code"])
    check(span["status"].get("code", 2) == 2, span)
    return {**span, "attributes": attributes(span["attributes"])}


def read_export(text):
    """The spans of a request, and the resource they are of."""
    body = json.loads(text)
    exact(body, ["resourceSpans"])
    of_resource = one(body["resourceSpans"])
    exact(of_resource, ["resource", "scopeSpans"])
    exact(of_resource["resource"], ["attributes"])
    of_scope = one(of_resource["scopeSpans"])
    exact(of_scope, ["scope", "spans"])
    exact(of_scope["scope"], ["name"])
    check(of_scope["spans"], "no spans")
    return attributes(of_resource["resource"]["attributes"]), [read_span(span) for span in of_scope["spans"]]


class Collector:
    """Listens on loopback. What it got, and what was wrong with it, is kept."""

    def __init__(self):
        self.spans, self.faults, self.resources, self.texts = [], [], [], []
        self.status = 200
        self.gate = threading.Event()  # answers wait for it
        self.gate.set()
        self.changed = threading.Condition()
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                text = self.rfile.read(int(self.headers["Content-Length"]))
                collector.take(self.path, self.headers["Content-Type"], text)
                collector.gate.wait(60)
                self.send_response(collector.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *arguments):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                pass  # a node that waits no longer

        self.server = Server(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}/v1/traces"

    def take(self, path, kind, text):
        with self.changed:
            try:
                check((path, kind) == ("/v1/traces", "application/json"), (path, kind))
                resource, spans = read_export(text)
                if self.status == 200:
                    self.spans += spans
                self.resources.append(resource)
            except (ValueError, KeyError, TypeError, AttributeError) as fault:
                self.faults.append(repr(fault))
            self.texts.append(text.decode())
            self.changed.notify_all()

    def find(self, name, **wanted):
        """The spans of a name whose attributes have these values; dots are underscores in the arguments."""
        return [
            span
            for span in self.spans
            if span["name"] == name and all(span["attributes"].get(key.replace("_", ".")) == value for key, value in wanted.items())
        ]

    def close(self):
        self.gate.set()
        self.server.shutdown()
        self.server.server_close()
