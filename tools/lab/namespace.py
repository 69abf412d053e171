"""Processes that hold namespaces, and ways into them.

A namespace lives as long as the process that holds it. The holder reads a pipe (the *lifeline*) whose other end only its
maker has: when the maker dies, even by kill -9, the holder reads the end of file, exits, and the kernel removes the rest.
PR_SET_PDEATHSIG is not used: it is bound to the parent's thread, not to the parent.
"""

import ctypes
import os
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, TypeVar

T = TypeVar("T")
_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def wait_until(ready: Callable[[], bool], what: str, timeout: float = 15.0) -> None:
    """Ask every few milliseconds; `TimeoutError` says `what` did not happen. An OSError counts as "not yet"."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            if ready():
                return
        except OSError:
            pass
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {timeout:g} s")
        time.sleep(0.01)


def enter_network_of(pid: int) -> None:
    """Move the calling thread into the network namespace of a process (setns(2)). OSError when it is gone."""
    descriptor = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.setns(descriptor, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
    finally:
        os.close(descriptor)


def in_network_of(pid: int, work: Callable[[], T]) -> T:
    """Run `work` in a throw-away thread inside that network namespace; sockets it makes stay there for good."""
    outcome: list[T] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            enter_network_of(pid)
            outcome.append(work())
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]


class Holder:
    """The namespaces of one process: `pid` lives in them; `run` and `start` put other programs there."""

    def __init__(self, holder: "subprocess.Popen[bytes]", pid: int, flags: str, environment: dict[str, str]) -> None:
        self._holder = holder
        self._flags = flags
        self._environment = environment
        self.pid = pid

    @property
    def alive(self) -> bool:
        return self._holder.poll() is None

    def command(self, *arguments: str | Path) -> list[str]:
        """The same command, to be run in here from anywhere on the machine."""
        return ["nsenter", "-t", str(self.pid), self._flags, "--", *map(str, arguments)]

    def run(self, *arguments: str | Path, check: bool = True, timeout: float = 60.0) -> str:
        """Run to the end and return standard output. `RuntimeError` carries what the program said."""
        done = subprocess.run(
            self.command(*arguments), capture_output=True, text=True, timeout=timeout, check=False, env=self.environment
        )
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(map(str, arguments))}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def start(
        self, *arguments: str | Path, log: Path | IO[Any] | None = None, **more: Any
    ) -> "subprocess.Popen[bytes]":
        """Start a program; what it says goes to the end of `log`. It dies with the namespace only in a host."""
        if isinstance(log, Path):
            with log.open("ab") as stream:
                return self.start(*arguments, log=stream, **more)
        output = log if log is not None else subprocess.DEVNULL
        more.setdefault("env", self.environment)
        return subprocess.Popen(
            self.command(*arguments), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, **more
        )

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, **self._environment}

    def kill(self) -> None:
        """End the holder at once; its pid namespace, if it has one, goes with it."""
        if self.alive:
            self._holder.kill()
        self._holder.wait()
        if self._holder.stdin:
            self._holder.stdin.close()


def ip_batch(holder: Holder, *lines: str) -> None:
    """`ip -batch`: many changes by one process, stopping at the first that fails."""
    done = subprocess.run(
        holder.command("ip", "-batch", "-"), input="\n".join(lines), text=True, capture_output=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"ip: {done.stderr.strip()}")
