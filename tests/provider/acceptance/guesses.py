"""Configurations that hypothesis makes of a declaration's changes and of the schema's types.

What the provider accepts is made and then planned as nothing to do; what it refuses is refused with the name of an
attribute. Nothing is a crash, and nothing that failed leaves anything. Examples are the same in every run.
"""

from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from provider.client.errors import wire_name
from provider.framework.types import Type
from tests.provider.acceptance.core import Answer, Core
from tests.provider.acceptance.declaration import Declaration, Values, settable

TEXTS = st.sampled_from(
    ["", " ", "x", "a::b", "ü€😀", "\n", "\x00", "'; --", "${a}", "0" * 32, "10.0.0.1", "x" * 300, "-1"]
)
NUMBERS = st.sampled_from([0, -1, 1, 511, 512, 0.5, 2**31, 2**53, 2**63])
FIXED = settings(
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def of_type(type_: Type) -> st.SearchStrategy[Any]:
    """Anything that Terraform would let through."""
    match type_.kind:
        case "bool":
            return st.booleans()
        case "number":
            return NUMBERS
        case "string":
            return TEXTS
        case "object":
            return st.fixed_dictionaries({name: of_type(one) for name, one in type_.members.items()})
    assert type_.element is not None
    elements = st.lists(st.none() | of_type(type_.element), max_size=3)
    return st.dictionaries(TEXTS, of_type(type_.element), max_size=2) if type_.kind == "map" else elements


def configurations(of: Declaration, spare: Values, changes: list[Values]) -> st.SearchStrategy[Values]:
    """Some of the declared changes together; sometimes with one attribute of any value."""
    attributes = settable(of.type_name)
    wild = st.sampled_from(sorted(attributes)).flatmap(
        lambda name: of_type(attributes[name].type).map(lambda value: {name: value})
    )
    some = st.lists(st.sampled_from(changes), max_size=4) if changes else st.just([])
    pieces = st.tuples(some, st.just({}) | wild)
    return pieces.map(lambda both: merged(spare, [*both[0], both[1]]))


def merged(spare: Values, pieces: list[Values]) -> Values:
    whole = dict(spare)
    for one in pieces:
        whole |= one
    return whole


def guess(core: Core, of: Declaration, spare: Values, changes: list[Values], examples: int) -> None:
    """Make one configuration of another, and destroy what came of it."""
    made = configurations(of, spare, changes)

    @settings(FIXED, max_examples=examples)
    @given(first=made, second=made)
    def runs(first: Values, second: Values) -> None:
        state = step(core, of, first, None)
        if state.value is not None:
            state = step(core, of, second, state)
        if state.value is not None:
            lift(core, of, state)

    runs()


def step(core: Core, of: Declaration, config: Values, prior: Answer | None) -> Answer:
    """Plan and apply `config`, replacing where the plan says so; the state afterwards."""
    kind, before = of.type_name, prior or Answer(None, [])
    errors = core.validate(kind, config)
    if not errors:
        planned = core.plan(kind, config, before.value, before.private)
        errors = planned.errors
        if not errors and planned.replace:
            core.destroy(kind, before.value)
            before = Answer(None, [])
            planned = core.plan(kind, config)
            errors = planned.errors
    if not errors:
        after = core.apply(kind, config, planned, before.value)
        errors = after.errors
        if not errors:
            must_be_settled(core, kind, config, after)
            return after
        before = after
    assert all(blamed or names_one(kind, text) for blamed, text in errors), (kind, config, errors)
    return before


def must_be_settled(core: Core, kind: str, config: Values, state: Answer) -> None:
    """The next command has nothing to do."""
    seen = core.read(kind, state.value, state.private)
    again = core.plan(kind, config, seen.value, seen.private)
    changed = {
        name: (value, again.value[name]) for name, value in (seen.value or {}).items() if again.value[name] != value
    }
    assert (again.errors, again.replace, changed) == ([], [], {}), (kind, config)


def lift(core: Core, of: Declaration, state: Answer) -> None:
    """Protection off, and away with it; disks too."""
    unprotected = {"deletion_protection": False, "expunge": True}
    core.destroy(of.type_name, state.value | {k: v for k, v in unprotected.items() if k in state.value})


def names_one(kind: str, text: str) -> bool:
    """The control plane's words stand for an attribute where no path does."""
    words = {word for name in settable(kind) for word in (name, wire_name(name))}
    return any(word in text for word in words)
