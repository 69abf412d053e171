"""`steppe console VM`: the serial line of a VM in this terminal, until Ctrl-] or until either side ends."""

import os
import select
import ssl
import sys
import termios
import threading
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.sync.client import ClientConnection, connect

from cli.words import Problem

ESCAPE = b"\x1d"  # Ctrl-]
Call = Callable[[str, dict[str, Any]], dict[str, Any]]


def run(server: str, ca_file: str | None, call: Call, words: list[str]) -> None:
    """`call(api, parameters)` asks the control plane."""
    if len(words) != 1:
        raise Problem("console takes one word: the name or the uuid of a VM")
    vm = _find(call, words[0])
    token = call("RequestConsoleAccess", {"vmInstanceUuid": vm["uuid"], "protocol": "serial"})["inventory"]["token"]
    url = f"{server.replace('http', 'ws', 1)}/console/stream?token={token}"
    tls = ssl.create_default_context(cafile=ca_file) if url.startswith("wss") else None
    try:
        line = connect(url, ssl=tls, compression=None, max_size=None, proxy=None)
    except (OSError, WebSocketException) as error:
        raise Problem(f"cannot open the console of VM {vm['name']}: {error}") from None
    with line, _raw_terminal():
        sys.stderr.write(f"serial line of VM {vm['name']}; Ctrl-] leaves it\r\n")
        _bridge(line)
    sys.stderr.write("\r\nthe console is closed\n")


def _find(call: Call, word: str) -> dict[str, Any]:
    for field in ("uuid", "name"):
        found: list[dict[str, Any]] = call("QueryVmInstance", {"conditions": [f"{field}={word}"]})["inventories"]
        if len(found) > 1:
            raise Problem(
                f"{len(found)} VMs are called {word}: {', '.join(vm['uuid'] for vm in found)}; name one by its uuid"
            )
        if found:
            return found[0]
    raise Problem(f"there is no VM {word}")


def _bridge(line: ClientConnection) -> None:
    ended, wake = os.pipe()

    def out() -> None:
        try:
            for data in line:
                sys.stdout.buffer.write(data if isinstance(data, bytes) else data.encode())
                sys.stdout.buffer.flush()
        finally:
            os.close(wake)

    reader = threading.Thread(target=out, daemon=True)
    reader.start()
    keyboard = [sys.stdin.fileno()]
    try:
        while True:
            ready, _, _ = select.select([ended, *keyboard], [], [])
            if ended in ready:
                return
            data = os.read(keyboard[0], 4096)
            if not data:  # a pipe that is empty: go on listening
                keyboard = []
                continue
            typed, escape, _ = data.partition(ESCAPE)
            if typed:
                line.send(typed)
            if escape:
                return
    except ConnectionClosed:
        return
    finally:
        line.close()
        reader.join(5)
        os.close(ended)


@contextmanager
def _raw_terminal() -> Iterator[None]:
    """Keys go to the guest as they are; the terminal is as before afterwards."""
    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    tty.setraw(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
