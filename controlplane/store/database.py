"""The one door to the database: readers side by side, one writer that commits for many (group commit).

`write(fn)` runs `fn(tx)` in a writer thread, together with whatever else is waiting, in one transaction; a function that
raises is rolled back alone. The caller resumes after the commit. Write transactions follow one another, on SQLite by its
nature and on PostgreSQL by an advisory lock, also between nodes: what a function reads is still true when it commits. A
function may run twice (a neighbour raised, a connection broke): it touches nothing but the database. Reads that wait at the
same time share a transaction, too: it begins after the last of them was asked for.
"""

import asyncio
import contextlib
import queue
import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

T = TypeVar("T")
Tx = Connection
Job = tuple[Callable[[Tx], Any], asyncio.Future[Any]]
Outcome = tuple[Any, BaseException | None]  # what a function returned, or what it raised
_MAX_BATCH = 256
_READERS = 4  # threads
_PATIENCE = 15.0  # seconds for which a broken connection or a lock is tried again
_IDLE = 3000  # milliseconds after which PostgreSQL ends the transaction of a frozen node


class Closed(RuntimeError):
    """The database was closed, or this node was fenced: nothing more may be written."""


class Unavailable(RuntimeError):
    """The database did not answer for a while. It may or may not have stored what was to be written."""


def engine_for(url: str) -> Engine:
    """SQLite gets WAL, foreign keys and explicit transactions; PostgreSQL gets time-outs that free a frozen node's locks."""
    if url.startswith("sqlite"):
        engine = create_engine(
            url, poolclass=QueuePool, pool_size=8, connect_args={"check_same_thread": False, "timeout": 30}
        )

        @event.listens_for(engine, "connect")
        def _pragmas(connection: Any, _record: Any) -> None:
            connection.isolation_level = None  # BEGIN is ours (see _begin)
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=30000"):
                connection.execute(f"PRAGMA {pragma}")

        @event.listens_for(engine, "begin")
        def _begin(connection: Connection) -> None:
            if connection.get_execution_options().get("steppe_write"):
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            else:  # which cannot fail, and through SQLAlchemy would take as long as a query by an index
                connection.connection.cursor().execute("BEGIN DEFERRED")

        return engine
    options = f"-c idle_in_transaction_session_timeout={_IDLE} -c lock_timeout={2 * _IDLE} -c timezone=UTC"
    keepalives = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 10_000}
    return create_engine(
        url.replace("postgresql://", "postgresql+psycopg://", 1),
        pool_size=8,
        pool_pre_ping=True,
        connect_args={"options": options, "connect_timeout": 5, **keepalives},
    )


class Database:
    """`fence`, when set, runs first in each write transaction and raises `Closed` when this node has lost its lease."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = engine_for(url)
        self.is_sqlite = self.engine.dialect.name == "sqlite"
        self.fence: Callable[[Tx], None] | None = None
        self._queue: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._reads: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._closed = False
        self._writer = threading.Thread(target=self._write_loop, name="db-write", daemon=True)
        self._readers = [
            threading.Thread(target=self._read_loop, name=f"db-read-{number}", daemon=True)
            for number in range(_READERS)
        ]
        for thread in (self._writer, *self._readers):
            thread.start()

    async def write(self, fn: Callable[[Tx], T]) -> T:
        """What `fn` returned, after its commit; what it raised, when nothing of it was stored; or `Unavailable`."""
        if self._closed:
            raise Closed("the database is closed")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue.put((fn, future))
        return await future

    async def read(self, fn: Callable[[Tx], T]) -> T:
        """`fn` sees one moment of the database, however many statements it runs."""
        if self._closed:
            raise Closed("the database is closed")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._reads.put((fn, future))
        return await future

    def read_now(self, fn: Callable[[Tx], T]) -> T:
        """The same, on the calling thread (migrations, command line tools)."""
        options: dict[str, Any] = {}
        if not self.is_sqlite:
            options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}

        def attempt() -> T:
            with self.engine.connect().execution_options(**options) as tx, tx.begin():
                return fn(tx)

        return _persist(attempt)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._queue.put(None)
            self._writer.join(10)
            for _ in self._readers:
                self._reads.put(None)
            for reader in self._readers:
                reader.join(10)
            self.engine.dispose()

    # -- the reader threads --------------------------------------------------------------------------------------

    def _read_loop(self) -> None:
        while job := self._reads.get():
            batch = [job]
            with contextlib.suppress(queue.Empty):
                for _ in range(min(self._reads.qsize() // _READERS, _MAX_BATCH)):
                    if (job := self._reads.get_nowait()) is None:
                        self._reads.put(None)
                        break
                    batch.append(job)
            _tell(batch, self._read_together([fn for fn, _ in batch]))

    def _read_together(self, batch: list[Callable[[Tx], Any]]) -> Sequence[Outcome]:
        try:
            return self.read_now(lambda tx: [(fn(tx), None) for fn in batch])
        except BaseException as error:
            if len(batch) == 1:
                return [(None, error)]
        return [self._read_together([fn])[0] for fn in batch]

    # -- the writer thread ---------------------------------------------------------------------------------------

    def _write_loop(self) -> None:
        while batch := self._next_batch():
            outcomes: Sequence[Outcome]
            try:
                outcomes = self._commit([fn for fn, _ in batch])
            except BaseException as error:
                outcomes = [(None, error)] * len(batch)
            _tell(batch, outcomes)
        while not self._queue.empty():
            if job := self._queue.get():
                _tell([job], [(None, Closed("the database is closed"))])

    def _next_batch(self) -> list[Job]:
        """Whatever waits, at least one; empty when the database is closed."""
        batch: list[Job] = []
        while not batch or (len(batch) < _MAX_BATCH and not self._queue.empty()):
            job = self._queue.get()
            if job is None:
                if batch:
                    self._queue.put(None)
                return batch
            if not job[1].cancelled():
                batch.append(job)
        return batch

    def _commit(self, batch: list[Callable[[Tx], Any]]) -> list[tuple[Any, Exception | None]]:
        """Each function's value or exception. First without savepoints; with them when one of several raises."""
        doubtful = _Doubtful(self.engine)

        def attempt(savepoints: bool) -> list[tuple[Any, Exception | None]]:
            if doubtful.committed():
                return doubtful.outcomes
            with self.engine.connect().execution_options(steppe_write=True) as tx, tx.begin():
                if not self.is_sqlite:
                    doubtful.xid = _take_turn(tx)
                if self.fence:
                    self.fence(tx)
                doubtful.outcomes = [_run(tx, fn, savepoints) for fn in batch]
            return doubtful.outcomes

        try:
            return _persist(lambda: attempt(savepoints=False))
        except _Raised as raised:
            if len(batch) == 1:
                return [(None, raised.error)]
            return _persist(lambda: attempt(savepoints=True))


def _tell(batch: list[Job], outcomes: Sequence[Outcome]) -> None:
    """Wake those who wait for a batch: each event loop once, however many they are."""
    told: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Outcome]]] = {}
    for (_, future), outcome in zip(batch, outcomes, strict=True):
        told.setdefault(future.get_loop(), []).append((future, outcome))
    for loop, some in told.items():
        with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits
            loop.call_soon_threadsafe(_settle, some)


def _settle(some: list[tuple[asyncio.Future[Any], Outcome]]) -> None:
    for future, (value, failure) in some:
        if not future.done():
            future.set_exception(failure) if failure else future.set_result(value)


class _Raised(Exception):
    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


def _run(tx: Tx, fn: Callable[[Tx], Any], savepoint: bool) -> tuple[Any, Exception | None]:
    try:
        if not savepoint:
            return fn(tx), None
        with tx.begin_nested():
            return fn(tx), None
    except Exception as error:
        if isinstance(error, DBAPIError) and _passing(error):
            raise
        if not savepoint:
            raise _Raised(error) from error
        return None, error


class _Doubtful:
    """A transaction whose COMMIT was not answered: PostgreSQL still knows whether it took place."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.xid = ""
        self.outcomes: list[tuple[Any, Exception | None]] = []

    def committed(self) -> bool:
        if not self.xid:
            return False
        with self._engine.connect() as tx:
            while True:
                status = tx.exec_driver_sql("SELECT pg_xact_status(%s::xid8)", (self.xid,)).scalar_one()
                tx.rollback()
                if status != "in progress":
                    self.xid = ""
                    return bool(status == "committed")
                time.sleep(0.1)  # the server has not noticed yet; its idle time-out ends it


def _take_turn(tx: Tx) -> str:
    """One write transaction at a time in the whole cluster; returns the transaction's id."""
    row = tx.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('steppe write')), pg_current_xact_id()::text").one()
    return str(row[1])


def _persist(attempt: Callable[[], T]) -> T:
    """Try again while the fault is one that passes; `Unavailable` when it does not in time."""
    end = time.monotonic() + _PATIENCE
    pause = 0.02
    while True:
        try:
            return attempt()
        except DBAPIError as error:
            if not _passing(error):
                raise
            if time.monotonic() > end:
                raise Unavailable(f"the database does not answer: {type(error.orig).__name__}") from error
        time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311
        pause = min(1.0, pause * 2)


def _passing(error: DBAPIError) -> bool:
    """A lost or refused connection, or a conflict that the same work may win next time.

    PostgreSQL: 40001 and 40P01 (conflicts), 55P03 (lock time-out), 57P0x (shutting down, starting), 25P03 (idle time-out),
    08xxx (connection), 53300 (too many connections), and no state at all when the server could not be reached."""
    state = getattr(error.orig, "sqlstate", None)
    if state is None and type(error.orig).__module__.startswith("psycopg"):
        return type(error.orig).__name__ in ("OperationalError", "ConnectionTimeout")
    return (
        error.connection_invalidated
        or state in {"40001", "40P01", "55P03", "57P01", "57P02", "57P03", "25P03", "53300"}
        or str(state or "").startswith("08")
        or "database is locked" in str(error.orig)
    )


__all__ = ["Closed", "Database", "Tx", "Unavailable", "engine_for"]
