"""Small files that survive a power cut: written beside, synced, renamed; readable by their owner only."""

import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote


def write_atomically(path: Path, content: bytes) -> None:
    """Whole or not at all, mode 0600."""
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


class FileRecords:
    """`Records` as `<directory>/<kind>/<key>.json`; a damaged document is set aside as `.damaged`, not obeyed."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def all(self, kind: str) -> dict[str, dict[str, Any]]:
        documents: dict[str, dict[str, Any]] = {}
        for path in sorted((self._directory / kind).glob("[!.]*.json")):
            try:
                document = json.loads(path.read_bytes())
                documents[unquote(path.name.removesuffix(".json"))] = dict(document)
            except (ValueError, TypeError):
                path.replace(path.with_suffix(".damaged"))
        return documents

    def put(self, kind: str, key: str, document: dict[str, Any]) -> None:
        path = self._path(kind, key)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(path, json.dumps(document).encode())

    def delete(self, kind: str, key: str) -> None:
        self._path(kind, key).unlink(missing_ok=True)

    def _path(self, kind: str, key: str) -> Path:
        return self._directory / kind / f"{quote(key, safe='@')}.json"
