"""A cluster: hosts of one zone that share L2 networks and primary storages."""

from typing import Literal

from controlplane.contract.base import ChangeState, Create, Delete, Description, Name, Named, Query, Route, Update, Uuid
from controlplane.contract.registry import api

_PACKAGE = "org.zstack.header.cluster"


class ClusterInventory(Named):
    state: str
    hypervisor_type: str
    zone_uuid: str
    type: str


@api
class CreateCluster(Create):
    route = Route("POST", "/clusters")
    package = _PACKAGE
    result = ClusterInventory
    creates = "ClusterVO"
    references = {"zone_uuid": "ZoneVO"}
    zone_uuid: Uuid
    name: Name
    hypervisor_type: Literal["KVM", "Simulator"]
    description: Description | None = None
    type: Literal["zstack"] = "zstack"


@api
class UpdateCluster(Update):
    route = Route("PUT", "/clusters/{uuid}/actions", "updateCluster")
    package = _PACKAGE
    result = ClusterInventory
    references = {"uuid": "ClusterVO"}


@api
class ChangeClusterState(ChangeState):
    route = Route("PUT", "/clusters/{uuid}/actions", "changeClusterState")
    package = _PACKAGE
    result = ClusterInventory
    references = {"uuid": "ClusterVO"}


@api
class DeleteCluster(Delete):
    route = Route("DELETE", "/clusters/{uuid}")
    package = _PACKAGE
    uuid: Uuid


@api
class QueryCluster(Query):
    route = Route("GET", "/clusters")
    package = _PACKAGE
    result = ClusterInventory
    resource = "ClusterVO"
