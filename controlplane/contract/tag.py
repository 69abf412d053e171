"""Tags: a system tag is an instruction (`userdata::…`) and is checked; a user tag is a note and is not."""

from typing import Annotated, ClassVar

from pydantic import Field

from controlplane.contract.base import Api, Date, Delete, Inventory, Query, Route, Target, Uuid
from controlplane.contract.registry import api

_PACKAGE = "org.zstack.header.tag"
ResourceType = Annotated[str, Field(min_length=1, max_length=64)]


class TagInventory(Inventory):
    uuid: str
    resource_uuid: str
    resource_type: str
    tag: str
    type: str
    create_date: Date
    last_op_date: Date


class SystemTagInventory(TagInventory):
    inherent: bool


@api
class CreateSystemTag(Api):
    """Creating the same tag on the same resource again is a success and makes no second one: `existed` stands beside
    the inventory. A running VM is served its new user data, keys, host name at once. What is odd is told in `warnings` beside the inventory:
    `tag` (what stands before `::`) and `details` each."""

    route = Route("POST", "/system-tags")
    package = _PACKAGE
    admin_only: ClassVar[bool] = False
    result = SystemTagInventory
    resource_uuid: Uuid
    resource_type: ResourceType
    tag: str

    def targets(self) -> list[Target]:
        return [Target("resource_uuid", self.resource_type, self.resource_uuid)]


@api
class UpdateSystemTag(Api):
    """The tag keeps its kind (what stands before `::`). Effect and `warnings` are those of CreateSystemTag."""

    route = Route("PUT", "/system-tags/{uuid}/actions", "updateSystemTag")
    package = _PACKAGE
    admin_only: ClassVar[bool] = False
    result = SystemTagInventory
    references = {"uuid": "SystemTagVO"}
    uuid: Uuid
    tag: str


@api
class QuerySystemTag(Query):
    route = Route("GET", "/system-tags")
    package = _PACKAGE
    result = SystemTagInventory
    resource = "SystemTagVO"


@api
class CreateUserTag(Api):
    """As CreateSystemTag, the same again makes no second one and tells that it `existed`."""

    route = Route("POST", "/user-tags")
    package = _PACKAGE
    admin_only: ClassVar[bool] = False
    result = TagInventory
    resource_uuid: Uuid
    resource_type: ResourceType
    tag: Annotated[str, Field(min_length=1, max_length=65536)]

    def targets(self) -> list[Target]:
        return [Target("resource_uuid", self.resource_type, self.resource_uuid)]


@api
class QueryUserTag(Query):
    route = Route("GET", "/user-tags")
    package = _PACKAGE
    result = TagInventory
    resource = "UserTagVO"


@api
class DeleteTag(Delete):
    """User and system tags alike; inherent ones belong to the system and stay."""

    route = Route("DELETE", "/tags/{uuid}")
    package = _PACKAGE
    admin_only: ClassVar[bool] = False
    uuid: Uuid

    def targets(self) -> list[Target]:
        return [Target("uuid", kind, self.uuid) for kind in ("SystemTagVO", "UserTagVO")]
