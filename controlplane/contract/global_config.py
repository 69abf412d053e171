"""The global configuration: what holds for the whole cloud and may be changed while it runs."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from controlplane.contract.base import Api, Inventory, Query, Route
from controlplane.contract.registry import api

_PACKAGE = "org.zstack.core.config"
Category = Annotated[str, Field(min_length=1, max_length=64)]
EntryName = Annotated[str, Field(min_length=1, max_length=255)]


def _as_text(value: Any) -> Any:
    """Values are text; a client may send a number or a truth value as such."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else value


class GlobalConfigInventory(Inventory):
    category: str
    name: str
    description: str | None = None
    default_value: str | None = None
    value: str | None = None


@api
class UpdateGlobalConfig(Api):
    """Takes effect at once, on every node. Sizes take the suffixes K, M, G and T."""

    route = Route("PUT", "/global-configurations/{category}/{name}/actions", "updateGlobalConfig")
    package = _PACKAGE
    result = GlobalConfigInventory
    category: Category
    name: EntryName
    value: Annotated[str | None, BeforeValidator(_as_text), Field(max_length=4096)] = None


@api
class ResetGlobalConfig(Api):
    """To the default: one entry, all of a category, or (without parameters) everything; returns what it reset."""

    route = Route("PUT", "/global-configurations/actions", "resetGlobalConfig")
    package = _PACKAGE
    result = GlobalConfigInventory
    result_key = "inventories"
    category: Category | None = None
    name: EntryName | None = None


@api
class GetGlobalConfig(Api):
    kind: ClassVar[Literal["query", "read", "change"]] = "read"
    route = Route("GET", "/global-configurations/{category}/{name}")
    package = _PACKAGE
    result = GlobalConfigInventory
    category: Category
    name: EntryName


@api
class QueryGlobalConfig(Query):
    route = Route("GET", "/global-configurations")
    package = _PACKAGE
    result = GlobalConfigInventory
    resource = "GlobalConfigVO"
