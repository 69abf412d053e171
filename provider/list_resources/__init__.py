"""List resources: what `terraform query` finds, in a configuration or not."""

from provider.list_resources.listed import Listed
from provider.list_resources.rows import Rows
from provider.resources import ALL as RESOURCES
from provider.resources import GlobalConfig, Quota, ResourceShare

ALL: tuple[Listed | Rows, ...] = (
    *(Listed(resource) for resource in RESOURCES),
    Rows(GlobalConfig(), "global-configurations", {"category": "category", "name": "name"}),
    Rows(Quota(), "accounts/quotas", {"account_uuid": "identityUuid", "name": "name"}),
    Rows(ResourceShare(), "accounts/resources", {"resource_uuid": "resourceUuid"}),
)

__all__ = ["ALL", "Listed", "Rows"]
