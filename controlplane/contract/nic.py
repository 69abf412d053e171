"""NICs that come to a VM and go from it."""

from typing import ClassVar, Literal

from controlplane.contract.base import Api, Route, Uuid
from controlplane.contract.l3_network import L3NetworkInventory
from controlplane.contract.registry import api
from controlplane.contract.vm import VmInstanceInventory

_PACKAGE = "org.zstack.header.vm"


@api
class AttachL3NetworkToVm(Api):
    """A NIC on that network, at once also in a running guest; with `staticIp`, the address that it shall have."""

    route = Route("POST", "/vm-instances/{vmInstanceUuid}/l3-networks/{l3NetworkUuid}")
    package = _PACKAGE
    admin_only: ClassVar[bool] = False
    result = VmInstanceInventory
    references = {"vm_instance_uuid": "VmInstanceVO", "l3_network_uuid": "L3NetworkVO"}
    changes = {"vm_instance_uuid": "VmInstanceVO"}
    vm_instance_uuid: Uuid
    l3_network_uuid: Uuid
    static_ip: str | None = None


@api
class DetachL3NetworkFromVm(Api):
    """The NIC goes and its address is free again. When it was on the default network, that of the first NIC left becomes it."""

    route = Route("DELETE", "/vm-instances/nics/{vmNicUuid}")
    package = _PACKAGE
    admin_only: ClassVar[bool] = False
    result = VmInstanceInventory
    references = {"vm_nic_uuid": "VmNicVO"}
    changes = {"vm_nic_uuid": "VmNicVO"}
    vm_nic_uuid: Uuid


@api
class GetVmAttachableL3Network(Api):
    """Networks on which the VM could have a NIC more: enabled, reached by its cluster, not attached yet."""

    kind: ClassVar[Literal["query", "read", "change"]] = "read"
    route = Route("GET", "/vm-instances/{vmInstanceUuid}/l3-networks-candidates")
    package = _PACKAGE
    admin_only: ClassVar[bool] = False
    result = L3NetworkInventory
    result_key = "inventories"
    references = {"vm_instance_uuid": "VmInstanceVO"}
    vm_instance_uuid: Uuid
