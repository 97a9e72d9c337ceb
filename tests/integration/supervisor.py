"""One who looks after a node as systemd does: hears what it says on $NOTIFY_SOCKET."""

import os
import socket
import time


class Supervisor:
    def __init__(self, address, **more):
        """`address`: a path, or a name that begins with an at sign."""
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.settimeout(60)
        self.heard = []
        self.env = dict(os.environ, NOTIFY_SOCKET=address, **more)

    def next(self):
        """The next message, its assignments as a dictionary."""
        message = dict(line.split("=", 1) for line in self.socket.recv(4096).decode().split("\n"))
        message["at"] = time.monotonic()
        self.heard.append(message)
        return message

    def until(self, name):
        """The next message that has the name."""
        while name not in (message := self.next()):
            pass
        return message

    def close(self):
        self.socket.close()
