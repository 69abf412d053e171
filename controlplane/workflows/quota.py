"""Quotas: what each API asks for, and that no account gets more than its limit.

Decided twice: when the call is taken, so that it is refused at once, and again in each transaction of its workflow, so that
calls side by side cannot exceed together what each alone would not. Administrators have no quota.
"""

from collections.abc import Callable
from typing import Any

from controlplane.contract.error import invalid
from controlplane.contract.quota import QuotaInventory, UpdateQuota
from controlplane.operations.interface import Operation
from controlplane.rules import quota
from controlplane.store import ownership, rows
from controlplane.store.database import Tx
from controlplane.store.usage import used
from controlplane.workflows import instance_offering
from controlplane.workflows.world import World, workflow

Ask = dict[str, int]  # quota → how much


def _size(tx: Tx, resource: str, uuid: str | None, column: str) -> int:
    row = rows.get(tx, resource, uuid) if uuid else None
    return int(row[column] or 0) if row else 0


def _create_vm(tx: Tx, message: Any) -> Ask:
    image = rows.get(tx, "ImageVO", message.image_uuid) or {}
    root = int(image.get("size") or 0)
    if image.get("media_type") == "ISO":
        root = _size(tx, "DiskOfferingVO", message.root_disk_offering_uuid, "disk_size")
    root = message.root_disk_size or root
    data = [_size(tx, "DiskOfferingVO", uuid, "disk_size") for uuid in message.data_disk_offering_uuids or ()]
    data += message.data_disk_sizes or []
    asked = {"vm.totalNum": 1, "volume.data.num": len(data), "volume.capacity": root + sum(data)}
    if message.strategy == "InstantStart":
        asked |= _running(rows.get(tx, "InstanceOfferingVO", message.instance_offering_uuid))
    return asked


def _start_vm(tx: Tx, message: Any) -> Ask:
    vm = rows.get(tx, "VmInstanceVO", message.uuid)
    return _running(vm) if vm and vm["state"] == "Stopped" else {}


def _reboot_vm(tx: Tx, message: Any) -> Ask:
    """What a larger offering that waits for the reboot takes more."""
    vm = rows.get(tx, "VmInstanceVO", message.uuid)
    if not vm or not vm["next_offering"]:
        return {}
    then = instance_offering.following(tx, vm)
    more = {"vm.cpuNum": then["cpu_num"] - vm["cpu_num"], "vm.memorySize": then["memory_size"] - vm["memory_size"]}
    return {name: max(0, amount) for name, amount in more.items()}


def _running(row: rows.Row | None) -> Ask:
    """Of a VM, or of the offering it is to have."""
    return {"vm.num": 1, "vm.cpuNum": row["cpu_num"], "vm.memorySize": row["memory_size"]} if row else {}


def _recover_vm(tx: Tx, message: Any) -> Ask:
    vm = rows.get(tx, "VmInstanceVO", message.uuid)
    return {"vm.totalNum": 1, "volume.capacity": _size(tx, "VolumeVO", vm["root_volume_uuid"], "size")} if vm else {}


def _create_volume(tx: Tx, message: Any) -> Ask:
    size = message.disk_size or _size(tx, "DiskOfferingVO", message.disk_offering_uuid, "disk_size")
    return {"volume.data.num": 1, "volume.capacity": size}


def _resize(tx: Tx, message: Any) -> Ask:
    return {"volume.capacity": max(0, message.size - _size(tx, "VolumeVO", message.uuid, "size"))}


def _recover_volume(tx: Tx, message: Any) -> Ask:
    return {"volume.data.num": 1, "volume.capacity": _size(tx, "VolumeVO", message.uuid, "size")}


# What an API asks for. An API that makes more of anything limited gets its line here, and needs nothing else.
ASKS: dict[str, Callable[[Tx, Any], Ask]] = {
    "CreateVmInstance": _create_vm,
    "StartVmInstance": _start_vm,
    "RebootVmInstance": _reboot_vm,
    "RecoverVmInstance": _recover_vm,
    "CreateDataVolume": _create_volume,
    "RecoverDataVolume": _recover_volume,
    "ResizeRootVolume": _resize,
    "ResizeDataVolume": _resize,
    "CreateVolumeSnapshot": lambda _tx, _message: {"snapshot.volume.num": 1},
    "AddImage": lambda _tx, _message: {"image.num": 1, "image.size": 0},  # its size is known once it is there
    "RecoverImage": lambda tx, m: {"image.num": 1, "image.size": _size(tx, "ImageVO", m.image_uuid, "size")},
}


def limits(tx: Tx, account: str) -> dict[str, int]:
    own = {row["name"]: int(row["value"]) for row in rows.find(tx, "QuotaVO", identity_uuid=account)}
    return quota.DEFAULTS | own


def must_fit(tx: Tx, account: str, asked: Ask) -> None:
    """Raises ID.1003. With nothing but zeros: what there is already must fit."""
    if asked:
        limit = limits(tx, account)
        for name, amount in asked.items():
            quota.must_fit(name, limit[name], used(tx, account, name), amount)


def asked_by(tx: Tx, api: str, message: Any) -> Ask:
    return ASKS[api](tx, message) if api in ASKS else {}


def store(tx: Tx, account: str, derive: Callable[[str], str]) -> None:
    """The quotas of a new account."""
    for name, value in quota.DEFAULTS.items():
        identity = {"identity_uuid": account, "identity_type": "AccountVO"}
        rows.insert(tx, "QuotaVO", uuid=derive(f"quota {name}"), name=name, value=value, **identity)


@workflow(UpdateQuota, queue=lambda message: f"quota:{message.identity_uuid}")
async def update(op: Operation[World], message: UpdateQuota) -> dict[str, Any]:
    def change(tx: Tx) -> dict[str, Any]:
        row = row_of(tx, message)
        value = quota.DEFAULTS[message.name] if message.value is None else message.value
        changed = rows.update(tx, "QuotaVO", row["uuid"], value=value)
        return {"inventory": QuotaInventory.model_validate(changed).wire()}

    return await op.commit("update", change)


def row_of(tx: Tx, message: UpdateQuota) -> rows.Row:
    """Raises SYS.1007 when the account has no such quota."""
    if message.name not in quota.DEFAULTS:
        raise invalid(f"there is no quota {message.name!r}; there are {', '.join(quota.DEFAULTS)}", "name")
    row = rows.find_one(tx, "QuotaVO", identity_uuid=message.identity_uuid, name=message.name)
    if row is None or ownership.viewer(tx, message.identity_uuid) is None:
        raise invalid(f"account {message.identity_uuid} is an administrator and has no quota", "identityUuid")
    return row
