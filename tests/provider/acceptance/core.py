"""Terraform core's part of the protocol, without the process: what it sends, and what it holds a provider to.

`Core` plans and applies one object at a time in this process. A plan that core would reject ("invalid plan", "inconsistent
final plan", "inconsistent result after apply") is an AssertionError here; the provider's own errors are results.
"""

from dataclasses import dataclass, field
from typing import Any

from provider.framework.schema import Attr
from provider.framework.types import UNKNOWN, Value, conform, wholly_known
from provider.main import Steppe
from provider.wire import tfplugin6_pb2 as pb
from provider.wire import values
from provider.wire.servicer import Servicer
from tests.provider.acceptance.declaration import RESOURCES, Values


@dataclass
class Answer:
    """`value` is the planned or the new state; `errors` are pairs of the blamed attribute ("" for none) and the text."""

    value: Any
    errors: list[tuple[str, str]]
    replace: list[str] = field(default_factory=list)
    private: bytes = b""


class Core:
    def __init__(self) -> None:
        self.servicer = Servicer(Steppe())
        schema = Steppe.schema.type
        request = pb.ConfigureProvider.Request(config=values.encode(conform({}, schema), schema))
        assert not _errors(self.servicer.configure_provider(request))

    def validate(self, kind: str, config: Values) -> list[tuple[str, str]]:
        request = pb.ValidateResourceConfig.Request(
            type_name=kind,
            config=_encoded(kind, _whole(kind, config)),
            client_capabilities=pb.ClientCapabilities(write_only_attributes_allowed=True),
        )
        return _errors(self.servicer.validate_resource_config(request))

    def plan(self, kind: str, config: Values, prior: Values | None = None, private: bytes = b"") -> Answer:
        written = _whole(kind, config)
        proposed = {name: _proposed(one, written[name], (prior or {}).get(name)) for name, one in _schema(kind).items()}
        request = pb.PlanResourceChange.Request(
            type_name=kind,
            config=_encoded(kind, written),
            prior_state=_encoded(kind, prior),
            proposed_new_state=_encoded(kind, proposed),
            prior_private=private,
        )
        answer = self.servicer.plan_resource_change(request)
        planned = _decoded(kind, answer.planned_state)
        errors = _errors(answer)
        if not errors:
            _must_be_a_plan(kind, written, prior, planned)
        replace = [path.steps[0].attribute_name for path in answer.requires_replace]
        return Answer(planned, errors, replace, answer.planned_private)

    def apply(self, kind: str, config: Values, planned: Answer, prior: Values | None = None) -> Answer:
        request = pb.ApplyResourceChange.Request(
            type_name=kind,
            config=_encoded(kind, _whole(kind, config)),
            prior_state=_encoded(kind, prior),
            planned_state=_encoded(kind, planned.value),
            planned_private=planned.private,
        )
        answer = self.servicer.apply_resource_change(request)
        state, errors = _decoded(kind, answer.new_state), _errors(answer)
        assert wholly_known(state), f"{kind}: unknown after apply: {state}"
        if not errors and planned.value is not None:
            must_agree(kind, planned.value, state)
        return Answer(state, errors, private=answer.private)

    def read(self, kind: str, state: Values, private: bytes = b"") -> Answer:
        request = pb.ReadResource.Request(type_name=kind, current_state=_encoded(kind, state), private=private)
        answer = self.servicer.read_resource(request)
        return Answer(_decoded(kind, answer.new_state), _errors(answer), private=answer.private)

    def destroy(self, kind: str, state: Values) -> None:
        gone = self.apply(kind, {}, Answer(None, []), state)
        assert (gone.value, gone.errors) == (None, [])


def must_agree(kind: str, earlier: Value, later: Value, at: str = "") -> None:
    """What was known before stays so: the rule between a plan, the plan at apply, and the result."""
    if earlier is UNKNOWN:
        return
    if isinstance(earlier, dict) and isinstance(later, dict):
        for name, value in earlier.items():
            must_agree(kind, value, later[name], f"{at}.{name}")
    elif isinstance(earlier, list) and isinstance(later, list) and not wholly_known(earlier):
        assert len(earlier) == len(later), f"{kind}{at}: {earlier} became {later}"
    else:
        assert earlier == later, f"{kind}{at}: {earlier!r} became {later!r}"


def _must_be_a_plan(kind: str, config: Values, prior: Values | None, planned: Values) -> None:
    for name, one in _schema(kind).items():
        wished, got, where = config[name], planned[name], f"{kind}.{name}"
        if one.write_only:
            assert got is None, f"{where} would be stored"
        elif wished is not None:
            same = got == wished or (wished is not UNKNOWN and prior is not None and got == prior[name])
            assert same or one.nested, f"{where}: {wished!r} is planned as {got!r}"
        elif not one.is_computed:
            assert got is None, f"{where} is planned as {got!r}, though nobody wished it"


def _proposed(one: Attr, written: Value, before: Value) -> Value:
    return before if written is None and one.is_computed and not one.nested else written


def _schema(kind: str) -> dict[str, Attr]:
    return RESOURCES[kind].schema.attributes


def _whole(kind: str, config: Values) -> Values:
    whole: Values = conform(config, RESOURCES[kind].schema.type)
    return whole


def _encoded(kind: str, value: Values | None) -> pb.DynamicValue:
    return values.encode(value, RESOURCES[kind].schema.type)


def _decoded(kind: str, message: pb.DynamicValue) -> Any:
    return values.decode(message, RESOURCES[kind].schema.type)


def _errors(answer: Any) -> list[tuple[str, str]]:
    found = []
    for one in answer.diagnostics:
        if one.severity == pb.Diagnostic.ERROR:
            blamed = one.attribute.steps[0].attribute_name if one.attribute.steps else ""
            text = f"{one.summary}: {one.detail}"
            assert "failed unexpectedly" not in text, text
            found.append((blamed, text))
    return found
