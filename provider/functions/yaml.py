"""Plain data as YAML that people like to read. Writes only; what it writes, every YAML reader reads back the same.

Texts of several lines are blocks, other texts stand without quotes where that is safe. Order is kept.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

# Letters first, so no number; no word that YAML 1.1 takes for something else.
_PLAIN = re.compile(
    r"(?!(?:true|false|yes|no|on|off|null|y|n|nan|inf)$)[A-Za-z_/][A-Za-z0-9_./+-]*( [A-Za-z0-9_./+-]+)*", re.I
)
_BLOCK = re.compile(r"(?:[!-~][ -~]*\n|\n)*[!-~][ -~]*\n")  # ends with one line feed, no line begins with a blank


def document(data: Any) -> str:
    """A mapping or a list, as lines."""
    return "".join(f"{line}\n" for line in _lines(data))


def _lines(data: Any) -> Iterator[str]:
    if isinstance(data, dict):
        for key, value in data.items():
            yield from _entry(f"{_scalar(str(key))}:", value)
    else:
        for value in data:
            yield from _item(value)


def _entry(head: str, value: Any) -> Iterator[str]:
    if isinstance(value, dict | list) and value:
        yield head
        yield from (f"  {line}" if line else "" for line in _lines(value))
    elif isinstance(value, str) and _BLOCK.fullmatch(value):
        yield f"{head} |"
        yield from (f"  {line}" if line else "" for line in value.splitlines())
    else:
        yield f"{head} {_scalar(value)}"


def _item(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list) and value:
        for number, line in enumerate(_lines(value)):
            yield f"{'  ' if number else '- '}{line}" if line else ""
    else:
        yield from _entry("-", value)


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        return value if _PLAIN.fullmatch(value) else f'"{"".join(map(_escaped, value))}"'
    text = json.dumps(value)
    mantissa, e, exponent = text.partition("e")
    # A number with an exponent and no point is text to YAML 1.1.
    return f"{mantissa}.0e{exponent}" if e and isinstance(value, float) and "." not in mantissa else text


def _escaped(letter: str) -> str:
    if letter.isprintable() and letter not in '"\\':
        return letter
    return json.dumps(letter)[1:-1] if ord(letter) < 0x10000 else f"\\U{ord(letter):08X}"
