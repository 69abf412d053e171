"""From the words of a command line to an API and its parameters: `CreateZone name=z1 userTags=a,b`.

Values stay text where the server can tell their type; lists are split at commas that no quotes protect (or are JSON), maps
are JSON or Python literals, `key=@file` is the file's content (`@@` begins a plain text with @). The words of a query are
its conditions, in the server's own grammar but for `=null` and a `~=` without wildcard.
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cli.declarations import Declaration

COMMA = "\ue000"  # a comma that quotes protect, until the value is taken apart
_ASSIGNMENT = re.compile(r"([A-Za-z]\w*)=(.*)", re.DOTALL)
_ELEMENT = re.compile(r'"((?:[^"\\]|\\.)*)"(?=,|$)|((?:\\,|[^,])*)', re.DOTALL)
_CONDITION = re.compile(r"\s*[\w.]+\s*([!=<>?~]|\s(is|not)\s)", re.DOTALL)
_NULL = re.compile(r"\s*([\w.]+)\s*(!?)=null\s*")
_LIKE = re.compile(r"\s*([\w.]+\s*!?~=)([^%_]*)", re.DOTALL)


class Problem(Exception):
    """Something wrong on this side of the wire; exit status 1."""


def split(line: str) -> list[str]:
    """As a shell does: quotes group, a backslash is itself in single quotes and escapes `"` and `\\` in double ones.

    Commas in quotes that are only a part of a value are marked (`COMMA`): they separate nothing."""
    words: list[str] = []
    word: str | None = None
    quoted: list[tuple[int, int]] = []
    position = 0

    def end() -> None:
        nonlocal word
        if word is not None:
            words.append(_protected(word, quoted))
        word = None
        quoted.clear()

    while position < len(line):
        letter = line[position]
        position += 1
        if letter.isspace():
            end()
            continue
        word = word or ""
        if letter in "'\"":
            begin = len(word)
            while True:
                if position >= len(line):
                    raise Unfinished(f"the quote {letter} has no end")
                inner = line[position]
                position += 1
                if inner == letter:
                    break
                if inner == "\\" and letter == '"' and line[position : position + 1] in ('"', "\\"):
                    inner = line[position]
                    position += 1
                word += inner
            quoted.append((begin, len(word)))
        elif letter == "\\":
            if position >= len(line):
                raise Unfinished("the line ends with a backslash")
            escaped = line[position]
            position += 1
            word += COMMA if escaped == "," else "" if escaped == "\n" else escaped
        else:
            word += letter
    end()
    return words


class Unfinished(Problem):
    """More lines must follow."""


def _protected(word: str, quoted: list[tuple[int, int]]) -> str:
    for begin, stop in quoted:
        whole = stop == len(word) and (
            begin == 0 or word.index("=") == begin - 1 if "=" in word[:begin] else begin == 0
        )
        if not whole:
            word = word[:begin] + word[begin:stop].replace(",", COMMA) + word[stop:]
    return word


def find(apis: dict[str, Declaration], name: str) -> Declaration:
    if name in apis:
        return apis[name]
    raise Problem(f'"{name}" is not an API message{suggestion(name, apis)}')


def suggestion(word: str, known: Iterable[str]) -> str:
    import difflib

    close = difflib.get_close_matches(word, list(known), 1)
    return f', did you mean "{close[0]}"?' if close else ""


def parameters(api: Declaration, words: list[str]) -> dict[str, Any]:
    """Raises `Problem` for a word that is none of the API's parameters."""
    raw: dict[str, Any] = {}
    for word in words:
        found = _ASSIGNMENT.fullmatch(word)
        if api.is_query and not (found and found[1] in api.parameters and found[1] != "conditions"):
            raw.setdefault("conditions", []).append(_condition(word.replace(COMMA, ",")))
            continue
        if not found:
            raise Problem(f'"{word}" is not of the form key=value')
        key = found[1]
        if key not in api.parameters:
            hint = suggestion(key, api.parameters) or f"; it takes {', '.join(api.parameters) or 'no parameters'}"
            raise Problem(f'{api.name} has no parameter "{key}"{hint}')
        if key in raw:
            raise Problem(f'the parameter "{key}" is given twice')
        text = _content(found[2], strip=key in api.secrets)
        raw[key] = _value(key, api.parameters[key]["kind"], text)
        if api.secrets.get(key) == "sha512":
            import hashlib

            raw[key] = hashlib.sha512(raw[key].encode()).hexdigest()
    return raw


def _content(text: str, *, strip: bool) -> str:
    if text.startswith("@@"):
        return text[1:]
    if not text.startswith("@"):
        return text
    try:
        content = Path(text[1:]).expanduser().read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Problem(f"cannot read {text[1:]}: {error}") from None
    return content.rstrip("\n") if strip else content


def _value(key: str, kind: str | None, text: str) -> Any:
    plain = text.replace(COMMA, ",")
    if kind == "dict" or (kind == "list" and text.lstrip().startswith("[")):
        parsed = _literal(plain)
        if isinstance(parsed, dict if kind == "dict" else list):
            return parsed
        if kind == "dict":
            raise Problem(f'the parameter "{key}" is a map, e.g. {key}=\'{{"a": ["b"]}}\'')
    if kind != "list":
        return plain
    if key == "systemTags":  # backslashes are content; pieces that are no tag are joined again by the control plane
        return [part.replace(COMMA, ",") for part in text.split(",")]
    return [part.replace(COMMA, ",") for part in _elements(text)]


def _elements(text: str) -> list[str]:
    parts, position = [], 0
    while True:
        found = _ELEMENT.match(text, position)
        assert found, text
        inner = found[1]
        parts.append(found[2].replace("\\,", ",") if inner is None else re.sub(r"\\(.)", r"\1", inner))
        if found.end() >= len(text):
            return parts
        position = found.end() + 1


def _literal(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        import ast

        try:
            return ast.literal_eval(text.strip())
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return None


def _condition(word: str) -> str:
    if not _CONDITION.match(word):
        raise Problem(
            f'"{word}" is no condition: a field, an operator and a value; the operators are = != > >= < <= ?= !?= ~= !~=, '
            'and "<field>=null", "<field>!=null"'
        )
    if null := _NULL.fullmatch(word):
        return f"{null[1]} {'is not' if null[2] else 'is'} null"
    if like := _LIKE.fullmatch(word):
        return f"{like[1]}%{like[2]}%"
    return word
