"""The destination's side of a copy: makes a file equal to the source's, by as many connections as help.

Work is done window by window (see `sparse`). What an earlier try left is compared by digest and kept where it is right,
so nothing needs to be remembered between tries. At the end the whole stored file is read again and compared with the
source's digests; a window that differs is fetched anew, and wrong three times is an error.
"""

import contextlib
import os
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from hostagent.contract import HostError
from hostagent.contract.error import rejected
from hostagent.drivers import peer_wire, sparse
from hostagent.drivers.peer_wire import Frame
from hostagent.ports.peers import Gauge, Source

WORKERS = 2  # connections: one reads while the other writes; more were no faster
TRIES, PAUSE = 5, 0.5  # a broken connection is taken up again after PAUSE × the number of tries, seconds
ROUNDS = 3  # times that a window may turn out to be stored wrongly


class Cancelled(Exception):
    """The import was cancelled."""


class _Worker:
    """One thread's buffer and its connection, made when first needed."""

    def __init__(self, context: ssl.SSLContext, source: Source) -> None:
        self.buffer = memoryview(bytearray(sparse.WINDOW))
        self._context, self._source = context, source
        self._connection: ssl.SSLSocket | None = None

    def ask(self, **request: str | int) -> Frame:
        """Raises: HostError as the source says it, or unreachable."""
        try:
            connection = self._connection = self._connection or peer_wire.connect(self._context, self._source)
            peer_wire.send(connection, request)
            answer = peer_wire.receive(connection)
        except OSError as error:
            raise peer_wire.unreachable(error) from error
        return peer_wire.checked(answer)

    def receive(self, length: int) -> memoryview:
        assert self._connection is not None
        try:
            peer_wire.receive_into(self._connection, self.buffer[:length])
        except OSError as error:
            raise peer_wire.unreachable(error) from error
        return self.buffer[:length]

    def cut(self) -> None:
        """From any thread: whoever waits for this connection stops waiting."""
        if self._connection is not None:
            with contextlib.suppress(OSError):
                self._connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


@dataclass
class Pull:
    """One file. `run` blocks until it is there and verified; `stop` ends it from another thread."""

    context: ssl.SSLContext
    source: Source
    name: str
    part: str
    gauge: Gauge
    _digests: dict[int, str] = field(default_factory=dict)  # of windows that are stored
    _suspect: set[int] = field(default_factory=set)  # windows in which something was stored earlier
    _todo: deque[int] = field(default_factory=deque)
    _workers: list[_Worker] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _writing: threading.Lock = field(default_factory=threading.Lock)  # the kernel's lock of a file spins
    _stopped: threading.Event = field(default_factory=threading.Event)
    _not_before: float = 0.0  # when the next window may be asked for, by the bandwidth limit
    _failure: Exception | None = None

    def stop(self) -> None:
        self._stopped.set()
        self._cut()

    def run(self) -> None:
        """Raises: HostError, OSError (of the destination's disk), Cancelled."""
        tries, reached = 0, -1
        while True:
            try:
                return self._try()
            except HostError as error:
                if self._stopped.is_set():
                    raise Cancelled from error
                tries = 1 if len(self._digests) > reached else tries + 1
                reached = max(reached, len(self._digests))
                if error.problem.code != "unreachable" or tries >= TRIES:
                    raise
            if self._stopped.wait(PAUSE * tries):
                raise Cancelled

    def _try(self) -> None:
        about: Frame = {}

        def look(_number: int, worker: _Worker) -> None:
            about.update(worker.ask(map=self.name))

        self._each([0], look)
        wanted = sparse.windows(about["runs"])
        descriptor = os.open(self.part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            self._begin(descriptor, about["size"], wanted)
            for _ in range(ROUNDS):
                missing = [number for number in wanted if number not in self._digests]
                self._each(missing, lambda number, worker: self._bring(descriptor, number, worker))
                self._each(wanted, lambda number, worker: self._verify(descriptor, number, worker))
                if len(self._digests) == len(wanted):
                    self._check_holes(descriptor, about["size"], wanted)
                    return os.fchmod(descriptor, about["mode"])
        finally:
            os.close(descriptor)
        raise rejected("checksum_mismatch", f"parts of {self.name} were stored wrongly {ROUNDS} times in a row")

    def _begin(self, descriptor: int, size: int, wanted: list[int]) -> None:
        """What is there already is looked at only if it lies where the source has data."""
        found = os.fstat(descriptor).st_size
        have = set(sparse.windows(sparse.runs(descriptor, found)))
        if found != size or not have <= set(wanted):
            os.ftruncate(descriptor, 0)
            os.ftruncate(descriptor, size)
            have = set()
            self._digests.clear()
        self._suspect = have - set(self._digests)

    # -- workers -------------------------------------------------------------------------------------------------

    def _each(self, numbers: list[int], work: Callable[[int, _Worker], None]) -> None:
        """Do `work` for every number, in several threads. The first failure ends all of them and is raised."""
        self._failure, self._todo = None, deque(numbers)
        self._workers = [_Worker(self.context, self.source) for _ in range(min(WORKERS, len(numbers)))]
        threads = [threading.Thread(target=self._walk, args=(work, one), daemon=True) for one in self._workers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._stopped.is_set():
            raise Cancelled
        if self._failure is not None:
            raise self._failure

    def _walk(self, work: Callable[[int, _Worker], None], worker: _Worker) -> None:
        try:
            while (number := self._next()) is not None:
                work(number, worker)
        except Exception as error:
            with self._lock:
                self._failure = self._failure or error
            self._cut()
        finally:
            worker.close()

    def _next(self) -> int | None:
        with self._lock:
            over = not self._todo or self._failure is not None or self._stopped.is_set()
            return None if over else self._todo.popleft()

    def _cut(self) -> None:
        for worker in self._workers:
            worker.cut()

    # -- one window ----------------------------------------------------------------------------------------------

    def _bring(self, descriptor: int, number: int, worker: _Worker) -> None:
        """The window is stored as the source has it."""
        if number in self._suspect:
            digest = worker.ask(digest=self.name, window=number)["digest"]
            stored = sparse.read(descriptor, number, worker.buffer)
            if sparse.digest(stored) == digest:
                return self._stored(number, digest, len(stored))
            sparse.clear(descriptor, number)  # also what should be a hole
        answer = worker.ask(read=self.name, window=number)
        count = 0
        for offset, length in answer["segments"]:
            content = worker.receive(length)
            with self._writing:
                _write(descriptor, content, offset)
            count += length
        self._stored(number, answer["digest"], count)
        self._throttle(count)

    def _stored(self, number: int, digest: str, count: int) -> None:
        with self._lock:
            self._digests[number] = digest
            self.gauge.done = min(self.gauge.done + count, self.gauge.total)

    def _verify(self, descriptor: int, number: int, worker: _Worker) -> None:
        if sparse.digest(sparse.read(descriptor, number, worker.buffer)) != self._digests[number]:
            with self._lock:
                del self._digests[number]
                self._suspect.add(number)

    @staticmethod
    def _check_holes(descriptor: int, size: int, wanted: list[int]) -> None:
        """Nothing lies where the source has none, and the size is right."""
        stray = set(sparse.windows(sparse.runs(descriptor, size))) - set(wanted)
        if stray or os.fstat(descriptor).st_size != size:
            raise rejected("checksum_mismatch", "the file has content where the source has none")

    def _throttle(self, count: int) -> None:
        if self.gauge.limit:
            with self._lock:
                now = time.monotonic()
                self._not_before = max(self._not_before, now) + count / self.gauge.limit
                pause = self._not_before - now
            self._stopped.wait(pause)


def _write(descriptor: int, content: memoryview, offset: int) -> None:
    have = 0
    while have < len(content):
        have += os.pwrite(descriptor, content[have:], offset + have)
