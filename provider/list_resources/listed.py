"""The list resource of a resource: all that its query finds, by conditions, by name, and by what they belong to.

Its filters are made from the resource's own table: every attribute that is a uuid of something, its state and its kind.
"""

from collections.abc import Iterator
from functools import cached_property
from itertools import islice

from provider.client.control_plane import Inventory
from provider.data_sources.inventories import searched, wanted
from provider.framework import validate
from provider.framework.plan import Object
from provider.framework.resource import Context, Found
from provider.framework.schema import Attr, Schema, optional
from provider.framework.types import STRING
from provider.resources.base import Table

KINDS = ("state", "status", "type", "format", "media_type", "platform", "resource_type", "tag")
TOGETHER = 100  # inventories that are described with what is fetched for all of them
NO_FIELD = {"root_disk_offering_uuid", "root_volume_uuid", "running_host_uuid", "snapshot_uuid"}  # of any inventory


class Listed:
    def __init__(self, resource: Table) -> None:
        self.resource, self.collection = resource, resource.collection
        self.type_name = resource.type_name

    @cached_property
    def schema(self) -> Schema:
        named = "name" in self.resource.schema.attributes
        what = self.resource.schema.description.partition(".")[0]
        return Schema(searched(named=named) | self._filters, f"Finds what exists: {what[:1].lower()}{what[1:]}.")

    @cached_property
    def _filters(self) -> dict[str, Attr]:
        """Those of the resource's attributes that are fields of its inventory."""
        found: dict[str, Attr] = {}
        for name, one in self.resource.schema.attributes.items():
            if name in (NO_FIELD | self.resource.unqueryable) or name == "uuid" or one.type.kind != "string":
                continue
            if name.endswith("_uuid"):
                noun = name.removesuffix("_uuid").replace("_", " ")
                found[name] = optional(STRING, f"UUID of their {noun}.", validators=(validate.uuid,))
            elif name in KINDS:
                found[name] = optional(
                    STRING, f"Their {name.replace('_', ' ')}, as `{self.resource.type_name}` has it."
                )
        return found

    @cached_property
    def fields(self) -> dict[str, str]:
        """Of the inventory, by the filters that ask for them."""
        return {name: self.resource.field(name) for name in self._filters}

    def list(self, context: Context, config: Object, *, whole: bool) -> Iterator[Found]:
        asked = wanted(config)
        asked += [f"{field}={config[name]}" for name, field in self.fields.items() if config[name] is not None]
        every = context.client.every(self.resource.collection, asked)
        found = (one for one in every if not self.resource.gone(one) and self.resource.stands_alone(one))
        while some := list(islice(found, TOGETHER)):
            if whole:
                self.resource.foresee(context, some)
            for inventory in some:
                state = self.resource.describe(context, inventory) if whole else {"uuid": inventory["uuid"]}
                yield Found(state, _spoken(inventory))


def _spoken(inventory: Inventory) -> str:
    return str(inventory.get("name") or inventory.get("tag") or inventory["uuid"])
