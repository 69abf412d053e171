"""The boot order of a VM, checked and read."""

from typing import Any

from controlplane.contract.boot_order import BootOrderReply, GetVmBootOrder, SetVmBootOrder
from controlplane.services.registry import Caller, answers, checks
from controlplane.store import rows
from controlplane.store.database import Tx
from controlplane.workflows import boot_order, inventories
from controlplane.workflows.world import World


@checks(SetVmBootOrder)
def each_device_once(_tx: Tx, message: SetVmBootOrder) -> None:
    boot_order.columns(message)


@answers(GetVmBootOrder)
async def get(world: World, _caller: Caller, message: GetVmBootOrder) -> dict[str, Any]:
    def read(tx: Tx) -> dict[str, Any]:
        vm = inventories.must_get(tx, "VmInstanceVO", message.uuid)
        tags = rows.find(tx, "SystemTagVO", resource_uuid=message.uuid)
        order, once = boot_order.shown(vm, tags), vm["boot_order_once"]
        return BootOrderReply(order=order, orders=order, boot_order_once=once.split(",") if once else None).wire()

    return await world.db.read(read)
