"""The real program at the other end of a pseudo-terminal: type, press Tab, read what is on the screen."""

import fcntl
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_ESCAPES = re.compile(r"\x1b\[[?0-9;]*[a-zA-Z]")


def _own_terminal():
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a test run in the background ignores it
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Terminal:
    def __init__(self, environment, *words):
        self._ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "cli.main", *words]
        self._process = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, env={**environment, "TERM": "xterm"}, cwd=ROOT,
            preexec_fn=_own_terminal, close_fds=True,
        )  # fmt: skip
        os.close(theirs)
        self.raw = self.screen = ""
        self._seen = 0

    def type(self, text):
        os.write(self._ours, text.encode())

    def enter(self, line):
        """A whole command; returns what is shown until the next prompt."""
        self.type(line + "\r")
        return self.read_until(r"\n[^\n]*>>>$")

    def read_until(self, pattern, limit=60.0):
        """What came since the last call, up to the match of `pattern`."""
        deadline = time.monotonic() + limit
        while True:
            new = self.screen[self._seen :]
            if found := re.search(pattern, new):
                self._seen += found.end()
                return new[: found.end()]
            left = deadline - time.monotonic()
            assert left > 0, f"no {pattern!r} on the screen: {new!r}"
            if select.select([self._ours], [], [], left)[0]:
                try:
                    chunk = os.read(self._ours, 65536)
                except OSError:
                    chunk = b""
                assert chunk, f"the program ended before {pattern!r}: {new!r}"
                self.raw += chunk.decode("utf-8", "replace")
                self.screen += _ESCAPES.sub("", chunk.decode("utf-8", "replace")).replace("\r\n", "\n")

    def interrupt(self):
        """Ctrl-C, through the terminal."""
        self.type("\x03")

    def interrupt_until(self, pattern):
        """Ctrl-C, again when it was not heard: Python misses one that comes while readline still takes a character in."""
        for _ in range(20):
            self.interrupt()
            try:
                return self.read_until(pattern, 3.0)
            except AssertionError:
                if self._process.poll() is not None:
                    raise
        return self.read_until(pattern, 3.0)

    def end(self):
        """The exit status."""
        try:
            return self._process.wait(20)
        finally:
            self._process.kill()
            os.close(self._ours)
