"""Terraform's types, and the one value that stands for "known after apply".

A value is plain Python: None, str, int, float, bool, list, dict, or UNKNOWN. Sets are lists in a canonical order, so
that `==` compares every value rightly. Nothing here knows how values travel.
"""

import json
from typing import Any, Final, Literal

Value = Any


class _Unknown:
    """A value known only after apply. It refuses to be used as a truth value: code must ask `is UNKNOWN` first."""

    def __repr__(self) -> str:
        return "(known after apply)"

    def __bool__(self) -> bool:
        raise TypeError("the value is known only after apply: test `is UNKNOWN` before using it")

    def __copy__(self) -> "_Unknown":
        return self

    def __deepcopy__(self, _memo: object) -> "_Unknown":
        return self


UNKNOWN: Final = _Unknown()


class Type:
    """A primitive, a collection of `element`, or an object with `members`."""

    __slots__ = ("element", "kind", "members")

    def __init__(
        self,
        kind: Literal["string", "number", "bool", "list", "set", "map", "object"],
        element: "Type | None" = None,
        members: "dict[str, Type] | None" = None,
    ) -> None:
        self.kind = kind
        self.element = element
        self.members = members or {}

    def spelled(self) -> Any:
        """The type in Terraform's JSON notation, as Python data: `"string"`, `["set", "string"]`."""
        if self.kind == "object":
            return ["object", {name: member.spelled() for name, member in self.members.items()}]
        return self.kind if self.element is None else [self.kind, self.element.spelled()]


STRING: Final = Type("string")
NUMBER: Final = Type("number")
BOOL: Final = Type("bool")


def list_of(element: Type) -> Type:
    return Type("list", element)


def set_of(element: Type) -> Type:
    return Type("set", element)


def map_of(element: Type) -> Type:
    return Type("map", element)


def object_of(members: dict[str, Type]) -> Type:
    return Type("object", members=members)


def canonical_set(elements: list[Value]) -> list[Value]:
    """The elements in a fixed order, without repetition. Two that are not known yet may turn out to be two."""

    def key(element: Value) -> str:
        return json.dumps(element, sort_keys=True, default=repr)

    known = {key(element): element for element in elements if wholly_known(element)}
    unknown = [element for element in elements if not wholly_known(element)]
    return [known[one] for one in sorted(known)] + sorted(unknown, key=key)


def conform(value: Value, type_: Type) -> Value:
    """`value` as `type_` wants it: numbers from text, members of an object completed, sets in canonical order.

    Raises ValueError for a value that cannot be of that type.
    """
    if value is None or value is UNKNOWN:
        return value
    match type_.kind:
        case "string" if isinstance(value, str):
            return value
        case "bool" if isinstance(value, bool):
            return value
        case "number" if not isinstance(value, bool):
            number = float(value) if not isinstance(value, int) else value
            return int(value) if number == int(number) else number
        case "list" | "set" if isinstance(value, list) and type_.element is not None:
            elements = [conform(element, type_.element) for element in value]
            return canonical_set(elements) if type_.kind == "set" else elements
        case "map" if isinstance(value, dict) and type_.element is not None:
            return {key: conform(element, type_.element) for key, element in value.items()}
        case "object" if isinstance(value, dict):
            return {name: conform(value.get(name), member) for name, member in type_.members.items()}
    raise ValueError(f"{value!r} is not a {type_.kind}")


def wholly_known(value: Value) -> bool:
    """Whether nothing in `value`, at any depth, is unknown."""
    if value is UNKNOWN:
        return False
    if isinstance(value, list):
        return all(wholly_known(element) for element in value)
    if isinstance(value, dict):
        return all(wholly_known(element) for element in value.values())
    return True
