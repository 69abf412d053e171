"""Keeps the audit record within its bounds: `audit/retention.days` (90) and `audit/retention.records` (1,000,000)."""

import asyncio
import logging

from controlplane.store import audit, rows
from controlplane.store.database import Tx
from controlplane.workflows.world import World

log = logging.getLogger("steppe.audit")
DAYS, RECORDS = 90, 1_000_000


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
    config = {row["name"]: row["value"] for row in rows.find(tx, "GlobalConfigVO", category="audit")}
    days, records = config.get("retention.days") or DAYS, config.get("retention.records") or RECORDS
    return audit.prune(tx, float(days), int(records))
