"""The plural data source of a resource: all that fulfil some conditions, e.g. `steppe_vms`."""

from functools import cached_property

from provider.data_sources.lookup import Findable, read_only
from provider.framework import validate
from provider.framework.plan import Object
from provider.framework.resource import Context
from provider.framework.schema import Attr, Nested, Schema, computed, optional
from provider.framework.types import STRING, list_of

CONDITION = validate.matches(
    r"\s*[\w.]+\s*(=|!=|>=?|<=?|\?=|!\?=|~=|!~=)(.|\n)*|\s*[\w.]+\s+(is\s+)?(not\s+)?null\s*",
    "a condition: a field, one of = != > >= < <= ?= !?= ~= !~= and a value, or a field and `is null` or `not null`",
)


def conditions() -> Attr:
    return optional(
        list_of(STRING),
        "Conditions that all must be true, as the control plane's queries take them: `state=Running`, `cpuNum>=2`, "
        "`name~=web%`, `uuid?=a,b`, `hostUuid is null`, `host.name=h1`, `__userTag__=blue`.",
        validators=(validate.each(CONDITION),),
    )


def searched(*, named: bool) -> dict[str, Attr]:
    """What is to be found; by name, too, what has one."""
    found = {"conditions": conditions()}
    if named:
        found["name"] = optional(STRING, "The exact name.", validators=(validate.length(1, 255),))
        found["name_pattern"] = optional(
            STRING, "A pattern of the name: `%` stands for any text, `_` for any character."
        )
    return found


def wanted(config: Object) -> list[str]:
    """The same as conditions of a query."""
    found = list(config["conditions"] or [])
    found += [f"name={config['name']}"] if config.get("name") is not None else []
    return found + ([f"name~={config['name_pattern']}"] if config.get("name_pattern") is not None else [])


class Inventories:
    def __init__(self, resource: Findable) -> None:
        self.resource = resource
        self.noun = resource.type_name.removeprefix("steppe_") + "s"
        self.type_name = resource.type_name + "s"

    @cached_property
    def schema(self) -> Schema:
        found = Nested("list", read_only(self.resource.schema.attributes))
        attributes = searched(named="name" in self.resource.schema.attributes)
        attributes[self.noun] = computed(found, "What was found, in the order of creation.")
        return Schema(
            attributes, f"Lists by name and conditions: {self.resource.schema.description.partition('.')[0]}."
        )

    def read(self, context: Context, config: Object) -> Object:
        names = read_only(self.resource.schema.attributes)
        every = context.client.every(self.resource.collection, wanted(config))
        there = [one for one in every if not self.resource.gone(one)]
        self.resource.foresee(context, there)
        described = [self.resource.describe(context, inventory) for inventory in there]
        found = [{name: whole[name] for name in names} for whole in described]
        return config | {self.noun: found}
