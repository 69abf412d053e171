"""Processes that hold namespaces, and ways into them.

A namespace lives as long as the process that holds it. The holder reads a pipe (the *lifeline*) whose other end only its
maker has: when the maker dies, even by kill -9, the holder reads the end of file, exits, and the kernel removes the rest.
PR_SET_PDEATHSIG is not used: it is bound to the parent's thread, not to the parent.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

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


class Program:
    """A program started inside. nsenter stands between it and us, so signals are sent to the program itself."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    @property
    def pid(self) -> int:
        """As the machine sees it."""
        own = self._process.pid
        wait_until(lambda: not self.alive or not _is_nsenter(_innermost(own)), "nsenter starts the program")
        return _innermost(own)

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def stop(self, signal_number: int = signal.SIGTERM, timeout: float = 15.0) -> int:
        """Send the signal and wait for the end; what does not heed it is killed. Returns the exit status."""
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal_number)
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            os.kill(self.pid, signal.SIGKILL)
            return self._process.wait()

    def wait(self, timeout: float | None = None) -> int:
        return self._process.wait(timeout)


class Holder:
    """The namespaces of one process: `pid` lives in them; `run` and `start` put other programs there."""

    def __init__(self, holder: "subprocess.Popen[bytes]", pid: int) -> None:
        self._holder = holder
        self.pid = pid

    @property
    def alive(self) -> bool:
        return self._holder.poll() is None

    def command(self, *arguments: str | Path) -> list[str]:
        """The same command, to be run in here from anywhere on the machine."""
        return ["nsenter", "-t", str(self.pid), "-a", "--", *map(str, arguments)]

    def run(self, *arguments: str | Path, check: bool = True, timeout: float = 60.0) -> str:
        """Run to the end and return standard output. `RuntimeError` carries what the program said."""
        done = subprocess.run(self.command(*arguments), capture_output=True, text=True, timeout=timeout, check=False)
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(map(str, arguments))}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def start(
        self, *arguments: str | Path, log: Path | None = None, environment: dict[str, str] | None = None
    ) -> Program:
        """Start a program that lives at most as long as the namespaces; what it says goes to the end of `log`."""
        with log.open("ab") if log else open(os.devnull, "wb") as output:
            process = subprocess.Popen(
                self.command(*arguments),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
            )
        return Program(process)

    def kill(self) -> None:
        """End the holder at once, and with it every process in its pid namespace."""
        if self.alive:
            os.kill(self.pid, signal.SIGKILL)
        self._holder.wait()
        if self._holder.stdin:
            self._holder.stdin.close()


def hold(*program: str, log: Path) -> Holder:
    """New network, mount, UTS, IPC and pid namespaces with `program` as process 1; its standard input is the lifeline."""
    flags = ("--net", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc")
    with log.open("wb") as output:
        process = subprocess.Popen(["unshare", *flags, *program], stdin=subprocess.PIPE, stdout=output, stderr=output)
    wait_until(lambda: bool(_children(process.pid)), "unshare starts the first process")
    return Holder(process, _children(process.pid)[0])


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _innermost(pid: int) -> int:
    """nsenter itself until it has forked, which it does to enter a pid namespace."""
    return next(iter(_children(pid)), pid)


def _is_nsenter(pid: int) -> bool:
    """Asks for the executable: the kernel sets the short name a moment later."""
    try:
        return os.readlink(f"/proc/{pid}/exe").endswith("/nsenter")
    except OSError:
        return False


def ip_batch(holder: Holder, *lines: str) -> None:
    """`ip -batch`: many changes by one process, stopping at the first that fails. `netns PID` means the machine's PID."""
    done = subprocess.run(
        ["nsenter", "-t", str(holder.pid), "-n", "ip", "-batch", "-"],
        input="\n".join(lines),
        text=True,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"ip: {done.stderr.strip()}")
