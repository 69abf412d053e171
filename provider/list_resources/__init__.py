"""List resources: what `terraform query` finds, in a configuration or not."""

from provider.list_resources.listed import Listed
from provider.resources import ALL as RESOURCES

ALL: tuple[Listed, ...] = tuple(Listed(resource) for resource in RESOURCES)

__all__ = ["ALL"]
