"""What a resource looks like to the user: attributes with their types, rules and behaviour in a plan.

A schema is data; the protocol, the docs and the generated bindings are made from it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from provider.framework.types import Type, Value, list_of, map_of, object_of, set_of

Validator = Callable[[Value], str | None]  # what is wrong and what would be right, or None


@dataclass(frozen=True)
class Nested:
    """Attributes within an attribute: `x = {…}` (single), `x = [{…}]` (list, set) or `x = {key = {…}}` (map)."""

    nesting: Literal["single", "list", "set", "map"]
    attributes: "dict[str, Attr]"

    @cached_property
    def object(self) -> Type:
        return object_of({name: attribute.type for name, attribute in self.attributes.items()})

    @cached_property
    def type(self) -> Type:
        wrap = {"list": list_of, "set": set_of, "map": map_of}.get(self.nesting)
        return wrap(self.object) if wrap else self.object


@dataclass(frozen=True)
class Attr:
    """One attribute.

    `replace`: a change needs a new resource. `keep`: a computed value that stays as it is while the resource lives
    (else any change makes it "known after apply"). `default`: taken when the user wrote nothing; implies computed.
    """

    shape: Type | Nested
    description: str
    required: bool = False
    optional: bool = False
    computed: bool = False
    sensitive: bool = False
    write_only: bool = False
    replace: bool = False
    keep: bool = False
    default: Any = None
    validators: tuple[Validator, ...] = ()

    @property
    def nested(self) -> Nested | None:
        return self.shape if isinstance(self.shape, Nested) else None

    @property
    def type(self) -> Type:
        return self.shape.type if isinstance(self.shape, Nested) else self.shape

    @property
    def is_computed(self) -> bool:
        return self.computed or self.default is not None


def required(shape: Type | Nested, description: str, **rest: Any) -> Attr:
    return Attr(shape, description, required=True, **rest)


def optional(shape: Type | Nested, description: str, **rest: Any) -> Attr:
    return Attr(shape, description, optional=True, **rest)


def computed(shape: Type | Nested, description: str, **rest: Any) -> Attr:
    """Read-only; stays as it is while the resource lives, unless `keep=False`."""
    return Attr(shape, description, computed=True, **({"keep": True} | rest))


@dataclass(frozen=True)
class Schema:
    attributes: dict[str, Attr]
    description: str = ""
    version: int = 0
    # Rules over several attributes: (config) → pairs of path and complaint.
    rules: tuple[Callable[[dict[str, Value]], Iterator[tuple[tuple[str | int, ...], str]]], ...] = field(default=())

    @cached_property
    def type(self) -> Type:
        return object_of({name: attribute.type for name, attribute in self.attributes.items()})
