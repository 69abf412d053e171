"""Who changed what, when, from where, and how it ended."""

from controlplane.contract.base import Date, Inventory, Query, Route
from controlplane.contract.registry import api


class AuditInventory(Inventory):
    """`outcome`: Processing, Success, Failure, Cancelled, Stuck, or Refused (nothing was done). `request` holds no secret."""

    id: int
    api_name: str
    account_uuid: str | None = None
    account_name: str | None = None
    job_uuid: str | None = None
    resource_uuid: str | None = None
    resource_type: str | None = None
    client_ip: str | None = None
    request: str | None = None
    outcome: str
    error_code: str | None = None
    error: str | None = None
    create_date: Date
    end_date: Date | None = None


@api
class QueryAudit(Query):
    """The administrator sees all, an account its own."""

    route = Route("GET", "/audits")
    package = "org.zstack.zwatch.api"
    result = AuditInventory
    resource = "AuditVO"
