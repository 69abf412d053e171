"""Network services: which provider gives an L3 network which service (the flat provider: DHCP and Userdata)."""

from controlplane.contract.base import Inventory, Named, Query, Route, Uuid
from controlplane.contract.registry import api

_PACKAGE = "org.zstack.header.network.service"
ServiceMap = dict[Uuid, list[str]]  # provider uuid → service types


class NetworkServiceProviderInventory(Named):
    type: str
    network_service_types: list[str] = []
    attached_l2_network_uuids: list[str] = []


class NetworkServiceRefInventory(Inventory):
    l3_network_uuid: str
    network_service_provider_uuid: str
    network_service_type: str


@api
class QueryNetworkServiceProvider(Query):
    route = Route("GET", "/network-services/providers")
    package = _PACKAGE
    result = NetworkServiceProviderInventory
    resource = "NetworkServiceProviderVO"


@api
class QueryNetworkServiceL3NetworkRef(Query):
    route = Route("GET", "/l3-networks/network-services/refs")
    package = _PACKAGE
    result = NetworkServiceRefInventory
    resource = "NetworkServiceL3NetworkRefVO"
