"""A condition's value as its column's: numbers, truth, dates. `Bad` says what would be right."""

import datetime
from typing import Any

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import BigInteger, Boolean, ColumnElement, Integer, literal

from controlplane.contract.base import Date
from controlplane.store import tables

_DATE: TypeAdapter[datetime.datetime] = TypeAdapter(Date)
_TRUTH = {"true": True, "1": True, "false": False, "0": False}


class Bad(Exception):
    """The value cannot be one of the column's."""


def value_of(column: ColumnElement[Any], text: str) -> Any:
    if isinstance(column.type, Boolean):
        if text.lower() not in _TRUTH:
            raise Bad(f"{text[:100]!r} is neither true nor false")
        return _TRUTH[text.lower()]
    if isinstance(column.type, Integer):
        return _number(text)
    assert isinstance(column.type, tables.Utc), f"no condition can be on {column}"
    try:
        date = _DATE.validate_python(text)
        return date.astimezone(datetime.UTC) if date.tzinfo else date.replace(tzinfo=datetime.UTC)
    except (ValidationError, OverflowError):
        raise Bad(f"{text[:100]!r} is no date like 2016-01-30T15:01:03Z or Jan 30, 2016 3:01:03 PM") from None


def _number(text: str) -> Any:
    try:
        number = int(text)
    except ValueError:
        raise Bad(f"{text[:100]!r} is not an integer") from None
    if abs(number) >= 2**63:
        raise Bad(f"{text[:100]!r} is larger than any stored number")
    return literal(number, BigInteger)  # also beside a small column: 3000000000 is simply no value of it


def second(date: datetime.datetime) -> datetime.datetime | None:
    """The first instant after the second that a date without fraction stands for; None for an exact one."""
    try:
        return None if date.microsecond else date + datetime.timedelta(seconds=1)
    except OverflowError:
        return None
