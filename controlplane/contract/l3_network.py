"""An L3 network: addresses, DNS and services on an L2 network."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from controlplane.contract.base import (
    Api,
    ChangeState,
    Create,
    Delete,
    Description,
    Name,
    Named,
    Query,
    Route,
    Update,
    Uuid,
    Wire,
)
from controlplane.contract.ip_range import IpRangeInventory
from controlplane.contract.network_service import NetworkServiceRefInventory, ServiceMap
from controlplane.contract.registry import api

_PACKAGE = "org.zstack.header.network.l3"


class L3NetworkInventory(Named):
    type: str
    zone_uuid: str
    l2_network_uuid: str
    state: str
    dns_domain: str | None = None
    system: bool
    dns: list[str] = []
    ip_ranges: list[IpRangeInventory] = []
    network_services: list[NetworkServiceRefInventory] = []


class DhcpIpAddress(Wire):
    ip: str | None = None


@api
class CreateL3Network(Create):
    route = Route("POST", "/l3-networks")
    package = _PACKAGE
    result = L3NetworkInventory
    creates = "L3NetworkVO"
    references = {"l2_network_uuid": "L2NetworkVO"}
    name: Name
    l2_network_uuid: Uuid
    description: Description | None = None
    type: Literal["L3BasicNetwork"] = "L3BasicNetwork"
    system: bool = False
    dns_domain: Annotated[str, Field(max_length=255)] | None = None


@api
class UpdateL3Network(Update):
    route = Route("PUT", "/l3-networks/{uuid}/actions", "updateL3Network")
    package = _PACKAGE
    result = L3NetworkInventory
    references = {"uuid": "L3NetworkVO"}
    system: bool | None = None
    dns_domain: Annotated[str, Field(max_length=255)] | None = None


@api
class ChangeL3NetworkState(ChangeState):
    route = Route("PUT", "/l3-networks/{uuid}/actions", "changeL3NetworkState")
    package = _PACKAGE
    result = L3NetworkInventory
    references = {"uuid": "L3NetworkVO"}


@api
class DeleteL3Network(Delete):
    """Its ranges, DNS and services go with it; refused while a VM has a NIC on it."""

    route = Route("DELETE", "/l3-networks/{uuid}")
    package = _PACKAGE
    uuid: Uuid


@api
class QueryL3Network(Query):
    route = Route("GET", "/l3-networks")
    package = _PACKAGE
    result = L3NetworkInventory
    resource = "L3NetworkVO"


class _OfL3(Api):
    package = _PACKAGE
    result: ClassVar[type[Wire] | None] = L3NetworkInventory
    references = {"l3_network_uuid": "L3NetworkVO"}
    l3_network_uuid: Uuid


@api
class AddDnsToL3Network(_OfL3):
    route = Route("POST", "/l3-networks/{l3NetworkUuid}/dns")
    dns: str


@api
class RemoveDnsFromL3Network(_OfL3):
    """Removing what is absent is a success."""

    route = Route("DELETE", "/l3-networks/{l3NetworkUuid}/dns/{dns}")
    dns: str


@api
class AttachNetworkServiceToL3Network(_OfL3):
    """`networkServices`: `{"<provider uuid>": ["DHCP", "Userdata"]}`."""

    route = Route("POST", "/l3-networks/{l3NetworkUuid}/network-services")
    package = "org.zstack.header.network.service"
    network_services: ServiceMap


@api
class DetachNetworkServiceFromL3Network(_OfL3):
    """Detaching what is not attached is a success."""

    route = Route(
        "DELETE",
        "/l3-networks/{l3NetworkUuid}/network-services",
        also=("/l3-networks/{l3NetworkUuid}/network-services/{service}",),
    )
    package = "org.zstack.header.network.service"
    network_services: ServiceMap


@api
class GetL3NetworkDhcpIpAddress(_OfL3):
    """The address of the network's DHCP and metadata services; absent before their first use."""

    kind: ClassVar[Literal["query", "read", "change"]] = "read"
    package = "org.zstack.network.service.flat"
    admin_only: ClassVar[bool] = False
    route = Route("GET", "/l3-networks/{l3NetworkUuid}/dhcp-ip")
    result = DhcpIpAddress
    result_key = None
