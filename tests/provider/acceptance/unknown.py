"""Values that are known only after apply, in every attribute of a case that can take them.

The plan with the unknown must go through, and the plan that core makes at apply, when the value is known, must agree
with it: for a new object and for one that exists. Nothing is applied.
"""

from collections.abc import Iterator

from provider.framework.types import UNKNOWN, Value
from tests.provider.acceptance.core import Core, must_agree
from tests.provider.acceptance.declaration import Case, Values


def holes(value: Value) -> Iterator[Value]:
    """`value` as unknown, whole and in each of its parts."""
    yield UNKNOWN
    parts = enumerate(value) if isinstance(value, list) else value.items() if isinstance(value, dict) else ()
    for key, part in parts:
        for hole in holes(part):
            whole = value.copy()
            whole[key] = hole
            yield whole


def plans_with_unknowns(core: Core, case: Case, first: Values, second: Values, made: Values) -> None:
    """`first` and `second` are the configurations of the case with every reference resolved; `made` is its state."""
    kind, name = case.of.type_name, case.attribute
    for known, prior in ((first, None), (second, None), (second, made)):
        if known.get(name) is None:
            continue
        final = core.plan(kind, known, prior)
        for hole in holes(known[name]):
            open_ = known | {name: hole}
            assert core.validate(kind, open_) == [], (case.address, hole)
            planned = core.plan(kind, open_, prior)
            assert planned.errors == [], (case.address, hole)
            if final.errors or (prior is not None and (planned.replace or final.replace)):
                continue  # at apply the old one is gone, and all is planned anew; or core refuses what nobody could know
            must_agree(kind, planned.value, final.value)


def all_unknown(core: Core, case: Case, first: Values, made: Values) -> None:
    """Everything that the sample says is open at once."""
    open_ = dict.fromkeys((name for name, value in first.items() if value is not None), UNKNOWN)
    for prior in (None, made):
        assert core.validate(case.of.type_name, open_) == []
        assert core.plan(case.of.type_name, open_, prior).errors == [], case.address
