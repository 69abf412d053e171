"""What the user sees: answers as JSON, table or YAML, errors in red and progress on one line where there is a terminal."""

import json
import os
import re
import sys
from typing import Any, TextIO

FORMATS = ("json", "table", "yaml")
_FIRST = ("name", "uuid", "state", "status", "type", "managementIp", "ip", "mac", "resourceUuid", "tag")
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_WORDS = frozenset(("true", "false", "yes", "no", "on", "off", "null", "y", "n"))
_UNSAFE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
Json = dict[str, Any]


def render(answer: Json, form: str) -> str:
    if form == "table":
        return _table(answer)
    whole = answer | {"success": True}
    if form == "yaml":
        return "\n".join(_yaml(whole)) + "\n"
    return json.dumps(whole, sort_keys=True, indent=4, ensure_ascii=False) + "\n\n"


def _table(answer: Json) -> str:
    if not isinstance(answer.get("inventories"), list):
        one = answer.get("inventory", answer)
        return _grid([[key, _cell(value)] for key, value in sorted(one.items())]) or "done\n"
    rows = answer["inventories"]
    names = {key for row in rows for key, value in row.items() if not isinstance(value, list | dict)}
    columns = [name for name in _FIRST if name in names] + sorted(names - set(_FIRST))
    cells = [columns] + [[_cell(row.get(name, "")) for name in columns] for row in rows]
    if sys.stdout.isatty():
        cells = _fitting(cells, os.get_terminal_size().columns)
    total = f"{answer['total']} in total\n" if "total" in answer else ""
    return (_grid(cells) if rows else "none\n") + total


def _fitting(cells: list[list[str]], width: int) -> list[list[str]]:
    """The first columns that fit; one at least."""
    used, count = 0, 0
    for column in zip(*cells, strict=True):
        used += max(map(len, column)) + 2
        if used > width + 2 and count:
            break
        count += 1
    return [row[:count] for row in cells]


def _cell(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    text = _CONTROL.sub(" ", text)
    return text if len(text) <= 64 else text[:63] + "…"


def _grid(cells: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells)
    return "".join(f"{line}\n" for line in lines)


def _yaml(value: Any, indent: str = "") -> list[str]:
    """A mapping or list as lines; keys are sorted, texts are plain, quoted, or a block when they have several lines."""
    lines: list[str] = []
    entries = sorted(value.items()) if isinstance(value, dict) else [("-", each) for each in value]
    for key, inner in entries:
        head = f"{indent}-" if isinstance(value, list) else f"{indent}{_scalar(key)}:"
        if isinstance(inner, dict | list) and inner:
            below = _yaml(inner, indent + "  ")
            if isinstance(value, list):
                lines += [f"{indent}- {below[0].lstrip()}", *below[1:]]
            else:
                lines += [head, *below]
        elif isinstance(inner, str) and _is_block(inner):
            body = inner.removesuffix("\n").split("\n")
            lines.append(f"{head} {'|' if inner.endswith(chr(10)) else '|-'}")
            lines += [f"{indent}  {line}" if line else "" for line in body]
        else:
            lines.append(f"{head} {_scalar(inner)}")
    return lines


def _is_block(text: str) -> bool:
    if "\n" not in text or text.endswith("\n\n") or text[0] in " \n\t" or _UNSAFE.search(text):
        return False
    return not any(_CONTROL.search(line) or line != line.rstrip() for line in text.split("\n"))


def _scalar(value: Any) -> str:
    if isinstance(value, str) and not (_PLAIN.fullmatch(value) and value.lower() not in _WORDS):
        return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value, ensure_ascii=False))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def coloured(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR")


def complain(text: str) -> None:
    sys.stderr.write(f"\033[31m{text}\033[0m\n" if coloured(sys.stderr) else f"{text}\n")
    sys.stderr.flush()


class Progress:
    """On a terminal one line that is written over, else a line for each news."""

    def __init__(self) -> None:
        self._last = ""

    def show(self, progress: Json) -> None:
        done, total, text = progress.get("done"), progress.get("total"), progress.get("text", "")
        line = f"{text} {100 * done // total} %".strip() if done is not None and total else text
        if rate := progress.get("rate"):
            line += f", {rate / (1 << 20):.0f} MiB/s, {progress.get('remaining', 0)} s left"
        if line and line != self._last:
            sys.stderr.write(f"\r\033[K{line}" if sys.stderr.isatty() else f"{line}\n")
            sys.stderr.flush()
            self._last = line

    def end(self) -> None:
        if self._last and sys.stderr.isatty():
            sys.stderr.write("\r\033[K")
