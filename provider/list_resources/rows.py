"""The list resource of what has no uuid of its own: rows of a query, by conditions and by the attributes of its identity."""

from collections.abc import Iterator, Mapping
from functools import cached_property

from provider.data_sources.inventories import searched
from provider.framework.plan import Object
from provider.framework.resource import Context, Found, Resource
from provider.framework.schema import Schema, optional


class Rows:
    """`fields`: the identity's attributes, with the fields of the rows that hold them."""

    def __init__(self, resource: Resource, collection: str, fields: Mapping[str, str]) -> None:
        self.resource, self.collection, self.fields = resource, collection, fields
        self.type_name = resource.type_name

    @cached_property
    def schema(self) -> Schema:
        known = self.resource.schema.attributes
        filters = {
            name: optional(known[name].type, known[name].description, validators=known[name].validators)
            for name in self.fields
        }
        what = self.resource.schema.description.partition(".")[0]
        return Schema(searched(named=False) | filters, f"Finds what exists: {what[:1].lower()}{what[1:]}.")

    def list(self, context: Context, config: Object, *, whole: bool) -> Iterator[Found]:
        asked = list(config["conditions"] or [])
        asked += [f"{field}={config[name]}" for name, field in self.fields.items() if config[name] is not None]
        told = set()
        for row in context.client.every(self.collection, asked):
            state = {name: row[field] for name, field in self.fields.items()}
            identifier = "/".join(state[name] for name in self.resource.identity)
            if identifier not in told:  # a share has a row for each account
                told.add(identifier)
                yield Found(self.resource.import_state(context, identifier) if whole else state, identifier)
