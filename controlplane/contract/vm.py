"""A virtual machine, its NICs, and what one can do with it."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from controlplane.contract.base import (
    Api,
    Create,
    Date,
    DeleteRecoverable,
    Description,
    Inventory,
    Name,
    Named,
    Query,
    Route,
    Update,
    Uuid,
    Wire,
)
from controlplane.contract.registry import api
from controlplane.contract.volume import DiskSize, VolumeInventory

_PACKAGE = "org.zstack.header.vm"
Platform = Literal["Linux", "Windows", "Other", "Paravirtualization", "WindowsVirtio"]


class VmNicInventory(Inventory):
    uuid: str
    vm_instance_uuid: str
    l3_network_uuid: str
    ip: str | None = None
    mac: str
    netmask: str | None = None
    gateway: str | None = None
    internal_name: str
    device_id: int
    create_date: Date
    last_op_date: Date


class VmInstanceInventory(Named):
    zone_uuid: str
    cluster_uuid: str | None = None
    image_uuid: str | None = None
    host_uuid: str | None = None
    last_host_uuid: str | None = None
    instance_offering_uuid: str | None = None
    root_volume_uuid: str | None = None
    platform: str
    default_l3_network_uuid: str | None = None
    type: str
    hypervisor_type: str
    memory_size: int
    cpu_num: int
    cpu_speed: int
    cpu_mode: str | None = None  # of the running domain: a host without KVM runs another than was wished for
    cpu_model: str | None = None
    allocator_strategy: str | None = None
    state: str
    internal_id: int
    vm_nics: list[VmNicInventory] = []
    all_volumes: list[VolumeInventory] = []


class ConsoleAddressReply(Wire):
    host_ip: str
    port: int
    protocol: str


@api
class CreateVmInstance(Create):
    """A VM from an image (a template, or an ISO with `rootDiskOfferingUuid` or `rootDiskSize`); all of it or nothing.

    Of `hostUuid`, `clusterUuid` and `zoneUuid` the narrowest decides. System tags: `userdata::`, `sshkey::`,
    `rootPassword::`, `hostname::<name>`, `staticIp::<L3 uuid>::<address>`, `metadataTokens::required|optional`. What is
    odd about a tag and does not stand in the way is told in `warnings` beside the inventory: `{tag, details}` each.
    """

    route = Route("POST", "/vm-instances")
    package = _PACKAGE
    admin_only: ClassVar[bool] = False
    result = VmInstanceInventory
    creates = "VmInstanceVO"
    references = {
        "instance_offering_uuid": "InstanceOfferingVO",
        "image_uuid": "ImageVO",
        "l3_network_uuids": "L3NetworkVO",
        "root_disk_offering_uuid": "DiskOfferingVO",
        "data_disk_offering_uuids": "DiskOfferingVO",
        "zone_uuid": "ZoneVO",
        "cluster_uuid": "ClusterVO",
        "host_uuid": "HostVO",
        "primary_storage_uuid_for_root_volume": "PrimaryStorageVO",
    }
    name: Name
    instance_offering_uuid: Uuid
    image_uuid: Uuid
    l3_network_uuids: Annotated[list[Uuid], Field(min_length=1, max_length=24)]
    type: Literal["UserVm", "ApplianceVm"] = "UserVm"
    root_disk_offering_uuid: Uuid | None = None
    root_disk_size: DiskSize | None = None  # bytes; not below the image's
    data_disk_offering_uuids: Annotated[list[Uuid], Field(max_length=24)] | None = None
    data_disk_sizes: Annotated[list[DiskSize], Field(max_length=24)] | None = None
    zone_uuid: Uuid | None = None
    cluster_uuid: Uuid | None = None
    host_uuid: Uuid | None = None
    primary_storage_uuid_for_root_volume: Uuid | None = None
    description: Description | None = None
    default_l3_network_uuid: Uuid | None = None
    strategy: Literal["InstantStart", "CreateStopped"] = "InstantStart"


@api
class UpdateVmInstance(Update):
    """Names and facts; nothing is started or stopped."""

    route = Route("PUT", "/vm-instances/{uuid}/actions", "updateVmInstance")
    package = _PACKAGE
    admin_only: ClassVar[bool] = False
    result = VmInstanceInventory
    references = {"uuid": "VmInstanceVO", "default_l3_network_uuid": "L3NetworkVO"}
    default_l3_network_uuid: Uuid | None = None
    platform: Platform | None = None


class _OfVm(Api):
    package = _PACKAGE
    admin_only: ClassVar[bool] = False
    result: ClassVar[type[Wire] | None] = VmInstanceInventory
    references = {"uuid": "VmInstanceVO"}
    uuid: Uuid


@api
class StartVmInstance(_OfVm):
    route = Route("PUT", "/vm-instances/{uuid}/actions", "startVmInstance")


@api
class StopVmInstance(_OfVm):
    """`grace`: the guest is asked and, after a minute, forced; `cold`: the plug is pulled."""

    route = Route("PUT", "/vm-instances/{uuid}/actions", "stopVmInstance")
    type: Literal["grace", "cold"] = "grace"


@api
class RebootVmInstance(_OfVm):
    route = Route("PUT", "/vm-instances/{uuid}/actions", "rebootVmInstance")


@api
class ChangeInstanceOffering(Api):
    """CPUs and memory of another offering: a stopped VM has them at once, a running one at its next stop or API reboot;
    `GetVmStartSettings` tells what waits."""

    route = Route("PUT", "/vm-instances/{vmInstanceUuid}/actions", "changeInstanceOffering")
    package = _PACKAGE
    admin_only: ClassVar[bool] = False
    result = VmInstanceInventory
    references = {"vm_instance_uuid": "VmInstanceVO", "instance_offering_uuid": "InstanceOfferingVO"}
    changes = {"vm_instance_uuid": "VmInstanceVO"}
    vm_instance_uuid: Uuid
    instance_offering_uuid: Uuid


@api
class DestroyVmInstance(DeleteRecoverable):
    """Its addresses return to the pool at once; it can be recovered until it is expunged."""

    route = Route("DELETE", "/vm-instances/{uuid}")
    package = _PACKAGE
    admin_only: ClassVar[bool] = False
    changes = {"uuid": "VmInstanceVO"}
    uuid: Uuid


@api
class RecoverVmInstance(_OfVm):
    """A recovered VM is stopped; its next start gives every NIC an address."""

    route = Route("PUT", "/vm-instances/{uuid}/actions", "recoverVmInstance")


@api
class ExpungeVmInstance(Api):
    """Its disks are deleted for good."""

    route = Route("PUT", "/vm-instances/{uuid}/actions", "expungeVmInstance")
    package = _PACKAGE
    admin_only: ClassVar[bool] = False
    result_key = None
    references = {"uuid": "VmInstanceVO"}
    uuid: Uuid


@api
class GetVmConsoleAddress(_OfVm):
    """The console of the domain as it runs now, whatever the global configuration says today."""

    kind: ClassVar[Literal["query", "read", "change"]] = "read"
    route = Route("GET", "/vm-instances/{uuid}/console-addresses")
    result: ClassVar[type[Wire] | None] = ConsoleAddressReply
    result_key = None


@api
class QueryVmInstance(Query):
    route = Route("GET", "/vm-instances")
    package = _PACKAGE
    result = VmInstanceInventory
    resource = "VmInstanceVO"


@api
class QueryVmNic(Query):
    route = Route("GET", "/vm-instances/nics")
    package = _PACKAGE
    result = VmNicInventory
    resource = "VmNicVO"


@api
class GetDataVolumeAttachableVm(Api):
    """The VMs that this data volume could be attached to now, of those that the caller may see."""

    kind: ClassVar[Literal["query", "read", "change"]] = "read"
    admin_only: ClassVar[bool] = False
    route = Route("GET", "/volumes/{volumeUuid}/candidate-vm-instances")
    package = "org.zstack.header.volume"
    result = VmInstanceInventory
    result_key = "inventories"
    references = {"volume_uuid": "VolumeVO"}
    volume_uuid: Uuid


@api
class RerunCloudInit(_OfVm):
    """A new instance id: at the guest's next boot cloud-init runs its per-instance modules again, with the user data and
    keys as they are then. Nothing is restarted, nothing is deleted in the guest."""

    route = Route("PUT", "/vm-instances/{uuid}/actions", "rerunCloudInit")
