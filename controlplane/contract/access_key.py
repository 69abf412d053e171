"""Access keys: with one a program signs its calls (`Authorization: ZStack <id>:<signature>`) and needs no session."""

from typing import Annotated, ClassVar

from pydantic import Field

from controlplane.contract.base import (
    ChangeState,
    Create,
    Date,
    Delete,
    Description,
    Inventory,
    Query,
    Route,
    Uuid,
)
from controlplane.contract.registry import api

_PACKAGE = "org.zstack.accessKey"


class AccessKeyInventory(Inventory):
    uuid: str
    description: str | None = None
    account_uuid: str
    user_uuid: str
    access_key_id: Annotated[str, Field(alias="AccessKeyID")]
    state: str
    create_date: Date
    last_op_date: Date


class NewAccessKeyInventory(AccessKeyInventory):
    """The only answer that ever holds the secret."""

    access_key_secret: Annotated[str, Field(alias="AccessKeySecret")]


@api
class CreateAccessKey(Create):
    """Answers at once and shows the secret, once. Without `accountUuid` the key is for the calling account."""

    at_once: ClassVar[bool] = True
    admin_only: ClassVar[bool] = False
    route = Route("POST", "/accesskeys")
    package = _PACKAGE
    result = NewAccessKeyInventory
    creates = "AccessKeyVO"
    references = {"account_uuid": "AccountVO"}
    account_uuid: Uuid | None = None
    user_uuid: Uuid | None = None  # as in the reference: the account's own
    description: Description | None = None


@api
class ChangeAccessKeyState(ChangeState):
    """A disabled key opens nothing until it is enabled again."""

    admin_only: ClassVar[bool] = False
    route = Route("PUT", "/accesskeys/{uuid}/actions", "changeAccessKeyState")
    package = _PACKAGE
    result = AccessKeyInventory
    references = {"uuid": "AccessKeyVO"}


@api
class DeleteAccessKey(Delete):
    admin_only: ClassVar[bool] = False
    route = Route("DELETE", "/accesskeys/{uuid}")
    package = _PACKAGE
    changes = {"uuid": "AccessKeyVO"}
    uuid: Uuid


@api
class QueryAccessKey(Query):
    route = Route("GET", "/accesskeys")
    package = _PACKAGE
    result = AccessKeyInventory
    resource = "AccessKeyVO"
