"""What VMs take at their start, read."""

from collections import defaultdict
from typing import Any

from controlplane.contract.base import Condition
from controlplane.contract.parse import wire_name
from controlplane.contract.start_settings import (
    GetVmStartSettings,
    ListVmStartSettings,
    StartSettingsReply,
    VmStartSettings,
)
from controlplane.contract.vm import QueryVmInstance
from controlplane.services.registry import Caller, answers
from controlplane.store import query, rows
from controlplane.store.database import Tx
from controlplane.store.ownership import Viewer
from controlplane.workflows import boot_order, inventories, start_settings
from controlplane.workflows.world import World


@answers(GetVmStartSettings)
async def get(world: World, _caller: Caller, message: GetVmStartSettings) -> dict[str, Any]:
    def read(tx: Tx) -> dict[str, Any]:
        vm = inventories.must_get(tx, "VmInstanceVO", message.uuid)
        tags = rows.find(tx, "SystemTagVO", resource_uuid=message.uuid)
        return StartSettingsReply.model_validate(_settings(tx, vm, tags, start_settings.defaults(tx))).wire()

    return await world.db.read(read)


@answers(ListVmStartSettings)
async def of_many(world: World, caller: Caller, message: ListVmStartSettings) -> dict[str, Any]:
    return await world.db.read(lambda tx: _of_many(tx, caller.viewer, message))


def _of_many(tx: Tx, viewer: Viewer, message: ListVmStartSettings) -> dict[str, Any]:
    named = message.vm_instance_uuids
    wanted = [] if named is None else [Condition(name="uuid", op="in", value=",".join(named))]
    page = {"limit": message.limit, "start": message.start, "reply_with_count": message.reply_with_count}
    found = query.run(tx, QueryVmInstance(conditions=wanted, fields=["uuid"], **page), viewer)
    uuids = [one["uuid"] for one in found.pop("inventories")]
    vms = {vm["uuid"]: vm for vm in rows.find(tx, "VmInstanceVO", uuid=uuids)}
    tags = defaultdict(list)
    for tag in rows.find(tx, "SystemTagVO", resource_uuid=uuids):
        tags[tag["resource_uuid"]].append(tag)
    defaults = start_settings.defaults(tx)
    shown = [{"vm_instance_uuid": one, **_settings(tx, vms[one], tags[one], defaults)} for one in uuids]
    return {"inventories": [VmStartSettings.model_validate(one).wire() for one in shown], **found}


def _settings(tx: Tx, vm: rows.Row, tags: list[rows.Row], defaults: dict[str, str]) -> dict[str, Any]:
    """`tags`: all system tags of the VM."""
    now, then = start_settings.running(vm), start_settings.following(tx, vm, tags, defaults)
    once = vm["boot_order_once"]
    return {
        "running": now,
        "next": then,
        "boot_order": vm["boot_order"].split(",") if vm["boot_order"] else None,
        "boot_order_once": once.split(",") if once else None,
        "next_boot_order": once.split(",") if once else boot_order.shown(vm, tags),
        "restart_required": [wire_name(name) for name in start_settings.waiting(now, then)],
    }
