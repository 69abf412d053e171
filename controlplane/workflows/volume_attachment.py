"""Attaching data volumes to VMs and detaching them, live when the guest runs.

A volume is attached while its row names the VM; a running guest's host is told the VM's whole spec, whose disks are the
volumes of the rows, and plugs or unplugs the difference. A stopped VM gets its disks at its next start.
"""

from typing import Any

from controlplane.contract.error import refused
from controlplane.contract.volume import AttachDataVolumeToVm, DetachDataVolumeFromVm
from controlplane.operations.interface import Operation
from controlplane.rules.vm_state import must_allow
from controlplane.rules.volume import MOST_DATA_VOLUMES, free_device_id
from controlplane.store import rows
from controlplane.store.database import Tx
from controlplane.store.tables import now
from controlplane.workflows import inventories, volume_rows
from controlplane.workflows.vm import failing, on_host
from controlplane.workflows.vm_spec import count_up, delete_volume, make_volume, match_devices
from controlplane.workflows.volume_rows import NOT_INSTANTIATED, READY, name_of
from controlplane.workflows.world import World, workflow

_HOST = 300.0  # seconds for the host to plug or unplug a disk
Json = dict[str, Any]


@workflow(AttachDataVolumeToVm, queue=lambda message: f"vm:{message.vm_instance_uuid}")
async def attach(op: Operation[World], message: AttachDataVolumeToVm) -> Json:
    uuid, vm_uuid = message.volume_uuid, message.vm_instance_uuid

    def begin(tx: Tx) -> Json:
        vm, volume = check_attach(tx, uuid, vm_uuid)
        root = rows.get(tx, "LocalStorageResourceRefVO", vm["root_volume_uuid"])
        place = None
        if volume["status"] == NOT_INSTANTIATED:
            assert root  # checked
            place = volume_rows.give_place(tx, uuid, root["primary_storage_uuid"], root["host_uuid"])
        used = {row["device_id"] for row in rows.find(tx, "VolumeVO", vm_instance_uuid=vm_uuid)}
        rows.update(tx, "VolumeVO", uuid, vm_instance_uuid=vm_uuid, device_id=free_device_id(used))
        return {"place": place, "host_uuid": count_up(tx, vm)}

    def abandon(tx: Tx, begun: Json) -> None:
        rows.update(tx, "VolumeVO", uuid, vm_instance_uuid=None, device_id=None)
        if begun["place"]:
            volume_rows.take_place(tx, uuid)

    def finish(tx: Tx) -> Json:
        attached = {"last_attach_date": now(), "last_vm_instance_uuid": vm_uuid}
        rows.update(tx, "VolumeVO", uuid, status=READY, **taken, **attached)
        return volume_rows.show(tx, uuid)

    with failing("VM.1005", f"cannot attach volume {uuid} to VM {vm_uuid}"):
        begun = await op.tx_step("begin", begin, abandon)
        taken: Json = {}
        if place := begun["place"]:

            async def make() -> int:
                return await make_volume(op.world, place["host_uuid"], place, None)

            async def delete() -> None:
                await delete_volume(op.world, place["host_uuid"], place)

            size = await op.step("make", on_host(op, place["host_uuid"], make), delete, timeout=_HOST)
            taken = {"actual_size": size}
        if host := begun["host_uuid"]:

            async def plug() -> None:
                await match_devices(op.world, vm_uuid)

            async def pull() -> None:
                await match_devices(op.world, vm_uuid, without=uuid)

            await op.step("plug", on_host(op, host, plug), pull, timeout=_HOST)
        return await op.commit("finish", finish)


@workflow(DetachDataVolumeFromVm, queue_in=lambda tx, message: volume_rows.queue(tx, message.uuid))
async def detach(op: Operation[World], message: DetachDataVolumeFromVm) -> Json:
    uuid = message.uuid

    def begin(tx: Tx) -> str:
        vm, _ = check_detach(tx, uuid, message.vm_uuid)
        return str(vm["uuid"])

    def finish(tx: Tx) -> Json:
        detach_rows(tx, uuid)
        return volume_rows.show(tx, uuid)

    with failing("VM.1006", f"cannot detach volume {uuid}"):
        vm_uuid = await op.tx_step("begin", begin, lambda _tx, _: None)
        await unplug(op, vm_uuid, uuid)
        return await op.commit("finish", finish)


async def unplug(op: Operation[World], vm_uuid: str, uuid: str) -> None:
    """A running guest has let go of the volume, which is still attached in the rows. Undo: it has it again."""

    def begin(tx: Tx) -> str | None:
        vm = inventories.must_get(tx, "VmInstanceVO", vm_uuid)
        must_allow("DetachDataVolumeFromVm", vm_uuid, vm["state"])
        return count_up(tx, vm)

    async def pull() -> None:
        await match_devices(op.world, vm_uuid, without=uuid)

    async def plug() -> None:
        await match_devices(op.world, vm_uuid)

    if host := await op.tx_step("unplug begin", begin, lambda _tx, _: None):
        await op.step("unplug", on_host(op, host, pull), plug, timeout=_HOST)


def detach_rows(tx: Tx, uuid: str) -> None:
    volume = volume_rows.must_get(tx, uuid)
    if vm_uuid := volume["vm_instance_uuid"]:
        detached = {"last_detach_date": now(), "last_vm_instance_uuid": vm_uuid}
        rows.update(tx, "VolumeVO", uuid, vm_instance_uuid=None, device_id=None, **detached)


# -- rules -----------------------------------------------------------------------------------------------------------


def check_attach(tx: Tx, uuid: str, vm_uuid: str, settled: bool = True) -> tuple[rows.Row, rows.Row]:
    """(VM, volume); refuses with the rule that is broken. The VM's state counts when the operation's turn has come."""
    volume = volume_rows.must_get(tx, uuid)
    vm = inventories.must_get(tx, "VmInstanceVO", vm_uuid)
    if settled:
        must_allow("AttachDataVolumeToVm", vm_uuid, vm["state"])
    if volume["type"] == "Root":
        raise refused(f"{name_of(volume)} is a root volume; only data volumes are attached")
    if volume["state"] != "Enabled":
        raise refused(f"{name_of(volume)} is {volume['state']}, it must be Enabled")
    if volume["vm_instance_uuid"]:
        raise refused(f"{name_of(volume)} is attached to VM {volume['vm_instance_uuid']} already")
    volume_rows.must_be(volume, READY, NOT_INSTANTIATED, settled=settled)
    attached = rows.count(tx, "VolumeVO", vm_instance_uuid=vm_uuid, type="Data")
    if attached >= MOST_DATA_VOLUMES:
        raise refused(f"VM {vm['name']} ({vm_uuid}) has {attached} data volumes; {MOST_DATA_VOLUMES} is the most")
    root = rows.get(tx, "LocalStorageResourceRefVO", vm["root_volume_uuid"])
    if root is None:
        raise refused(f"no host holds the root volume of VM {vm['name']} ({vm_uuid})")
    if volume["status"] == NOT_INSTANTIATED:
        volume_rows.check_place(tx, root["primary_storage_uuid"], root["host_uuid"])
        return vm, volume
    own = rows.get(tx, "LocalStorageResourceRefVO", uuid)
    if own is None or own["host_uuid"] != root["host_uuid"]:
        lies = own["host_uuid"] if own else "no host"
        raise refused(
            f"{name_of(volume)} lies on host {lies} and the root volume of VM {vm['name']} on host "
            f"{root['host_uuid']}; move one of them first"
        )
    return vm, volume


def check_detach(tx: Tx, uuid: str, vm_uuid: str | None, settled: bool = True) -> tuple[rows.Row, rows.Row]:
    volume = volume_rows.must_get(tx, uuid)
    if volume["type"] == "Root":
        raise refused(f"{name_of(volume)} is a root volume; it cannot be detached")
    if not volume["vm_instance_uuid"]:
        raise refused(f"{name_of(volume)} is attached to no VM")
    if vm_uuid and vm_uuid != volume["vm_instance_uuid"]:
        raise refused(f"{name_of(volume)} is attached to VM {volume['vm_instance_uuid']}, not to {vm_uuid}")
    volume_rows.must_be(volume, READY, settled=settled)
    vm = inventories.must_get(tx, "VmInstanceVO", volume["vm_instance_uuid"])
    if settled:
        must_allow("DetachDataVolumeFromVm", vm["uuid"], vm["state"])
    return vm, volume
