#!/usr/bin/env python3
"""pangea run and the commands that talk to it, as processes: two nodes on loopback, every kind of trouble with its own exit
code and message, and strangers who misbehave while others are served.

usage: test_node.py PANGEA
"""

import json
import os
import pathlib
import signal
import socket
import struct
import stat
import subprocess
import sys
import time
import unittest

from nodes import ACCESS, BUSY, CORRUPT, EXISTS, KEY, NO_NODE, NOT_FOUND, PANGEA, REFUSED, USAGE, NodeTest, run

HEADER = b"\x13/multistream/1.0.0\n"
NOISE = b"\x07/noise\n"


def has_ipv6():
    """Whether this machine has an IPv6 loopback."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


class Commands(NodeTest):
    def test_restored_identity_is_the_same_person_on_another_device(self):
        first, second = self.work / "first", self.work / "second"
        made = json.loads(run("init", "--data", first, "--json").stdout)
        shown = run("id", "--data", first, "--secret", "--json")
        self.assertIn("is you", shown.stderr)
        secret = json.loads(shown.stdout)["secret"]
        text = self.work / "secret"
        text.write_text(secret.upper() + "\n")
        again = json.loads(run("init", "--data", second, "--restore", "--secret-file", text, "--json").stdout)
        self.assertEqual(again["person_id"], made["person_id"])
        self.assertNotEqual(again["peer_id"], made["peer_id"])
        self.assertNotIn("secret", again)
        shown = json.loads(run("id", "--data", second, "--secret", "--json").stdout)
        self.assertEqual(shown["secret"], secret)
        self.fails(run("init", "--data", second, "--restore", "--secret-file", text), EXISTS, "identity")
        self.fails(run("init", "--data", self.work / "third", "--secret-file", text), 2, "--restore")
        text.write_text(("b" if secret[0] == "a" else "a") + secret[1:])
        self.fails(run("init", "--data", self.work / "third", "--restore", "--secret-file", text), 23, "mistyped")
        used = self.work / "used"
        (used / "blocks").mkdir(parents=True)
        text.write_text(secret)
        self.fails(run("init", "--data", used, "--restore", "--secret-file", text), EXISTS, "empty directory")

    def test_init_and_id(self):
        data = self.work / "a"
        made = json.loads(run("init", "--data", data, "--json").stdout)
        shown = json.loads(run("id", "--data", data, "--json").stdout)
        self.assertEqual(made, shown)
        self.assertTrue(made["peer_id"].startswith("12D3KooW"))
        self.assertNotEqual(made["peer_id"], made["person_id"])
        self.assertEqual(stat.S_IMODE((data / "identity").stat().st_mode), 0o600)
        self.fails(run("init", "--data", data), EXISTS, "identity")
        self.fails(run("id", "--data", self.work / "none"), NOT_FOUND, "pangea init")
        self.assertEqual(self.node("a").peer_id, made["peer_id"])

    def test_home_is_the_default(self):
        env = dict(os.environ, XDG_DATA_HOME=str(self.work))
        self.assertEqual(run("init", env=env).returncode, 0)
        self.assertTrue((self.work / "pangea/identity").exists())
        env = {"HOME": str(self.work), "PATH": os.environ["PATH"]}
        self.assertEqual(run("init", env=env).returncode, 0)
        self.assertTrue((self.work / ".local/share/pangea/identity").exists())
        self.fails(run("id", env={"PATH": os.environ["PATH"]}), USAGE, "--data")

    def test_passphrase(self):
        data, secret, wrong = self.work / "a", self.work / "secret", self.work / "wrong"
        secret.write_text("correct horse\n", encoding="ascii")
        wrong.write_text("battery staple\n", encoding="ascii")
        (self.work / "empty").write_text("\n", encoding="ascii")
        made = run("init", "--data", data, "--passphrase-file", secret, "--json")
        self.assertEqual(made.returncode, 0, made.stderr)
        self.assertEqual(run("id", "--data", data, "--passphrase-file", secret, "--json").stdout, made.stdout)
        self.fails(run("id", "--data", data), KEY, "passphrase")
        self.fails(run("id", "--data", data, "--passphrase-file", wrong), KEY)
        self.fails(run("id", "--data", data, "--passphrase-file", self.work / "empty"), USAGE)
        self.fails(run("run", "--data", data), KEY)

    def test_quic_shows_in_peers(self):
        quic = "/ip4/127.0.0.1/udp/0/quic-v1"
        a, b = self.node("a", source=quic), self.node("b", source=quic)
        self.assertEqual(b.answer("dial", a.addr)["transport"], "quic-v1")
        (peer,) = b.answer("peers")["peers"]
        self.assertEqual((peer["transport"], peer["security"], peer["hybrid"]), ("quic-v1", "tls/X25519MLKEM768", True))
        self.assertGreater(peer["rtt_ms"], 0)
        (told,) = b.get("GET /api/v1/peers")[1]["peers"]
        self.assertEqual((told["transport"], told["security"]), ("quic-v1", "tls/X25519MLKEM768"))
        plain = run("peers", "--long", "--data", b.folder).stdout
        row = rf"^{a.peer_id}  out  quic-v1 +[0-9.]+ ms +[0-9]+ s  /ip4/127.0.0.1/udp/[0-9]+/quic-v1  pangea/[^ ]+$"
        self.assertRegex(run("peers", "--data", b.folder).stdout, row)
        self.assertRegex(plain, r"outbound by quic-v1, tls/X25519MLKEM768, round trip [0-9.]+ ms")

    def test_dial_ping_perf_peers(self):
        a, b = self.node("a", "net.echo=true"), self.node("b")
        dialed = b.answer("dial", a.addr)
        self.assertEqual(dialed["peer_id"], a.peer_id)
        self.assertEqual(dialed["security"], "/noise-mlkem768-hfs/0.2.0")
        self.assertTrue(dialed["hybrid"] and dialed["identified"])
        self.assertIn("/echo/1.0.0", dialed["protocols"])
        self.assertTrue(dialed["agent"].startswith("pangea/"))
        pinged = b.answer("ping", a.peer_id, "--count", "3", "--interval", "0")
        self.assertEqual(len(pinged["rounds"]), 3)
        self.assertGreater(pinged["min_ms"], 0)
        perf = b.answer("perf", a.addr, "--up", "3MiB", "--down", "5MiB")
        self.assertEqual((perf["up_bytes"], perf["down_bytes"]), (3 << 20, 5 << 20))
        self.wait_for(lambda: a.answer("peers")["peers"][0]["identified"], "a knows b")
        (peer,) = a.answer("peers")["peers"]
        self.assertEqual((peer["peer_id"], peer["direction"]), (b.peer_id, "inbound"))
        plain = run("peers", "--data", b.folder)
        self.assertIn(a.peer_id, plain.stdout)
        self.assertIn("/perf/1.0.0", run("dial", a.addr, "--data", b.folder).stdout)
        self.assertIn("MB/s", run("perf", a.addr, "--data", b.folder, "--up", "1MiB").stdout)
        self.assertIn("mean", run("ping", a.addr, "--data", b.folder, "-c", "1").stdout)
        bare = a.addr.split("/p2p/")[0]
        self.assertEqual(b.answer("dial", bare, "--fresh")["peer_id"], a.peer_id)

    def test_dial_trouble(self):
        a, b = self.node("a"), self.node("b")
        self.fails(b.command("dial", "/ip4/127.0.0.1/tcp/1"), REFUSED, "refused")
        self.fails(b.command("dial", "nonsense"), USAGE, "neither an address nor a PeerId")
        self.fails(b.command("dial", "/ip4/nonsense"), USAGE, "no address")
        self.fails(b.command("dial", a.peer_id), NOT_FOUND, "no address of")
        self.fails(b.command("dial", b.addr), USAGE, "this node itself")
        wrong = a.addr.split("/p2p/")[0] + "/p2p/" + b.peer_id
        self.assertNotEqual(a.command("dial", wrong).returncode, 0)
        self.fails(b.command("ping", a.addr, "--count", "x"), USAGE, "--count")
        self.fails(b.command("perf", a.addr, "--up", "lots"), USAGE, "--up")
        self.fails(run("peers", "--data", self.work / "none"), NO_NODE, "pangea run")
        error = json.loads(b.command("dial", "/ip4/127.0.0.1/tcp/1").stdout)
        self.assertIn("refused", json.dumps(error))

    def test_local_api(self):
        a = self.node("a")
        self.assertEqual(stat.S_IMODE(os.stat(a.api).st_mode), 0o600)
        self.assertEqual(a.get("GET /livez")[0], 200)
        self.assertEqual(a.get("GET /readyz")[0], 200)
        status, node = a.get("GET /api/v1/node")
        self.assertEqual((status, node["peer_id"], node["addrs"][0]), (200, a.peer_id, a.addr))
        status, problem = a.get("GET /nowhere")
        self.assertEqual((status, problem["code"]), (404, "not_found"))
        self.assertEqual(a.get("DELETE /api/v1/node")[0], 405)
        self.assertEqual(a.get("POST /api/v1/dial")[0], 400)
        for path, body in (
            ("dial", b"[1]"),
            ("dial", b"{"),
            ("dial", b'{"target": 1}'),
            ("dial", b'{"target": "x", "fresh": 1}'),
            ("ping", b'{"target": "x", "count": -1}'),
            ("perf", b'{"target": "x", "up_bytes": "y"}'),
            ("dial", b'{"x": "' + b"y" * 70000 + b'"}'),
        ):
            status, problem = a.post(f"/api/v1/{path}", body)
            self.assertEqual((status, problem["code"]), (400, "invalid"), body[:40])
        status, problem = a.post("/api/v1/dial", json.dumps({"target": "/ip4/127.0.0.1/tcp/1"}).encode())
        self.assertEqual((status, problem["code"]), (502, "refused"))


    def knock(self, node, path, *fields):
        """One GET at the TCP door, by hand; returns its status."""
        host, port = node.ready["api_listen"].rsplit(":", 1)
        with socket.create_connection((host.strip("[]"), int(port)), timeout=30) as door:
            lines = [f"GET {path} HTTP/1.1", f"Host: {host}:{port}", "Connection: close", *fields, "", ""]
            door.sendall("\r\n".join(lines).encode())
            data = b""
            while piece := door.recv(65536):
                data += piece
        return int(data.split()[1])

    def test_tcp_door(self):
        a = self.node("a", "api.listen=127.0.0.1:0")
        file = a.folder / "api.token"
        token = file.read_text(encoding="ascii")
        self.assertRegex(token, r"^[0-9A-Za-z_-]{43}\n$")
        self.assertEqual(stat.S_IMODE(file.stat().st_mode), 0o600)
        right = f"Authorization: Bearer {token.strip()}"
        self.assertEqual(self.knock(a, "/livez"), 200)
        self.assertEqual(self.knock(a, "/api/v1/node"), 401)
        self.assertEqual(self.knock(a, "/api/v1/node", right), 200)
        self.assertEqual(self.knock(a, "/api/v1/node", right, "Origin: http://evil.example"), 403)
        self.assertEqual(a.get("GET /api/v1/node")[0], 200)
        a.stop()
        self.assertNotIn(token.strip(), a.log())
        again = self.node("a", "api.listen=[::1]:0" if has_ipv6() else "api.listen=127.0.0.1:0")
        self.assertEqual(self.knock(again, "/api/v1/node", right), 200)
        self.assertEqual(file.read_text(encoding="ascii"), token)
        again.stop()
        listen = ["run", "--data", a.folder, "--listen", "/ip4/127.0.0.1/tcp/0", "--set"]
        self.fails(run(*listen, "api.listen=0.0.0.0:4480"), USAGE, "api.listen", "0.0.0.0:4480")
        file.chmod(0o644)
        self.fails(run(*listen, "api.listen=127.0.0.1:0"), ACCESS, "api.token", "chmod 600")
        file.chmod(0o600)
        file.write_text(token[:-2] + "!\n", encoding="ascii")
        self.fails(run(*listen, "api.listen=127.0.0.1:0"), CORRUPT, "api.token")
        b = self.node("b")
        self.assertFalse((b.folder / "api.token").exists())
        self.assertNotIn("api_listen", b.ready)

    def test_events(self):
        a, b = self.node("a"), self.node("b")
        with socket.socket(socket.AF_UNIX) as door:
            door.settimeout(30)
            door.connect(a.api)
            door.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
            data = door.recv(65536)
            self.assertIn(b"text/event-stream", data)
            b.answer("dial", a.addr)
            while b'"identified"' not in data:
                data += door.recv(65536)
            self.assertIn(f'event: peer\ndata: {{"peer_id":"{b.peer_id}","event":"connected"}}'.encode(), data)


class Invitations(NodeTest):
    def private(self, name, *settings):
        """A node of a private network of its own."""
        folder = self.work / name
        folder.mkdir()
        key = "/key/swarm/psk/1.0.0/\n/base16/\n" + os.urandom(32).hex() + "\n"
        (folder / "swarm.key").write_text(key, encoding="ascii")
        return self.node(name, "net.swarm_key=swarm.key", *settings), key

    def test_join_a_private_network(self):
        a, key = self.private("a")
        stranger, _ = self.private("s")
        made = a.answer("invite", "--expires", "12h")
        self.assertEqual((made["peer_id"], made["private"]), (a.peer_id, True))
        self.assertIn(made["addrs"][0], a.addr)
        self.assertAlmostEqual(made["expires_s"], time.time() + 12 * 3600, delta=120)
        plain = run("invite", "--data", a.folder, "--qr")
        self.assertIn("key of your private network", plain.stderr)
        self.assertIn("\u2588", plain.stdout)
        quiet = run("invite", "--data", a.folder, "-q")
        self.assertEqual(quiet.stdout.count("\n"), 1)

        data = self.work / "b"
        joined = json.loads(run("join", made["invite"].upper(), "--data", data, "--json").stdout)
        self.assertEqual((joined["peer_id"], joined["private"]), (a.peer_id, True))
        self.assertEqual((data / "swarm.key").read_text(encoding="ascii"), key)
        for name in ("swarm.key", "pangea.conf"):
            self.assertEqual(stat.S_IMODE((data / name).stat().st_mode), 0o600)
        b = self.node("b")  # with what was written, nothing else
        self.wait_for(lambda: b.stat()["peers"] == 1, "b comes to a")
        self.assertEqual(b.answer("peers")["peers"][0]["peer_id"], a.peer_id)
        self.assertNotEqual(b.command("dial", stranger.addr).returncode, 0)
        self.assertEqual(stranger.stats()["connections"], 0)
        # one that is in the network already just connects
        self.assertEqual(b.answer("join", made["invite"])["peer_id"], a.peer_id)
        self.fails(b.command("join", stranger.answer("invite")["invite"]), KEY, "another private network")

    def test_join_in_public(self):
        a, b = self.node("a"), self.node("b")
        invite = a.answer("invite", "--expires", "never")
        self.assertEqual((invite["private"], invite["expires_s"]), (False, 0))
        self.assertNotIn("key of your", run("invite", "--data", a.folder).stderr)
        self.assertEqual(b.answer("join", invite["invite"])["peer_id"], a.peer_id)
        c = self.work / "c"
        words = [PANGEA, "join", "-", "--data", str(c)]
        subprocess.run(words, input=invite["invite"] + "\n", text=True, check=True, capture_output=True, timeout=60)
        self.assertFalse((c / "swarm.key").exists())
        node = self.node("c")
        self.wait_for(lambda: a.peer_id in node.peers(), "c comes to a")  # and may have found b there
        private, _ = self.private("p")
        self.fails(a.command("join", private.answer("invite")["invite"]), KEY, "this node is in none", "--data")
        self.fails(private.command("join", invite["invite"]), KEY, "no private network")

    def test_trouble(self):
        a, _ = self.private("a")
        invite = a.answer("invite")["invite"]
        b = self.work / "b"
        self.fails(run("join", "nonsense", "--data", b), USAGE, "not an invitation")
        self.fails(run("join", invite[:-3], "--data", b), 21, "mistyped or cut off")
        self.fails(run("join", "pangea-invite:", "--data", b), 20)
        self.fails(run("join", invite + "a" * 400, "--data", b), 21)
        self.fails(run("invite", "--data", self.work / "none"), NO_NODE)
        for expires in ("soon", "0d", "d", "4000d", "-1d", "7"):
            self.fails(a.command("invite", "--expires", expires), USAGE, "--expires")
        self.assertFalse(b.exists())
        b.mkdir()
        (b / "pangea.conf").write_text("[log]\nlevel = debug\n", encoding="ascii")
        self.fails(run("join", invite, "--data", b), EXISTS, "pangea.conf", "--data")
        (b / "pangea.conf").unlink()
        (b / "swarm.key").write_text("/key/swarm/psk/1.0.0/\n/base16/\n" + "00" * 32 + "\n", encoding="ascii")
        self.fails(run("join", invite, "--data", b), EXISTS, "swarm.key", "another key")
        self.assertFalse((b / "pangea.conf").exists())
        (b / "swarm.key").write_bytes((a.folder / "swarm.key").read_bytes())  # of an attempt that was interrupted
        self.assertEqual(run("join", invite, "--data", b).returncode, 0)
        for body in (b"{}", b'{"invite": 1}', b'{"invite": "x"}'):
            self.assertEqual(a.post("/api/v1/join", body)[0], 400)
        self.assertEqual(a.post("/api/v1/invite", b'{"expires_s": -1}')[0], 400)
        self.fails(a.command("join", invite), USAGE, "this node itself")


class Start(NodeTest):
    def test_second_node_on_the_directory(self):
        a = self.node("a")
        self.fails(run("run", "--data", a.folder, "--listen", "/ip4/127.0.0.1/tcp/0"), BUSY, "another node is running on")
        a.answer("peers")

    def test_port_in_use(self):
        a = self.node("a")
        listen = f"/ip4/127.0.0.1/tcp/{a.port}"
        self.fails(run("run", "--data", self.work / "b", "--listen", listen), BUSY, listen)
        self.assertFalse((self.work / "b/api.sock").exists())

    def test_configuration_trouble(self):
        data = self.work / "a"
        data.mkdir()
        (data / "pangea.conf").write_text("[net]\n\nlissten = /ip4/127.0.0.1/tcp/0\n", encoding="ascii")
        self.fails(run("run", "--data", data), USAGE, "line 3", "net.lissten", "did you mean 'net.listen'?")
        self.fails(run("run", "--data", data, "--config", self.work / "none"), NOT_FOUND)
        (data / "pangea.conf").unlink()
        self.fails(run("run", "--data", data, "--set", "limits.streams=1"), USAGE, "limits.streams")
        self.fails(run("run", "--data", data, "--listen", "here"), USAGE, "net.listen: 'here'")
        for key in ("peers", "bootstrap"):
            setting = f"net.{key}=/ip4/127.0.0.1/tcp/1"
            self.fails(run("run", "--data", data, "--set", setting), USAGE, f"net.{key}", "/p2p/ID at its end")
        (data / "swarm.key").write_text("no key\n", encoding="ascii")
        self.fails(run("run", "--data", data, "--set", f"net.swarm_key={data}/swarm.key"), USAGE, "swarm.key")

    def test_terminate_while_streams_run(self):
        a, b = self.node("a", "net.drain_timeout=300ms"), self.node("b")
        words = [PANGEA, "perf", a.addr, "--data", str(b.folder), "--up", "8GiB", "--down", "0"]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as perf:
            self.wait_for(lambda: a.stats()["streams"] > 0, "perf begins")
            self.assertEqual(a.stop(), 0)
            self.assertNotEqual(perf.wait(timeout=60), 0)
        self.assertFalse(a.ready_file.exists())
        self.assertFalse(pathlib.Path(a.api).exists())
        self.assertEqual(b.stop(signal.SIGINT), 0)

    def test_kill_and_restart_keeps_the_identity_and_the_peer(self):
        a = self.node("a")
        b = self.node("b", f"net.peers={a.addr}")
        self.wait_for(lambda: len(a.answer("peers")["peers"]) == 1, "b stays connected to a")
        a.stop(signal.SIGKILL)
        again = self.node("a", source=f"/ip4/127.0.0.1/tcp/{a.port}")
        self.assertEqual(again.peer_id, a.peer_id)
        self.wait_for(lambda: len(again.answer("peers")["peers"]) == 1, "b comes back to a")
        self.assertEqual(len(b.answer("peers")["peers"]), 1)

    def test_reload(self):
        a = self.node("a")
        conf = a.folder / "pangea.conf"
        conf.write_text("[log]\nlevel = debug\n[net]\necho = true\n", encoding="ascii")
        a.process.send_signal(signal.SIGHUP)
        self.wait_for(lambda: "node.config.reread" in a.log(), "settings are reread")
        self.assertIn("needs_restart=net.echo", a.log())
        conf.write_text("[log]\nlevel = loud\n", encoding="ascii")
        a.process.send_signal(signal.SIGHUP)
        self.wait_for(lambda: "node.config.refused" in a.log(), "bad settings are refused")
        a.answer("peers")

    def test_reload_of_a_bad_file_changes_nothing(self):
        a, b = self.node("a"), self.node("b")
        conf = a.folder / "pangea.conf"
        for key in ("announce", "peers", "bootstrap"):
            good = f"[log]\nformat = json\n[net]\npeers = {b.addr}\n"
            conf.write_text(good + f"{key} = /ip4/nowhere/tcp/1\n", encoding="ascii")
            before = a.log().count("node.config.refused")
            a.process.send_signal(signal.SIGHUP)
            self.wait_for(lambda: a.log().count("node.config.refused") > before, "the file is refused")
            self.assertIn(f"pangea.conf: line 5: net.{key}: '/ip4/nowhere/tcp/1'", a.log())
        self.assertNotIn("{", a.log())  # still as text
        self.assertEqual(a.stats()["connections"], 0)

    def test_reload_of_peers(self):
        a, b = self.node("a"), self.node("b")
        conf = a.folder / "pangea.conf"
        for key in ("peers", "bootstrap"):
            conf.write_text(f"[net]\n{key} = {b.addr}\n", encoding="ascii")
            a.process.send_signal(signal.SIGHUP)
            self.wait_for(lambda: a.stat()["peers"] == 1, f"a comes to b by net.{key}")
            count = "wanted" if key == "peers" else "bootstrap_peers"
            self.wait_for(lambda count=count: a.stat()["finding"][count] == 1, f"the list of net.{key} is taken over")
            conf.write_text(f"[net]\n{key} = {b.addr}x\n", encoding="ascii")
            before = a.log().count("node.config.refused")
            a.process.send_signal(signal.SIGHUP)
            self.wait_for(lambda: a.log().count("node.config.refused") > before, "a bad list is refused")
            conf.write_text("", encoding="ascii")
            before = a.log().count("node.config.reread")
            a.process.send_signal(signal.SIGHUP)
            self.wait_for(lambda: a.log().count("node.config.reread") > before, "no list any more")
            b.stop()
            self.wait_for(lambda: a.stats()["connections"] == 0, "b is gone")
            b = self.node("b", source=f"/ip4/127.0.0.1/tcp/{b.port}")

    def test_peers_of_an_earlier_run(self):
        a, b = self.node("a"), self.node("b")
        a.answer("dial", b.addr)
        self.assertEqual(a.stop(), 0)
        again = self.node("a")  # on another port, where b does not look for it
        self.wait_for(lambda: again.stat()["peers"] == 1, "a comes to b again")
        conn = again.answer("peers")["peers"][0]
        self.assertEqual((conn["peer_id"], conn["direction"]), (b.peer_id, "outbound"))
        finding = again.stat()["finding"]
        self.assertEqual((finding["remembered"], finding["bootstrap_peers"], finding["mdns_links"]), (1, 0, 0))

    def test_log_as_json(self):
        a = self.node("a", "log.format=json", "log.level=debug")
        self.assertEqual(a.stop(), 0)
        lines = [json.loads(line) for line in a.log().splitlines() if line.startswith("{")]
        self.assertIn("node.ready", [line["event"] for line in lines])
        self.assertTrue(all(line["time_ms"] > 0 for line in lines))

    def test_announce_and_limits(self):
        a = self.node("a", "net.announce=/ip4/192.0.2.7/tcp/9", source="/ip4/0.0.0.0/tcp/0")
        addrs = a.get("GET /api/v1/node")[1]["addrs"]
        self.assertTrue(addrs[0].startswith("/ip4/192.0.2.7/tcp/9/p2p/"))
        self.assertTrue(any(addr.startswith("/ip4/127.0.0.1/") for addr in addrs))
        b = self.node("b", "net.perf_bytes_max=0")
        self.assertNotEqual(a.command("perf", b.addr).returncode, 0)
        self.assertEqual(a.answer("dial", f"/dns4/localhost/tcp/{b.port}")["peer_id"], b.peer_id)
        self.assertNotEqual(a.command("dial", "/dns/no.such.name.invalid/tcp/1").returncode, 0)
        self.assertNotEqual(a.command("dial", "/ip4/127.0.0.1/udp/1/quic-v1").returncode, 0)

    def test_private_network(self):
        keys = []
        for i, digit in enumerate("ab"):
            keys.append(self.work / f"{i}.key")
            keys[i].write_text("/key/swarm/psk/1.0.0/\n/base16/\n" + digit * 64 + "\n", encoding="ascii")
        a = self.node("a", f"net.swarm_key={keys[0]}")
        same = self.node("b", f"net.swarm_key={keys[0]}")
        other = self.node("c", f"net.swarm_key={keys[1]}", "net.dial_timeout=1s")
        public = self.node("d", "net.dial_timeout=1s")
        self.assertEqual(same.answer("dial", a.addr)["peer_id"], a.peer_id)
        self.assertNotEqual(other.command("dial", a.addr).returncode, 0)
        self.assertNotEqual(public.command("dial", a.addr).returncode, 0)


class Hostile(NodeTest):
    """Strangers misbehave, b is served all the while, memory stays within bounds, and the log says what happened."""

    def connect(self, node):
        stranger = socket.create_connection(("127.0.0.1", node.port), timeout=30)
        self.addCleanup(stranger.close)
        return stranger

    def served(self, a, b):
        b.answer("dial", a.addr, "--fresh")
        b.answer("ping", a.addr, "--count", "1")

    def test_half_a_handshake(self):
        a, b = self.node("a", "net.handshake_timeout=500ms"), self.node("b")
        for _ in range(20):
            self.connect(a).sendall(HEADER + NOISE)
        self.served(a, b)
        self.wait_for(lambda: a.stats()["handshakes_failed_total"] >= 20, "they are given up")
        self.assertEqual(a.stats()["pending"], 0)
        self.assertIn("net.inbound.failed", a.log())

    def test_garbage(self):
        a, b = self.node("a"), self.node("b")
        pieces = [b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 4096, b"\x00" * 64, HEADER + b"\xff\xff\xff\xff\x7f"]
        pieces.append(HEADER + NOISE + b"\x00\x20" + b"x" * 32 + b"\xff\xff" + b"y" * 70000)
        for piece in pieces:
            stranger = self.connect(a)
            try:
                stranger.sendall(piece)
                stranger.shutdown(socket.SHUT_WR)
                while stranger.recv(65536):
                    pass
            except OSError:
                pass  # reset by the node: as it should be
        self.served(a, b)
        self.assertIn("net.inbound.failed", a.log())
        self.assertNotIn("127.0.0.1", a.log())

    def test_gone_before_it_is_accepted(self):
        """Connections that were reset while the node did something else: the kernel knows no peer of theirs any more."""
        a, b = self.node("a"), self.node("b")
        a.process.send_signal(signal.SIGSTOP)
        for _ in range(5):
            stranger = self.connect(a)
            stranger.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            stranger.close()
        a.process.send_signal(signal.SIGCONT)
        self.served(a, b)
        self.wait_for(lambda: a.stats()["handshakes_failed_total"] >= 5, "they are given up")

    def test_one_byte_at_a_time(self):
        a, b = self.node("a", "net.handshake_timeout=500ms"), self.node("b")
        stranger = self.connect(a)
        start = time.monotonic()
        try:
            for byte in HEADER + NOISE + bytes(10000):
                stranger.sendall(bytes([byte]))
                time.sleep(0.02)  # the attack itself
        except OSError:
            pass
        self.assertLess(time.monotonic() - start, 30)
        self.served(a, b)

    def test_flood_of_connections(self):
        a, b = self.node("a", "limits.pending=32", "limits.connections=64"), self.node("b")
        before = a.memory_kib()
        strangers = []
        for _ in range(500):
            try:
                strangers.append(self.connect(a))
            except ConnectionError:
                pass  # refused at once: as it should be
        self.served(a, b)
        stats = a.stats()
        self.assertLessEqual(stats["pending"], 32)
        self.assertLess(a.memory_kib() - before, 65536)
        self.assertIn("net.inbound", a.log())
        self.assertLess(len(a.log().splitlines()), 100)
        del strangers

    def test_flood_of_pings(self):
        """The other node is the hostile one: a hundred ping streams at once, of which two are served and the others refused."""
        a, b = self.node("a"), self.node("b")
        c = self.node("c")
        before = a.memory_kib()
        doors = []
        for _ in range(100):
            door = socket.socket(socket.AF_UNIX)
            self.addCleanup(door.close)
            door.connect(c.api)
            body = json.dumps({"target": a.addr, "count": 1000, "interval_ms": 0}).encode()
            door.sendall(b"POST /api/v1/ping HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            doors.append(door)
        self.served(a, b)
        self.wait_for(lambda: a.stats()["streams"] <= 2, "the flood is over")
        self.assertLess(a.memory_kib() - before, 65536)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=1)
