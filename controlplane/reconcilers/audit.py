"""Keeps the audit record within its bounds, which the global configuration has (category `audit`)."""

import asyncio
import logging

from controlplane.store import audit
from controlplane.store.database import Tx
from controlplane.workflows import global_config
from controlplane.workflows.world import World

log = logging.getLogger("steppe.audit")


class AuditPruner:
    def __init__(self, world: World) -> None:
        self._world = world

    async def run(self) -> None:
        while True:
            forgotten = 0
            try:
                forgotten = await self.once()
            except Exception:
                log.exception("pruning the audit record failed; the next round tries again")
            await asyncio.sleep(0.1 if forgotten else 600)

    async def once(self) -> int:
        """Returns how many records were forgotten."""
        return await self._world.db.write(_prune)


def _prune(tx: Tx) -> int:
    days = global_config.whole(tx, "audit", "retention.days")
    records = global_config.whole(tx, "audit", "retention.records")
    return audit.prune(tx, days, records)
