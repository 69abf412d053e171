"""What a resource, a data source and a provider are, seen from the protocol's side.

Methods get plain Python and raise `Refused` (or any exception that the provider's `explain` knows) to say no.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from provider.framework.diagnostics import Diagnostics, Path, Refused
from provider.framework.function import Function
from provider.framework.plan import Object, Plan
from provider.framework.schema import Attr, Nested, Schema
from provider.framework.types import Value

Finder = Callable[[Object], str | None]


@dataclass
class Context:
    """What a call may use besides its arguments. `stop` is set when the user pressed Ctrl-C."""

    client: Any
    stop: threading.Event
    private: dict[str, Value] = field(default_factory=dict)
    diagnostics: Diagnostics = field(default_factory=Diagnostics)
    config: Object = field(default_factory=dict)  # as written: the only place of write-only values


class Resource:
    """Base of all resources; `state` and `planned` are objects by the schema."""

    type_name: str
    schema: Schema
    # The attributes that tell it from all others; `import_state` takes their values with a slash between.
    identity: ClassVar[tuple[str, ...]] = ()
    imported_by: ClassVar[tuple[str, str]] = ("its uuid", "0123456789abcdef0123456789abcdef")  # and an example
    # From the state of one version of the schema to that of the next, by the older version.
    upgraders: ClassVar[Mapping[int, Callable[[Object], Object]]] = {}

    def noticed(self, state: Object) -> None:
        """Terraform has this in its state; called before anything is planned, without a client."""

    def modify_plan(self, plan: Plan) -> None:
        """Refine a create or an update; not called for a destroy."""

    def guarded(self, state: Object, because: Sequence[Path]) -> Refused | None:
        """Why this must not be destroyed or, for changes of these attributes, be replaced. None: it may."""

    def create(self, context: Context, planned: Object) -> Object:
        """Make it and return its state. On failure nothing is left, or `Partial` says what is."""
        raise NotImplementedError

    def read(self, context: Context, state: Object) -> Object | None:
        """What is now; None when it is gone. Values as the user wrote them stay, where they still mean the same."""
        raise NotImplementedError

    def update(self, context: Context, prior: Object, planned: Object) -> Object:
        raise NotImplementedError

    def delete(self, context: Context, state: Object) -> None:
        """Remove it; being absent already is a success."""
        raise NotImplementedError

    def import_state(self, context: Context, identifier: str) -> Object:
        """The state of an existing resource, whole."""
        raise NotImplementedError

    def moves_from(self) -> Mapping[str, Finder]:
        """Resources of other providers that mean the same, each with what finds the id to import by in its state."""
        return {}

    def configuration(self, state: Object) -> Object:
        """What somebody would write to have this state: no facts, and nothing that goes without saying."""
        return {name: _as_written(one, state[name]) for name, one in self.schema.attributes.items()}


class DataSource(Protocol):
    type_name: str

    @property
    def schema(self) -> Schema: ...

    def read(self, context: Context, config: Object) -> Object: ...


class EphemeralResource(Protocol):
    """Opened anew in every command that needs it; in no state and in no plan."""

    type_name: str
    schema: Schema

    def open(self, context: Context, config: Object) -> Object: ...

    def close(self, context: Context) -> None:
        """The command needs it no more. `context.private` is as `open` left it."""


@dataclass(frozen=True)
class Found:
    """`state` has at least the resource's identity."""

    state: Object
    display_name: str


class ListResource(Protocol):
    """Finds what exists of the resource of the same name."""

    type_name: str

    @property
    def schema(self) -> Schema: ...

    def list(self, context: Context, config: Object, *, whole: bool) -> Iterator[Found]:
        """One by one, as they are found; with their whole state if wished. Nobody may ask for all of them."""


class Action(Protocol):
    type_name: str
    schema: Schema

    def plan(self, context: Context, config: Object) -> None:
        """Refuse what could not be done now; change nothing."""

    def invoke(self, context: Context, config: Object, tell: Callable[[str], None]) -> None:
        """Do it, and `tell` how far it is."""


class Provider(Protocol):
    """`configure` returns what `Context.client` will be; it runs before any resource call that has a client."""

    schema: Schema
    resources: Sequence[Resource]
    data_sources: Sequence[DataSource]
    functions: Sequence[Function]
    ephemeral_resources: Sequence[EphemeralResource]
    list_resources: Sequence[ListResource]
    actions: Sequence[Action]

    def configure(self, config: Object, stop: threading.Event, diagnostics: Diagnostics) -> Any: ...

    def release(self, client: Any, *, in_good_order: bool) -> None:
        """Terraform is done, or (not `in_good_order`) it died and does not know what was made last."""

    def explain(self, error: Exception, schema: Schema) -> Diagnostics | None:
        """Diagnostics for an exception that the provider knows; None for a surprise."""

    def remarks(self, client: Any, config: Object) -> Diagnostics:
        """What is to be said of the change that this thread has just made, besides its result."""


def _as_written(attribute: Attr, value: Value) -> Value:
    written = attribute.required or attribute.optional
    nothing = value in ([], {}, "") or (attribute.default is not None and value == attribute.default)
    if value is None or not written or attribute.write_only or (nothing and not attribute.required):
        return None
    return _each(attribute.nested, value) if attribute.nested else value


def _each(nested: Nested, value: Value) -> Value:
    """A nested attribute without the facts in it."""

    def one(element: Object) -> Object:
        return {name: _as_written(member, element[name]) for name, member in nested.attributes.items()}

    match nested.nesting:
        case "single":
            return one(value)
        case "map":
            return {key: one(element) for key, element in value.items()}
    return [one(element) for element in value]
