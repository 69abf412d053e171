"""A volume: the disk of a VM; `installPath` is where its file lies on the host that holds it."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from controlplane.contract.base import (
    Api,
    ChangeState,
    Create,
    Date,
    DeleteRecoverable,
    Description,
    Name,
    Named,
    Query,
    Route,
    Update,
    Uuid,
    Wire,
)
from controlplane.contract.registry import api

_PACKAGE = "org.zstack.header.volume"
LARGEST = 2**53  # bytes of a volume; QEMU's own limit is far above what a file system holds
DiskSize = Annotated[int, Field(ge=1, le=LARGEST)]


class VolumeInventory(Named):
    """`size` is what the guest sees, `actualSize` what the file takes, in bytes. `status` is NotInstantiated until the
    volume has a file on a host, which its first attach makes."""

    primary_storage_uuid: str | None = None
    vm_instance_uuid: str | None = None
    last_vm_instance_uuid: str | None = None
    disk_offering_uuid: str | None = None
    root_image_uuid: str | None = None
    install_path: str | None = None
    type: str
    format: str
    size: int
    actual_size: int | None = None
    device_id: int | None = None
    state: str
    status: str
    is_shareable: bool = False
    last_attach_date: Date | None = None
    last_detach_date: Date | None = None


@api
class CreateDataVolume(Create):
    """A blank volume of `diskSize` bytes or of the offering's size. With `primaryStorageUuid` and a host (`hostUuid`, or
    the system tag `localStorage::hostUuid::<uuid>`) its file is made now, else when it is first attached."""

    route = Route("POST", "/volumes/data")
    package = _PACKAGE
    admin_only: ClassVar[bool] = False
    result = VolumeInventory
    creates = "VolumeVO"
    references = {
        "disk_offering_uuid": "DiskOfferingVO",
        "primary_storage_uuid": "PrimaryStorageVO",
        "host_uuid": "HostVO",
    }
    name: Name
    disk_offering_uuid: Uuid | None = None
    disk_size: DiskSize | None = None
    primary_storage_uuid: Uuid | None = None
    host_uuid: Uuid | None = None
    description: Description | None = None


@api
class CreateDataVolumeFromVolumeTemplate(Create):
    """A volume with the content of a data volume template, on the host that is named."""

    route = Route("POST", "/volumes/data/from/data-volume-templates/{imageUuid}")
    package = _PACKAGE
    result = VolumeInventory
    creates = "VolumeVO"
    references = {"image_uuid": "ImageVO", "primary_storage_uuid": "PrimaryStorageVO", "host_uuid": "HostVO"}
    image_uuid: Uuid
    name: Name
    primary_storage_uuid: Uuid
    host_uuid: Uuid | None = None
    description: Description | None = None


@api
class UpdateVolume(Update):
    route = Route("PUT", "/volumes/{uuid}/actions", "updateVolume")
    package = _PACKAGE
    admin_only: ClassVar[bool] = False
    result = VolumeInventory
    references = {"uuid": "VolumeVO"}


@api
class ChangeVolumeState(ChangeState):
    """A disabled data volume cannot be attached."""

    route = Route("PUT", "/volumes/{uuid}/actions", "changeVolumeState")
    package = _PACKAGE
    admin_only: ClassVar[bool] = False
    result = VolumeInventory
    references = {"uuid": "VolumeVO"}


@api
class AttachDataVolumeToVm(Api):
    """A running guest gets the disk at once; it finds it as `/dev/disk/by-id/virtio-<first 20 digits of the uuid>`."""

    route = Route("POST", "/volumes/{volumeUuid}/vm-instances/{vmInstanceUuid}", no_body=True)
    package = _PACKAGE
    admin_only: ClassVar[bool] = False
    changes = {"volume_uuid": "VolumeVO"}
    result = VolumeInventory
    references = {"vm_instance_uuid": "VmInstanceVO", "volume_uuid": "VolumeVO"}
    volume_uuid: Uuid
    vm_instance_uuid: Uuid


@api
class DetachDataVolumeFromVm(Api):
    """A running guest must let go of the disk; one that does not keeps it, and the call fails."""

    route = Route("DELETE", "/volumes/{uuid}/vm-instances")
    package = _PACKAGE
    admin_only: ClassVar[bool] = False
    result = VolumeInventory
    references = {"uuid": "VolumeVO", "vm_uuid": "VmInstanceVO"}
    uuid: Uuid
    vm_uuid: Uuid | None = None


@api
class DeleteDataVolume(DeleteRecoverable):
    """It is detached, gets the status Deleted and can be recovered until it is expunged."""

    route = Route("DELETE", "/volumes/{uuid}")
    package = _PACKAGE
    admin_only: ClassVar[bool] = False
    changes = {"uuid": "VolumeVO"}
    uuid: Uuid


@api
class RecoverDataVolume(Api):
    route = Route("PUT", "/volumes/{uuid}/actions", "recoverDataVolume")
    package = _PACKAGE
    admin_only: ClassVar[bool] = False
    result = VolumeInventory
    references = {"uuid": "VolumeVO"}
    uuid: Uuid


@api
class ExpungeDataVolume(Api):
    """The files of the volume and of its snapshots are deleted for good."""

    route = Route("PUT", "/volumes/{uuid}/actions", "expungeDataVolume")
    package = _PACKAGE
    admin_only: ClassVar[bool] = False
    result_key = None
    references = {"uuid": "VolumeVO"}
    uuid: Uuid


class _Resize(Api):
    """Volumes only grow; a running guest sees the new size at once."""

    package = _PACKAGE
    admin_only: ClassVar[bool] = False
    result: ClassVar[type[Wire] | None] = VolumeInventory
    references = {"uuid": "VolumeVO"}
    uuid: Uuid
    size: DiskSize


@api
class ResizeRootVolume(_Resize):
    route = Route("PUT", "/volumes/resize/{uuid}/actions", "resizeRootVolume")


@api
class ResizeDataVolume(_Resize):
    route = Route("PUT", "/volumes/data/resize/{uuid}/actions", "resizeDataVolume")


@api
class QueryVolume(Query):
    route = Route("GET", "/volumes")
    package = _PACKAGE
    result = VolumeInventory
    resource = "VolumeVO"


@api
class GetVmAttachableDataVolume(Api):
    """The data volumes that could be attached to this VM now, of those that the caller may see."""

    kind: ClassVar[Literal["query", "read", "change"]] = "read"
    admin_only: ClassVar[bool] = False
    route = Route("GET", "/vm-instances/{vmInstanceUuid}/data-volume-candidates")
    package = "org.zstack.header.vm"
    result = VolumeInventory
    result_key = "inventories"
    references = {"vm_instance_uuid": "VmInstanceVO"}
    vm_instance_uuid: Uuid
