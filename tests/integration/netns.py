"""Two network namespaces with a link between them, for tests that need a network of their own. Nothing outside is touched, and all of it
is gone with its processes.
"""

import os
import shutil
import socket
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


def enter(is_needed=True):
    """Run this program again in a network namespace of its own. Where that is not possible it exits with 77, or returns False if it can do without."""
    if os.environ.get("PANGEA_NETNS") == "inside":
        subprocess.run([tool("ip"), "link", "set", "lo", "up"], check=True)
        return True
    if not is_needed and None in (shutil.which(name, path=PATH) for name in ("ip", "unshare", "nsenter")):
        return False
    words = [tool("unshare"), "--net"] if os.geteuid() == 0 else [tool("unshare"), "--net", "--map-root-user"]
    probe = [*words, tool("ip"), "link", "add", "probe0", "type", "veth", "peer", "name", "probe1"]
    if subprocess.run(probe, capture_output=True, check=False).returncode != 0:
        if not is_needed:
            return False
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
        self.near = f"near{Link.count}"
        other = self.far = f"far{Link.count}"
        ip("link", "add", self.near, "type", "veth", "peer", "name", other, "netns", str(far.holder.pid))
        for addr in near_addrs:
            ip("address", "add", addr, "dev", self.near, *(["nodad"] if ":" in addr else []))
        for addr in far_addrs:
            far.ip("address", "add", addr, "dev", other, *(["nodad"] if ":" in addr else []))
        ip("link", "set", self.near, "up", "multicast", "on")
        far.ip("link", "set", other, "up", "multicast", "on")

    def end(self):
        ip("link", "delete", self.near)


# In the far namespace: says that it listens, then sends back to the group what came to it.
ECHO = """
import socket
group, port, here = "239.77.0.1", 7700, "10.79.0.2"
receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
receiver.bind(("", port))
receiver.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(group) + socket.inet_aton(here))
receiver.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(here))
receiver.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
print("ready", flush=True)
receiver.settimeout(10)
receiver.sendto(receiver.recv(64), (group, port))
"""


def require_multicast():
    """Send a datagram to a group on a link like those of the tests and have it come back; exits with 77 where it does not."""
    group, port, here = "239.77.0.1", 7700, "10.79.0.1"
    far = Far()
    link = Link(far, [f"{here}/24"], ["10.79.0.2/24"])
    echo = subprocess.Popen([*far.words, sys.executable, "-c", ECHO], stdout=subprocess.PIPE)
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as near:
            near.bind(("", port))
            member = socket.inet_aton(group) + socket.inet_aton(here)
            near.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
            near.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(here))
            near.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
            near.settimeout(10)
            echo.stdout.readline()  # it listens, or it has ended
            near.sendto(b"there?", (group, port))
            near.recv(64)
    except OSError as error:
        print(f"skipped: multicast does not pass between network namespaces here: {error}")
        sys.exit(SKIP)
    finally:
        echo.kill()
        echo.wait()
        echo.stdout.close()
        link.end()
        far.end()
