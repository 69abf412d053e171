"""Comparing text whatever the case of its ASCII letters, by indexes, with the same result on both databases.

Letters are folded by `lower` of the "C" collation (A-Z only: what SQLite's does). A pattern that begins with plain text
is also a range, which an index serves; a long text (a tag) is indexed by its first characters.
"""

from collections.abc import Callable, Sequence
from functools import cache
from operator import ge, lt
from typing import Any

from sqlalchemy import ColumnElement, String, and_, bindparam, func, literal_column
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import Text as LongText

_FOLD = {ord(letter): ord(letter) + 32 for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
HEAD = 100  # characters of a long text that its index holds; an index cannot take all of it
_LAST = 0x10FFFF


def fold(text: str) -> str:
    return text.translate(_FOLD)


def is_text(column: ColumnElement[Any]) -> bool:
    return isinstance(column.type, String)


def folded(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """The column in lower case, itself when it is stored so."""
    name = str(getattr(column, "name", ""))
    return column if name.endswith("uuid") or name in ("mac", "ip") else func.lower(column)


def compared(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """What comparisons, order and indexes see of a column of any type."""
    return Text.of(column, True).whole if is_text(column) else column


def head(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """The indexed beginning of a long text. Its numbers are literals: for PostgreSQL an index on another expression is
    another index, and a bound parameter makes it one."""
    return func.lower(func.substr(column, literal_column("1"), literal_column(str(HEAD))))


def given_values(op: str, text: str) -> dict[str, str]:
    """What `equals` and `like` compare with, by the ends of the names under which they bind it."""
    if op in ("=", "!="):
        same = fold(text)
        return {"same": same, "head": same[:HEAD]}
    trailing = len(text) - len(text.rstrip("\\"))
    pattern = fold(text) + "\\" * (trailing % 2)
    begin = _beginning(pattern)[:HEAD]
    bounds = {"from": begin, "to": _after(begin)}
    return bounds if bounds["to"] and pattern == f"{begin}%" else bounds | {"like": pattern}  # the bounds say it all


class unindexed(FunctionElement[Any]):
    """A term that is no reason for SQLite to begin with an index: it takes any `=` for selective, `state` too.
    PostgreSQL knows better by its statistics."""

    inherit_cache = True
    type = String()


@compiles(unindexed)
def _as_it_is(element: Any, compiler: Any, **options: Any) -> str:
    return str(compiler.process(element.clauses, **options))


@compiles(unindexed, "sqlite")
def _with_a_plus(element: Any, compiler: Any, **options: Any) -> str:
    return f"+{compiler.process(element.clauses, **options)}"


class Text:
    """One side of a comparison; made once for each column, as making terms costs more than a query by an index."""

    def __init__(self, column: ColumnElement[Any], indexed: bool) -> None:
        self.folded = folded(column)
        self.whole = self.folded if indexed else unindexed(self.folded)
        self._head = head(column) if isinstance(column.type, LongText) else None

    @staticmethod
    @cache
    def of(column: ColumnElement[Any], indexed: bool) -> "Text":
        return Text(column, indexed)

    def ordered(self, compare: Callable[[Any, Any], Any], text: str) -> ColumnElement[bool]:
        return compare(self.whole, fold(text))  # type: ignore[no-any-return]

    def is_one_of(self, texts: Sequence[str]) -> ColumnElement[bool]:
        values = [fold(text) for text in texts]
        same = self.whole == values[0] if len(values) == 1 else self.whole.in_(values)
        if self._head is None:
            return same
        heads = sorted({value[:HEAD] for value in values})
        return and_(self._head == heads[0] if len(heads) == 1 else self._head.in_(heads), same)

    def equals(self, text: str, given: str) -> ColumnElement[bool]:
        """`given` begins the names of the bound values."""
        values = given_values("=", text)
        same = self.whole == bindparam(f"{given}same", values["same"], self.whole.type)
        if self._head is None:
            return same
        return and_(self._head == bindparam(f"{given}head", values["head"], self._head.type), same)

    def like(self, pattern: str, given: str) -> ColumnElement[bool]:
        r"""SQL's LIKE with `\` before a `%`, `_` or `\` that is meant; at the end it stands for itself. Within the bounds
        of all texts that begin as the pattern does."""
        left = self.whole if self._head is None else self._head
        values = given_values("like", pattern)
        bounds = [
            compare(left, bindparam(f"{given}{end}", values[end], left.type))
            for end, compare in (("from", ge), ("to", lt))
            if values[end]
        ]
        if "like" not in values:
            return and_(*bounds)
        whole = bindparam(f"{given}like", values["like"], self.folded.type)
        return and_(*bounds, self.folded.like(whole, escape="\\"))


def _beginning(pattern: str) -> str:
    plain, position = [], 0
    while position < len(pattern) and pattern[position] not in "%_":
        position += pattern[position] == "\\"
        plain.append(pattern[position])
        position += 1
    return "".join(plain)


def _after(text: str) -> str:
    """The first text that is behind all that begin so, in the order of code points; "" when there is none."""
    while text:
        last = ord(text[-1]) + 1
        if last <= _LAST:
            return text[:-1] + chr(0xE000 if last == 0xD800 else last)
        text = text[:-1]
    return ""
