"""The destination's side of a copy: makes a file equal to the source's, by as many connections as help.

Work is done window by window (see `sparse`). What an earlier try left is compared by digest and kept where it is right,
so nothing needs to be remembered between tries. Every byte is read again as soon as it is stored, and the window's digest
compared with the source's; one that differs is fetched anew, and wrong three times is an error. The next window is asked
for before the last one is there, so the source never waits for us.
"""

import contextlib
import os
import socket
import ssl
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from hostagent.contract import HostError
from hostagent.contract.error import rejected
from hostagent.drivers import peer_wire, sparse
from hostagent.drivers.peer_wire import Frame
from hostagent.ports.peers import Gauge, Source

WORKERS = 2  # connections: one reads while the other writes; more were no faster
AHEAD = 2  # windows that a connection has asked for
TRIES, PAUSE = 5, 0.5  # a broken connection is taken up again after PAUSE × the number of tries, seconds
ROUNDS = 3  # times that a window may turn out to be stored wrongly


class Cancelled(Exception):
    """The import was cancelled."""


class _Worker:
    """One thread's buffer and its connection, made when first needed."""

    def __init__(self, context: ssl.SSLContext, source: Source) -> None:
        self.buffer = memoryview(bytearray(sparse.PIECE))
        self.asked: deque[tuple[str, int]] = deque()  # what and which window, not yet answered
        self._context, self._source = context, source
        self._connection: ssl.SSLSocket | None = None

    def ask(self, request: Frame) -> None:
        """Raises: HostError, unreachable."""
        try:
            connection = self._connection = self._connection or peer_wire.connect(self._context, self._source)
            peer_wire.send(connection, request)
        except OSError as error:
            raise peer_wire.unreachable(error) from error

    def answer(self) -> Frame:
        """Raises: HostError as the source says it, or unreachable."""
        assert self._connection is not None
        try:
            answer = peer_wire.receive(self._connection)
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
    _size: int = 0
    _done: set[int] = field(default_factory=set)  # windows that are stored and verified
    _suspect: set[int] = field(default_factory=set)  # windows in which something was stored earlier
    _wrong: Counter[int] = field(default_factory=Counter)  # how often a window was stored wrongly
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
                tries = 1 if len(self._done) > reached else tries + 1
                reached = max(reached, len(self._done))
                if error.problem.code != "unreachable" or tries >= TRIES:
                    raise
            if self._stopped.wait(PAUSE * tries):
                raise Cancelled

    def _try(self) -> None:
        self._workers = [_Worker(self.context, self.source) for _ in range(WORKERS)]
        try:
            self._workers[0].ask({"map": self.name})
            about = self._workers[0].answer()
            wanted, self._size = sparse.windows(about["runs"]), about["size"]
            descriptor = os.open(self.part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            try:
                self._begin(descriptor, wanted)
                self._todo = deque(number for number in wanted if number not in self._done)
                self._side_by_side(lambda worker: self._bring(descriptor, worker))
                self._check_holes(descriptor, wanted)
                os.fchmod(descriptor, about["mode"])
            finally:
                os.close(descriptor)
        finally:
            for worker in self._workers:
                worker.close()

    def _begin(self, descriptor: int, wanted: list[int]) -> None:
        """What is there already is looked at only if it lies where the source has data."""
        found = os.fstat(descriptor).st_size
        have = set(sparse.windows(sparse.runs(descriptor, found)))
        if found != self._size or not have <= set(wanted):
            if found:  # else ext4 would begin to write it all out as soon as it is closed
                os.ftruncate(descriptor, 0)
            os.ftruncate(descriptor, self._size)
            have = set()
            self._done.clear()
        self._suspect = have - self._done

    # -- workers -------------------------------------------------------------------------------------------------

    def _side_by_side(self, work: Callable[[_Worker], None]) -> None:
        """Do `work` with every worker, each in a thread. The first failure ends all of them and is raised."""
        self._failure = None
        threads = [threading.Thread(target=self._guarded, args=(work, one), daemon=True) for one in self._workers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._stopped.is_set():
            raise Cancelled
        if self._failure is not None:
            raise self._failure

    def _guarded(self, work: Callable[[_Worker], None], worker: _Worker) -> None:
        try:
            work(worker)
        except Exception as error:
            with self._lock:
                self._failure = self._failure or error
            self._cut()

    def _next(self) -> int | None:
        with self._lock:
            over = not self._todo or self._failure is not None or self._stopped.is_set()
            return None if over else self._todo.popleft()

    def _cut(self) -> None:
        for worker in self._workers:
            worker.cut()

    # -- windows -------------------------------------------------------------------------------------------------

    def _bring(self, descriptor: int, worker: _Worker) -> None:
        """Store windows as the source has them, until there is none left to do."""
        while True:
            ahead = 1 if self.gauge.limit else AHEAD  # what is on its way already cannot be held back
            while len(worker.asked) < ahead and (number := self._next()) is not None:
                what = "digest" if number in self._suspect else "read"
                worker.ask({what: self.name, "window": number})
                worker.asked.append((what, number))
            if not worker.asked:
                return
            what, number = worker.asked.popleft()
            if what == "digest":
                digest, count = sparse.digest(descriptor, number, worker.buffer), 0
            else:
                digest, count = self._store(descriptor, number, worker)
            if digest == worker.answer()["digest"]:
                self._is_right(number, count or sparse.WINDOW)
                sparse.begin_writing(descriptor, number)
            else:
                self._is_wrong(descriptor, number, what)
            self._throttle(count)

    def _store(self, descriptor: int, number: int, worker: _Worker) -> tuple[str, int]:
        """Returns the digest of what is stored now, and how much of it came over."""
        found, count = worker.answer()["segments"], 0
        digest = sparse.Digest()
        for start, length in sparse.pieces(number, self._size):
            for offset, much in sparse.cut(found, start, start + length):
                content = worker.receive(much)
                with self._writing:
                    _write(descriptor, content, offset)
                count += much
            digest.update(sparse.read(descriptor, start, worker.buffer[:length]))
        return digest.hexdigest(), count

    def _is_right(self, number: int, count: int) -> None:
        with self._lock:
            self._done.add(number)
            self.gauge.done = min(self.gauge.done + count, self.gauge.total)

    def _is_wrong(self, descriptor: int, number: int, what: str) -> None:
        """It becomes a hole and is the next to be fetched."""
        self._wrong[number] += what == "read"
        if self._wrong[number] == ROUNDS:
            raise rejected("checksum_mismatch", f"parts of {self.name} were stored wrongly {ROUNDS} times in a row")
        sparse.clear(descriptor, number)
        with self._lock:
            self._suspect.discard(number)
            self._todo.appendleft(number)

    def _check_holes(self, descriptor: int, wanted: list[int]) -> None:
        """Nothing lies where the source has none, and the size is right."""
        stray = set(sparse.windows(sparse.runs(descriptor, self._size))) - set(wanted)
        if stray or os.fstat(descriptor).st_size != self._size:
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
