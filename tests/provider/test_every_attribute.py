"""A typo, a wrong type, a value out of bounds or a fact that is set, for every attribute: the error names it.

The cases are generated from the schema, so a new attribute is covered the day it is added.
"""

import json
from typing import Any

import pytest

from provider.framework.schema import Attr, Nested
from provider.main import Steppe

pytestmark = pytest.mark.terraform
KINDS = [
    *(("resource", one) for one in Steppe.resources),
    *(("data", one) for one in Steppe.data_sources),
    *(("ephemeral", one) for one in Steppe.ephemeral_resources),
]
GOOD = ["x", "vm.num", "0" * 32, "10.0.0.9", "255.255.255.0", "/x", "http://x/x", "qcow2", "a::b", "ZoneVO", "VmInstance", "running",
        1 << 30, 1, True, "10.0.0.0/24", "30s"]  # fmt: skip
BAD = ["", "?", "x" * 3000, "x" * 70_000, -1, 1.5, 2**64]


def fits(one: Attr, value: Any) -> bool:
    kinds = {"string": str, "number": (int, float), "bool": bool}
    kind = one.type.kind
    if kind in kinds:
        right = isinstance(value, kinds[kind]) and (kind == "bool") == isinstance(value, bool)
        return right and not any(check(value) for check in one.validators)
    return isinstance(value, list) and not any(check(value) for check in one.validators)


def good(one: Attr) -> Any:
    if isinstance(one.shape, Nested):
        inner = {name: good(member) for name, member in one.shape.attributes.items() if member.required}
        return inner if one.shape.nesting == "single" else [inner]
    return next(value for value in [*GOOD, *([value] for value in GOOD)] if fits(one, value))


def bad(one: Attr) -> Any:
    """A value of the right type that the validators refuse; None when any is right."""
    if not one.validators or isinstance(one.shape, Nested):
        return None
    numeric = one.type.kind == "number" or (one.type.element is not None and one.type.element.kind == "number")
    some = [value for value in BAD if isinstance(value, (int, float)) == numeric]
    if one.type.element is not None:
        some = [*([value] for value in some), [], ["x", "x"]]
    return next(value for value in some if any(check(value) for check in one.validators))


def wrong_type(one: Attr) -> Any:
    return [["a"], ["b"]] if one.type.kind in ("string", "number", "bool") else "text"


def cases(mutate) -> list[tuple[str, str, str]]:
    """(label, attribute, block) of every attribute for which `mutate` has a body."""
    found = []
    for kind, one in KINDS:
        base = {name: good(attribute) for name, attribute in one.schema.attributes.items() if attribute.required}
        for name, attribute in one.schema.attributes.items():
            for body, blamed in mutate(base, name, attribute):
                label = f"{kind[0]}{len(found)}"
                lines = "\n".join(f"  {key} = {json.dumps(value)}" for key, value in body.items())
                found.append((label, blamed, f'{kind} "{one.type_name}" "{label}" {{\n{lines}\n}}\n'))
    return found


def typo(base, name, one):
    if one.required or one.optional:
        rest = {key: other for key, other in base.items() if key != name}
        yield rest | {f"{name}x": base.get(name, "x")}, f"{name}x"


def mistyped(base, name, one):
    if one.required or one.optional:
        yield base | {name: wrong_type(one)}, name


def out_of_bounds(base, name, one):
    if one.required or one.optional:
        value = bad(one)
        if value is not None:
            yield base | {name: value}, name
        if isinstance(one.shape, Nested):
            for member, inner in one.shape.attributes.items():
                if inner.validators:
                    whole = good(one)
                    element = whole if isinstance(whole, dict) else whole[0]
                    element[member] = bad(inner)
                    yield base | {name: whole}, member


def fact(base, name, one):
    if one.computed and not one.optional:
        values = {"number": 1, "string": "x"}
        yield base | {name: values.get(one.type.kind, [])}, name


@pytest.mark.parametrize("mutate", [typo, mistyped, out_of_bounds, fact], ids=lambda one: one.__name__)
def test_the_error_names_the_attribute(serve, mutate):
    terraform = serve(Steppe())
    found = cases(mutate)
    assert len(found) > 50
    terraform.write("".join(block for _, _, block in found))
    said: dict[str, str] = {}
    for one in json.loads(terraform.run("validate", "-json").output)["diagnostics"]:
        snippet = one.get("snippet") or {}
        label = str(snippet.get("context")).split('"')[3]
        words = (one["summary"], one["detail"], snippet.get("code", ""))
        said[label] = said.get(label, "") + "\n".join(words)
    assert {label: blamed for label, blamed, _ in found if blamed not in said.get(label, "")} == {}
