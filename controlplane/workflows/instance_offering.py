"""Another instance offering for a VM: a stopped one has its CPUs and memory at once, a running one at its next stop or reboot.

Until then they wait in the row (`next_offering`): what runs keeps what its host was asked for.
"""

import json
from typing import Any

from controlplane.contract.error import ApiError
from controlplane.contract.vm import ChangeInstanceOffering
from controlplane.operations.interface import Operation
from controlplane.rules.vm_state import STOPPED, must_allow
from controlplane.store import allocation, rows
from controlplane.store.database import Tx
from controlplane.workflows import global_config, inventories
from controlplane.workflows.world import World, workflow

Json = dict[str, Any]
_TAKEN = ("cpu_num", "memory_size")
COLUMNS = (*_TAKEN, "cpu_speed", "instance_offering_uuid")


@workflow(ChangeInstanceOffering, queue=lambda message: f"vm:{message.vm_instance_uuid}")
async def change(op: Operation[World], message: ChangeInstanceOffering) -> Json:
    def decide(tx: Tx) -> Json:
        vm = inventories.must_get(tx, "VmInstanceVO", message.vm_instance_uuid)
        must_allow("ChangeInstanceOffering", vm["uuid"], vm["state"])
        offering = inventories.must_get(tx, "InstanceOfferingVO", message.instance_offering_uuid)
        wished = {name: offering[name] for name in (*_TAKEN, "cpu_speed")} | {
            "instance_offering_uuid": offering["uuid"]
        }
        waits = vm["state"] != STOPPED and any(vm[name] != wished[name] for name in _TAKEN)
        columns = {"next_offering": json.dumps(wished)} if waits else wished | {"next_offering": None}
        rows.update(tx, "VmInstanceVO", vm["uuid"], **columns)
        return inventories.vm(tx, vm["uuid"])

    return await op.commit("change", decide)


def following(tx: Tx, vm: rows.Row) -> Json:
    """The `COLUMNS` of its next start. An offering that was deleted meanwhile leaves what it gave."""
    if not vm["next_offering"]:
        return {name: vm[name] for name in COLUMNS}
    waiting: Json = json.loads(vm["next_offering"])
    if not rows.exists(tx, "InstanceOfferingVO", uuid=waiting["instance_offering_uuid"]):
        waiting["instance_offering_uuid"] = None
    return waiting


def take_stopped(tx: Tx, vm_uuid: str) -> None:
    """The VM was taken off its host: it has what waited. Nothing of it is on a host, so no room is asked for."""
    vm = rows.get(tx, "VmInstanceVO", vm_uuid)
    if vm and vm["next_offering"]:
        rows.update(tx, "VmInstanceVO", vm_uuid, **following(tx, vm), next_offering=None)


def take_placed(tx: Tx, vm: rows.Row) -> Json:
    """The same where it is, for a reboot: the host's room changes with it. HOST_ALLOCATION.1000 when there is too little.
    Returns the columns as they were, for `give_back`."""
    before = {name: vm[name] for name in (*COLUMNS, "next_offering")}
    if vm["next_offering"]:
        after = following(tx, vm)
        _retake(tx, vm["host_uuid"], before, after, global_config.size(tx, "kvm", "reservedMemory"))
        rows.update(tx, "VmInstanceVO", vm["uuid"], **after, next_offering=None)
    return before


def give_back(tx: Tx, vm_uuid: str, before: Json) -> None:
    """Undo of `take_placed`."""
    vm = rows.get(tx, "VmInstanceVO", vm_uuid)
    if vm and before["next_offering"] and not vm["next_offering"]:
        _retake(tx, vm["host_uuid"], vm, before, None)
        rows.update(tx, "VmInstanceVO", vm_uuid, **before)


def _retake(tx: Tx, host_uuid: str | None, before: Json | rows.Row, after: Json, reserved: int | None) -> None:
    """The host gives what `after` has more than `before`, or gets it back."""
    if host_uuid is None:
        return
    cpu, memory = (after[name] - before[name] for name in _TAKEN)
    if not allocation.take_host(tx, host_uuid, cpu, memory, reserved if cpu > 0 or memory > 0 else None):
        host = inventories.must_get(tx, "HostVO", host_uuid)
        raise ApiError(
            "HOST_ALLOCATION.1000",
            f"host {host['name']} ({host_uuid}) has no room for {cpu:+d} CPUs and {memory:+d} bytes of memory; stop the VM, "
            "move it to another host and start it there",
        )
