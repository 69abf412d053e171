"""One condition of a query as text, `<field><operator><value>`, the same for REST (`q=`) and the command line."""

import re

from controlplane.contract.base import Condition
from controlplane.contract.error import invalid

_WIRE_OPERATORS = {"?=": "in", "!?=": "not in", "~=": "like", "!~=": "not like"}
_COMPARISON = re.compile(r"\s*([\w.]+)\s*(!\?=|!~=|!=|>=|<=|~=|\?=|=|>|<)(.*)", re.DOTALL)
_NULL = re.compile(r"\s*([\w.]+)\s+(is\s+null|(?:is\s+)?not\s+null)\s*")
_TEXT_OPERATORS = {op: text for text, op in _WIRE_OPERATORS.items()}


def condition_text(condition: Condition) -> str:
    """The inverse of `parse_condition`."""
    if condition.op in ("is null", "is not null"):
        return f"{condition.name} {condition.op}"
    return f"{condition.name}{_TEXT_OPERATORS.get(condition.op, condition.op)}{condition.value or ''}"


def parse_condition(text: str) -> Condition:
    """The first operator after the field's name counts, so a value may hold any; raises SYS.1007."""
    if null := _NULL.fullmatch(text):
        return Condition(name=null[1], op="is not null" if "not" in null[2] else "is null")
    if found := _COMPARISON.fullmatch(text):
        return Condition(name=found[1], op=_WIRE_OPERATORS.get(found[2], found[2]), value=found[3])
    raise invalid(
        f"the condition {text!r} is not of the form <field><operator><value>, operators = != > >= < <= ?= !?= ~= !~=, "
        "or <field> is null, <field> not null",
        "conditions",
    )
