"""The one connection to libvirtd: blocking calls in threads with deadlines, events on the asyncio loop, reconnection.

libvirt's event loop runs in a thread of its own for the life of the process. When the daemon goes away calls fail at
once as temporary, and a task reconnects: register for events first, then report every domain.
"""

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import libvirt
import structlog

from hostagent.contract.error import HostError, broken, rejected, temporary

T = TypeVar("T")
THREADS = 16  # a hung QEMU blocks one for as long as its deadline
RETRY = 0.5  # seconds between attempts to reconnect
log = structlog.get_logger("hostagent.libvirt")
_starting = threading.Lock()
_loop_running = False
REBOOTED = -1  # the guest reset itself: libvirt tells of it by another way than of lifecycle events
# (uuid, event, detail)
LifecycleCallback = Callable[[str, int, int], None]


class LibvirtConnection:
    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="libvirt")
        self._connection: Any = None
        self._lost = asyncio.Event()
        self._registrations: list[int] = []
        self._task: asyncio.Task[None] | None = None
        self._connected = asyncio.Event()
        self.problem = "not connected yet"

    async def open(self, on_event: LifecycleCallback, on_connect: Callable[[], Awaitable[None]]) -> None:
        """Connect now if the daemon is there, and keep connected until `close`."""
        _start_event_loop()
        self._task = asyncio.create_task(self._keep(on_event, on_connect))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(10):
                await self._connected.wait()

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
        await self._drop()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def call(self, fn: Callable[[Any], T], deadline: float = 20.0) -> T:
        """`fn(connection)` in a thread. Raises `HostError`: temporary when the daemon is away or too slow."""
        connection = self._connection
        if connection is None:
            raise temporary("libvirt", f"libvirtd is not available: {self.problem}")
        return await self._in_thread(lambda: fn(connection), deadline)

    async def _in_thread(self, fn: Callable[[], T], deadline: float) -> T:
        future = asyncio.get_running_loop().run_in_executor(self._threads, fn)
        try:
            async with asyncio.timeout(deadline):
                return await asyncio.shield(future)
        except TimeoutError:
            future.add_done_callback(lambda done: done.cancelled() or done.exception())
            raise temporary("libvirt", f"libvirt did not answer within {deadline:g} s") from None
        except libvirt.libvirtError as error:
            raise translate(error) from error

    async def _keep(self, on_event: LifecycleCallback, on_connect: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await self._connect(on_event)
                await on_connect()
                self._connected.set()
                log.info("connected to libvirtd", uri=self._uri)
                await self._lost.wait()
                self.problem = "the connection was lost"
                log.warning("libvirtd went away", uri=self._uri)
            except HostError as error:
                if self.problem != error.problem.message:
                    log.warning("libvirtd is not available", uri=self._uri, reason=error.problem.message)
                self.problem = error.problem.message
            except Exception as error:  # whatever it is, the next connection may work
                log.exception("connecting to libvirtd failed", uri=self._uri)
                self.problem = type(error).__name__
            await self._drop()
            await asyncio.sleep(RETRY)

    async def _connect(self, on_event: LifecycleCallback) -> None:
        loop = asyncio.get_running_loop()
        lost = self._lost = asyncio.Event()

        def lifecycle(_connection: Any, domain: Any, event: int, detail: int, _opaque: Any) -> None:
            loop.call_soon_threadsafe(on_event, domain.UUIDString().replace("-", ""), event, detail)

        def rebooted(_connection: Any, domain: Any, _opaque: Any) -> None:
            loop.call_soon_threadsafe(on_event, domain.UUIDString().replace("-", ""), REBOOTED, 0)

        def closed(_connection: Any, _reason: int, _opaque: Any) -> None:
            loop.call_soon_threadsafe(lost.set)

        def connect() -> Any:
            connection = libvirt.open(self._uri)
            connection.registerCloseCallback(closed, None)
            connection.setKeepAlive(5, 3)
            self._registrations = [
                connection.domainEventRegisterAny(None, kind, callback, None)
                for kind, callback in (
                    (libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, lifecycle),
                    (libvirt.VIR_DOMAIN_EVENT_ID_REBOOT, rebooted),
                )
            ]
            return connection

        self._connection = await self._in_thread(connect, 30)
        self.problem = ""

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(HostError):
                await self._in_thread(lambda: _close(connection, self._registrations), 5)


def _close(connection: Any, registrations: list[int]) -> None:
    """A callback left registered would keep the connection open, and go on being called."""
    for registration in registrations:
        with contextlib.suppress(libvirt.libvirtError):
            connection.domainEventDeregisterAny(registration)
    with contextlib.suppress(libvirt.libvirtError):
        connection.unregisterCloseCallback()
    connection.close()


def translate(error: libvirt.libvirtError) -> HostError:
    """libvirt's error as ours, by its code; the text is for people."""
    code, text = error.get_error_code(), error.get_error_message() or str(error)
    if code in _AWAY or error.get_error_domain() == libvirt.VIR_FROM_RPC:
        return temporary("libvirt", f"libvirtd is not available: {text}")
    if code in _BAD_SPEC:
        return rejected("invalid_spec", f"libvirt refuses this VM: {text}")
    return broken("libvirt", text, f"libvirt error {code} of domain {error.get_error_domain()}")


_AWAY = (
    libvirt.VIR_ERR_RPC,
    libvirt.VIR_ERR_NO_CONNECT,
    libvirt.VIR_ERR_INVALID_CONN,
    libvirt.VIR_ERR_OPERATION_TIMEOUT,
)
_BAD_SPEC = (libvirt.VIR_ERR_XML_ERROR, libvirt.VIR_ERR_XML_DETAIL, libvirt.VIR_ERR_CONFIG_UNSUPPORTED)


def _start_event_loop() -> None:
    """Once per process, before the first connection; libvirt has one default loop."""
    global _loop_running
    with _starting:
        if _loop_running:
            return
        libvirt.virEventRegisterDefaultImpl()
        libvirt.registerErrorHandler(lambda _context, _error: None, None)  # errors are raised, not printed
        threading.Thread(target=_run_event_loop, name="libvirt-events", daemon=True).start()
        _loop_running = True


def _run_event_loop() -> None:
    while True:
        libvirt.virEventRunDefaultImpl()
