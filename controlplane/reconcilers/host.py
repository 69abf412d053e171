"""Keeps what the database says about hosts true: who is connected, which VMs run. Takes no input; a timer wakes it.

Each host is watched by one long poll of its events (`host/ping.interval`), which is the heart-beat too. A host that is
silent for `host/ping.grace` seconds is Disconnected and its VMs are Unknown; when it answers again it is brought to what it should be (`connect`) and
its whole inventory is compared. An event only says where to look: the host is asked for the VM's state of now.
"""

import asyncio
import logging
import time

from controlplane.contract.error import ApiError, Temporary
from controlplane.store import rows
from controlplane.store.database import Closed, Tx
from controlplane.workflows import global_config
from controlplane.workflows.host_connection import connect, set_status
from controlplane.workflows.power_state import inventory, lose_contact, observe
from controlplane.workflows.volume_usage import measure
from controlplane.workflows.world import World

_LOOK = 1.0  # seconds between two looks at the list of hosts
_GATHER = 0.5  # seconds after events, so that a burst of them comes at once
_POLL_BUSY = 1  # the same while an operation works on a VM of which the host has told something
log = logging.getLogger("steppe.hosts")


class HostReconciler:
    def __init__(self, world: World, look: float = _LOOK, grace: float | None = None) -> None:
        self._world = world
        self._look = look
        self._grace = grace  # None: the global configuration's
        self._watches: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                try:
                    await self._follow_the_list()
                except Closed:
                    raise
                except Exception:
                    log.exception("cannot look at the list of hosts")
                await asyncio.sleep(self._look)
        finally:
            for watch in self._watches.values():
                watch.cancel()
            await asyncio.gather(*self._watches.values(), return_exceptions=True)

    async def _follow_the_list(self) -> None:
        """Hosts that are just being added are left to the job that adds them."""
        hosts = await self._world.db.read(lambda tx: rows.find(tx, "HostVO"))
        present = {host["uuid"] for host in hosts if host["agent_boot_id"]}
        for gone in set(self._watches) - present:
            self._watches.pop(gone).cancel()
            self._world.hosts.forget(gone)
            self._world.network.forget(gone)
        for uuid in present:
            if uuid not in self._watches or self._watches[uuid].done():
                self._watches[uuid] = asyncio.create_task(self._watch(uuid), name=f"watch host {uuid}")

    async def _watch(self, uuid: str) -> None:
        heard = time.monotonic()
        pause = 0.2
        while True:
            try:
                await self._listen(uuid)
            except (Temporary, ApiError) as error:
                refused = isinstance(error, ApiError)
                if refused or time.monotonic() - heard > (self._grace or await self._config("ping.grace")):
                    await self._world.db.write(lambda tx, why=str(error): lose(tx, uuid, why))  # type: ignore[misc]
            except Again:
                heard, pause = time.monotonic(), 0.0
            except Closed:
                return
            except Exception:
                log.exception("watching host %s failed and goes on", uuid)
            await asyncio.sleep(pause)
            pause = min(max(pause, 0.1) * 2, 5.0)

    async def _listen(self, uuid: str) -> None:
        """Connect, compare, then follow the events. Ends with an exception only."""
        client = self._world.hosts.get(uuid)
        page = await client.events(after=0, wait=0)  # before the inventory: what happens from now on is seen
        boot, last = page.agent_boot_id, page.last_sequence
        await connect(self._world, uuid)
        busy = await inventory(self._world, uuid)
        await measure(self._world, uuid)
        compared = time.monotonic()
        while wait := await self._world.db.read(lambda tx: _wait(tx, uuid, time.monotonic() - compared)):
            page = await client.events(last, _POLL_BUSY if busy else wait)
            if page.agent_boot_id != boot:
                break
            last = page.last_sequence
            busy = await observe(self._world, uuid, page.events, busy)
            if page.events:
                await asyncio.sleep(_GATHER)
        raise Again

    async def _config(self, name: str) -> int:
        return await self._world.db.read(lambda tx: global_config.whole(tx, "host", name))


class Again(Exception):
    """The agent is another process than before, or it is time: connect and compare anew."""


def _wait(tx: Tx, uuid: str, since: float) -> int:
    """Seconds for the next poll; 0 when it is time to compare, or when somebody else says that the host is not connected,
    for example a reconnect that failed."""
    connected = rows.exists(tx, "HostVO", uuid=uuid, status="Connected")
    if not connected or since >= global_config.whole(tx, "host", "inventory.interval"):
        return 0
    return global_config.whole(tx, "host", "ping.interval")


def lose(tx: Tx, uuid: str, reason: str) -> None:
    if set_status(tx, uuid, "Disconnected", reason):
        log.warning("host %s is lost: %s", uuid, reason)
        lose_contact(tx, uuid)
