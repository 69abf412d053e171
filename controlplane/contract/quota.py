"""How much an account may have, and how much it has."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from controlplane.contract.base import Api, Date, Inventory, Query, Route, Uuid, Wire
from controlplane.contract.registry import api

_PACKAGE = "org.zstack.header.identity"


class QuotaInventory(Inventory):
    uuid: str
    name: str
    identity_uuid: str
    identity_type: str
    value: int
    create_date: Date
    last_op_date: Date


class QuotaUsage(Wire):
    name: str
    total: int
    used: int


class QuotaUsages(Wire):
    usages: list[QuotaUsage]


@api
class GetAccountQuotaUsage(Api):
    """Without `uuid`: of the calling account."""

    kind: ClassVar[Literal["query", "read", "change"]] = "read"
    admin_only: ClassVar[bool] = False
    route = Route("GET", "/accounts/quota/{uuid}/usages")
    package = _PACKAGE
    result = QuotaUsages
    result_key = None
    references = {"uuid": "AccountVO"}
    uuid: Uuid | None = None


@api
class UpdateQuota(Api):
    """Only for accounts of type Normal: an administrator has no quota. What is there already stays, even above the limit.
    Without `value` it is what a new account gets."""

    route = Route("PUT", "/accounts/quotas/actions", "updateQuota")
    package = _PACKAGE
    result = QuotaInventory
    references = {"identity_uuid": "AccountVO"}
    identity_uuid: Uuid
    name: Annotated[str, Field(min_length=1, max_length=255)]
    value: Annotated[int, Field(ge=0, lt=2**63)] | None = None


@api
class QueryQuota(Query):
    route = Route("GET", "/accounts/quotas")
    package = _PACKAGE
    result = QuotaInventory
    resource = "QuotaVO"
