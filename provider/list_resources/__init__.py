"""List resources: what `terraform query` finds, in a configuration or not."""

from provider.list_resources.listed import Listed

__all__ = ["Listed"]
