"""Expunges destroyed VMs, deleted data volumes and deleted images when their time has come, and deletes the files of expunged
volumes that a host still has.

Policy `Never` keeps them. Policies and times are those of the global configuration, read anew each round. An image is
expunged by the operation that its API runs too, so its files go even when this node ends meanwhile.
"""

import asyncio
import logging
from contextlib import suppress
from datetime import timedelta
from functools import partial
from uuid import NAMESPACE_OID, uuid5

from controlplane.contract.error import Temporary
from controlplane.operations.engine import Engine
from controlplane.rules.vm_state import DESTROYED
from controlplane.store import rows
from controlplane.store.database import Tx
from controlplane.store.tables import now
from controlplane.workflows import global_config
from controlplane.workflows.vm_end import collect, remove_vm
from controlplane.workflows.volume_rows import DELETED, discard
from controlplane.workflows.world import World

log = logging.getLogger("steppe.expunge")


class Expunger:
    def __init__(self, world: World, engine: Engine[World]) -> None:
        self._world = world
        self._engine = engine

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
        db = self._world.db
        for uuid in await db.read(lambda tx: _due(tx, "vm", "VmInstanceVO", {"state": DESTROYED}, "destroyed_at")):
            await db.write(partial(_expunge, uuid=uuid))
        volumes = {"status": DELETED, "type": "Data"}
        for uuid in await db.read(lambda tx: _due(tx, "volume", "VolumeVO", volumes, "destroyed_at")):
            await db.write(partial(_expunge_volume, uuid=uuid))
        for uuid in await db.read(lambda tx: _due(tx, "image", "ImageVO", {"status": "Deleted"}, "deleted_at")):
            operation = uuid5(NAMESPACE_OID, f"expunge {uuid}").hex  # one for all nodes
            await self._engine.submit("ExpungeImage", {"imageUuid": uuid}, uuid=operation, queue=f"image:{uuid}")
        garbage = await db.read(lambda tx: [row["uuid"] for row in rows.find(tx, "VolumeGarbageVO")])
        with suppress(Temporary):
            await collect(self._world, garbage)
        return await db.read(lambda tx: global_config.whole(tx, "vm", "expungeInterval"))


def _due(tx: Tx, category: str, table: str, gone: dict[str, str], since: str) -> list[str]:
    if global_config.value(tx, category, "deletionPolicy") == "Never":
        return []
    latest = now() - timedelta(seconds=global_config.whole(tx, category, "expungePeriod"))
    return [row["uuid"] for row in rows.find(tx, table, **gone) if row[since] and row[since] <= latest]


def _expunge(tx: Tx, uuid: str) -> None:
    vm = rows.get(tx, "VmInstanceVO", uuid)
    if vm and vm["state"] == DESTROYED:  # it may have been recovered meanwhile
        remove_vm(tx, uuid)


def _expunge_volume(tx: Tx, uuid: str) -> None:
    volume = rows.get(tx, "VolumeVO", uuid)
    if volume and volume["status"] == DELETED and volume["type"] == "Data":
        discard(tx, uuid)
