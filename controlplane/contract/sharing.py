"""Whose a resource is, and whom its owner lets see and use it."""

from typing import Annotated, ClassVar

from pydantic import Field

from controlplane.contract.base import Api, Date, Inventory, Query, Route, Uuid
from controlplane.contract.registry import api

_PACKAGE = "org.zstack.header.identity"
Resources = Annotated[list[Uuid], Field(min_length=1, max_length=1000)]
Accounts = Annotated[list[Uuid], Field(max_length=1000)]


class SharedResourceInventory(Inventory):
    owner_account_uuid: str
    receiver_account_uuid: str | None = None
    to_public: bool
    resource_type: str
    resource_uuid: str
    create_date: Date
    last_op_date: Date


class AccountResourceRefInventory(Inventory):
    account_uuid: str
    resource_uuid: str
    resource_type: str
    create_date: Date
    last_op_date: Date


class ResourcesOf(Api):
    admin_only: ClassVar[bool] = False
    package = _PACKAGE
    result_key = None
    resource_uuids: Resources
    account_uuids: Accounts | None = None
    to_public: bool = False


@api
class ShareResource(ResourcesOf):
    """Lets the accounts, or with `toPublic` every account, see and use the resources; only their owner changes them."""

    route = Route("PUT", "/accounts/resources/actions", "shareResource")


@api
class RevokeResourceSharing(ResourcesOf):
    """Takes back what was shared with the accounts, with `toPublic` what was shared with everybody, with `all` both."""

    route = Route("PUT", "/accounts/resources/actions", "revokeResourceSharing")
    all: bool = False


@api
class QuerySharedResource(Query):
    route = Route("GET", "/accounts/resources")
    package = _PACKAGE
    result = SharedResourceInventory
    resource = "SharedResourceVO"


@api
class QueryAccountResourceRef(Query):
    route = Route("GET", "/accounts/resources/refs")
    package = _PACKAGE
    result = AccountResourceRefInventory
    resource = "AccountResourceRefVO"
