"""A zone: the outermost container, of clusters, storages and networks."""

from typing import Literal

from controlplane.contract.base import ChangeState, Create, Delete, Description, Name, Named, Query, Route, Update, Uuid
from controlplane.contract.registry import api

_PACKAGE = "org.zstack.header.zone"


class ZoneInventory(Named):
    state: str
    type: str


@api
class CreateZone(Create):
    route = Route("POST", "/zones")
    package = _PACKAGE
    result = ZoneInventory
    creates = "ZoneVO"
    name: Name
    description: Description | None = None
    type: Literal["zstack"] = "zstack"


@api
class UpdateZone(Update):
    route = Route("PUT", "/zones/{uuid}/actions", "updateZone")
    package = _PACKAGE
    result = ZoneInventory
    references = {"uuid": "ZoneVO"}


@api
class ChangeZoneState(ChangeState):
    route = Route("PUT", "/zones/{uuid}/actions", "changeZoneState")
    package = _PACKAGE
    result = ZoneInventory
    references = {"uuid": "ZoneVO"}


@api
class DeleteZone(Delete):
    route = Route("DELETE", "/zones/{uuid}")
    package = _PACKAGE
    uuid: Uuid


@api
class QueryZone(Query):
    route = Route("GET", "/zones")
    package = _PACKAGE
    result = ZoneInventory
    resource = "ZoneVO"
