"""Makes each host's network what the database says: one snapshot for all who wait (see docs/architecture.md).

A snapshot's generation is counted up in the database before its rows are read. So whoever committed rows before asking
finds them in the answered snapshot and in every later one, whichever node sends it; a host refuses an older generation.
"""

import asyncio
import logging

from controlplane.agents.client import HostClients
from controlplane.contract.error import ApiError, Temporary, not_found
from controlplane.store import allocation
from controlplane.store.database import Database, Tx
from controlplane.workflows.network_snapshot import Parts, snapshot

log = logging.getLogger("steppe.network")
_GATHER = 0.002  # seconds, for each VM that waits anywhere: under load fewer, larger snapshots
_GATHER_MOST = 0.5
_SETTLE = 10.0


class NetworkSync:
    """`ensure` raises what the host answered; `settle` is for what must not fail any more."""

    def __init__(self, db: Database, hosts: HostClients) -> None:
        self._db = db
        self._hosts = hosts
        self._parts: dict[str, Parts] = {}
        self._waiting: dict[str, list[asyncio.Future[None]]] = {}
        self._workers: dict[str, asyncio.Task[None]] = {}

    async def ensure(self, host_uuid: str) -> None:
        """Returns when the host has applied a snapshot with all rows committed so far. Safe to repeat."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(host_uuid, []).append(waiter)
        if host_uuid not in self._workers:
            self._workers[host_uuid] = asyncio.create_task(self._work(host_uuid), name=f"network of {host_uuid}")
        await waiter

    async def settle(self, host_uuid: str) -> None:
        """As `ensure`, but a host that cannot now is left to its next connection, which sends the whole snapshot."""
        try:
            async with asyncio.timeout(_SETTLE):
                await self.ensure(host_uuid)
        except (ApiError, Temporary, TimeoutError) as error:
            log.warning("network of host %s is not up to date: %s", host_uuid, error)

    def forget(self, host_uuid: str) -> None:
        """The host is gone."""
        self._parts.pop(host_uuid, None)

    async def close(self) -> None:
        workers = list(self._workers.values())
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)

    async def _work(self, host_uuid: str) -> None:
        try:
            while self._waiting.get(host_uuid):
                waiting = sum(map(len, self._waiting.values()))
                await asyncio.sleep(min(_GATHER * (waiting - 1), _GATHER_MOST))
                batch = self._waiting.pop(host_uuid)
                try:
                    await self._apply(host_uuid)
                except BaseException as error:
                    _answer(batch, error)
                    if not isinstance(error, Exception):
                        raise
                else:
                    _answer(batch, None)
        finally:
            del self._workers[host_uuid]
            _answer(self._waiting.pop(host_uuid, []), Temporary("the network is being shut down"))

    async def _apply(self, host_uuid: str) -> None:
        generation = await self._db.write(lambda tx: _next_generation(tx, host_uuid))
        parts = self._parts.setdefault(host_uuid, Parts())
        spec = await self._db.read(lambda tx: snapshot(tx, host_uuid, generation, parts))
        await self._hosts.get(host_uuid).put_network(spec)


def _next_generation(tx: Tx, host_uuid: str) -> int:
    generation = allocation.next_network_generation(tx, host_uuid)
    if generation is None:
        raise not_found(f"there is no host {host_uuid}")
    return generation


def _answer(waiters: list[asyncio.Future[None]], error: BaseException | None) -> None:
    for waiter in waiters:
        if waiter.done():
            continue
        if error is None:
            waiter.set_result(None)
        elif isinstance(error, Exception):
            waiter.set_exception(error)
        else:
            waiter.cancel()
