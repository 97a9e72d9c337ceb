#!/usr/bin/env python3
"""docs/openapi.yaml against a running server, both ways: every documented path, parameter, answer and field is there, and what is
there is documented. Objects count as closed, though clients are told that fields may come. SERVER has a files service that does as it is
told, so that every answer can be had; PANGEA is the program that people run.

usage: test_openapi.py SERVER OPENAPI PANGEA
"""

import http.client
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from api_client import Events, Server, Unix

try:
    import yaml
except ImportError:
    print("PyYAML is not here (Debian: python3-yaml)")
    sys.exit(77)

PROGRAM = os.path.abspath(sys.argv[1])
PANGEA = os.path.abspath(sys.argv[3])
DOCUMENT = yaml.safe_load(pathlib.Path(sys.argv[2]).read_text(encoding="utf-8"))
METHODS = ("get", "post", "put", "delete")
TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}


def resolve(node):
    while "$ref" in node:
        target = DOCUMENT
        for name in node["$ref"].removeprefix("#/").split("/"):
            target = target[name]
        node = target
    return node


def operations():
    """Yield path, method and operation, its parameters completed by those of its path."""
    for path, item in DOCUMENT["paths"].items():
        for method in METHODS:
            if method in item:
                operation = dict(item[method])
                parameters = item.get("parameters", []) + operation.get("parameters", [])
                operation["parameters"] = [resolve(parameter) for parameter in parameters]
                yield path, method.upper(), operation


def is_of_type(value, kind):
    if kind in ("integer", "number"):
        return isinstance(value, int if kind == "integer" else (int, float)) and not isinstance(value, bool)
    return isinstance(value, TYPES[kind])


def shape(schema):
    """Properties and required names of an object, those of all its parts."""
    schema = resolve(schema)
    properties, required = dict(schema.get("properties", {})), list(schema.get("required", []))
    for part in schema.get("allOf", []):
        more, names = shape(part)
        properties.update(more)
        required += names
    return properties, required


def faults(schema, value, where):
    """What of a value is not as its schema says, as a list of texts."""
    schema = resolve(schema)
    if "oneOf" in schema:
        found = [faults(part, value, where) for part in schema["oneOf"]]
        return [] if any(not each for each in found) else found[-1]
    kinds = schema.get("type", "object")
    kinds = kinds if isinstance(kinds, list) else [kinds]
    if not any(is_of_type(value, kind) for kind in kinds):
        return [f"{where} is {value!r}, not {kinds}"]
    if "enum" in schema and value not in schema["enum"]:
        return [f"{where} is {value!r}, not one of {schema['enum']}"]
    if "const" in schema and value != schema["const"]:
        return [f"{where} is {value!r}, not {schema['const']!r}"]
    if isinstance(value, str) and "pattern" in schema and not re.search(schema["pattern"], value):
        return [f"{where} is {value!r}, not like {schema['pattern']}"]
    if not isinstance(value, (str, bool, dict, list, type(None))):
        if not schema.get("minimum", value) <= value <= schema.get("maximum", value):
            return [f"{where} is {value}, out of range"]
    if isinstance(value, list):
        if len(value) > schema.get("maxItems", len(value)):
            return [f"{where} has {len(value)} items"]
        return [fault for i, item in enumerate(value) for fault in faults(schema["items"], item, f"{where}[{i}]")]
    if isinstance(value, dict) and isinstance(schema.get("additionalProperties"), dict):
        return [fault for name, item in value.items() for fault in faults(schema["additionalProperties"], item, f"{where}.{name}")]
    if isinstance(value, dict):
        properties, required = shape(schema)
        found = [f"{where} has no {name}" for name in required if name not in value]
        for name, item in value.items():
            if name in properties:
                found += faults(properties[name], item, f"{where}.{name}")
            else:
                found.append(f"{where}.{name} is not documented")
        return found
    return []


def request_schema(operation):
    """The schema of an operation's JSON body, or None."""
    content = resolve(operation.get("requestBody", {})).get("content", {})
    return content.get("application/json", {}).get("schema")


PROBLEM = {"$ref": "#/components/schemas/Problem"}


class Document(unittest.TestCase):
    """What can be said without asking the server much."""

    def setUp(self):
        self.server = Server(PROGRAM)
        self.addCleanup(self.server.stop)

    def test_routes_are_those_of_the_server(self):
        served = {(method, path): query for method, path, query in self.server.ready["routes"]}
        documented = {}
        for path, method, operation in operations():
            names = [each["name"] for each in operation["parameters"] if each["in"] == "query"]
            documented[method, path] = sorted(names)
        self.assertEqual(documented, {route: sorted((query or "").split()) for route, query in served.items()})

    def test_document_is_sound(self):
        def walk(node, where):
            if isinstance(node, dict):
                self.assertIsNotNone(resolve(node), where)
                for name, value in node.items():
                    walk(value, f"{where}/{name}")
                if node.get("type") == "object":
                    self.assertLessEqual(set(node.get("required", [])), set(node["properties"]), where)
            elif isinstance(node, list):
                for i, value in enumerate(node):
                    walk(value, f"{where}/{i}")

        walk(DOCUMENT, "")
        used = set(re.findall(r"#/components/\w+/(\w+)", json.dumps(DOCUMENT)))
        for kind in ("parameters", "responses", "schemas"):
            self.assertLessEqual(set(DOCUMENT["components"][kind]), used, "something nobody refers to")
        for path, method, operation in operations():
            named = {each["name"] for each in operation["parameters"] if each["in"] == "path"}
            self.assertEqual(named, set(re.findall(r"{(\w+)}", path)), (method, path))
            self.assertIn("default", operation["responses"], (method, path))


class Answers(unittest.TestCase):
    """Every documented answer is provoked once."""

    def setUp(self):
        self.server = Server(PROGRAM)
        self.addCleanup(self.server.stop)
        self.operations = {(method, path): operation for path, method, operation in operations()}
        self.seen = set()
        self.sent = set()  # fields of bodies that were taken

    def ask(self, method, template, status, *, path=None, body=None, headers=None):
        """Ask, and check the answer against the operation at `template`."""
        got, fields, data = self.server.ask(method, path or template, body, headers)
        self.assertEqual(got, status, data)
        if isinstance(body, dict) and status < 300:
            schema = request_schema(self.operations[method, template])
            self.assertEqual(faults(schema, body, f"body of {method} {template}"), [])
            self.sent |= {(method, template, name) for name in body}
        responses = self.operations[method, template]["responses"]
        name = str(status) if str(status) in responses else "default"
        self.assertTrue(name != "default" or status >= 400, (method, template, status))
        response = resolve(responses[name])
        content = response["content"]
        self.assertIn(fields["Content-Type"], content)
        if "json" in fields["Content-Type"]:
            schema = content[fields["Content-Type"]]["schema"]
            self.assertEqual(faults(schema, data, f"{method} {template}"), [])
        for header, documented in response.get("headers", {}).items():
            self.assertTrue(header in fields or not documented.get("required"), header)
            if header in fields and documented["schema"]["type"] == "integer":
                self.assertEqual(faults(documented["schema"], int(fields[header]), header), [])
        for header in fields:
            if header.startswith("Pangea-"):
                self.assertIn(header, response["headers"])
        self.seen.add((method, template, name))
        return data

    def nodes_and_peers(self):
        addr = self.server.ready["peer_addr"]
        for path in ("/livez", "/readyz", "/api/v1/node"):
            self.ask("GET", path, 200)
            self.ask("GET", path, 400, path=path + "?x=1")
        self.ask("POST", "/api/v1/dial", 200, body={"target": addr, "fresh": False, "timeout_ms": 30000})
        self.ask("POST", "/api/v1/dial", 400, body={"target": "nobody"})
        self.assertEqual(len(self.ask("GET", "/api/v1/peers", 200)["peers"]), 1)
        self.ask("GET", "/api/v1/peers", 400, path="/api/v1/peers?x=1")
        asked = {"target": addr, "count": 2, "interval_ms": 0, "delay_ms": 0, "timeout_ms": 30000}
        self.assertEqual(len(self.ask("POST", "/api/v1/ping", 200, body=asked)["rounds"]), 2)
        self.ask("POST", "/api/v1/ping", 502, body={"target": "/ip4/127.0.0.1/tcp/1"})
        asked = {"target": addr, "up_bytes": 1000, "down_bytes": 1000, "timeout_ms": 30000}
        self.ask("POST", "/api/v1/perf", 200, body=asked)
        self.ask("POST", "/api/v1/perf", 400, body={"target": addr, "up_bytes": -1})

    def invitations(self):
        made = self.ask("POST", "/api/v1/invite", 200, body={"expires_s": 60})
        self.ask("POST", "/api/v1/invite", 400, body={"expires_s": 316224001})
        joined = self.ask("POST", "/api/v1/join", 200, body={"invite": self.server.ready["peer_invite"], "timeout_ms": 30000})
        self.assertIn(joined["peer_id"], self.server.ready["peer_addr"])
        self.ask("POST", "/api/v1/join", 400, body={"invite": made["invite"]})  # to itself

    def files(self):
        transfer = {"Pangea-Transfer": "transfer-1"}
        query = "?name=pattern&kind=folder&code=4%2B2&no_compress=true&ttl_s=60&total_bytes=3"
        file = self.ask("POST", "/api/v1/files", 200, path="/api/v1/files" + query, body=bytes([0, 1, 2]), headers=transfer)
        self.ask("POST", "/api/v1/files", 202, path="/api/v1/files?name=pending", body=b"x")
        self.ask("POST", "/api/v1/files", 400, path="/api/v1/files?x", body=b"x")
        auto = self.ask("POST", "/api/v1/files", 200, path="/api/v1/files?code=auto&name=auto", body=b"x" * 9)
        self.assertEqual((auto["parity_shards"], auto["loss"]), (4, 0.0005))
        self.ask("DELETE", "/api/v1/files/{root}", 200, path=f"/api/v1/files/{auto['root']}")
        origin = {"source": "05" + 62 * "0", "version": "01" + 62 * "0"}
        told = self.ask("POST", "/api/v1/files/start", 200, body=origin)
        self.assertEqual(told, {"start": 5, "was_changed": True})
        done = self.ask("POST", "/api/v1/files/start", 200, body={**origin, "source": "dd" + 62 * "0"})
        self.assertIn("root", done)
        self.ask("POST", "/api/v1/files/start", 400, body={"source": "x", "version": origin["version"]})
        again = f"/api/v1/files?source={origin['source']}&version={origin['version']}&start=5"
        resumed = self.ask("POST", "/api/v1/files", 200, path=again, body=b"rest")
        self.ask("DELETE", "/api/v1/files/{root}", 200, path=f"/api/v1/files/{resumed['root']}")
        for wrong in ("start=5", f"source={origin['source']}", "source=x&version=y"):
            self.ask("POST", "/api/v1/files", 400, path=f"/api/v1/files?{wrong}", body=b"x")
        failed = {"Pangea-Transfer": "transfer-2"}
        self.ask("POST", "/api/v1/files", 507, path="/api/v1/files?name=full:0", body=b"x", headers=failed)
        self.assertEqual(len(self.ask("GET", "/api/v1/files", 200)["files"]), 2)
        page = self.ask("GET", "/api/v1/files", 200, path="/api/v1/files?limit=1")
        self.assertEqual(len(self.ask("GET", "/api/v1/files", 200, path=f"/api/v1/files?after={page['next']}")["files"]), 1)
        self.ask("GET", "/api/v1/files", 400, path="/api/v1/files?x")
        got = {"Pangea-Transfer": "transfer-3"}
        self.ask("POST", "/api/v1/files/get", 200, body={"link": file["link"], "start": 0}, headers=got)
        self.ask("POST", "/api/v1/files/get", 400, body={"link": "pangea:"})
        pinned = {"Pangea-Transfer": "transfer-4"}
        self.ask("POST", "/api/v1/pins", 200, body={"link": file["link"]}, headers=pinned)
        self.ask("POST", "/api/v1/pins", 400, body={"link": "pangea:"})
        self.assertEqual(len(self.ask("GET", "/api/v1/pins", 200)["pins"]), 1)
        self.ask("GET", "/api/v1/pins", 400, path="/api/v1/pins?x")
        pin = f"/api/v1/pins/{file['root']}"
        self.ask("DELETE", "/api/v1/pins/{root}", 200, path=pin)
        self.ask("DELETE", "/api/v1/pins/{root}", 404, path=pin)
        root = f"/api/v1/files/{file['root']}"
        self.ask("POST", "/api/v1/links/inspect", 200, body={"link": file["link"]})
        self.ask("POST", "/api/v1/links/inspect", 400, body={})
        self.ask("GET", "/api/v1/files/{root}", 200, path=root)
        self.ask("DELETE", "/api/v1/files/{root}", 200, path=root)
        self.ask("GET", "/api/v1/files/{root}", 404, path=root)
        self.ask("DELETE", "/api/v1/files/{root}", 404, path=root)
        for number, state in ((1, "done"), (2, "failed"), (3, "done"), (4, "done")):
            path = f"/api/v1/transfers/transfer-{number}"
            found = self.ask("GET", "/api/v1/transfers/{id}", 200, path=path)
            self.assertEqual((found["state"], found["report"] is None), (state, number != 3))
        listed = self.ask("GET", "/api/v1/transfers", 200)["transfers"]
        self.assertLessEqual({"transfer-1", "transfer-2"}, {transfer["id"] for transfer in listed})
        self.ask("GET", "/api/v1/transfers", 400, path="/api/v1/transfers?x")
        self.ask("GET", "/api/v1/transfers/{id}", 404, path="/api/v1/transfers/unknown-id")

    def health(self):
        found = self.ask("GET", "/api/v1/health", 200)["peers"]
        self.assertEqual(len(found), 1)
        path = f"/api/v1/health/{found[0]['peer_id']}"
        detail = self.ask("GET", "/api/v1/health/{peer}", 200, path=path)
        self.assertEqual([each["event"] for each in detail["evidence"]], ["audit_failed"])
        self.ask("GET", "/api/v1/health", 400, path="/api/v1/health?x=1")
        self.ask("GET", "/api/v1/health/{peer}", 400, path="/api/v1/health/nobody")

    def blocks_and_stat(self):
        block = self.ask("POST", "/api/v1/blocks", 200, body=b"x")
        self.ask("POST", "/api/v1/blocks", 413, body=bytes(3 << 20))
        self.ask("GET", "/api/v1/blocks/{cid}", 200, path=f"/api/v1/blocks/{block['cid']}?timeout_ms=1000")
        self.ask("GET", "/api/v1/blocks/{cid}", 400, path="/api/v1/blocks/x")
        stat = self.ask("GET", "/api/v1/stat", 200)
        self.assertNotIn(None, stat.values())
        self.ask("GET", "/api/v1/stat", 400, path="/api/v1/stat?x")
        self.assertEqual(self.ask("POST", "/api/v1/backup", 200), {"path": "/copy", "version": 2})
        self.ask("POST", "/api/v1/backup", 400, path="/api/v1/backup?x")
        self.assertIn(b"pangea_store_blocks", self.ask("GET", "/metrics", 200))
        self.ask("GET", "/metrics", 400, path="/metrics?x")
        for query in ("", "?deep=true"):
            facts = self.ask("GET", "/api/v1/doctor", 200, path="/api/v1/doctor" + query)
            self.assertNotIn(None, facts.values())
            self.assertEqual(facts["store"]["damaged"], 0)
            self.assertEqual(facts["database"]["checked"], query != "")
        self.ask("GET", "/api/v1/doctor", 400, path="/api/v1/doctor?deep=perhaps")
        bare = Server(PROGRAM, "bare")
        self.addCleanup(bare.stop)
        self.server, full = bare, self.server
        stat = self.ask("GET", "/api/v1/stat", 200)
        lacking = {name for name, value in stat.items() if value is None}
        self.assertEqual(lacking, set(stat) - {"mode", "peers", "uptime_ms"})
        metrics = self.ask("GET", "/metrics", 200)
        self.assertIn(b"pangea_host_connections", metrics)
        self.assertNotIn(b"pangea_store", metrics)
        facts = self.ask("GET", "/api/v1/doctor", 200)
        self.assertEqual({name for name, value in facts.items() if value is None}, {"store", "database"})
        self.server = full

    def service(self):
        told = self.ask("POST", "/api/v1/reload", 200)
        self.assertEqual(told, {"changed": ["log.level"], "needs_restart": ["net.listen"]})
        self.ask("POST", "/api/v1/reload", 400)
        self.assertEqual(self.ask("GET", "/api/v1/log", 200), {"level": "info"})
        self.ask("GET", "/api/v1/log", 400, path="/api/v1/log?x=1")
        self.assertEqual(self.ask("POST", "/api/v1/log", 200, body={"level": "debug"}), {"level": "debug"})
        self.ask("POST", "/api/v1/log", 400, body={"level": "loud"})

    def dhts(self):
        """With the one peer that nodes_and_peers is connected to."""
        self.ask("GET", "/api/v1/dht", 200)
        self.ask("GET", "/api/v1/dht", 400, path="/api/v1/dht?x=1")
        peer = self.server.ready["peer_addr"].rsplit("/", 1)[1]
        cid = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"
        good = {
            "put": {"key": "/test/a", "value_hex": "00ff", "once": True, "timeout_ms": 30000},
            "get": {"key": "/test/a", "timeout_ms": 30000},
            "find-peer": {"peer": peer, "timeout_ms": 30000},
            "provide": {"cid": cid, "once": True, "timeout_ms": 30000},
            "providers": {"cid": cid, "max": 5, "timeout_ms": 30000},
            "unpublish": {"cid": cid},
        }
        while self.ask("GET", "/api/v1/dht", 200)["dhts"][0]["peers"] == 0:
            pass  # until identify has told the peer's protocols
        for name, body in good.items():
            self.ask("POST", f"/api/v1/dht/{name}", 200, body=body)
            self.ask("POST", f"/api/v1/dht/{name}", 400, body={})
        self.ask("POST", "/api/v1/dht/unpublish", 200, body={"key": "/test/a"})
        for key in ("/test/b", peer, cid):
            steps = self.ask("POST", "/api/v1/dht/explain", 200, body={"key": key, "timeout_ms": 30000})["steps"]
            self.assertTrue(steps or key == peer)  # who is connected needs no asking
        self.ask("POST", "/api/v1/dht/explain", 400, body={})

    def events(self):
        response = self.operations["GET", "/api/v1/events"]["responses"]["200"]
        schemas = response["content"]["text/event-stream"]["x-events"]
        listener = Events(self.server, last_id=1)
        self.assertEqual((listener.status, listener.headers["content-type"]), (200, "text/event-stream"))
        kinds = set()
        while kinds != set(schemas):
            _, kind, data = listener.next()
            if kind is not None:
                self.assertEqual(faults(schemas[kind], data, kind), [])
                kinds.add(kind)
        listener.close()
        self.seen.add(("GET", "/api/v1/events", "200"))
        self.ask("GET", "/api/v1/events", 400, headers={"Last-Event-ID": "first"})

    def repair(self):
        self.ask("GET", "/api/v1/repair", 200)
        self.ask("GET", "/api/v1/repair", 400, path="/api/v1/repair?x=1")
        self.ask("POST", "/api/v1/repair", 200)
        file = self.ask("POST", "/api/v1/files", 200, path="/api/v1/files?name=r", body=b"abc")
        link = {"link": file["link"]}
        (first, *_) = self.ask("POST", "/api/v1/repair", 200, path="/api/v1/repair?dry_run=true", body=link)["extents"]
        self.assertEqual((first["lost"], first["is_repaired"]), ([1], False))
        (first, *_) = self.ask("POST", "/api/v1/repair", 200, body=link)["extents"]
        self.assertEqual((first["lost"], first["is_repaired"]), ([], True))
        self.ask("POST", "/api/v1/repair", 400, body={"link": "nothing"})
        for query in ("", "?audit=true"):
            path = f"/api/v1/repair/explain{query}"
            found = self.ask("POST", "/api/v1/repair/explain", 200, path=path, body=link)
            self.assertEqual((len(found["extents"]), found["total"]), (1000, 1 << 40))
        self.ask("POST", "/api/v1/repair/explain", 400, body={})
        self.assertGreater(len(self.ask("GET", "/api/v1/repair/files", 200)["files"]), 0)
        self.assertIn("next", self.ask("GET", "/api/v1/repair/files", 200, path="/api/v1/repair/files?limit=1"))
        self.ask("GET", "/api/v1/repair/files", 400, path="/api/v1/repair/files?x=1")
        self.assertEqual(self.ask("POST", "/api/v1/storage/leave", 200)["moved"], 2)
        self.ask("POST", "/api/v1/storage/leave", 200, body={"keep_bytes": 5})
        self.ask("POST", "/api/v1/storage/leave", 400, body={"keep_bytes": -1})

    def telemetry(self):
        shown = self.ask("GET", "/api/v1/telemetry", 200)
        self.assertEqual((shown["is_on"], shown["is_enabled"], shown["sent"]), (False, True, []))
        self.assertEqual([field["name"] for field in shown["fields"]], list(json.loads(shown["document"])))
        self.ask("GET", "/api/v1/telemetry", 400, path="/api/v1/telemetry?x=1")
        self.ask("POST", "/api/v1/telemetry/send", 400)  # nobody agreed
        self.ask("POST", "/api/v1/telemetry", 409, body={"list_id": "of another list"})
        agreed = self.ask("POST", "/api/v1/telemetry", 200, body={"list_id": shown["list_id"]})
        self.assertTrue(agreed["is_on"])
        (sent,) = self.ask("POST", "/api/v1/telemetry/send", 200)["sent"]
        self.assertEqual((sent["result"], sent["tries"], sent["document"]), ("taken", 1, agreed["document"]))
        self.assertFalse(self.ask("DELETE", "/api/v1/telemetry", 200)["is_on"])
        self.ask("DELETE", "/api/v1/telemetry", 400, path="/api/v1/telemetry?x=1")

    def archive(self):
        keys = {"access_key": "AKID", "secret_key": 'a"b\\c'}
        self.assertFalse(self.ask("GET", "/api/v1/archive", 200)["has_credentials"])
        self.ask("GET", "/api/v1/archive", 400, path="/api/v1/archive?x=1")
        self.assertEqual(self.ask("POST", "/api/v1/archive", 200)["uploaded"], 1)
        self.ask("POST", "/api/v1/archive", 400, path="/api/v1/archive?x=1")
        self.ask("POST", "/api/v1/archive/test", 403)
        self.ask("POST", "/api/v1/archive/login", 400, body={"access_key": "AKID", "secret_key": "a b"})
        self.assertTrue(self.ask("POST", "/api/v1/archive/login", 200, body=keys)["has_credentials"])
        self.ask("POST", "/api/v1/archive/test", 200)
        self.assertFalse(self.ask("POST", "/api/v1/archive/logout", 200)["has_credentials"])
        self.ask("POST", "/api/v1/archive/logout", 400, path="/api/v1/archive/logout?x=1")

    def test_all(self):
        self.nodes_and_peers()
        self.invitations()
        self.files()
        self.health()
        self.repair()
        self.telemetry()
        self.archive()
        self.blocks_and_stat()
        self.service()
        self.dhts()
        self.events()  # of all that was done before
        documented = {
            (method, path, status) for path, method, operation in operations() for status in operation["responses"]
        }
        self.assertEqual(documented, self.seen)
        fields = {
            (method, path, name)
            for path, method, operation in operations()
            if request_schema(operation) is not None
            for name in shape(request_schema(operation))[0]
        }
        self.assertEqual(fields - self.sent, set(), "documented, and never sent")


class Errors(unittest.TestCase):
    """Every way to be refused before a route is asked, at either door."""

    def setUp(self):
        self.server = Server(PROGRAM)
        self.addCleanup(self.server.stop)

    def refused(self, status, answer):
        got, fields, data = answer
        self.assertEqual(got, status, data)
        self.assertEqual(fields["Content-Type"], "application/problem+json")
        self.assertEqual(faults(PROBLEM, data, "problem"), [])
        self.assertEqual(data["status"], status)
        return fields

    def over_tcp(self, method, path, headers, body=None):
        door = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        try:
            return self.server.ask(method, path, body, headers, door)
        finally:
            door.close()  # there are 128 places

    def test_unknown_paths_and_methods(self):
        token = {"Authorization": f"Bearer {self.server.ready['token']}"}
        for path in ("/", "/nowhere", "/api/v1", "/api/v1/", "/api/v1/nothing", "/api/v2/node", "/metrics/x", "/api/v1/files/a/b"):
            self.refused(404, self.server.ask("GET", path))
            self.refused(404, self.over_tcp("GET", path, token))
        methods = {}
        for path, method, _ in operations():
            methods.setdefault(path, set()).add(method)
        for path, known in methods.items():
            for method in {"GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"} - known:
                where = re.sub(r"{\w+}", "x", path)
                others = {name for name, those in methods.items() for _ in those if re.fullmatch(re.sub(r"{\w+}", "[^/]+", name), where)}
                if any(method in methods[name] for name in others):
                    continue  # "/api/v1/files/start" is what "{root}" stands for, too
                fields = self.refused(405, self.server.ask(method, where))
                self.assertLessEqual(known, set(fields["Allow"].split(", ")), (path, method))

    def test_without_a_token(self):
        right = f"Bearer {self.server.ready['token']}"
        open_paths = {path for path, _, operation in operations() if operation.get("security") == [{}]}
        self.assertEqual(open_paths, {"/livez", "/readyz"})
        for path, method, _ in operations():
            where = re.sub(r"{\w+}", "x", path)
            if path in open_paths:
                self.assertEqual(self.over_tcp(method, where, {})[0], 200)
                continue
            for wrong in ({}, {"Authorization": right[:-1] + "x"}, {"Authorization": "Basic eDp5"}):
                fields = self.refused(401, self.over_tcp(method, where, wrong))
                self.assertEqual(fields["WWW-Authenticate"], "Bearer")
            self.refused(403, self.over_tcp(method, where, {"Authorization": right, "Host": "evil.example"}))
            self.refused(403, self.over_tcp(method, where, {"Authorization": right, "Origin": "http://evil.example"}))

    def test_bodies_that_are_no_object(self):
        for path, method, operation in operations():
            if request_schema(operation) is None:
                continue
            for body in (b"{", b"[]", b"1", b'{"a": 1} x', b"\xff", b'{"a":' * 40, b'{"a": "' + b"x" * 70000 + b'"}'):
                self.refused(400, self.server.ask(method, path, body))

    def test_unknown_parameters(self):
        for path, method, _ in operations():
            where = re.sub(r"{\w+}", "x", path)
            self.refused(400, self.server.ask(method, where + "?nobody_knows_it=1"))


class RunningNode(unittest.TestCase):
    """The node itself, alone: what it tells is documented, and what it refuses, it refuses as documented."""

    def setUp(self):
        place = tempfile.TemporaryDirectory(prefix="pangea-openapi-")
        self.addCleanup(place.cleanup)
        work = pathlib.Path(place.name)
        ready, log = work / "ready", work / "log"
        words = [PANGEA, "run", "--data", str(work / "data"), "--ready-file", str(ready), "--listen", "/ip4/127.0.0.1/tcp/0"]
        words += ["--set", "net.mdns=false", "--set", "archive.endpoint=http://127.0.0.1:9", "--set", "archive.bucket=pangea"]
        with open(log, "wb") as err:
            self.process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=err)
        self.addCleanup(self.stop)
        deadline = time.monotonic() + 60
        while not ready.exists():
            self.assertIsNone(self.process.poll(), log.read_text())
            self.assertLess(time.monotonic(), deadline, log.read_text())
            time.sleep(0.02)
        self.path = json.loads(ready.read_text())["api"]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.process.wait(timeout=60), 0)

    def ask(self, method, path, operation, body=None):
        """Ask; the answer has to be one that the operation documents. Returns status and data."""
        door = Unix(self.path)
        self.addCleanup(door.close)
        door.request(method, path, body=json.dumps(body) if isinstance(body, dict) else body)
        answer = door.getresponse()
        kind, status = answer.headers["Content-Type"], answer.status
        responses = operation["responses"]
        name = str(status) if str(status) in responses else "default"
        self.assertTrue(name != "default" or status >= 400, (method, path, status))
        response = resolve(responses[name])
        self.assertIn(kind, response["content"], (method, path, status))
        if kind == "text/event-stream":
            return status, None
        data = answer.read()
        if "json" in kind:
            data = json.loads(data)
            self.assertEqual(faults(response["content"][kind]["schema"], data, f"{method} {path}"), [])
        return status, data

    def test_what_can_be_asked_without_a_body(self):
        asked = 0
        for path, method, operation in operations():
            if method == "GET" and "{" not in path:
                self.assertEqual(self.ask(method, path, operation)[0], 200, path)
                asked += 1
        self.assertGreater(asked, 9)

    def test_what_makes_no_sense_is_refused_as_documented(self):
        """A body without fields, and a name that nothing has."""
        for path, method, operation in operations():
            schema = request_schema(operation)
            if "{" in path:
                status, data = self.ask(method, re.sub(r"{\w+}", "nothing", path), operation)
            elif schema is not None and shape(schema)[1] and resolve(operation["requestBody"]).get("required"):
                status, data = self.ask(method, path, operation, {})
            else:
                continue
            self.assertIn(status, (400, 404), (method, path, data))
            codes = ("invalid", "malformed", "unsupported") if status == 400 else ("not_found",)
            self.assertIn(data["code"], codes, (method, path, data))

    def test_a_file(self):
        at = {(method, path): operation for path, method, operation in operations()}
        status, file = self.ask("POST", "/api/v1/files?name=a", at["POST", "/api/v1/files"], b"content")
        self.assertEqual(status, 202)  # no host is there
        root = f"/api/v1/files/{file['root']}"
        self.assertEqual(len(self.ask("GET", "/api/v1/files", at["GET", "/api/v1/files"])[1]["files"]), 1)
        self.assertEqual(self.ask("GET", root, at["GET", "/api/v1/files/{root}"])[0], 200)
        link = {"link": file["link"]}
        self.assertEqual(self.ask("POST", "/api/v1/links/inspect", at["POST", "/api/v1/links/inspect"], link)[0], 200)
        self.assertEqual(self.ask("POST", "/api/v1/files/get", at["POST", "/api/v1/files/get"], link), (200, b"content"))
        status, block = self.ask("POST", "/api/v1/blocks", at["POST", "/api/v1/blocks"], b"block")
        got = self.ask("GET", f"/api/v1/blocks/{block['cid']}", at["GET", "/api/v1/blocks/{cid}"])
        self.assertEqual(got, (200, b"block"))
        self.assertEqual(self.ask("DELETE", root, at["DELETE", "/api/v1/files/{root}"])[0], 200)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=1)
