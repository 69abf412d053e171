"""Destroying a VM, taking that back, and deleting it for good.

A destroyed VM runs nowhere and has no addresses, but its disks lie where they were, until it is recovered or expunged.
Expunging forgets the VM in one transaction; its files are garbage from then on, which the host deletes now or later.
"""

import logging
from functools import partial
from typing import Any

from controlplane.contract.error import ApiError, Temporary
from controlplane.contract.vm import DestroyVmInstance, ExpungeVmInstance, RecoverVmInstance
from controlplane.operations.interface import Operation
from controlplane.rules.vm_state import DESTROYED, DESTROYING, STOPPED, must_allow
from controlplane.store import rows
from controlplane.store.database import Tx
from controlplane.store.tables import now
from controlplane.workflows import global_config, inventories, tag
from controlplane.workflows.instance_offering import take_stopped
from controlplane.workflows.ip_range import return_ip
from controlplane.workflows.vm import failing, halt, queue
from controlplane.workflows.vm_allocation import remove_nics
from controlplane.workflows.vm_placement import vacate
from controlplane.workflows.vm_spec import vm_spec
from controlplane.workflows.volume_rows import discard
from controlplane.workflows.world import World, tell, workflow

log = logging.getLogger("steppe.vm")
Json = dict[str, Any]


@workflow(DestroyVmInstance, queue=queue)
async def destroy(op: Operation[World], message: DestroyVmInstance) -> Json:
    uuid = message.uuid

    def begin(tx: Tx) -> Json | None:
        vm = rows.get(tx, "VmInstanceVO", uuid)
        if vm is None or vm["state"] == DESTROYED:
            return None
        must_allow("DestroyVmInstance", uuid, vm["state"])
        rows.update(tx, "VmInstanceVO", uuid, state=DESTROYING, generation=vm["generation"] + 1)
        return {"state": vm["state"], "host_uuid": vm["host_uuid"], "spec": vm_spec(tx, uuid)}

    def abandon(tx: Tx, begun: Json | None) -> None:
        if begun:
            where = {"uuid": uuid, "state": DESTROYING}
            rows.update_where(tx, "VmInstanceVO", where, state=begun["state"])

    with failing("VM.1004", f"cannot destroy VM {uuid}"):
        begun = await op.tx_step("begin", begin, abandon)
        if begun is None:
            return {}
        host = begun["host_uuid"]
        if host:
            await halt(op, uuid, host, begun["spec"], grace=0)
        garbage = await op.commit("finish", lambda tx: _finish(tx, uuid, message.expunge))
    if host:
        await tell(op, [host])
    await op.afterwards("disks", lambda: collect(op.world, garbage))
    return {}


def _finish(tx: Tx, uuid: str, expunge: bool) -> list[str]:
    """Returns the volumes to delete at once: none unless that was asked for, or `vm/deletionPolicy` is Direct."""
    vacate(tx, uuid)
    rows.delete_where(tx, "ConsoleAccessVO", vm_instance_uuid=uuid)
    for nic in rows.find(tx, "VmNicVO", vm_instance_uuid=uuid):
        if nic["used_ip_uuid"]:
            return_ip(tx, nic["used_ip_uuid"])
        rows.update(tx, "VmNicVO", nic["uuid"], used_ip_uuid=None, ip=None, netmask=None, gateway=None)
    for volume in rows.find(tx, "VolumeVO", vm_instance_uuid=uuid):
        if volume["type"] == "Root":
            rows.update(tx, "VolumeVO", volume["uuid"], status="Deleted")
        elif not global_config.truth(tx, "vm", "dataVolume.deleteOnVmDestroy"):
            detached = {"last_detach_date": now(), "last_vm_instance_uuid": uuid}
            rows.update(tx, "VolumeVO", volume["uuid"], vm_instance_uuid=None, device_id=None, **detached)
    rows.update(tx, "VmInstanceVO", uuid, state=DESTROYED, destroyed_at=now())
    at_once = expunge or global_config.value(tx, "vm", "deletionPolicy") == "Direct"
    return remove_vm(tx, uuid) if at_once else []


@workflow(RecoverVmInstance, queue=queue)
async def recover(op: Operation[World], message: RecoverVmInstance) -> Json:
    uuid = message.uuid

    def change(tx: Tx) -> Json:
        vm = inventories.must_get(tx, "VmInstanceVO", uuid)
        must_allow("RecoverVmInstance", uuid, vm["state"])
        tags = [row["tag"] for row in rows.find(tx, "SystemTagVO", resource_uuid=uuid, inherent=False)]
        tag.must_fit(tx, "VmInstanceVO", uuid, tags, vm["default_l3_network_uuid"])  # its host name may be taken now
        rows.update(tx, "VolumeVO", vm["root_volume_uuid"], status="Ready")
        rows.update(tx, "VmInstanceVO", uuid, state=STOPPED, destroyed_at=None)
        take_stopped(tx, uuid)
        return inventories.vm(tx, uuid)

    return await op.commit("recover", change)


@workflow(ExpungeVmInstance, queue=queue)
async def expunge(op: Operation[World], message: ExpungeVmInstance) -> Json:
    def remove(tx: Tx) -> list[str]:
        vm = inventories.must_get(tx, "VmInstanceVO", message.uuid)
        must_allow("ExpungeVmInstance", message.uuid, vm["state"])
        return remove_vm(tx, message.uuid)

    garbage = await op.commit("expunge", remove)
    await op.afterwards("disks", lambda: collect(op.world, garbage))
    return {}


def remove_vm(tx: Tx, uuid: str) -> list[str]:
    """Rows of the VM and of the volumes still with it go; their files become garbage, whose uuids are returned."""
    remove_nics(tx, uuid)
    volumes = rows.find(tx, "VolumeVO", vm_instance_uuid=uuid)
    garbage = [file for volume in volumes for file in discard(tx, volume["uuid"])]
    tag.remove_all(tx, uuid)
    rows.delete(tx, "VmInstanceVO", uuid)
    return garbage


async def collect(world: World, garbage: list[str]) -> None:
    """Delete these files. What a host does not delete stays garbage for the reconciler; `Temporary` is
    raised when trying again soon may help."""
    if not garbage:
        return
    silent: Temporary | None = None
    for row in await world.db.read(lambda tx: rows.find(tx, "VolumeGarbageVO", uuid=garbage)):
        if not await world.db.read(lambda tx, uuid=row["uuid"]: rows.exists(tx, "VolumeGarbageVO", uuid=uuid)):  # type: ignore[misc]
            continue  # somebody else has deleted it, and its place may be taken again
        try:
            host = world.hosts.get(row["host_uuid"])
            await host.delete_volume(row["uuid"], row["primary_storage_uuid"], row["path"])
        except (ApiError, Temporary) as error:
            log.warning("volume %s is not deleted from host %s: %s", row["uuid"], row["host_uuid"], error)
            silent = error if isinstance(error, Temporary) else silent
        else:
            await world.db.write(partial(rows.delete, resource_type="VolumeGarbageVO", uuid=row["uuid"]))
    if silent:
        raise silent
