"""ISO images in a VM's CD drives."""

from typing import ClassVar, Literal

from controlplane.contract.base import Api, Route, Uuid
from controlplane.contract.image import ImageInventory
from controlplane.contract.registry import api
from controlplane.contract.vm import VmInstanceInventory

_PACKAGE = "org.zstack.header.vm"


@api
class AttachIsoToVmInstance(Api):
    """Into the first empty drive of a running or stopped VM; its boot order stays as it is."""

    route = Route("POST", "/vm-instances/{vmInstanceUuid}/iso/{isoUuid}", no_body=True)
    package = _PACKAGE
    admin_only: ClassVar[bool] = False
    changes = {"vm_instance_uuid": "VmInstanceVO"}
    result = VmInstanceInventory
    references = {"vm_instance_uuid": "VmInstanceVO", "iso_uuid": "ImageVO"}
    vm_instance_uuid: Uuid
    iso_uuid: Uuid


@api
class DetachIsoFromVmInstance(Api):
    """`isoUuid` says which when there are several. A guest that uses the medium keeps the tray locked; `force` takes it out
    all the same. Success when there is none."""

    route = Route("DELETE", "/vm-instances/{vmInstanceUuid}/iso")
    package = _PACKAGE
    admin_only: ClassVar[bool] = False
    changes = {"vm_instance_uuid": "VmInstanceVO"}
    result = VmInstanceInventory
    references = {"vm_instance_uuid": "VmInstanceVO"}
    vm_instance_uuid: Uuid
    iso_uuid: Uuid | None = None
    force: bool = False


@api
class GetCandidateIsoForAttachingVm(Api):
    """The ISO images that could be attached now, of those that the caller may see."""

    kind: ClassVar[Literal["query", "read", "change"]] = "read"
    admin_only: ClassVar[bool] = False
    route = Route("GET", "/vm-instances/{vmInstanceUuid}/iso-candidates")
    package = _PACKAGE
    result = ImageInventory
    result_key = "inventories"
    references = {"vm_instance_uuid": "VmInstanceVO"}
    vm_instance_uuid: Uuid
