"""Two network namespaces with a link between them, for tests that need a network of their own. Nothing outside is touched, and all of it
is gone with its processes.
"""

import os
import shutil
import subprocess
import sys
import time

SKIP = 77
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def tool(name):
    found = shutil.which(name, path=PATH)
    if found is None:
        print(f"skipped: {name} is not installed")
        sys.exit(SKIP)
    return found


def enter():
    """Run this program again in a network namespace of its own; exits with 77 where that is not possible."""
    if os.environ.get("PANGEA_NETNS") == "inside":
        subprocess.run([tool("ip"), "link", "set", "lo", "up"], check=True)
        return
    words = [tool("unshare"), "--net"] if os.geteuid() == 0 else [tool("unshare"), "--net", "--map-root-user"]
    probe = [*words, tool("ip"), "link", "add", "probe0", "type", "veth", "peer", "name", "probe1"]
    if subprocess.run(probe, capture_output=True, check=False).returncode != 0:
        print("skipped: network namespaces are not possible here")
        sys.exit(SKIP)
    os.environ["PANGEA_NETNS"] = "inside"
    os.execv(words[0], [*words, sys.executable, *sys.argv])


class Far:
    """The second namespace; what runs there gets `words` in front."""

    def __init__(self):
        self.holder = subprocess.Popen([tool("unshare"), "--net", "sleep", "infinity"])
        self.words = [tool("nsenter"), "--net", "--target", str(self.holder.pid)]
        ours, deadline = os.readlink("/proc/self/ns/net"), time.monotonic() + 30
        while os.readlink(f"/proc/{self.holder.pid}/ns/net") == ours:
            assert time.monotonic() < deadline and self.holder.poll() is None
            time.sleep(0.01)  # a process of its own: nothing else tells
        self.ip("link", "set", "lo", "up")

    def ip(self, *words):
        subprocess.run([*self.words, tool("ip"), *words], check=True)

    def end(self):
        self.holder.kill()
        self.holder.wait()


def ip(*words):
    subprocess.run([tool("ip"), *words], check=True)


class Link:
    """A link between this namespace (`near`) and the far one, with addresses at both ends."""

    count = 0

    def __init__(self, far, near_addrs, far_addrs):
        Link.count += 1
        self.near, other = f"near{Link.count}", f"far{Link.count}"
        ip("link", "add", self.near, "type", "veth", "peer", "name", other, "netns", str(far.holder.pid))
        for addr in near_addrs:
            ip("address", "add", addr, "dev", self.near, *(["nodad"] if ":" in addr else []))
        for addr in far_addrs:
            far.ip("address", "add", addr, "dev", other, *(["nodad"] if ":" in addr else []))
        ip("link", "set", self.near, "up", "multicast", "on")
        far.ip("link", "set", other, "up", "multicast", "on")

    def end(self):
        ip("link", "delete", self.near)
