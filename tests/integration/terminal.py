"""A program on a terminal of its own, driven as a person would: keys in, what is on the screen out."""

import fcntl
import os
import re
import select
import signal
import struct
import termios
import time

PATIENCE = 30
ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[()][A-Z0-9]|\x1b\][^\x07]*\x07|\x1b[=>78]|\r")


class Terminal:
    """The program runs until close(). What it wrote is in `raw`, as it came."""

    def __init__(self, words, rows=60, columns=160, **more):
        self.raw = b""
        self.pid, self.fd = os.forkpty()
        if self.pid == 0:
            os.chdir(more.get("cwd", "/"))
            os.execvpe(words[0], words, more.get("env", os.environ))
        self.resize(rows, columns)

    def resize(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys):
        os.write(self.fd, keys.encode())

    def text(self):
        return ESCAPES.sub(b"", self.raw).decode(errors="replace")

    def take(self, deadline):
        """Read what comes next; False at the end."""
        if not select.select([self.fd], [], [], max(0, deadline - time.monotonic()))[0]:
            raise AssertionError(f"nothing more came; the terminal has:\n{self.raw!r}")
        try:
            more = os.read(self.fd, 65536)
        except OSError:  # the other side is closed
            more = b""
        self.raw += more
        return bool(more)

    def expect(self, pattern):
        """Read until what was written since the last time fits; returns the match, and forgets all up to its end."""
        deadline = time.monotonic() + PATIENCE
        while not (match := re.search(pattern, self.text(), re.S)):
            if not self.take(deadline):
                raise AssertionError(f"the program ended; the terminal has:\n{self.raw!r}")
        self.raw = self.text()[match.end() :].encode()
        return match

    def rest(self):
        """Read to the end of the program; returns its exit code."""
        deadline = time.monotonic() + PATIENCE
        while self.take(deadline):
            pass
        return self.wait()

    def wait(self):
        if self.pid:
            _, status = os.waitpid(self.pid, 0)
            self.pid = 0
            self.code = os.waitstatus_to_exitcode(status)
        return self.code

    def close(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            self.wait()
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None
