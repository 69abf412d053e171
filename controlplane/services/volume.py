"""What is refused of a volume before anything is stored, and which volumes and VMs fit each other.

What depends on a VM's state is decided when the operation's turn has come: operations on a VM wait for each other.
"""

from typing import Any

from controlplane.contract.error import ApiError, invalid, refused
from controlplane.contract.vm import GetDataVolumeAttachableVm, VmInstanceInventory
from controlplane.contract.volume import (
    AttachDataVolumeToVm,
    ChangeVolumeState,
    CreateDataVolume,
    CreateDataVolumeFromVolumeTemplate,
    DeleteDataVolume,
    DetachDataVolumeFromVm,
    ExpungeDataVolume,
    GetVmAttachableDataVolume,
    RecoverDataVolume,
    ResizeDataVolume,
    ResizeRootVolume,
    VolumeInventory,
)
from controlplane.services.registry import Caller, answers, checks
from controlplane.store import ownership, rows
from controlplane.store.database import Tx
from controlplane.store.relations import fill
from controlplane.workflows import volume, volume_rows
from controlplane.workflows.inventories import must_get
from controlplane.workflows.volume_attachment import check_attach, check_detach
from controlplane.workflows.volume_resize import check_resize
from controlplane.workflows.world import World


@checks(CreateDataVolume)
def can_be_created(tx: Tx, message: CreateDataVolume) -> None:
    if (message.disk_offering_uuid is None) == (message.disk_size is None):
        raise invalid("one of diskOfferingUuid and diskSize must say how large the volume is", "diskOfferingUuid")
    if message.disk_offering_uuid:
        offering = must_get(tx, "DiskOfferingVO", message.disk_offering_uuid)
        if offering["state"] != "Enabled":
            raise refused(f"DiskOffering {offering['name']} ({offering['uuid']}) is {offering['state']}")
    if place := volume.wished_place(message):
        volume_rows.check_place(tx, *place)


@checks(CreateDataVolumeFromVolumeTemplate)
def can_be_created_from_template(tx: Tx, message: CreateDataVolumeFromVolumeTemplate) -> None:
    volume.check_template(must_get(tx, "ImageVO", message.image_uuid))
    if place := volume.wished_place(message):
        volume_rows.check_place(tx, *place)


@checks(ChangeVolumeState)
def has_a_state(tx: Tx, message: ChangeVolumeState) -> None:
    volume.check_state_change(tx, message.uuid)


@checks(DeleteDataVolume)
def can_be_deleted(tx: Tx, message: DeleteDataVolume) -> None:
    volume.check_delete(tx, message.uuid, settled=False)


@checks(RecoverDataVolume)
def can_be_recovered(tx: Tx, message: RecoverDataVolume) -> None:
    volume.check_deleted(tx, message.uuid)


@checks(ExpungeDataVolume)
def can_be_expunged(tx: Tx, message: ExpungeDataVolume) -> None:
    volume.check_deleted(tx, message.uuid)


@checks(AttachDataVolumeToVm)
def can_be_attached(tx: Tx, message: AttachDataVolumeToVm) -> None:
    check_attach(tx, message.volume_uuid, message.vm_instance_uuid, settled=False)


@checks(DetachDataVolumeFromVm)
def can_be_detached(tx: Tx, message: DetachDataVolumeFromVm) -> None:
    check_detach(tx, message.uuid, message.vm_uuid, settled=False)


@checks(ResizeRootVolume)
def root_size_fits(tx: Tx, message: ResizeRootVolume) -> None:
    check_resize(tx, message, settled=False)


@checks(ResizeDataVolume)
def data_size_fits(tx: Tx, message: ResizeDataVolume) -> None:
    check_resize(tx, message, settled=False)


# -- answers ---------------------------------------------------------------------------------------------------------


def fits(tx: Tx, volume_uuid: str, vm_uuid: str) -> bool:
    try:
        check_attach(tx, volume_uuid, vm_uuid)
    except ApiError:
        return False
    return True


@answers(GetVmAttachableDataVolume)
async def volumes_for(world: World, caller: Caller, message: GetVmAttachableDataVolume) -> dict[str, Any]:
    def read(tx: Tx) -> list[rows.Row]:
        free = rows.find(tx, "VolumeVO", type="Data", vm_instance_uuid=None, state="Enabled", order_by=("create_date",))
        free = ownership.seen(tx, caller.viewer, "VolumeVO", free)
        return [row for row in free if fits(tx, row["uuid"], message.vm_instance_uuid)]

    return {"inventories": [VolumeInventory.model_validate(row).wire() for row in await world.db.read(read)]}


@answers(GetDataVolumeAttachableVm)
async def vms_for(world: World, caller: Caller, message: GetDataVolumeAttachableVm) -> dict[str, Any]:
    def read(tx: Tx) -> list[rows.Row]:
        settled = rows.find(tx, "VmInstanceVO", state=["Running", "Stopped"], order_by=("create_date",))
        settled = ownership.seen(tx, caller.viewer, "VmInstanceVO", settled)
        return fill(tx, "VmInstanceVO", [vm for vm in settled if fits(tx, message.volume_uuid, vm["uuid"])])

    return {"inventories": [VmInstanceInventory.model_validate(vm).wire() for vm in await world.db.read(read)]}
