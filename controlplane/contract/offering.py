"""Offerings: the sizes that VMs (CPU, memory) and volumes (disk) are made in."""

from typing import Annotated, Literal

from pydantic import Field

from controlplane.contract.base import ChangeState, Create, Delete, Description, Name, Named, Query, Route, Update, Uuid
from controlplane.contract.registry import api

_PACKAGE = "org.zstack.header.configuration"
_MAX_INT = 2**31 - 1
_MAX_LONG = 2**63 - 1
MINIMUM_MEMORY = 16 * 1024**2  # bytes


class InstanceOfferingInventory(Named):
    cpu_num: int
    cpu_speed: int
    memory_size: int
    type: str
    allocator_strategy: str
    sort_key: int
    state: str


class DiskOfferingInventory(Named):
    disk_size: int
    sort_key: int
    state: str
    type: str
    allocator_strategy: str


@api
class CreateInstanceOffering(Create):
    """`cpuSpeed` (MHz) is kept for its words; `memorySize` is bytes."""

    route = Route("POST", "/instance-offerings")
    package = _PACKAGE
    result = InstanceOfferingInventory
    creates = "InstanceOfferingVO"
    name: Name
    cpu_num: Annotated[int, Field(ge=1, le=1024)]
    cpu_speed: Annotated[int, Field(ge=1, le=_MAX_INT)] = 1000
    memory_size: Annotated[int, Field(ge=MINIMUM_MEMORY, le=_MAX_LONG)]
    description: Description | None = None
    allocator_strategy: Literal["DefaultHostAllocatorStrategy", "LeastVmPreferredHostAllocatorStrategy"] = (
        "DefaultHostAllocatorStrategy"
    )
    sort_key: Annotated[int, Field(ge=-_MAX_INT, le=_MAX_INT)] = 0
    type: Literal["UserVm"] = "UserVm"


@api
class UpdateInstanceOffering(Update):
    route = Route("PUT", "/instance-offerings/{uuid}/actions", "updateInstanceOffering")
    package = _PACKAGE
    result = InstanceOfferingInventory
    references = {"uuid": "InstanceOfferingVO"}


@api
class ChangeInstanceOfferingState(ChangeState):
    route = Route("PUT", "/instance-offerings/{uuid}/actions", "changeInstanceOfferingState")
    package = _PACKAGE
    result = InstanceOfferingInventory
    references = {"uuid": "InstanceOfferingVO"}


@api
class DeleteInstanceOffering(Delete):
    route = Route("DELETE", "/instance-offerings/{uuid}")
    package = _PACKAGE
    uuid: Uuid


@api
class QueryInstanceOffering(Query):
    route = Route("GET", "/instance-offerings")
    package = _PACKAGE
    result = InstanceOfferingInventory
    resource = "InstanceOfferingVO"


@api
class CreateDiskOffering(Create):
    """`diskSize` is bytes."""

    route = Route("POST", "/disk-offerings")
    package = _PACKAGE
    result = DiskOfferingInventory
    creates = "DiskOfferingVO"
    name: Name
    disk_size: Annotated[int, Field(ge=1, le=_MAX_LONG)]
    description: Description | None = None
    sort_key: Annotated[int, Field(ge=-_MAX_INT, le=_MAX_INT)] = 0
    allocation_strategy: Literal["DefaultPrimaryStorageAllocationStrategy"] = "DefaultPrimaryStorageAllocationStrategy"
    type: Literal["zstack"] = "zstack"


@api
class UpdateDiskOffering(Update):
    route = Route("PUT", "/disk-offerings/{uuid}/actions", "updateDiskOffering")
    package = _PACKAGE
    result = DiskOfferingInventory
    references = {"uuid": "DiskOfferingVO"}


@api
class ChangeDiskOfferingState(ChangeState):
    route = Route("PUT", "/disk-offerings/{uuid}/actions", "changeDiskOfferingState")
    package = _PACKAGE
    result = DiskOfferingInventory
    references = {"uuid": "DiskOfferingVO"}


@api
class DeleteDiskOffering(Delete):
    route = Route("DELETE", "/disk-offerings/{uuid}")
    package = _PACKAGE
    uuid: Uuid


@api
class QueryDiskOffering(Query):
    route = Route("GET", "/disk-offerings")
    package = _PACKAGE
    result = DiskOfferingInventory
    resource = "DiskOfferingVO"
