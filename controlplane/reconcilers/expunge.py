"""Expunges destroyed VMs and deleted data volumes when their time has come, and deletes files that a host still has.

Policy `Never` keeps what was deleted. Times are those of the global configuration, in seconds, read anew each round.
"""

import asyncio
import logging
from contextlib import suppress
from datetime import timedelta
from functools import partial

from controlplane.contract.error import Temporary
from controlplane.rules.vm_state import DESTROYED
from controlplane.store import rows
from controlplane.store.database import Tx
from controlplane.store.tables import now
from controlplane.workflows.vm_end import collect, policy, remove_vm
from controlplane.workflows.volume_rows import DELETED, discard
from controlplane.workflows.world import World

log = logging.getLogger("steppe.expunge")
_PERIOD, _INTERVAL = 86_400, 3_600  # seconds


class Expunger:
    def __init__(self, world: World) -> None:
        self._world = world

    async def run(self) -> None:
        while True:
            try:
                interval = await self.once()
            except Exception:
                log.exception("expunging failed; the next round tries again")
                interval = 60
            await asyncio.sleep(interval)

    async def once(self) -> int:
        """One round; returns the seconds until the next."""
        vms, volumes, interval = await self._world.db.read(_due)
        for uuid in vms:
            await self._world.db.write(partial(_expunge, uuid=uuid))
        for uuid in volumes:
            await self._world.db.write(partial(_expunge_volume, uuid=uuid))
        garbage = await self._world.db.read(lambda tx: [row["uuid"] for row in rows.find(tx, "VolumeGarbageVO")])
        with suppress(Temporary):
            await collect(self._world, garbage)
        return interval


def _due(tx: Tx) -> tuple[list[str], list[str], int]:
    destroyed = rows.find(tx, "VmInstanceVO", state=DESTROYED)
    deleted = rows.find(tx, "VolumeVO", status=DELETED, type="Data")
    vms, interval = _old(tx, "vm", destroyed)
    volumes, other = _old(tx, "volume", deleted)
    return vms, volumes, min(interval, other)


def _old(tx: Tx, category: str, found: list[rows.Row]) -> tuple[list[str], int]:
    config = {row["name"]: row["value"] for row in rows.find(tx, "GlobalConfigVO", category=category)}
    interval = int(config.get("expungeInterval") or _INTERVAL)
    if policy(tx, category) == "Never":
        return [], interval
    latest = now() - timedelta(seconds=int(config.get("expungePeriod") or _PERIOD))
    return [row["uuid"] for row in found if row["destroyed_at"] and row["destroyed_at"] <= latest], interval


def _expunge(tx: Tx, uuid: str) -> None:
    vm = rows.get(tx, "VmInstanceVO", uuid)
    if vm and vm["state"] == DESTROYED:  # it may have been recovered meanwhile
        remove_vm(tx, uuid)


def _expunge_volume(tx: Tx, uuid: str) -> None:
    volume = rows.get(tx, "VolumeVO", uuid)
    if volume and volume["status"] == DELETED and volume["type"] == "Data":
        discard(tx, uuid)
