"""Moving volumes from one host's local storage to another's.

The destination's room is reserved and the volumes are Migrating; then their files are copied and verified; one transaction
makes the destination their place, and only then are the source's files garbage. Before that transaction nothing of the
source was touched, after it nothing of it is needed: at any instant there is exactly one good copy on record.
"""

import asyncio
from typing import Any

from controlplane.contract.error import refused
from controlplane.contract.migration import (
    LocalStorageMigrateVm,
    LocalStorageMigrateVolume,
    MigratedRefInventory,
    MigrationPlan,
    MovedFile,
)
from controlplane.operations.interface import Operation
from controlplane.store import rows
from controlplane.store.database import Tx
from controlplane.workflows import inventories
from controlplane.workflows.migration_copy import Copy, bring_images
from controlplane.workflows.migration_rows import abandon, begin, flip, leave_behind
from controlplane.workflows.migration_rules import Move, move_vm, move_volume
from controlplane.workflows.vm import failing, on_host
from controlplane.workflows.vm_end import collect
from controlplane.workflows.world import World, workflow

_IMAGE, _COPY, _CALL = 4 * 3600.0, 7 * 86_400.0, 120.0  # seconds
Json = dict[str, Any]


def volume_queue(tx: Tx, message: LocalStorageMigrateVolume) -> str:
    """What is done to an attached volume is done to its VM, one after the other: a start waits."""
    volume = rows.get(tx, "VolumeVO", message.volume_uuid)
    vm = volume and volume["vm_instance_uuid"]
    return f"vm:{vm}" if vm else f"volume:{message.volume_uuid}"


@workflow(LocalStorageMigrateVolume, queue_in=volume_queue)
async def migrate_volume(op: Operation[World], message: LocalStorageMigrateVolume) -> Json:
    uuid = message.volume_uuid

    def check(tx: Tx) -> Move:
        return move_volume(tx, uuid, message.dest_host_uuid, may_run=message.dry_run)

    def show(tx: Tx) -> Json:
        ref = rows.get(tx, "LocalStorageResourceRefVO", uuid)
        assert ref
        return {"inventory": MigratedRefInventory.model_validate(ref).wire()}

    with failing("SYS.1006", f"cannot migrate volume {uuid}"):
        if message.dry_run:
            return with_plan(await op.world.db.read(show), await plan(op, check))
        return await _migrate(op, check, show, message.bandwidth)


@workflow(LocalStorageMigrateVm, queue=lambda message: f"vm:{message.vm_instance_uuid}")
async def migrate_vm(op: Operation[World], message: LocalStorageMigrateVm) -> Json:
    uuid = message.vm_instance_uuid

    def check(tx: Tx) -> Move:
        return move_vm(tx, uuid, message.dest_host_uuid, may_run=message.dry_run or message.prepare)

    def show(tx: Tx) -> Json:
        return inventories.vm(tx, uuid)

    with failing("SYS.1006", f"cannot migrate VM {uuid}"):
        if message.dry_run:
            return with_plan(await op.world.db.read(show), await plan(op, check))
        if message.prepare:
            move = await op.world.db.read(check)

            async def bring() -> None:
                await bring_images(op.world, move, uuid)

            await op.step("images", on_host(op, message.dest_host_uuid, bring), timeout=_IMAGE)
            return await op.world.db.read(show)
        return await _migrate(op, check, show, message.bandwidth)


def with_plan(shown: Json, plan: MigrationPlan) -> Json:
    return {"inventory": shown["inventory"] | {"plan": plan.wire()}}


async def plan(op: Operation[World], check: Any) -> MigrationPlan:
    move: Move = await op.world.db.read(check)
    host = op.world.hosts.get(move.source["uuid"])
    files = []
    for file in move.files:
        status = await host.get_volume(file.uuid, move.storage_uuid, file.path)
        files.append(MovedFile(path=file.path, bytes=status.actual_size))
    return MigrationPlan(
        source_host_uuid=move.source["uuid"],
        source_host_name=move.source["name"],
        dest_host_uuid=move.dest["uuid"],
        dest_host_name=move.dest["name"],
        bytes=sum(file.bytes for file in files),
        files=files,
        needs_stop=move.needs_stop,
    )


async def clear(world: World, begun: Json) -> None:
    """Nothing of earlier tries is in the way on the destination."""
    await collect(world, begun["leftovers"])
    if await world.db.read(lambda tx: rows.exists(tx, "VolumeGarbageVO", uuid=begun["leftovers"])):
        raise refused(f"host {begun['dest_name']} still has files of this volume that it could not delete")


async def _migrate(op: Operation[World], check: Any, show: Any, bandwidth: int | None) -> Json:
    begun = await op.tx_step("begin", lambda tx: begin(op, tx, check(tx)), lambda tx, begun: abandon(op, tx, begun))
    copy = Copy(op, begun, bandwidth)
    name = f"{begun['name']} to {begun['dest_name']}"

    async def close() -> None:
        await copy.if_up(begun["source"], copy.close)  # it expires by itself

    async def take_back() -> None:
        if not await copy.if_up(begun["dest"], copy.take_back):
            await op.world.db.write(lambda tx: leave_behind(op, tx, begun))

    if begun["leftovers"]:
        await op.step("clear", copy.while_up(lambda: clear(op.world, begun)), timeout=_CALL)
    files = await op.step("export", copy.while_up(copy.look), close, timeout=_CALL)
    await op.step("base images", copy.while_up(lambda: copy.fetch_bases(files)), timeout=_IMAGE)
    await op.step("copy", copy.while_up(lambda: copy.bring(files, name)), take_back, timeout=_COPY)

    def finish(tx: Tx) -> Json:
        garbage = flip(op, tx, begun)
        return {"garbage": garbage, "result": show(tx)}

    done = await op.commit("flip", finish)
    await asyncio.gather(
        op.afterwards("keep", copy.keep),
        op.afterwards("close", copy.close),
        op.afterwards("delete", lambda: collect(op.world, done["garbage"])),
    )
    result: Json = done["result"]
    return result
