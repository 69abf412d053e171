"""The one door to the database: readers side by side, one writer that commits for many (group commit).

`write(fn)` runs `fn(tx)` in a writer thread, together with whatever else is waiting, in one transaction; each function
has a savepoint, so one that raises is rolled back alone. The caller resumes after the commit. A function may run twice (a
lost connection, a serialisation failure): it touches nothing but the database.
"""

import asyncio
import queue
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

T = TypeVar("T")
Tx = Connection
_MAX_BATCH = 256
_RETRIES = 8


class Closed(RuntimeError):
    """The database was closed, or this node was fenced: nothing more may be written."""


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
            mode = "IMMEDIATE" if connection.get_execution_options().get("steppe_write") else "DEFERRED"
            connection.exec_driver_sql(f"BEGIN {mode}")

        return engine
    options = "-c idle_in_transaction_session_timeout=5000 -c lock_timeout=5000"
    return create_engine(
        url.replace("postgresql://", "postgresql+psycopg://", 1),
        pool_size=8,
        pool_pre_ping=True,
        connect_args={"options": options, "connect_timeout": 5},
    )


class Database:
    """`fence`, when set, runs first in each write transaction and raises `Closed` when this node has lost its lease."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = engine_for(url)
        self.is_sqlite = self.engine.dialect.name == "sqlite"
        self.fence: Callable[[Tx], None] | None = None
        self._queue: queue.SimpleQueue[tuple[Callable[[Tx], Any], Future[Any]] | None] = queue.SimpleQueue()
        self._readers = ThreadPoolExecutor(4, "db-read")
        self._closed = False
        self._writer = threading.Thread(target=self._write_loop, name="db-write", daemon=True)
        self._writer.start()

    async def write(self, fn: Callable[[Tx], T]) -> T:
        if self._closed:
            raise Closed("the database is closed")
        future: Future[T] = Future()
        self._queue.put((fn, future))
        return await asyncio.wrap_future(future)

    async def read(self, fn: Callable[[Tx], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._readers, self.read_now, fn)

    def read_now(self, fn: Callable[[Tx], T]) -> T:
        """The same, on the calling thread (migrations, command line tools)."""
        with self.engine.connect() as tx:
            return fn(tx)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._queue.put(None)
            self._writer.join(10)
            self._readers.shutdown()
            self.engine.dispose()

    # -- the writer thread ---------------------------------------------------------------------------------------

    def _write_loop(self) -> None:
        while True:
            batch = self._next_batch()
            if batch is None:
                break
            try:
                self._commit(batch)
            except BaseException as error:
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
        while not self._queue.empty():
            item = self._queue.get()
            if item:
                item[1].set_exception(Closed("the database is closed"))

    def _next_batch(self) -> list[tuple[Callable[[Tx], Any], Future[Any]]] | None:
        batch: list[tuple[Callable[[Tx], Any], Future[Any]]] = []
        item = self._queue.get()
        while True:
            if item is None:
                if not batch:
                    return None
                self._queue.put(None)
                return batch
            if item[1].set_running_or_notify_cancel():
                batch.append(item)
            if (len(batch) >= _MAX_BATCH or self._queue.empty()) and batch:
                return batch
            item = self._queue.get()

    def _commit(self, batch: list[tuple[Callable[[Tx], Any], Future[Any]]]) -> None:
        for attempt in range(_RETRIES + 1):
            outcomes: list[tuple[Future[Any], Any, BaseException | None]] = []
            try:
                with self.engine.connect().execution_options(steppe_write=True) as tx, tx.begin():
                    if self.fence:
                        self.fence(tx)
                    for fn, future in batch:
                        try:
                            with tx.begin_nested():
                                outcomes.append((future, fn(tx), None))
                        except DBAPIError as error:
                            if _retryable(error):
                                raise
                            outcomes.append((future, None, error))
                        except Exception as error:
                            outcomes.append((future, None, error))
            except DBAPIError as error:
                if not _retryable(error) or attempt == _RETRIES:
                    raise
                time.sleep(min(1.0, 0.02 * 2**attempt) * random.uniform(0.5, 1.0))  # noqa: S311
                continue
            for future, value, failure in outcomes:
                if failure is None:
                    future.set_result(value)
                else:
                    future.set_exception(failure)
            return


def _retryable(error: DBAPIError) -> bool:
    """A lost connection, or a conflict that the same work may win next time (PostgreSQL 40001, 40P01, 55P03)."""
    state = getattr(error.orig, "sqlstate", None)
    return (
        bool(error.connection_invalidated)
        or state in {"40001", "40P01", "55P03", "57P01", "25P03"}
        or ("database is locked" in str(error.orig))
    )


__all__ = ["Closed", "Database", "Tx", "engine_for"]
