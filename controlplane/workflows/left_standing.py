"""Guests that a move left standing still, found when their host is compared: they go on where they belong, and end elsewhere.

A move ends with a pause in which the guest runs nowhere (`live_migration`). Its destination may be lost in it: after the
flip, then the guest has waited there since; before it, then it went on on the source and what waits is of no use. Nothing is
done to a VM that an operation works on, and a newer wish overtakes these.
"""

import logging
from typing import Any

from controlplane.contract.error import ApiError, Temporary
from controlplane.rules.vm_state import RUNNING, STOPPED
from controlplane.store import rows
from controlplane.store.database import Tx
from controlplane.workflows.vm_spec import power_off, power_on, vm_spec
from controlplane.workflows.world import World

log = logging.getLogger("steppe.migration")
Specs = dict[str, dict[str, Any]]  # by VM


def gone_on(tx: Tx, *uuids: str) -> None:
    rows.update_where(tx, "VmInstanceVO", {"uuid": uuids}, stands_still=False)


async def go_on(world: World, host_uuid: str, still: set[str]) -> None:
    """`still`: the VMs that this host has, standing still."""

    def find(tx: Tx) -> tuple[Specs, list[str]]:
        found = rows.find(tx, "VmInstanceVO", host_uuid=host_uuid, state=RUNNING, stands_still=True)
        moved = {vm["uuid"] for vm in found}
        return {uuid: vm_spec(tx, uuid) for uuid in moved & still}, sorted(moved - still)

    waiting, gone = await world.db.read(find)
    for uuid, spec in waiting.items():
        try:
            await power_on(world, host_uuid, uuid, spec)
        except (ApiError, Temporary) as error:  # the next comparison tries again
            log.warning("VM %s moved to host %s and cannot go on yet: %s", uuid, host_uuid, error)
        else:
            log.warning("VM %s moved to host %s and goes on", uuid, host_uuid)
            gone.append(uuid)
    if gone:
        await world.db.write(lambda tx: gone_on(tx, *gone))


async def end(world: World, host_uuid: str, still: set[str]) -> None:
    """Of a move that was taken back while this host was lost."""

    def find(tx: Tx) -> Specs:
        found = rows.find(tx, "VmInstanceVO", uuid=still, state=(RUNNING, STOPPED)) if still else []
        astray = [vm["uuid"] for vm in found if host_uuid not in (vm["host_uuid"], vm["last_host_uuid"])]
        return {uuid: vm_spec(tx, uuid, at=host_uuid) for uuid in astray}

    for uuid, spec in (await world.db.read(find)).items():
        log.warning("VM %s stands still on host %s and is not there any more: it ends", uuid, host_uuid)
        try:
            await power_off(world, host_uuid, uuid, spec, grace=0)
        except (ApiError, Temporary) as error:  # it comes anew, or the next comparison tries again
            log.warning("VM %s does not end on host %s: %s", uuid, host_uuid, error)
