"""IP ranges of an L3 network, and what is free in them. Addresses are IPv4."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from controlplane.contract.base import (
    Api,
    Create,
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

_PACKAGE = "org.zstack.header.network.l3"


class IpRangeInventory(Named):
    l3_network_uuid: str
    start_ip: str
    end_ip: str
    netmask: str
    gateway: str
    network_cidr: str


class FreeIpInventory(Inventory):
    ip_range_uuid: str
    ip: str
    netmask: str
    gateway: str


class IpCapacity(Wire):
    total_capacity: int
    available_capacity: int


@api
class AddIpRange(Create):
    """The gateway lies outside the range; ranges of one L3 network share gateway and netmask and do not overlap."""

    route = Route("POST", "/l3-networks/{l3NetworkUuid}/ip-ranges")
    package = _PACKAGE
    result = IpRangeInventory
    creates = "IpRangeVO"
    references = {"l3_network_uuid": "L3NetworkVO"}
    l3_network_uuid: Uuid
    name: Name
    start_ip: str
    end_ip: str
    netmask: str
    gateway: str
    description: Description | None = None


@api
class AddIpRangeByNetworkCidr(Create):
    """Of `10.0.0.0/24` the first address becomes the gateway, the range is from the second to the last but one."""

    route = Route("POST", "/l3-networks/{l3NetworkUuid}/ip-ranges/by-cidr")
    package = _PACKAGE
    result = IpRangeInventory
    creates = "IpRangeVO"
    references = {"l3_network_uuid": "L3NetworkVO"}
    l3_network_uuid: Uuid
    name: Name
    network_cidr: str
    description: Description | None = None


@api
class UpdateIpRange(Update):
    route = Route("PUT", "/l3-networks/ip-ranges/{uuid}/actions", "updateIpRange")
    package = _PACKAGE
    result = IpRangeInventory
    references = {"uuid": "IpRangeVO"}


@api
class DeleteIpRange(Delete):
    """Refused while a VM has an address of it."""

    route = Route("DELETE", "/l3-networks/ip-ranges/{uuid}")
    package = _PACKAGE
    uuid: Uuid


@api
class QueryIpRange(Query):
    route = Route("GET", "/l3-networks/ip-ranges")
    package = _PACKAGE
    result = IpRangeInventory
    resource = "IpRangeVO"


@api
class GetFreeIp(Api):
    """One of `l3NetworkUuid` and `ipRangeUuid`; at most `limit` addresses, the lowest first."""

    kind: ClassVar[Literal["query", "read", "change"]] = "read"
    route = Route(
        "GET",
        "/l3-networks/{l3NetworkUuid}/ip/free",
        also=("/l3-networks/ip/free", "/l3-networks/ip-ranges/{ipRangeUuid}/ip/free"),
    )
    package = _PACKAGE
    admin_only: ClassVar[bool] = False
    result = FreeIpInventory
    result_key = "inventories"
    references = {"l3_network_uuid": "L3NetworkVO", "ip_range_uuid": "IpRangeVO"}
    l3_network_uuid: Uuid | None = None
    ip_range_uuid: Uuid | None = None
    limit: Annotated[int, Field(ge=1, le=100_000)] = 100


@api
class GetIpAddressCapacity(Api):
    """At least one list of uuids, or `all`."""

    kind: ClassVar[Literal["query", "read", "change"]] = "read"
    route = Route("GET", "/ip-capacity")
    package = _PACKAGE
    result = IpCapacity
    result_key = None
    references = {"zone_uuids": "ZoneVO", "l3_network_uuids": "L3NetworkVO", "ip_range_uuids": "IpRangeVO"}
    zone_uuids: list[Uuid] | None = None
    l3_network_uuids: list[Uuid] | None = None
    ip_range_uuids: list[Uuid] | None = None
    all: bool = False
