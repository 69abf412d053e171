"""The plan: from what is, and what the user wrote, to what will be.

proposed → defaults → if anything differs: computed values become unknown unless they stay → the resource's own wishes
→ what needs a new resource. A plan without difference is the prior state itself, so the next plan is empty.
"""

import copy
from dataclasses import dataclass, field
from typing import Any, Literal

from provider.framework.diagnostics import Diagnostics, Path
from provider.framework.schema import Attr, Nested, Schema
from provider.framework.types import UNKNOWN, Value, canonical_set

Object = dict[str, Value]
Deferral = Literal["resource config unknown", "provider config unknown", "absent prerequisite"]


@dataclass
class Plan:
    """One planned change, open to a resource's own `modify_plan`. `prior` is None when it creates."""

    config: Object
    prior: Object | None
    planned: Object
    private: dict[str, Value]
    diagnostics: Diagnostics
    replace: list[Path] = field(default_factory=list)
    client: Any = None  # to ask what the server would say; None where there is none
    may_wait: bool = False  # whether this Terraform can leave the change to a later plan
    deferred: Deferral | None = None  # why it has to, in a plan that may wait

    def changes(self, name: str) -> bool:
        """Whether the attribute will be another one (or is not known yet); True for everything of a create."""
        return self.prior is None or self.planned[name] is UNKNOWN or self.planned[name] != self.prior[name]


def draft(schema: Schema, config: Object, prior: Object | None, proposed: Object) -> Object:
    """The planned state by the schema's rules alone."""
    planned = _with_defaults(schema.attributes, config, copy.deepcopy(proposed))
    if prior is not None:
        # Of a nested attribute that was left out Terraform proposes null, although it is computed.
        left_out = [name for name, one in schema.attributes.items() if one.computed and config.get(name) is None]
        planned |= {name: prior.get(name) for name in left_out if schema.attributes[name].default is None}
    if prior is not None and planned == _without_write_only(schema, planned, prior):
        return planned
    return _mark_computed(schema.attributes, config, prior, planned)


def replaced(attributes: dict[str, Attr], prior: Object, planned: Object, at: Path = ()) -> list[Path]:
    """Paths of the changes that need a new resource."""
    paths: list[Path] = []
    for name, attribute in attributes.items():
        before, after, path = prior.get(name), planned.get(name), (*at, name)
        if before == after and after is not UNKNOWN:
            continue
        nested = attribute.nested
        if attribute.replace:
            paths.append(path)
        elif nested and isinstance(before, (list, dict)) and isinstance(after, (list, dict)):
            for step, was, will in _pairs(nested, before, after):
                if isinstance(was, dict) and isinstance(will, dict):
                    paths += replaced(nested.attributes, was, will, (*path, *step))
                elif will is UNKNOWN and any(member.replace for member in nested.attributes.values()):
                    paths.append((*path, *step))
    return paths


def unfilled(schema: Schema, config: Object) -> Object:
    """What was written, and everything else unknown: of what cannot be asked yet."""
    return {
        name: UNKNOWN if one.is_computed and config.get(name) is None else config.get(name)
        for name, one in schema.attributes.items()
    }


def _pairs(nested: Nested, before: Value, after: Value) -> list[tuple[Path, Value, Value]]:
    """Elements that are in both; an element that comes or goes decides nothing by itself."""
    match nested.nesting:
        case "single":
            return [((), before, after)]
        case "list":
            return [((index,), was, will) for index, (was, will) in enumerate(zip(before, after, strict=False))]
        case "map":
            return [((key,), before[key], after[key]) for key in before.keys() & after.keys()]
    return []


def _without_write_only(schema: Schema, planned: Object, prior: Object) -> Object:
    return prior | {name: planned[name] for name, attribute in schema.attributes.items() if attribute.write_only}


def _with_defaults(attributes: dict[str, Attr], config: Object, planned: Object) -> Object:
    for name, attribute in attributes.items():
        written = config.get(name)
        if attribute.write_only:
            planned[name] = None
        elif written is None and attribute.default is not None:
            planned[name] = copy.deepcopy(attribute.default)
        elif attribute.nested and written is not None and written is not UNKNOWN:
            planned[name] = _each_object(attribute.nested, written, planned[name], _with_defaults)
    return planned


def _each_object(nested: Nested, written: Value, planned: Value, change) -> Value:  # type: ignore[no-untyped-def]
    """Apply `change(attributes, config, planned)` to every object of a nested attribute."""

    def one(config: Value, value: Value) -> Value:
        if not isinstance(config, dict) or not isinstance(value, dict):
            return value
        return change(nested.attributes, config, value)

    match nested.nesting:
        case "single":
            return one(written, planned)
        case "map":
            return {key: one(written[key], value) for key, value in planned.items()}
        case "list":
            return [one(config, value) for config, value in zip(written, planned, strict=True)]
    # Elements of a set have no identity besides their value, so they hold no computed members beyond defaults.
    return canonical_set([one(value, value) for value in planned])


def _mark_computed(attributes: dict[str, Attr], config: Object, prior: Object | None, planned: Object) -> Object:
    for name, attribute in attributes.items():
        written = config.get(name)
        was = None if prior is None else prior.get(name)
        nested = attribute.nested
        if written is None:
            if not attribute.computed or attribute.default is not None:
                continue
            planned[name] = was if attribute.keep and prior is not None else UNKNOWN
        elif nested and nested.nesting == "single" and isinstance(written, dict):
            before = was if isinstance(was, dict) else None
            planned[name] = _mark_computed(nested.attributes, written, before, planned[name])
        elif nested and nested.nesting == "list" and isinstance(written, list):
            earlier = was if isinstance(was, list) else []
            for index, (one, value) in enumerate(zip(written, planned[name], strict=True)):
                if isinstance(one, dict) and isinstance(value, dict):
                    before = earlier[index] if index < len(earlier) else None
                    _mark_computed(nested.attributes, one, before, value)
        elif nested and nested.nesting == "map" and isinstance(written, dict):
            known = was if isinstance(was, dict) else {}
            for key, one in written.items():
                if isinstance(one, dict) and isinstance(planned[name].get(key), dict):
                    _mark_computed(nested.attributes, one, known.get(key), planned[name][key])
    return planned
