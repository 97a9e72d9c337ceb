"""A real S3 server for tests: Ceph's gateway over one monitor and one OSD in memory, all on loopback, in a folder of its own. Wants Debian's packages
ceph-mon, ceph-osd and radosgw."""

import pathlib
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
import uuid

PROGRAMS = ("ceph", "ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "monmaptool")
CONFIG = """[global]
fsid = {fsid}
mon host = [v1:127.0.0.1:{mon}]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
ms bind msgr2 = false
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
osd objectstore = memstore
memstore device bytes = 2147483648
mon allow pool size one = true
mon warn on pool no redundancy = false
run dir = {folder}
log file = {folder}/$name.log
admin socket = {folder}/$name.asok
mon data = {folder}/mon
osd data = {folder}/osd
rgw data = {folder}/rgw
[client.rgw.a]
rgw frontends = beast endpoint=127.0.0.1:{gateway}
"""


def is_there():
    return all(shutil.which(program) for program in PROGRAMS)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


class Gateway:
    """The server with one user; `close` ends its processes by their ids."""

    def __init__(self, access, secret):
        self.place = tempfile.TemporaryDirectory(prefix="pangea-rgw-")
        self.folder = pathlib.Path(self.place.name)
        self.processes = []
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.config = self.folder / "ceph.conf"
        try:
            self.start(access, secret)
        except BaseException:
            self.close()
            raise

    def run(self, *words):
        result = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)
        if result.returncode != 0:
            raise AssertionError(f"{words}: {result.stdout}{result.stderr}")
        return result.stdout

    def daemon(self, *words):
        with open(self.folder / f"{words[0]}.out", "wb") as out:
            self.processes.append(subprocess.Popen([*words, "-f", "-c", self.config], stdout=out, stderr=out))

    def ceph(self, *words):
        return self.run("ceph", "-c", self.config, *words)

    def start(self, access, secret):
        fsid, osd = str(uuid.uuid4()), str(uuid.uuid4())
        mon = free_port()
        self.config.write_text(CONFIG.format(fsid=fsid, mon=mon, gateway=self.port, folder=self.folder))
        for name in ("mon", "osd", "rgw"):
            (self.folder / name).mkdir()
        self.run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", f"[v1:127.0.0.1:{mon}]", self.folder / "monmap")
        self.run("ceph-mon", "--mkfs", "-i", "a", "-c", self.config, "--monmap", self.folder / "monmap")
        self.daemon("ceph-mon", "-i", "a")
        self.ceph("osd", "new", osd)
        self.run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd, "-c", self.config)
        self.ceph("osd", "crush", "add", "osd.0", "1.0", "root=default", "host=localhost")
        self.daemon("ceph-osd", "-i", "0")
        self.run("radosgw-admin", "-c", self.config, "-n", "client.rgw.a", "user", "create", "--uid=pangea", "--display-name=pangea",
                 f"--access-key={access}", f"--secret-key={secret}")
        self.daemon("radosgw", "-n", "client.rgw.a")
        self.await_answer()

    def await_answer(self):
        deadline = time.monotonic() + 300
        while True:
            try:
                with urllib.request.urlopen(self.url, timeout=10):
                    return
            except (urllib.error.URLError, OSError):
                if time.monotonic() > deadline or self.processes[-1].poll() is not None:
                    raise
            time.sleep(0.2)

    def close(self):
        for process in reversed(self.processes):
            process.kill()
            process.wait()
        self.place.cleanup()
