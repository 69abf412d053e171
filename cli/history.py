"""The commands of earlier sessions at the prompt, in `~/.steppe/history`, for their owner only and without secrets."""

import json
import os
import re
from pathlib import Path

LONGEST = 1000  # commands kept
_VALUE = r"""((?:'[^']*'|"(?:\\.|[^"\\])*"|\\.|[^\s'"\\])*)"""
_SECRET_KEY = re.compile(rf"\b(\w*(?:password|secret|token)\w*=){_VALUE}", re.IGNORECASE | re.DOTALL)
_SECRET_TAG = re.compile(r"(rootPassword::)[^\s,'\"]+", re.IGNORECASE)


def without_secrets(line: str) -> str:
    return _SECRET_TAG.sub(r"\1", _SECRET_KEY.sub(r"\1", line))


class History:
    def __init__(self, path: Path | None = None) -> None:
        self._path = path or Path.home() / ".steppe" / "history"
        self.lines = self._read()[-LONGEST:]

    def add(self, line: str) -> str:
        """Keeps it, without its secrets, and returns what was kept."""
        kept = without_secrets(line)
        if self.lines[-1:] == [kept]:
            return kept
        self.lines = [*self.lines, kept][-LONGEST:]
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            partial = self._path.with_name(f"{self._path.name}.{os.getpid()}")
            with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
                # another prompt may have added its own meanwhile
                file.writelines(json.dumps(each) + "\n" for each in [*self._read(), kept][-LONGEST:])
            partial.replace(self._path)
        except OSError:
            pass  # a command is not refused because its memory cannot be kept
        return kept

    def _read(self) -> list[str]:
        try:
            return [str(json.loads(line)) for line in self._path.read_text("utf-8").splitlines()]
        except (OSError, ValueError):
            return []
