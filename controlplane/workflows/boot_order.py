"""A VM's boot order in the database, and how it changes: by its API, and by the reboots that end an installation."""

from collections.abc import Iterable
from typing import Any

from controlplane.contract.boot_order import SetVmBootOrder
from controlplane.operations.interface import Operation
from controlplane.rules import boot_order as rules
from controlplane.store import rows
from controlplane.store.database import Tx
from controlplane.workflows import cd_drive, inventories
from controlplane.workflows.world import World, workflow


def installs(vm: rows.Row, isos: Iterable[str]) -> bool:
    """Made from an ISO that is still in a drive (of `isos`), and neither rebooted nor started a second time."""
    return not vm["boot_token"] and not vm["has_rebooted"] and vm["image_uuid"] in isos


def lasting(vm: rows.Row) -> list[str]:
    return rules.lasting(vm["boot_order"])


def once(vm: rows.Row, isos: Iterable[str]) -> list[str]:
    return rules.once(vm["boot_order"], vm["boot_order_once"], installs(vm, isos))


def shown(vm: rows.Row, tags: list[rows.Row]) -> list[str]:
    """What GetVmBootOrder tells, from all system tags of the VM. A stopped VM that ran before has had its first boot."""
    has_run = vm["last_host_uuid"] and vm["host_uuid"] is None
    isos = cd_drive.attached_by(tags).values()
    return rules.once(vm["boot_order"], None, installs(vm, isos) and not has_run) or lasting(vm)


@workflow(SetVmBootOrder, queue=lambda message: f"vm:{message.uuid}")
async def set_order(op: Operation[World], message: SetVmBootOrder) -> dict[str, Any]:
    def change(tx: Tx) -> dict[str, Any]:
        inventories.must_get(tx, "VmInstanceVO", message.uuid)
        rows.update(tx, "VmInstanceVO", message.uuid, **columns(message))
        return inventories.vm(tx, message.uuid)

    return await op.commit("set", change)


def columns(message: SetVmBootOrder) -> dict[str, str | None]:
    order = rules.check(message.boot_order, "bootOrder")
    order_once = rules.check(message.boot_order_once, "bootOrderOnce")
    if "bootOrderOnce::true" in (message.system_tags or ()):
        return {"boot_order_once": order_once or order}
    if order_once and not order:
        return {"boot_order_once": order_once}
    return {"boot_order": order, "boot_order_once": order_once}
