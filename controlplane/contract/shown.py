"""Rows to inventories on the wire, fast: functions made once from an inventory's declaration, for pages of many rows.

The same as `Inventory.model_validate(row).wire()` of rows that the database holds, without validating them again.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache
from typing import Any, get_args

from controlplane.contract.base import Date, Inventory, render_date
from controlplane.contract.parse import wire_name

Writer = Callable[[Sequence[Any]], dict[str, Any]]


@cache
def writer(model: type[Inventory], names: tuple[str, ...]) -> Writer:
    """From a row with the values of these fields, in this order, to the wire; what is null is left out."""
    wires = tuple(shown_as(model, name) for name in names)
    dates = tuple(shown_as(model, name) for name in names if is_date(model, name))

    def write(row: Sequence[Any]) -> dict[str, Any]:
        shown = {wire: value for wire, value in zip(wires, row, strict=True) if value is not None}
        for date in dates:
            if date in shown:
                shown[date] = render_date(shown[date])
        return shown

    return write


def shown_as(model: type[Inventory], name: str) -> str:
    """A field's name on the wire: its own alias, else in camelCase."""
    return model.model_fields[name].alias or wire_name(name)


def is_date(model: type[Inventory], name: str) -> bool:
    info = model.model_fields[name]
    kinds = [info.annotation, *get_args(info.annotation)]
    return datetime in kinds or Date in kinds
