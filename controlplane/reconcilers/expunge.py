"""Expunges destroyed VMs when their time has come, and deletes the files of expunged volumes that a host still has.

Policy `Never` keeps destroyed VMs. Times are those of the global configuration, in seconds, read anew each round.
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
from controlplane.workflows.vm_end import collect, remove_vm
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
        due, interval = await self._world.db.read(_due)
        for uuid in due:
            await self._world.db.write(partial(_expunge, uuid=uuid))
        garbage = await self._world.db.read(lambda tx: [row["uuid"] for row in rows.find(tx, "VolumeGarbageVO")])
        with suppress(Temporary):
            await collect(self._world, garbage)
        return interval


def _due(tx: Tx) -> tuple[list[str], int]:
    config = {row["name"]: row["value"] for row in rows.find(tx, "GlobalConfigVO", category="vm")}
    interval = int(config.get("expungeInterval") or _INTERVAL)
    if config.get("deletionPolicy") == "Never":
        return [], interval
    latest = now() - timedelta(seconds=int(config.get("expungePeriod") or _PERIOD))
    destroyed = rows.find(tx, "VmInstanceVO", state=DESTROYED)
    return [vm["uuid"] for vm in destroyed if vm["destroyed_at"] and vm["destroyed_at"] <= latest], interval


def _expunge(tx: Tx, uuid: str) -> None:
    vm = rows.get(tx, "VmInstanceVO", uuid)
    if vm and vm["state"] == DESTROYED:  # it may have been recovered meanwhile
        remove_vm(tx, uuid)
