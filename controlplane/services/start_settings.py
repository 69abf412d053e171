"""What a VM takes at its start, read."""

from typing import Any

from controlplane.contract.parse import wire_name
from controlplane.contract.start_settings import GetVmStartSettings, StartSettingsReply
from controlplane.services.registry import Caller, answers
from controlplane.store.database import Tx
from controlplane.workflows import boot_order, inventories, start_settings
from controlplane.workflows.world import World


@answers(GetVmStartSettings)
async def get(world: World, _caller: Caller, message: GetVmStartSettings) -> dict[str, Any]:
    def read(tx: Tx) -> dict[str, Any]:
        vm = inventories.must_get(tx, "VmInstanceVO", message.uuid)
        now, then = start_settings.running(vm), start_settings.following(tx, vm)
        once = vm["boot_order_once"]
        return StartSettingsReply.model_validate(
            {
                "running": now,
                "next": then,
                "boot_order": vm["boot_order"].split(",") if vm["boot_order"] else None,
                "boot_order_once": once.split(",") if once else None,
                "next_boot_order": once.split(",") if once else boot_order.shown(tx, vm),
                "restart_required": [wire_name(name) for name in start_settings.waiting(now, then)],
            }
        ).wire()

    return await world.db.read(read)
