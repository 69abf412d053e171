"""How a resource declares itself to the generated acceptance suite; the declarations stand in `declarations/`, a story a file.

A story is one terraform working directory: all its instances are made, changed, imported, meddled with, lost and destroyed
together, over the land of `land.py`. A resource of the provider without a `Declaration`, or an attribute without a case,
fails `test_declarations.py`. To add a resource, append to `ALL` of a file in `declarations/` (a new file is a new story):

    Declaration("steppe_cluster", lambda n: {"name": f"cluster-{n}", "zone_uuid": "=steppe_zone.a.uuid"},
                {"zone_uuid": Change("=steppe_zone.b.uuid")})

The sample is a configuration that holds nothing but what is needed; `n` makes its values unique (each case has an instance
of its own). Values are JSON; a text that begins with `=` is an HCL expression, in a list or an object too.

A case is one attribute changed alone: `Change(after, before=…)`, or several in a list. The expected action is what the
schema says (`replace=True` → replace, else update) unless the case names another. Nothing needs to be said of `name`,
`description`, `timeouts`, `state` and of booleans with a default. What was updated is later changed back behind Terraform's back
(by the resource's own calls), and must be seen and repaired; `wishes` names attributes that only Terraform knows.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from provider.framework.resource import Resource
from provider.framework.schema import Attr
from provider.main import Steppe

Action = Literal["update", "replace", "refused", "none"]
Values = dict[str, Any]
RESOURCES: dict[str, Resource] = {one.type_name: one for one in Steppe.resources}


@dataclass(frozen=True)
class Change:
    """`after` (None: left out) instead of what the sample and `before` say; `along` changes with it, where it must."""

    after: Any
    before: Values = field(default_factory=dict)
    along: Values = field(default_factory=dict)
    action: Action | None = None
    said: str = ""  # in the plan of a refused one
    forgotten: tuple[str, ...] = ()  # attributes of this instance that an import cannot know, besides the wishes
    drifts: bool = True  # False: there is nothing that somebody else could change back
    applies: bool = True  # False: it is only planned, because no cloud could fulfil it


@dataclass(frozen=True)
class Declaration:
    type_name: str
    sample: Callable[[int], Values]
    changes: dict[str, Change | list[Change]] = field(default_factory=dict)
    wishes: frozenset[str] = frozenset()  # attributes whose drift cannot be seen, besides those that `WISHES` names
    shared: frozenset[str] = frozenset()  # attributes that are left to others where the configuration says nothing
    identifier: Callable[[Values], str] = lambda state: str(state["uuid"])  # to import by
    lost: Action | Literal["create"] = "create"  # planned when it was deleted behind Terraform's back

    @property
    def resource(self) -> Resource:
        return RESOURCES[self.type_name]

    @property
    def unseen(self) -> frozenset[str]:
        return self.wishes | WISHES

    def cases(self) -> "Iterator[Case]":
        """The sample itself, and each change."""
        yield Case(self, "sample", 0, "", Change(None))
        number = 0
        for name, one in settable(self.type_name).items():
            changes = self.changes.get(name) or derived(name, one)
            for position, change in enumerate(changes if isinstance(changes, list) else [changes]):
                number += 1
                yield Case(self, name if position == 0 else f"{name}_{position}", number, name, change)


WISHES = frozenset({"timeouts", "deletion_protection", "expunge"})


@dataclass(frozen=True)
class Case:
    """One instance of a resource."""

    of: Declaration
    label: str
    number: int
    attribute: str
    change: Change

    @property
    def address(self) -> str:
        return f"{self.of.type_name}.{self.label}"

    @property
    def action(self) -> Action | None:
        if not self.attribute:
            return None
        by_schema: Action = "replace" if settable(self.of.type_name)[self.attribute].replace else "update"
        return self.change.action or by_schema

    @property
    def drifts(self) -> bool:
        """Whether a change back by somebody else is seen."""
        name, left_out = self.attribute, not self.change.after
        seen = name not in self.of.unseen and not (left_out and name in self.of.shared)
        return self.action == "update" and self.change.applies and self.change.drifts and seen

    @property
    def first(self) -> Values:
        return self.of.sample(self.number) | self.change.before

    @property
    def second(self) -> Values:
        return self.first | ({self.attribute: self.change.after} if self.attribute else {}) | self.change.along

    def block(self, values: Values) -> str:
        lines = "".join(f"  {name} = {expression(value)}\n" for name, value in values.items() if value is not None)
        return f'resource "{self.of.type_name}" "{self.label}" {{\n{lines}}}\n'


def settable(type_name: str) -> dict[str, Attr]:
    attributes = RESOURCES[type_name].schema.attributes
    return {name: one for name, one in attributes.items() if one.required or one.optional}


def derived(name: str, one: Attr) -> list[Change]:
    """What needs no declaration. Empty: it needs one."""
    match name:
        case "name":
            return [Change("renamed")]
        case "description":
            return [Change("another", {"description": "one"}), Change(None, {"description": "one"})]
        case "timeouts":
            return [Change({"create": "20m"})]
        case "state":
            return [Change("Disabled"), Change("Enabled", {"state": "Disabled"})]
    if one.type.kind == "bool" and one.default is not None:
        return [Change(one.default, {name: not one.default})]
    return []


def expression(value: Any) -> str:
    match value:
        case str() if value.startswith("="):
            return value[1:]
        case list():
            return f"[{', '.join(map(expression, value))}]"
        case dict():
            return f"{{ {', '.join(f'{json.dumps(name)} = {expression(one)}' for name, one in value.items())} }}"
    return json.dumps(value, ensure_ascii=False)
