"""Attributes of resources and data sources: what may be assigned, and what is read as a reference for after apply.

A class made from the provider's schema lists its attributes as `Wish` (may be set) and `Fact` (read only). Reading either
gives a reference that Terraform resolves; what was set is in `given`. Values are checked when they are set, and every
complaint names the path of the construct.
"""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any, Generic, Protocol, TypeVar, overload

from constructs import Construct

T = TypeVar("T")
KINDS = {
    "string": "a string",
    "number": "a number",
    "bool": "True or False",
    "list": "a list",
    "set": "a list",
    "map": "a mapping",
    "object": "a mapping",
}
LARGEST_TOKEN = -1e280  # numbers known after apply travel as numbers below this


class StackError(ValueError):
    """Something in the stack cannot be; the message begins with the path of the construct."""

    def __init__(self, path: "Place | str", complaint: str) -> None:
        self.path = str(path)
        self.complaint = complaint
        super().__init__(f"{self.path}: {complaint}")


class Place:
    """Where a construct is, or will be; asked for only when something is wrong there."""

    def __init__(self, scope: Construct, id: str = "") -> None:
        self._scope = scope
        self._id = id

    def __str__(self) -> str:
        return "/".join(filter(None, (self._scope.node.path, self._id)))


class Referable(Protocol):
    """Who has attributes: a resource, a data source, or an object in one of their attributes."""

    def refer(self, name: str, kind: str) -> Any: ...

    def assign(self, name: str, value: Any) -> None: ...


class Identified(Protocol):
    """A resource, a data source or a construct that stands for one."""

    @property
    def uuid(self) -> str: ...


class Fact(Generic[T]):
    """An attribute that is read only. `kind` is its type in Terraform's words, or the class of its elements; `choices`: what
    it, or each of its elements, may be, where that is not open."""

    def __init__(
        self, kind: str, view: "type[View] | None" = None, required: bool = False, choices: tuple[str, ...] = ()
    ) -> None:
        self.kind = kind
        self.choices = choices
        self.view = view
        self.required = required
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, owner: None, kind: type) -> "Fact[T]": ...
    @overload
    def __get__(self, owner: Referable, kind: type) -> T: ...
    def __get__(self, owner: Referable | None, kind: type) -> "T | Fact[T]":
        if owner is None:
            return self
        if self.view is None:
            return owner.refer(self.name, self.kind)  # type: ignore[no-any-return]
        if self.kind == "object":
            return self.view(owner, self.name)  # type: ignore[return-value]
        return Views(owner, self.name, self.view)  # type: ignore[return-value]

    def __set__(self, owner: Referable, value: T | None) -> None:
        raise StackError(_place_of(owner), f"{self.name} is a fact, it cannot be set")


class Wish(Fact[T]):
    """An attribute that may be set, also after the construct was made; None takes it back."""

    def __set__(self, owner: Referable, value: Any) -> None:
        owner.assign(self.name, value)


class View:
    """The object in an attribute, e.g. `vm.nics[0]`; its attributes are references."""

    def __init__(self, owner: Referable, place: str) -> None:
        self._owner = owner
        self._place = place

    def refer(self, name: str, kind: str) -> Any:
        return self._owner.refer(f"{self._place}.{name}", kind)

    def assign(self, name: str, value: Any) -> None:
        raise StackError(_place_of(self._owner), f"set {self._place} as a whole, not its {name} alone")


V = TypeVar("V", bound=View)


class Views(Generic[V]):
    """The objects in an attribute, by position or key; how many there are is known after apply."""

    def __init__(self, owner: Referable, place: str, view: type[V]) -> None:
        self._owner = owner
        self._place = place
        self._view = view

    def __getitem__(self, key: int | str) -> V:
        spelled = f'"{key}"' if isinstance(key, str) else str(key)
        return self._view(self._owner, f"{self._place}[{spelled}]")

    def __iter__(self) -> Iterator[V]:
        raise TypeError(f"{self._place}: how many there are is known after apply; take one by its position")

    def all(self) -> Any:
        """All of them, as one reference."""
        return self._owner.refer(self._place, "any")


def declared(kind: type) -> dict[str, Fact[Any]]:
    """The attributes of a generated class, by their names in Terraform."""
    found = (vars(one) for one in reversed(kind.__mro__))
    return {fact.name: fact for members in found for fact in members.values() if isinstance(fact, Fact)}


def checked(path: Place, name: str, value: Any, fact: Fact[Any]) -> Any:
    """`value` as plain data for the synthesized stack."""
    if is_reference(value):
        return value
    kind, _, element = fact.kind.partition(" of ")
    if not _fits(value, kind):
        shown = repr(value) if len(repr(value)) <= 60 else f"{repr(value)[:57]}..."
        hint = " (its elements go in [ ])" if kind in ("list", "set") and isinstance(value, str) else ""
        raise StackError(path, f"{name} must be {KINDS[kind]}, not {shown}{hint}")
    if fact.view is not None:
        return _objects(path, name, value, fact.view, kind)
    if kind == "string" and fact.choices and value not in fact.choices:
        near = difflib.get_close_matches(value, fact.choices, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise StackError(path, f"{name} must be one of {', '.join(map(repr, fact.choices))}, not {value!r}{hint}")
    inner: Fact[Any] = Fact(element, choices=fact.choices)
    if kind in ("list", "set"):
        return [checked(path, f"{name}[{index}]", one, inner) for index, one in enumerate(value)]
    if kind == "map":
        return {str(key): checked(path, f"{name}[{key!r}]", one, inner) for key, one in value.items()}
    return value


def _objects(path: Place, name: str, value: Any, view: type[View], kind: str) -> Any:
    if kind == "object":
        return members(path, f"{name}.", value, view)
    if kind == "map":
        return {key: members(path, f"{name}[{key!r}].", one, view) for key, one in value.items()}
    return [members(path, f"{name}[{index}].", one, view) for index, one in enumerate(value)]


def members(path: Place, where: str, given: Any, kind: type) -> Any:
    """The attributes `given` to an object of a generated class: none unknown, none missing, each of its type."""
    if is_reference(given):
        return given
    if not isinstance(given, Mapping):
        raise StackError(path, f"{where.rstrip('.')} must be a mapping, not {given!r}")
    known = declared(kind)
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(_snake(name), known, n=1)
            raise StackError(path, f"there is no {where}{name}" + (f"; did you mean {near[0]}?" if near else ""))
        if not isinstance(known[name], Wish):
            raise StackError(path, f"{where}{name} is a fact, it cannot be set")
    for name, fact in known.items():
        if fact.required and given.get(name) is None:
            raise StackError(path, f"{where}{name} is required")
    return {name: checked(path, where + name, one, known[name]) for name, one in given.items() if one is not None}


def is_reference(value: Any) -> bool:
    """Whether `value` is, or holds, what Terraform or the kit resolves later."""
    if isinstance(value, str):
        return "${" in value
    if isinstance(value, float):
        return value < LARGEST_TOKEN
    if isinstance(value, list):
        return len(value) == 1 and isinstance(value[0], str) and value[0].startswith("#{")
    return hasattr(value, "__jsii_ref__") or hasattr(value, "resolve")


def _fits(value: Any, kind: str) -> bool:
    if kind == "string":
        return isinstance(value, str)
    if kind == "bool":
        return isinstance(value, bool)
    if kind == "number":
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind in ("list", "set"):
        return isinstance(value, Sequence) and not isinstance(value, str | bytes)
    return isinstance(value, Mapping) and not isinstance(value, PurePath)


def _snake(name: str) -> str:
    """`imageUuid` as `image_uuid`: the wire's spelling is a likely slip."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


def _place_of(owner: Any) -> Place:
    while isinstance(owner, View):
        owner = owner._owner
    return Place(owner)
