"""An L2 network: a broadcast domain, seen by hosts as a physical interface or one VLAN of it."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from controlplane.contract.base import Api, Create, Delete, Description, Name, Named, Query, Route, Update, Uuid, Wire
from controlplane.contract.registry import api

_PACKAGE = "org.zstack.header.network.l2"
# The kernel's limit for the name of an interface is 15 characters; "/" and blanks are not allowed in it.
Interface = Annotated[str, Field(pattern=r"^[^\s/:]{1,15}$")]


class L2NetworkInventory(Named):
    zone_uuid: str
    physical_interface: str
    type: str
    attached_cluster_uuids: list[str] = []
    vlan: int | None = None


class L2NetworkTypes(Wire):
    l2_network_types: list[str]


@api
class CreateL2NoVlanNetwork(Create):
    """`physicalInterface` is the name of the interface on each host, e.g. eth0."""

    route = Route("POST", "/l2-networks/no-vlan")
    package = _PACKAGE
    answer: ClassVar[str | None] = "APICreateL2NetworkEvent"
    result = L2NetworkInventory
    creates = "L2NetworkVO"
    references = {"zone_uuid": "ZoneVO"}
    name: Name
    zone_uuid: Uuid
    physical_interface: Interface
    description: Description | None = None
    type: Literal["L2NoVlanNetwork"] = "L2NoVlanNetwork"


@api
class CreateL2VlanNetwork(Create):
    """The hosts' kernels must know VLANs (8021q): attaching the network to a cluster says which do not."""

    route = Route("POST", "/l2-networks/vlan")
    package = _PACKAGE
    result = L2NetworkInventory
    creates = "L2NetworkVO"
    references = {"zone_uuid": "ZoneVO"}
    name: Name
    vlan: Annotated[int, Field(ge=0, le=4095)]
    zone_uuid: Uuid
    physical_interface: Interface
    description: Description | None = None
    type: Literal["L2VlanNetwork"] = "L2VlanNetwork"


@api
class UpdateL2Network(Update):
    route = Route("PUT", "/l2-networks/{uuid}/actions", "updateL2Network")
    package = _PACKAGE
    result = L2NetworkInventory
    references = {"uuid": "L2NetworkVO"}


class _OfCluster(Api):
    package = _PACKAGE
    result = L2NetworkInventory
    references = {"l2_network_uuid": "L2NetworkVO", "cluster_uuid": "ClusterVO"}
    l2_network_uuid: Uuid
    cluster_uuid: Uuid


@api
class AttachL2NetworkToCluster(_OfCluster):
    """Every connected host of the cluster gets the network's bridge, or nothing changes."""

    route = Route("POST", "/l2-networks/{l2NetworkUuid}/clusters/{clusterUuid}", no_body=True)


@api
class DetachL2NetworkFromCluster(_OfCluster):
    route = Route("DELETE", "/l2-networks/{l2NetworkUuid}/clusters/{clusterUuid}")


@api
class DeleteL2Network(Delete):
    route = Route("DELETE", "/l2-networks/{uuid}")
    package = _PACKAGE
    uuid: Uuid


@api
class QueryL2Network(Query):
    route = Route("GET", "/l2-networks")
    package = _PACKAGE
    result = L2NetworkInventory
    resource = "L2NetworkVO"


@api
class QueryL2VlanNetwork(Query):
    """L2 networks that are VLANs, and no others."""

    route = Route("GET", "/l2-networks/vlan")
    package = _PACKAGE
    result = L2NetworkInventory
    resource = "L2VlanNetworkVO"


@api
class GetL2NetworkTypes(Api):
    kind: ClassVar[Literal["query", "read", "change"]] = "read"
    route = Route("GET", "/l2-networks/types")
    package = _PACKAGE
    result = L2NetworkTypes
    result_key = None
