"""The data source of a resource: the same attributes, found by `uuid` or by `name`."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Protocol

from provider.client.control_plane import Inventory
from provider.framework.diagnostics import Path, Refused
from provider.framework.plan import Object
from provider.framework.resource import Context
from provider.framework.schema import Attr, Nested, Schema
from provider.framework.types import Value

# No fact of the same name stands behind them.
WISHES_ONLY = (
    *("timeouts", "expunge", "deletion_protection", "allow_restart", "migrate_running", "leave_stopped"),
    *("user_data_on_change", "user_data_wo_version", "iso_uuids", "boot_order_once"),
    *("password_wo_version", "credentials_file", "wait_for", "wait_timeout"),
)  # fmt: skip


class Findable(Protocol):
    """What a resource must offer to be looked up."""

    @property
    def type_name(self) -> str: ...
    @property
    def collection(self) -> str: ...
    @property
    def schema(self) -> Schema: ...
    def gone(self, inventory: Inventory) -> bool: ...
    def import_state(self, context: Context, identifier: str) -> Object: ...
    def foresee(self, context: Context, inventories: Sequence[Inventory]) -> None: ...
    def describe(self, context: Context, inventory: Inventory) -> Object: ...


def _one_key(config: dict[str, Value]) -> Iterator[tuple[Path, str]]:
    if (config.get("uuid") is None) == (config.get("name") is None):
        yield ("uuid",), "Exactly one of uuid and name says what to look up."


class Lookup:
    def __init__(self, resource: Findable) -> None:
        self.resource = resource
        self.type_name = resource.type_name

    @cached_property
    def schema(self) -> Schema:
        attributes = read_only(self.resource.schema.attributes)
        for key in ("uuid", "name"):
            attributes[key] = replace(attributes[key], optional=True)
        description = f"Looks up by `uuid` or `name`: {self.resource.schema.description.partition('.')[0]}."
        return Schema(attributes, description, rules=(_one_key,))

    def read(self, context: Context, config: Object) -> Object:
        uuid = config["uuid"] if config["uuid"] is not None else self._by_name(context.client, config["name"])
        found = self.resource.import_state(context, uuid)
        return {name: found[name] for name in self.schema.attributes}

    def _by_name(self, client: Any, name: str) -> str:
        candidates: list[Inventory] = client.query(self.resource.collection, name=name)
        found = [one for one in candidates if one["name"] == name and not self.resource.gone(one)]
        if len(found) != 1:
            uuids = ": " + ", ".join(one["uuid"] for one in found) if found else ""
            detail = f"There are {len(found)} with the name {name!r}{uuids}. Look up by uuid." if found else ""
            raise Refused(
                f"{self.type_name} cannot be found by name",
                detail or f"There is none with the name {name!r}.",
                ("name",),
            )
        return str(found[0]["uuid"])


def read_only(attributes: dict[str, Attr]) -> dict[str, Attr]:
    """The facts among a resource's attributes."""
    return {
        name: _as_fact(attribute)
        for name, attribute in attributes.items()
        if name not in WISHES_ONLY and not attribute.write_only
    }


def _as_fact(attribute: Attr) -> Attr:
    shape = attribute.shape
    if isinstance(shape, Nested):
        shape = Nested(shape.nesting, {name: _as_fact(member) for name, member in shape.attributes.items()})
    return Attr(shape, attribute.description, computed=True, sensitive=attribute.sensitive)
