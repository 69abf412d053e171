"""A host: a KVM server with a host agent. It enrols with a one-time token and is added by its management address."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from controlplane.contract.base import (
    Api,
    Create,
    Date,
    Delete,
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

_PACKAGE = "org.zstack.header.host"
Bandwidth = Annotated[int, Field(ge=1 << 20, le=1 << 40)]
ManagementIp = Annotated[str, Field(min_length=1, max_length=255)]


class HostInventory(Named):
    """Capacities: CPU in MHz-free units of one virtual CPU, memory in bytes. `domainType` is what really runs guests."""

    zone_uuid: str
    cluster_uuid: str
    management_ip: str
    hypervisor_type: str
    state: str
    status: str
    total_cpu_capacity: int | None = None
    available_cpu_capacity: int | None = None
    total_memory_capacity: int | None = None
    available_memory_capacity: int | None = None
    cpu_num: int | None = None
    cpu_model: str | None = None
    domain_type: str | None = None
    kvm_reason: str | None = None
    agent_version: str | None = None
    status_date: Date | None = None
    status_reason: str | None = None


class EnrollmentTokenInventory(Inventory):
    """`token` is shown once: only its hash is kept. `command` is what to run on the host; `ca` checks the control plane."""

    uuid: str
    token: str
    management_ip: str | None = None
    expires_date: Date
    create_date: Date
    url: str
    ca: str
    command: str


class EnrolledHostAgent(Wire):
    """`hostUuid` is absent until a host is added for it."""

    uuid: str
    management_ip: str
    host_uuid: str | None = None
    create_date: Date


class EnrolledHostAgents(Wire):
    inventories: list[EnrolledHostAgent]


class CpuMemoryCapacity(Wire):
    total_cpu: int
    available_cpu: int
    total_memory: int
    available_memory: int


class HypervisorTypes(Wire):
    hypervisor_types: list[str]


@api
class CreateHostEnrollmentToken(Api):
    """A secret with which one host agent gets its certificate; with `managementIp` good for that address only."""

    at_once: ClassVar[bool] = True
    route = Route("POST", "/hosts/enrollment-tokens")
    package = _PACKAGE
    result = EnrollmentTokenInventory
    management_ip: ManagementIp | None = None
    lifetime: Annotated[int, Field(ge=60, le=7 * 86400)] = 86400  # seconds


@api
class GetEnrolledHostAgents(Api):
    """The agents that have enrolled: of a server that is here, AddKVMHost can make a host."""

    kind: ClassVar[Literal["query", "read", "change"]] = "read"
    route = Route("GET", "/hosts/agents")
    package = _PACKAGE
    result = EnrolledHostAgents
    result_key = None
    management_ip: ManagementIp | None = None


@api
class AddKVMHost(Create):
    """`username` and `password` are words of older clients: accepted, never used or kept. The host has enrolled before."""

    route = Route("POST", "/hosts/kvm")
    package = "org.zstack.kvm"
    answer: ClassVar[str | None] = "APIAddHostEvent"
    result = HostInventory
    creates = "HostVO"
    references = {"cluster_uuid": "ClusterVO"}
    secrets = {"password": "plain"}
    name: Name
    management_ip: ManagementIp
    cluster_uuid: Uuid
    description: Description | None = None
    username: Annotated[str, Field(max_length=255)] | None = None
    password: Annotated[str, Field(max_length=255)] | None = None
    ssh_port: Annotated[int, Field(ge=1, le=65535)] | None = None


@api
class UpdateHost(Update):
    route = Route("PUT", "/hosts/{uuid}/actions", "updateHost")
    package = _PACKAGE
    result = HostInventory
    references = {"uuid": "HostVO"}
    management_ip: ManagementIp | None = None


@api
class UpdateKVMHost(Update):
    route = Route("PUT", "/hosts/kvm/{uuid}/actions", "updateKVMHost")
    package = "org.zstack.kvm"
    answer: ClassVar[str | None] = "APIUpdateHostEvent"
    result = HostInventory
    references = {"uuid": "HostVO"}
    secrets = {"password": "plain"}
    management_ip: ManagementIp | None = None
    username: Annotated[str, Field(max_length=255)] | None = None
    password: Annotated[str, Field(max_length=255)] | None = None


@api
class ChangeHostState(Api):
    """`maintain` takes the VMs away first, one by one: those that run by MigrateVm where that is allowed and possible, else,
    with `restartVms`, by a stop, a move and a start; the stopped ones by LocalStorageMigrateVm, unless `leaveStopped`. It
    is refused with why not for each VM that cannot leave."""

    route = Route("PUT", "/hosts/{uuid}/actions", "changeHostState")
    package = _PACKAGE
    result = HostInventory
    references = {"uuid": "HostVO"}
    uuid: Uuid
    state_event: Literal["enable", "disable", "maintain"]
    restart_vms: bool = False
    leave_stopped: bool = False
    bandwidth: Bandwidth | None = None  # bytes a second of each move


@api
class ReconnectHost(Api):
    """Asks the host for its facts, gives it its storages and its networks anew."""

    route = Route("PUT", "/hosts/{uuid}/actions", "reconnectHost")
    package = _PACKAGE
    result = HostInventory
    references = {"uuid": "HostVO"}
    uuid: Uuid


@api
class DeleteHost(Delete):
    """Refused while VMs or volumes are on the host; `Enforcing` removes those too, reachable or not."""

    route = Route("DELETE", "/hosts/{uuid}")
    package = _PACKAGE
    uuid: Uuid


@api
class QueryHost(Query):
    route = Route("GET", "/hosts")
    package = _PACKAGE
    result = HostInventory
    resource = "HostVO"


@api
class GetCpuMemoryCapacity(Api):
    kind: ClassVar[Literal["query", "read", "change"]] = "read"
    route = Route("GET", "/hosts/capacities/cpu-memory")
    package = "org.zstack.header.allocator"
    result = CpuMemoryCapacity
    result_key = None
    references = {"zone_uuids": "ZoneVO", "cluster_uuids": "ClusterVO", "host_uuids": "HostVO"}
    zone_uuids: list[Uuid] | None = None
    cluster_uuids: list[Uuid] | None = None
    host_uuids: list[Uuid] | None = None
    all: bool = False


@api
class GetHypervisorTypes(Api):
    kind: ClassVar[Literal["query", "read", "change"]] = "read"
    route = Route("GET", "/hosts/hypervisor-types")
    package = _PACKAGE
    result = HypervisorTypes
    result_key = None
